"""Run a chapter again over a grid of parameters: every combination a rerun of its own, a notebook and a page.

    python -m tools.sweep CHAPTER=mnist LATENT_DIM="1 2 5" SEED="0 1 2" [WORKERS=2] [--dry-run] [--scheduler tcp://...]

A parameter's values stand with blanks between them. Each rerun is a process of its own (`tools.rerun`) with one thread,
here or on the workers of a Dask cluster; so its numbers do not depend on what runs beside it. What was rerun from the
same code, data and values is not rerun. DRY_RUN=1 and SCHEDULER=tcp://... are the same as the options, for `make`.
"""

import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools import rerun
from tools.chapters import ROOT, BookError, why
from tools.processes import interruptible

EXAMPLE = 'make sweep CHAPTER=mnist LATENT_DIM="1 2 5" SEED="0 1 2"'
OPTIONS = {"--dry-run": "DRY_RUN=1", "--scheduler": "SCHEDULER="}
ATTEMPTS = 3  # at a rerun whose process or kernel dies: once may be chance, or another program's hunger for memory
DEATHS = (rerun.DIED, 130)  # exit statuses of one whose kernel died and of one that was told to end
THREADS = "1"
FOLDERS = ("VAELIB_DATA", "VAELIB_RUNS")  # a worker's environment is its own, but for these
SETTINGS = ("DRY_RUN", "SCHEDULER", "WORKERS")


@dataclass(frozen=True)
class Sweep:
    """What is asked for: the values of each rerun by its name, and where and whether they run."""

    chapter: str
    runs: dict[str, dict[str, object]]
    workers: int
    scheduler: str
    dry: bool


def main(arguments: list[str]) -> int:
    """Carry out a sweep, or say what it would do; returns the exit status, 1 where some reruns failed."""
    interruptible()
    words = [word for word in arguments if word not in ("--check", "--make")]
    try:
        if "--make" in arguments:
            words = rerun.words_of_make(os.environ.get("MAKEFLAGS", ""), rerun.command_line(os.getppid()))
        asked = parse(words)
        return 0 if "--check" in arguments else sweep(asked)
    except (BookError, OSError) as error:
        print(f"sweep: {why(error, ROOT)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. What was rerun so far is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def parse(words: list[str], root: Path = ROOT) -> Sweep:
    """The reruns that `NAME=values` words and options ask for. Raises BookError as `rerun.parse` does."""
    words = _options_as_words(words)
    own = {name: text.strip() for name, _, text in (w.partition("=") for w in words) if name in SETTINGS}
    words = [word for word in words if word.partition("=")[0] not in (*SETTINGS, *rerun.MAKES_OWN)]
    if not any(word.startswith("CHAPTER=") for word in words):
        raise BookError(f"no chapter is named; for example: {EXAMPLE}")
    axes = [[f"{name}={value}" for value in _values(text)] for name, _, text in (w.partition("=") for w in words)]
    chapter, first = rerun.parse([axis[0] for axis in axes], root)  # names, and each only once
    [named] = [axis for axis in axes if axis[0].startswith("CHAPTER=")]
    if len(named) > 1:
        raise BookError(f"{' and '.join(named)}: a sweep is over one chapter")
    checked = [[rerun.parse([*named, word], root)[1] for word in axis] for axis in axes if axis is not named]
    runs = {}
    for parts in itertools.product(*checked):
        values = {name: value for part in parts for name, value in part.items()}
        values = {name: values[name] for name in first}
        runs[rerun.file_name(chapter, values)] = values
    scheduler = own.get("SCHEDULER", "")
    if scheduler and "://" not in scheduler:
        raise BookError(f"SCHEDULER={scheduler}: give the address that the scheduler prints, such as tcp://host:8786")
    workers = own.get("WORKERS", "") or str(os.cpu_count() or 1)
    if not workers.isdecimal() or int(workers) < 1:
        raise BookError(f"WORKERS={workers}: give a whole number of 1 or more")
    return Sweep(chapter, runs, int(workers), scheduler, own.get("DRY_RUN", "") not in ("", "0"))


def _options_as_words(words: list[str]) -> list[str]:
    """`--dry-run` and `--scheduler ADDRESS` as the words that stand for them in make."""
    found, left = [], iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if name == "--scheduler":
            value = value if equals else next(left, "")
            if not value:
                raise BookError("--scheduler needs an address, such as tcp://host:8786")
            found.append(f"SCHEDULER={value}")
        elif word == "--dry-run":
            found.append("DRY_RUN=1")
        elif word.startswith("-"):
            raise BookError(f"there is no option {name}; there are {', '.join(OPTIONS)}")
        else:
            found.append(word)
    return found


def _values(text: str) -> list[str]:
    """The values of one parameter; a file's name may hold blanks."""
    return [text] if Path(text).is_file() else text.split() or [""]


def sweep(asked: Sweep, root: Path = ROOT) -> int:
    """Rerun what is not there yet; returns 1 where some of it failed."""
    from tools import sweep_report  # loaded late, with pandas: `--check` runs before anything is installed

    todo = sweep_report.missing(root, asked.chapter, asked.runs)
    workers = None if asked.scheduler else asked.workers
    print(sweep_report.plan(root, asked.chapter, asked.runs, todo, workers=workers, dry=asked.dry), flush=True)
    if asked.dry:
        return 0
    failed = []
    if todo:
        with pool(asked) as executor, sweep_report.Progress(asked.chapter, len(todo)) as progress:
            for name, fault in finished(executor, asked.chapter, {name: asked.runs[name] for name in todo}, root):
                progress.ended(root / "reruns", name, fault)
                failed += [name] if fault else []
    print(sweep_report.table(root, asked.runs, todo, failed))
    return 1 if failed else 0


@contextmanager
def pool(asked: Sweep) -> Iterator[Executor]:
    """Where reruns are begun: threads here, each of which waits for one process, or the workers of a Dask cluster.

    An interruption ends the processes here; a cluster's workers end what they are at, and begin nothing more.
    """
    if asked.scheduler:
        with _cluster(asked.scheduler) as executor:
            yield executor
        return
    import psutil

    with ThreadPoolExecutor(asked.workers) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in psutil.Process().children():
                process.terminate()  # as Ctrl-C: it leaves nothing half done, and its kernel ends with it
            raise


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    try:
        from dask.distributed import Client
    except ImportError:
        raise BookError(
            "a scheduler needs dask.distributed, which is not installed: pip install 'vaelib[sweep]'"
        ) from None
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise BookError(f"no scheduler answers at {scheduler}: {error}") from None
    try:
        if not client.scheduler_info()["workers"]:
            print(f"Waiting for workers: the scheduler at {scheduler} has none.", file=sys.stderr, flush=True)
        yield client.get_executor(pure=False)
    finally:
        client.close(timeout=5)


def finished(executor: Executor, chapter: str, runs: dict[str, dict], root: Path) -> Iterator[tuple[str, str]]:
    """Each rerun as it ends: its name, and why it failed or nothing.

    One whose process dies is begun again, up to `ATTEMPTS` times. Raises BookError where the scheduler is lost.
    """
    attempts: Counter[str] = Counter()

    def begin(name: str) -> Future:
        attempts[name] += 1
        # Of the standard library, so that a worker needs nothing of ours to understand it.
        return executor.submit(
            subprocess.run, command(chapter, runs[name]), cwd=str(root), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, start_new_session=True,
        )  # fmt: skip

    waiting = {begin(name): name for name in runs}
    while waiting:
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            name = waiting.pop(future)
            if future.cancelled():  # what Dask makes of all that waits where it loses its scheduler
                raise BookError("the scheduler is gone. What was rerun is kept; the same command goes on from there")
            if error := future.exception():
                yield name, f"its worker is lost: {type(error).__name__}: {error}"
                continue
            status, said = future.result().returncode, future.result().stderr.strip()
            if status < 0 or status in DEATHS:
                if attempts[name] < ATTEMPTS:
                    waiting[begin(name)] = name
                    continue
                said = f"its process died {ATTEMPTS} times (status {status})\n{said}"
            yield name, said or f"exit status {status}" if status else ""


def command(chapter: str, values: dict[str, object]) -> list[str]:
    """One rerun as a command that a worker on another machine understands as well, given the same files there."""
    settings = {"OMP_NUM_THREADS": THREADS} | {name: os.environ[name] for name in FOLDERS if name in os.environ}
    settings = [f"{name}={value}" for name, value in settings.items()]
    words = [f"{name.upper()}={int(value) if isinstance(value, bool) else value}" for name, value in values.items()]
    return ["env", *settings, sys.executable, "-m", "tools.rerun", "--with-parent", f"CHAPTER={chapter}", *words]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
