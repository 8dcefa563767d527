"""Execute chapters, two at a time."""

import asyncio
import atexit
import csv
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from nbformat import NotebookNode, read

from tools.chapters import QUIET_KERNEL, ROOT, Stop, find_stop
from tools.executed import Executed
from tools.inputs import PORTABILITY

AT_ONCE = 2  # chapters executed at the same time: one for each core of the smallest machine the book is made for
# Two kernels that each use every core wait at each other's barriers and take many times as long.
THREADS = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // AT_ONCE))}


class Execution(NamedTuple):
    """An executed chapter, where it stopped if it did, and the seconds until its kernel had run the first code cell.

    A chapter's first code cell is its imports.
    """

    notebook: NotebookNode
    stop: Stop | None
    imported: float


def execute_all(kept: Executed, paths: list[Path]) -> dict[Path, Execution]:
    """Execute chapters and keep those that ran to their end. One that stops does not stop the others."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(_execute_all(kept, paths))


def longest_first(paths: list[Path]) -> list[Path]:
    """Chapters by the time that they took on the machine of `results/portability.csv`; those that it lacks come last.

    A long one that is begun last would run alone at the end.
    """
    seconds = Counter()
    with (ROOT / "results" / PORTABILITY).open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            seconds[row["chapter"]] += float(row["seconds"])
    return sorted(paths, key=lambda path: -seconds[path.stem])


class _Loop(asyncio.SelectorEventLoop):
    """A loop that leaves signals alone: each of several nbclients would take them for itself, and then away."""

    def add_signal_handler(self, *_) -> None:
        raise NotImplementedError

    def remove_signal_handler(self, *_) -> bool:
        raise NotImplementedError


async def _execute_all(kept: Executed, paths: list[Path]) -> dict[Path, Execution]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path) -> Execution:
        async with gate:
            start = time.perf_counter()
            print(f"  {path.stem} ...", flush=True)
            execution = await execute(path)
            seconds = time.perf_counter() - start
        if execution.stop is None:
            kept.write(path.stem, execution.notebook)
            _relay_warnings(path.stem, execution.notebook)
        print(f"  {path.stem} {'STOPPED' if execution.stop else 'executed'} after {seconds:.0f} s", flush=True)
        return execution

    tasks = {path: asyncio.create_task(one(path)) for path in longest_first(paths)}
    try:
        await asyncio.gather(*tasks.values())
    finally:  # where one is canceled all are: wait until their kernels are gone
        # nbclient's own tasks outlive the one that they serve and fail with its kernel.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    executions = {path: tasks[path].result() for path in paths}
    if seconds := sum(each.imported for each in executions.values() if each.stop is None):
        print(f"  kernels starting and importing, added up over the chapters: {seconds:.1f} s", flush=True)
    return executions


async def execute(path: Path, *, starts: int = 2) -> Execution:
    """Run a chapter in a kernel of its own, in its folder, without a time limit on cells.

    A kernel that dies before it answers is started anew: the ports that Jupyter picked for it may have been taken in
    the meantime.
    """
    notebook = read(path, 4)
    start = time.perf_counter()
    running: list[int] = []
    ended: list[float] = []
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=QUIET_KERNEL,
        shutdown_kernel="immediate",  # it has nothing to save, and a busy one would not hear
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=lambda cell, cell_index: running.append(cell_index),
        on_cell_executed=lambda **_: ended.append(time.perf_counter() - start),
    )
    current, reason = None, ""
    try:
        await client.async_execute(env=THREADS | os.environ)
    except CellExecutionError:
        pass  # find_stop finds the cell
    except RuntimeError as error:  # of nbclient, where a kernel dies or does not even start
        if asyncio.current_task().cancelling():  # nbclient takes the one for the other
            raise asyncio.CancelledError from None
        atexit.unregister(client._cleanup_kernel)  # it is left where the kernel did not start, and would fail
        if not running and starts > 1:
            print(f"  {path.stem}: its kernel died at its start and is started once more", flush=True)
            return await execute(path, starts=starts - 1)
        current, reason = running[-1] if running else None, f"The kernel died. {error}"
    CoalesceStreamsPreprocessor().preprocess(notebook, {})  # a kernel sends the same lines in other portions each time
    stop = find_stop(path.stem, notebook, current=current, reason=reason)
    return Execution(notebook, stop, ended[0] if ended else time.perf_counter() - start)


def _relay_warnings(chapter: str, notebook: NotebookNode) -> None:
    """Say in the terminal what a chapter wrote to its standard error, such as that data are stood in for."""
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                print(f"  {chapter}, cell {number}: {output.text.rstrip()}", file=sys.stderr, flush=True)
