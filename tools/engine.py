"""Many jobs side by side: in processes here or on the workers of a Dask cluster, and once more where one dies.

What `make sweep` and `make results` run on. Where jobs run is an executor of the standard library's kind; what a job's
result means is for those to say who ask for it.
"""

import io
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import NamedTuple

from tools.chapters import BookError

ATTEMPTS = 3  # at a job whose process dies: once may be chance, or another program's hunger for memory
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # in a worker's environment: what runs beside it must not change its numbers
LOOK = 5  # seconds until it is seen that a cluster has more workers
GONE = "the scheduler is gone. What was done is kept; the same command goes on from there"


class Place(NamedTuple):
    """Where jobs run: in `workers` processes here, or on the cluster of a `scheduler`."""

    workers: int
    scheduler: str


class Pool(NamedTuple):
    """An executor, and how many jobs it has room for at the moment."""

    executor: Executor
    room: Callable[[], int]


class Job(NamedTuple):
    """A function and its arguments. Of jobs with the same `turn`, unless it is None, one is under way at a time."""

    function: Callable
    arguments: tuple
    turn: Hashable = None


class Fault(NamedTuple):
    """Why a job failed, and whether its process died; the `error` is what the job raised, if it did."""

    said: str
    died: bool = False
    error: BaseException | None = None


def place(workers: str, scheduler: str) -> Place:
    """What WORKERS and SCHEDULER ask for; as many workers as there are cores. Raises BookError for another value."""
    if scheduler and "://" not in scheduler:
        raise BookError(f"SCHEDULER={scheduler}: give the address that the scheduler prints, such as tcp://host:8786")
    workers = workers or str(os.cpu_count() or 1)
    if not workers.isdecimal() or int(workers) < 1:
        raise BookError(f"WORKERS={workers}: give a whole number of 1 or more")
    return Place(int(workers), scheduler)


@contextmanager
def pool(where: Place, here: Callable[[int], Executor]) -> Iterator[Pool]:
    """Where jobs are begun: `here`(workers), on this machine, or the workers of a cluster.

    An interruption ends the processes here; a cluster's workers end what they are at, and begin nothing more.
    """
    if where.scheduler:
        with _cluster(where.scheduler) as found:
            yield found
        return
    import psutil

    others = set(psutil.Process().children())
    with here(where.workers) as executor:
        try:
            yield Pool(executor, lambda: where.workers)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in set(psutil.Process().children()) - others:
                process.terminate()
            raise


@contextmanager
def _cluster(scheduler: str) -> Iterator[Pool]:
    try:
        from dask.distributed import Client
    except ImportError:
        raise BookError(
            "a scheduler needs dask.distributed, which is not installed: pip install 'vaelib[sweep]'"
        ) from None
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # it logs the traceback of what is said here
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise BookError(f"no scheduler answers at {scheduler}: {error}") from None

    def room() -> int:
        try:
            return max(1, sum(client.nthreads().values()))
        except (OSError, ValueError, TimeoutError):
            raise BookError(GONE) from None

    try:
        if not client.nthreads():
            print(f"Waiting for workers: the scheduler at {scheduler} has none.", file=sys.stderr, flush=True)
        yield Pool(client.get_executor(pure=False), room)
    finally:
        client.close(timeout=5)


def finished(
    where: Pool, jobs: Mapping[Hashable, Job], fault_of: Callable[[object], Fault | None] = lambda result: None
) -> Iterator[tuple[Hashable, object, Fault | None]]:
    """Each job as it ends: its name, and what it returned, or why it failed.

    They are begun in their order. A result can be a failure as well: `fault_of` says so. One whose process dies is
    begun again, `ATTEMPTS` times in all. Raises BookError where the scheduler is lost.
    """
    attempts: Counter[Hashable] = Counter()
    left, waiting = dict(jobs), {}
    while left or waiting:
        room = where.room()
        turns = {jobs[name].turn for name in waiting.values()} - {None}
        for name, job in list(left.items()):
            if len(waiting) >= room:
                break
            if job.turn not in turns:
                turns |= {job.turn} - {None}
                attempts[name] += 1
                waiting[where.executor.submit(job.function, *job.arguments)] = name
                del left[name]
        for future in wait(waiting, LOOK, FIRST_COMPLETED).done:
            name = waiting.pop(future)
            fault = _raised(future) or fault_of(future.result())
            if fault and fault.died:
                if attempts[name] < ATTEMPTS:
                    left = {name: jobs[name], **left}
                    continue
                fault = fault._replace(said=f"its process died {ATTEMPTS} times{fault.said}")
            yield name, None if fault else future.result(), fault


def _raised(future: Future) -> Fault | None:
    if future.cancelled():  # what Dask makes of all that waits where it loses its scheduler
        raise BookError(GONE)
    if (error := future.exception()) is None:
        return None
    if isinstance(error, BrokenProcessPool):
        return Fault("", died=True)
    return Fault(f"{type(error).__name__}: {error}", error=error)


class Processes(Executor):
    """So many processes for functions, each with one thread. They stay, so that what they loaded is loaded once.

    Each is a pool of its own: where one dies, its job alone is lost, and the next one has a new process.
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers)  # each of which waits for one process
        self._own = threading.local()
        self._pools: list[ProcessPoolExecutor] = []

    def submit(self, function: Callable, /, *arguments: object) -> Future:
        return self._threads.submit(self._apart, function, arguments)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for each in self._pools:
            each.shutdown(wait, cancel_futures=cancel_futures)

    def _apart(self, function: Callable, arguments: tuple) -> object:
        if not hasattr(self._own, "pool"):
            # Not forked: this process has threads.
            context = multiprocessing.get_context("spawn")
            self._own.pool = ProcessPoolExecutor(1, context, initializer=_begin)
            self._pools.append(self._own.pool)
        try:
            return self._own.pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            del self._own.pool
            raise


class _Lines(io.TextIOWrapper):
    """Standard error that passes for no terminal: the progress bars of many processes would write over each other."""

    def isatty(self) -> bool:
        return False


def _begin() -> None:
    """Of a new process, before anything is loaded: it has one thread, and ends with the process that began it."""
    os.environ.update(ONE_THREAD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's processes; one answers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stderr = _Lines(sys.stderr.buffer, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own is shared with other processes, and left behind by one that is killed

    def watch() -> None:
        multiprocessing.parent_process().join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
