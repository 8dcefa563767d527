"""Execute the chapters whose outputs are not in the cache, two at a time.

jupyter-cache finds outputs by a notebook's code cells and their metadata. What else the outputs depend on is in the
name of the cache's folder instead (`tools.inputs.cache_folder`), so a change there finds an empty folder.
"""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.main import JupyterCacheBase
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from tools.chapters import QUIET_KERNEL, Stop, find_stop

AT_ONCE = 2  # chapters executed at the same time: one for each core of the smallest machine the book is made for
# Two kernels that each use every core wait at each other's barriers and take many times as long.
THREADS = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // AT_ONCE))}
KEPT = 3  # cache folders kept, so that going back to the last version of the package costs nothing


class Execution(NamedTuple):
    """An executed chapter, where it stopped if it did, and the seconds until its kernel had run the first code cell.

    A chapter's first code cell is its imports.
    """

    notebook: nbformat.NotebookNode
    stop: Stop | None
    imported: float


def open_cache(folder: Path) -> JupyterCacheBase:
    """The cache in `folder`, begun again where it cannot be read; older folders beside it are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.touch()
    by_age = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_age[KEPT:]:
        shutil.rmtree(old)
    try:
        cache = get_cache(folder)
        cache.list_cache_records()
    except Exception:  # an interrupted start leaves a database that fails in one of many ways
        shutil.rmtree(folder)
        cache = get_cache(folder)
    return cache


def cached(cache: JupyterCacheBase, path: Path) -> bool:
    """Whether whole, error-free outputs of a chapter are in the cache; an entry torn by a kill counts as missing."""
    try:
        record = cache.match_cache_notebook(nbformat.read(path, 4))
        entry = cache.get_cache_bundle(record.pk).nb
    except Exception:  # no record, or its notebook is missing or cut short
        return False
    return find_stop(path.stem, entry) is None


def _store(cache: JupyterCacheBase, path: Path, notebook: nbformat.NotebookNode, data: dict) -> None:
    # jupyter-cache cannot replace an entry whose folder is there without its notebook, as a kill may leave it.
    _, key = cache.create_hashed_notebook(notebook)
    shutil.rmtree(cache.path / "executed" / key, ignore_errors=True)
    bundle = CacheBundleIn(notebook, str(path), data=data)
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def execute_missing(cache: JupyterCacheBase, paths: Iterable[Path]) -> tuple[list[Path], list[Stop]]:
    """Execute the chapters that the cache lacks and store those that ran to their end.

    Returns the chapters that were executed and where any of them stopped. A chapter that stops does not stop
    the others: what they computed is kept.
    """
    missing = [path for path in paths if not cached(cache, path)]
    return missing, asyncio.run(_execute_all(cache, missing))


async def _execute_all(cache: JupyterCacheBase, paths: list[Path]) -> list[Stop]:
    gate = asyncio.Semaphore(AT_ONCE)
    importing = []

    async def one(path: Path) -> Stop | None:
        async with gate:
            start = time.perf_counter()
            print(f"  {path.stem} ...", flush=True)
            notebook, stop, imported = await execute(path)
            seconds = time.perf_counter() - start
        if stop is None:
            importing.append(imported)
            _store(cache, path, notebook, {"execution_seconds": seconds})
            _relay_warnings(path.stem, notebook)
        print(f"  {path.stem} {'executed' if stop is None else 'STOPPED'} after {seconds:.0f} s", flush=True)
        return stop

    # The long chapters are late in the book: begun last, one of them would run alone at the end.
    stops = await asyncio.gather(*map(one, reversed(paths)))
    if importing:
        print(f"  kernels starting and importing, added up over the chapters: {sum(importing):.1f} s", flush=True)
    return [stop for stop in reversed(stops) if stop]


async def execute(path: Path) -> Execution:
    """Run a chapter in a kernel of its own, in its folder, without a time limit on cells."""
    notebook = nbformat.read(path, 4)
    start = time.perf_counter()
    running: list[int] = []
    ended: list[float] = []
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=QUIET_KERNEL,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=lambda cell, cell_index: running.append(cell_index),
        on_cell_executed=lambda **_: ended.append(time.perf_counter() - start),
    )
    current, reason = None, ""
    try:
        await client.async_execute(env=THREADS | os.environ)
    except CellExecutionError:
        pass  # find_stop finds the cell
    except DeadKernelError as error:
        current, reason = running[-1] if running else None, f"The kernel died. {error}"
    stop = find_stop(path.stem, notebook, current=current, reason=reason)
    return Execution(notebook, stop, ended[0] if ended else time.perf_counter() - start)


def _relay_warnings(chapter: str, notebook: nbformat.NotebookNode) -> None:
    """Say in the terminal what a chapter wrote to its standard error, such as that data are stood in for."""
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                print(f"  {chapter}, cell {number}: {output.text.rstrip()}", file=sys.stderr, flush=True)
