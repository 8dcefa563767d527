"""What a sweep says: which reruns are missing, how long they should take, how far it is, and what came of them."""

import io
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType

import pandas as pd
from tqdm import tqdm

from tools import rerun_record
from tools.inputs import environment_digest, facts_apart
from tools.rerun_record import Record


def missing(root: Path, chapter: str, runs: Mapping[str, Mapping]) -> list[str]:
    """The names of `runs`, values by name, that were not rerun from today's code, data and chapter."""
    facts = facts_apart(root, *{name for values in runs.values() for name in rerun_record.own_data(values)})
    environments, todo = {}, []
    for name, values in runs.items():
        own = rerun_record.own_data(values)
        if own not in environments:
            mine = {key: fact for key, fact in facts.items() if not key.endswith(".npz") or key in own}
            environments[own] = environment_digest(root, mine)
        record = rerun_record.read(root / "reruns", name)
        if record is None or record.made_from != rerun_record.made_from(root, chapter, values, environments[own]):
            todo.append(name)
    return todo


def expected(records: Collection[Record], chapter: str, values: Mapping) -> float | None:
    """Seconds that a rerun should take: as those that differ in their seed did, or else as the chapter's; or None."""

    def without_seed(values: Mapping) -> dict:
        return {name: value for name, value in values.items() if name != "seed"}

    own = [each for each in records if each.chapter == chapter and _smoke(each.values) == _smoke(values)]
    same = [each for each in own if without_seed(each.values) == without_seed(values)]
    return sum(each.seconds for each in same or own) / len(same or own) if own else None


def _smoke(values: Mapping) -> bool:
    return bool(values.get("smoke"))


def plan(
    root: Path, chapter: str, runs: Mapping[str, Mapping], todo: Collection[str], workers: int | None, dry: bool
) -> str:
    """What is going to run and how long it should take; for a dry run with a line for each. No `workers`: a cluster."""
    records = rerun_record.read_all(root / "reruns")
    seconds = {name: expected(records, chapter, runs[name]) for name in todo}
    known = [value for value in seconds.values() if value is not None]
    line = f"{chapter}: {len(runs)} reruns, {len(runs) - len(todo)} of them there, {len(todo)} to run"
    if known:
        line += f"; by recorded times {_words(sum(known))} of work"
        line += f", {_words(sum(known) / min(workers, len(known)))} with {workers} at a time" if workers else ""
    if len(known) < len(todo):
        line += f"; {len(todo) - len(known)} of a kind that was never timed here"
    each = (f"  {name}: {'not timed before' if value is None else _words(value)}" for name, value in seconds.items())
    return "\n".join([line, *(each if dry else ())])


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class Progress:
    """A line for each rerun that ends, and one for the whole with the time that is left: of a terminal the last one."""

    def __init__(self, chapter: str, todo: int) -> None:
        self.terminal = sys.stderr.isatty()
        file = sys.stderr if self.terminal else io.StringIO()
        self.bar = tqdm(total=todo, desc=chapter, unit="rerun", smoothing=0, dynamic_ncols=True, file=file)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()

    def ended(self, reruns: Path, name: str, fault: str) -> None:
        """Say what came of one rerun; a `fault` is said whole, here and nowhere else."""
        self.bar.update()
        if fault:
            tqdm.write(f"{name}: FAILED\n{fault}\n")
        elif record := rerun_record.read(reruns, name):
            elbo = "" if record.elbo is None else f", {record.data}, held-out ELBO {record.elbo:.1f} nats"
            tqdm.write(f"{name}: {record.seconds:.0f} s{elbo}")
        if not self.terminal:  # where no line can be written over
            print(self.bar, file=sys.stderr, flush=True)


def table(root: Path, runs: Mapping[str, Mapping], todo: Collection[str], failed: Collection[str]) -> str:
    """A row for each rerun: its values, whether it was made now, its seconds, its run's data and held-out ELBO."""
    rows = []
    for name, values in runs.items():
        record = None if name in failed else rerun_record.read(root / "reruns", name)
        state = "FAILED" if record is None else "rerun" if name in todo else "was there"
        columns = {"seconds": "seconds", "data": "data of the run", "elbo": "held-out ELBO"}
        found = {} if record is None else {title: getattr(record, name) for name, title in columns.items()}
        rows.append({"": name, **values, "what": state, **found})
    shown = pd.DataFrame(rows).set_index("").dropna(axis=1, how="all").to_string(na_rep="", index_names=False)
    index = root / "reruns" / "index.html"
    return f"\n{shown}\n" + (f"Read them: {index.as_uri()}" if index.is_file() else "")
