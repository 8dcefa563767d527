"""Record the runs that tables below results/ lack, many at a time, here or on a cluster: `make results`.

    python -m vaelib results [part ...] [--seeds N] [--workers N] [--scheduler tcp://...]

Each worker is a process with one thread, so that numbers do not depend on what runs beside it. This process alone
writes.
"""

import argparse
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import partial

from tools import engine
from tools.chapters import BookError
from tools.processes import interruptible


def main(arguments: list[str]) -> int:
    """Record; returns the exit status: 1 where some rows failed, 2 where nothing can be recorded."""
    parser = argparse.ArgumentParser(prog="python -m vaelib results", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help="a table; default: all")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 1 to N of each config; default: the part's own")
    parser.add_argument("--workers", default="", metavar="N", help="processes; default: as many as there are cores")
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help="of a Dask cluster, such as tcp://host:8786")
    options = parser.parse_args(arguments)
    interruptible()
    try:
        if options.seeds is not None and options.seeds < 1:
            raise BookError(f"--seeds {options.seeds}: give a whole number of 1 or more")
        return record(options.parts, options.seeds, engine.place(options.workers, options.scheduler))
    except (BookError, *_errors()) as error:
        print(f"results: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. The rows that were finished are recorded; the same command goes on.", file=sys.stderr)
        return 130


def _errors() -> tuple[type[Exception], ...]:
    """What every row would meet: it ends the recording, and no row is said to have failed."""
    from vaelib.data import DataError
    from vaelib.results import StaleWorker
    from vaelib.runs import StoreError

    return DataError, StoreError, StaleWorker


def record(parts: Sequence[str], seeds: int | None, where: engine.Place) -> int:
    """`vaelib.results.record` on the workers of a place; returns 1 where some rows failed."""
    from vaelib import results  # loads torch, which a worker does for itself, and with one thread

    try:
        results.check_parts(parts)
    except ValueError as error:
        raise BookError(str(error)) from None
    with engine.pool(where, engine.Processes) as pool:
        failed = results.record(parts, seeds=seeds, finished=partial(finished, pool), workers=pool.room)
    if failed:
        print(f"{len(failed)} rows failed, and are not recorded:", *failed, sep="\n  ", file=sys.stderr)
    return 1 if failed else 0


def finished(pool: engine.Pool, rows: Sequence) -> Iterator[tuple]:
    """Rows as they end, each with what is recorded of it, or with why it failed. Of one trained run one at a time."""
    from vaelib.results import measured_apart

    jobs = {number: engine.Job(measured_apart, (row,), turn=row.run) for number, row in enumerate(rows)}
    for number, recorded, fault in engine.finished(pool, jobs):
        if fault and isinstance(fault.error, _errors()):
            raise fault.error
        yield rows[number], _why(fault) if fault else recorded


def _why(fault: engine.Fault) -> str:
    """The traceback of a row's process, where there is one; of a process that died there is not."""
    if fault.error is None:
        return fault.said
    there = fault.error.__cause__  # a traceback does not pass between processes: an executor hands it on as text
    return str(there).strip('"\n') if there else "".join(traceback.format_exception(fault.error)).rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
