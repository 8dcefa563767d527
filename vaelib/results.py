"""Recorded runs: small tables below `results/`, one row a run, behind verdicts over more seeds than a page trains.

A row holds the config, the seed, the digests of code and data, versions, the machine, the seconds it took and its
measures. A row that other code or other data made is stale: it is never shown as current.
"""

import ast
import dataclasses
import hashlib
import inspect
import json
import math
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

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


def record(names: Sequence[str] = (), *, seeds: int | None = None) -> None:
    """Measure what the tables of the parts called `names` (of all, where none is named) lack, run by run.

    Stale rows are dropped first. A table is written anew after each run, so that a kill loses the run under way and no
    other; the next call goes on from there. `seeds` takes the place of each part's own number. Prints a line for each
    run, with the time left as far as recorded seconds tell. Raises ValueError for an unknown name, and what `fit` and
    the measures raise.
    """
    for name in names:
        if name not in PARTS:
            raise ValueError(f"unknown part {name!r}: one of {', '.join(PARTS)}")
    # Before the first run: what is recorded was made by the code that was loaded, whatever is edited meanwhile.
    digests = {name: part_digest(name) for name in names or PARTS}
    missing = []
    for name in digests:
        rows, outdated = read(name), stale(name)
        if len(outdated):
            _write(name, rows.drop(outdated.index))
        there = set(zip(*(rows.drop(outdated.index)[key] for key in ("config", "seed")), strict=True))
        # All configs with one seed before any with a second.
        wanted = [(c, seed) for seed in range(1, (seeds or PARTS[name].seeds) + 1) for c in PARTS[name].configs]
        lacking = [(name, c, seed) for c, seed in wanted if (without_seed(c), seed) not in there]
        print(f"{name}: {len(wanted) - len(lacking)} of {len(wanted)} runs are recorded", flush=True)
        missing += lacking
    for done, (name, config, seed) in enumerate(missing, start=1):
        row = _measured(name, config, seed, digests[name])
        _write(name, pd.DataFrame([*read(name).to_dict("records"), row]))
        words = row["config"].translate(str.maketrans("", "", '{}":'))
        left = _time_left(missing[done:])
        print(f"{name}, {words}, seed {seed}: {row['seconds']:.0f} s ({done} of {len(missing)}{left})", flush=True)


def _measured(part: str, config: Config, seed: int, digest: str) -> dict[str, object]:
    """One row. Its seconds are those of training and measuring, whether or not the run was in the store."""
    if isinstance(config, TrainConfig):
        run = get_or_train(dataclasses.replace(config, seed=seed))
        data, machine, trained = run.data_digest, run.machine, sum(epoch.seconds for epoch in run.history)
    else:
        run = {**config, "seed": seed}
        data, machine, trained = DRAWN, describe(), 0.0
    start = time.perf_counter()
    measures = {name: float(value) for name, value in PARTS[part].measure(run).items()}
    seconds = round(trained + time.perf_counter() - start, 1)
    if taken := set(measures) & set(KEYS):
        raise ValueError(f"the measure of part {part!r} returns {sorted(taken)}, which are columns of every table")
    values = (without_seed(config), seed, digest, data, torch.__version__, machine, seconds)
    return dict(zip(KEYS, values, strict=True)) | measures


def _write(part: str, rows: pd.DataFrame) -> None:
    """Replace a table at once: it is whole whenever this process is killed."""
    path = folder() / f"{part}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.unfinished")
    rows.sort_values(["config", "seed"]).to_csv(beside, index=False, float_format="%.6g", lineterminator="\n")
    beside.replace(path)


def _time_left(missing: Sequence[tuple[str, Config, int]]) -> str:
    """As long as runs of the same config took, or else of the same part; nothing is said of what nobody ran."""
    tables = {name: read(name) for name, *_ in missing}
    total = 0.0
    for name, config, _ in missing:
        rows = tables[name]
        same = rows[rows["config"] == without_seed(config)]
        total += (same if len(same) else rows)["seconds"].mean()
    if not missing or math.isnan(total):
        return ""
    return f", {total:.0f} s left" if total < 90 else f", {total / 60:.0f} min left"


# What made a row


def part_digest(part: str) -> str:
    """16 hex digits over the code that makes a row of `part`: what training runs, what measures, and what that calls.

    It changes with a formula and stays with a reworded docstring or one more check (`runs.deciding`).
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
