"""Recorded rows an hour, over the number of workers and over the number of rows: `make results` with tiny rows.

    python -m benchmarks.many WORKERS ROWS      record so many rows once, in an empty folder

A row is a training of about a second on one thread and its held-out ELBO, so that what recording itself costs shows.
"""

import contextlib
import io
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import BenchmarkError, printed
from tools import engine

SIZES = ((1, 32), (2, 32), (4, 32), (2, 8), (2, 128))  # workers and rows
ROUNDS = 3


class Recording(NamedTuple):
    """Seconds until so many workers have recorded so many rows, from the start of a process to its end.

    `rows_seconds` are those of all rows added up, as the table has them.
    """

    workers: int
    rows: int
    seconds: float
    rows_seconds: float


def recordings(sizes: Sequence[tuple[int, int]] = SIZES, rounds: int = ROUNDS) -> Iterator[Recording]:
    """All sizes, as often as there are rounds; in each round in another order, since a machine's speed drifts."""
    draw = random.Random(0)
    for _ in range(rounds):
        for workers, rows in draw.sample(sizes, len(sizes)):
            start = time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.many", str(workers), str(rows)]
            total = float(printed(f"recording {rows} rows", command))
            yield Recording(workers, rows, time.perf_counter() - start, total)


def use_tiny_part() -> None:
    """One part in place of those of `vaelib.evidence`, in this process."""
    from vaelib import results
    from vaelib.config import TrainConfig
    from vaelib.evidence import Part

    config = TrainConfig("digits", epochs=20, hidden=(64,), batch_size=64)
    results.PARTS = {"tiny": Part((config,), _measure, 1)}


def _measure(run: object) -> dict[str, float]:
    return {"elbo": run.heldout.elbo}


def made(row: object) -> dict[str, object]:
    """What a worker does."""
    from vaelib import results

    use_tiny_part()
    return results.measured_apart(row)


def record(workers: int, rows: int, folder: Path) -> float:
    """Record so many rows of the tiny part in a folder; returns the sum of their seconds."""
    from vaelib import results

    use_tiny_part()
    results.folder = lambda: folder

    def finished(wanted: Sequence) -> Iterator[tuple]:
        jobs = {row: engine.Job(made, (row,), row.run) for row in wanted}
        for row, recorded, fault in engine.finished(pool, jobs):
            if fault:
                raise BenchmarkError(f"{row}: {fault.said}")
            yield row, recorded

    with engine.pool(engine.Place(workers, ""), engine.Processes) as pool:
        results.record(seeds=rows, finished=finished, workers=pool.room)
    table = results.read("tiny")
    if len(table) != rows:
        raise BenchmarkError(f"{len(table)} of {rows} rows were recorded")
    return float(table["seconds"].sum())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        os.environ["VAELIB_RUNS"] = f"{place}/runs"
        from benchmarks import many  # in workers it has this name: digests of code hold it

        total = many.record(int(sys.argv[1]), int(sys.argv[2]), Path(place))
    print(total)
