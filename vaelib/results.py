"""Recorded runs: small tables below `results/`, one row a run, behind verdicts over more seeds than a page trains.

A row holds the config, the seed, the digests of code and data, versions, the machine, the seconds it took and its
measures. A row that other code or other data made is stale: it is never shown as current.
"""

import ast
import dataclasses
import hashlib
import inspect
import json
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from vaelib.config import TrainConfig
from vaelib.data import project_root
from vaelib.deciding import deciding
from vaelib.evidence import PARTS
from vaelib.machine import describe
from vaelib.runs import code_digest, get_or_train
from vaelib.training import TrainedRun

WORDS = ("config", "code", "data", "torch", "machine")  # columns of text: a digest may look like a number
KEYS = ("config", "seed", *WORDS[1:], "seconds")
DRAWN = "drawn"  # in place of a data digest, where the measure makes its own data

CONSTANTS = (bool, int, float, str, tuple, TrainConfig)  # kinds whose text is the same every time

Config = TrainConfig | Mapping[str, object]


def folder() -> Path:
    """Where the tables are."""
    return project_root() / "results"


def read(part: str) -> pd.DataFrame:
    """All rows of a table, one a run, current or not; empty where nothing was recorded."""
    path = folder() / f"{part}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=list(KEYS))
    return pd.read_csv(path, dtype=dict.fromkeys(WORDS, str))


def current(part: str, config: Config) -> pd.DataFrame:
    """The rows of `config` that today's code made, whatever their seed, in order of seed."""
    rows = read(part)
    mine = (rows["config"] == without_seed(config)) & (rows["code"] == part_digest(part))
    return rows[mine].sort_values("seed")


def stale(part: str) -> pd.DataFrame:
    """The rows that other code made, or whose config the part no longer has."""
    rows, configs = read(part), [without_seed(config) for config in PARTS[part].configs]
    return rows[(rows["code"] != part_digest(part)) | ~rows["config"].isin(configs)]


def over_seeds(part: str, run: TrainedRun | Mapping, measured: Mapping[str, float]) -> dict[str, list[float]]:
    """Each of the `measured` numbers of `run`, among those of the recorded runs that differ from it only in their seed.

    Lists in order of seed, the run's own value in its place. Alone where nothing was recorded for its config. `run` is
    what the part's measure is given.
    """
    rows = like(part, run)
    own = {"seed": _seed(run), **measured}
    both = [row for row in rows.to_dict("records") if row["seed"] != own["seed"]] + [own]
    return {name: [float(row[name]) for row in sorted(both, key=lambda row: row["seed"])] for name in measured}


def like(part: str, run: TrainedRun | Mapping) -> pd.DataFrame:
    """The current rows of `run`'s config on `run`'s data, whatever their seed, in order of seed."""
    rows = current(part, run.config if isinstance(run, TrainedRun) else run)
    return rows[rows["data"] == (run.data_digest if isinstance(run, TrainedRun) else DRAWN)]


def recorded(part: str, config: TrainConfig) -> pd.DataFrame:
    """The current rows of `config` on the images that it loads today, whatever their seed, in order of seed."""
    rows = current(part, config)
    return rows[rows["data"] == config.load("train").digest] if len(rows) else rows


def _seed(run: TrainedRun | Mapping) -> int:
    return run.config.seed if isinstance(run, TrainedRun) else run["seed"]


def without_seed(config: Config) -> str:
    """The config as text, all but its seed: equal for runs that differ in nothing else. Defaults are left out."""
    if isinstance(config, TrainConfig):
        fields = {field.name: (getattr(config, field.name), field.default) for field in dataclasses.fields(config)}
        config = {name: value for name, (value, default) in fields.items() if value != default}
    return json.dumps({name: value for name, value in config.items() if name != "seed"}, sort_keys=True)


# Recording


class Row(NamedTuple):
    """What a table lacks: one run of a part, and the digest of the code that is to measure it."""

    part: str
    config: Config
    seed: int
    digest: str

    @property
    def run(self) -> tuple[str, int] | None:
        """Equal for rows of one trained run, whatever their parts; None where the measure trains what it needs."""
        return (without_seed(self.config), self.seed) if isinstance(self.config, TrainConfig) else None

    def __str__(self) -> str:
        words = without_seed(self.config).translate(str.maketrans("", "", '{}":'))
        return f"{self.part}, {words}, seed {self.seed}"


def check_parts(names: Sequence[str]) -> None:
    """Raise ValueError for a name that no part has."""
    for name in names:
        if name not in PARTS:
            raise ValueError(f"unknown part {name!r}: one of {', '.join(PARTS)}")


class StaleWorker(RuntimeError):
    """A process has loaded other code than the one that wants its rows."""


Outcome = Mapping[str, object] | str  # what a table gets, or why there is nothing to get


def one_by_one(rows: Sequence[Row]) -> Iterator[tuple[Row, Outcome]]:
    """Make rows in this process, in their order."""
    for row in rows:
        yield row, measured(row)


def record(
    names: Sequence[str] = (),
    *,
    seeds: int | None = None,
    finished: Callable[[Sequence[Row]], Iterator[tuple[Row, Outcome]]] = one_by_one,
    workers: Callable[[], int] = lambda: 1,
) -> list[Row]:
    """Measure what the tables of the parts called `names` (of all, where none is named) lack, run by run.

    Stale rows are dropped first. `finished` makes rows, `workers` at a time, and gives them as they end; only this
    process writes: a table anew after each row, so that a kill loses what is under way and no more. The next call goes
    on from there. `seeds` takes the place of each part's own number. Prints a line for each row, with the time left as
    far as recorded seconds tell. Returns the rows that failed. Raises ValueError for an unknown name, and what
    `finished` raises.
    """
    check_parts(names)
    # Before the first run: what is recorded was made by the code that was loaded, whatever is edited meanwhile.
    digests = {name: part_digest(name) for name in names or PARTS}
    seconds = {name: read(name)[["config", "seconds"]] for name in digests}
    missing = []
    for name, digest in digests.items():
        rows, outdated = read(name), stale(name)
        if len(outdated):
            _write(name, rows.drop(outdated.index))
        there = set(zip(*(rows.drop(outdated.index)[key] for key in ("config", "seed")), strict=True))
        numbers = range(1, (seeds or PARTS[name].seeds) + 1)
        wanted = [Row(name, config, seed, digest) for seed in numbers for config in PARTS[name].configs]
        lacking = [row for row in wanted if (without_seed(row.config), row.seed) not in there]
        print(f"{name}: {len(wanted) - len(lacking)} of {len(wanted)} runs are recorded", flush=True)
        # All configs with one seed before any with a second; of these the longest first, so that none is left at last.
        missing += sorted(lacking, key=lambda row: (row.seed, -(_seconds(row, seconds) or 0)))
    failed, left = [], list(missing)
    for row, outcome in finished(missing):
        left.remove(row)
        if isinstance(outcome, str):
            failed.append(row)
            what, more = "FAILED", f"\n{outcome}"
        else:
            _write(row.part, pd.DataFrame([*read(row.part).to_dict("records"), outcome]))
            seconds[row.part] = pd.concat([seconds[row.part], pd.DataFrame([outcome])[["config", "seconds"]]])
            what, more = f"{outcome['seconds']:.0f} s", ""
        ended = f"{len(missing) - len(left)} of {len(missing)}{_time_left(left, seconds, workers())}"
        print(f"{row}: {what} ({ended}){more}", flush=True)
    return failed


def measured(row: Row) -> dict[str, object]:
    """What a table gets. Its seconds are those of training and measuring, whether or not the run was in the store."""
    part, config = row.part, row.config
    if isinstance(config, TrainConfig):
        run = get_or_train(dataclasses.replace(config, seed=row.seed))
        data, machine, trained = run.data_digest, run.machine, sum(epoch.seconds for epoch in run.history)
    else:
        run = {**config, "seed": row.seed}
        data, machine, trained = DRAWN, describe(), 0.0
    start = time.perf_counter()
    measures = {name: float(value) for name, value in PARTS[part].measure(run).items()}
    seconds = round(trained + time.perf_counter() - start, 1)
    if taken := set(measures) & set(KEYS):
        raise ValueError(f"the measure of part {part!r} returns {sorted(taken)}, which are columns of every table")
    values = (without_seed(config), row.seed, row.digest, data, torch.__version__, machine, seconds)
    return dict(zip(KEYS, values, strict=True)) | measures


_TURN = threading.Lock()


def measured_apart(row: Row) -> dict[str, object]:
    """`measured` in whatever process a worker is, so that the numbers are those of a process of its own.

    On one thread, and one row at a time, since torch's precision and generator belong to the whole process. Raises
    StaleWorker where this process loaded other code than the row's.
    """
    if _loaded()[row.part] != row.digest:
        raise StaleWorker("vaelib was changed after a worker had loaded it: begin the workers again, and then this")
    with _TURN:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)  # of this thread, which may be older than vaelib's import
        return measured(row)


@cache
def _loaded() -> dict[str, str]:
    """The digests of all parts when this was first called."""
    return {name: part_digest(name) for name in PARTS}


def _write(part: str, rows: pd.DataFrame) -> None:
    """Replace a table at once: it is whole whenever this process is killed."""
    path = folder() / f"{part}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.unfinished")
    rows.sort_values(["config", "seed"]).to_csv(beside, index=False, float_format="%.6g", lineterminator="\n")
    beside.replace(path)


def _seconds(row: Row, seconds: Mapping[str, pd.DataFrame]) -> float | None:
    """As long as runs of the same config took, or else of the same part; None where nobody ran one."""
    known = seconds[row.part]
    same = known[known["config"] == without_seed(row.config)]
    known = same if len(same) else known
    return float(known["seconds"].mean()) if len(known) else None


def _time_left(missing: Sequence[Row], seconds: Mapping[str, pd.DataFrame], workers: int) -> str:
    """Of so many workers; nothing is said of what nobody ran."""
    each = [_seconds(row, seconds) for row in missing]
    if not each or None in each:
        return ""
    left = max(sum(each) / workers, *each)
    return f", {left:.0f} s left" if left < 90 else f", {left / 60:.0f} min left"


# What made a row


def part_digest(part: str) -> str:
    """16 hex digits over the code that makes a row of `part`: what training runs, what measures, and what that calls.

    It changes with a formula and stays with a reworded docstring or one more check (`deciding`).
    """
    called = _called(PARTS[part].measure, {})
    text = "\n".join([code_digest(), *(f"{name} {called[name]}" for name in sorted(called))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _called(thing: object, found: dict[str, str]) -> dict[str, str]:
    """Syntax trees by name: of a function or class, and of what it names of its package: the like, and constants."""
    name, tree, constants, others = _read(inspect.unwrap(thing))
    if name not in found:
        found |= {name: tree, **constants}
        for other in others:
            _called(other, found)
    return found


@cache
def _read(thing: object) -> tuple[str, str, dict[str, str], list[object]]:
    """Name and syntax tree of a function or class, and the constants, functions and classes of its package it names."""
    module = sys.modules[thing.__module__]
    package = module.__name__.partition(".")[0]
    tree = deciding(ast.parse(textwrap.dedent(inspect.getsource(thing))))
    text = ast.dump(tree)
    constants, others = {}, []
    for node in ast.walk(tree):
        owner, word = module, getattr(node, "id", None)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner, word = getattr(module, node.value.id, None), node.attr
        named = getattr(owner, word, None) if word and inspect.ismodule(owner) else None
        if inspect.isclass(named) or inspect.isroutine(named):
            # The store decides where a run is found, not what it holds.
            if (named.__module__ or "").partition(".")[0] == package and named.__module__ != "vaelib.runs":
                others.append(named)
        elif isinstance(named, CONSTANTS) and not word.startswith("__") and owner.__name__.partition(".")[0] == package:
            constants[f"{owner.__name__}.{word}"] = repr(named)
    return f"{module.__name__}.{thing.__qualname__}", text, constants, others
