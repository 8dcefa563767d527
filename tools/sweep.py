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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools import engine, rerun
from tools.chapters import ROOT, BookError, why
from tools.processes import interruptible

EXAMPLE = 'make sweep CHAPTER=mnist LATENT_DIM="1 2 5" SEED="0 1 2"'
OPTIONS = {"--dry-run": "DRY_RUN=1", "--scheduler": "SCHEDULER="}
DEATHS = (rerun.DIED, 130)  # exit statuses of one whose kernel died and of one that was told to end
FOLDERS = ("VAELIB_DATA", "VAELIB_RUNS")  # a worker's environment is its own, but for these
SETTINGS = ("DRY_RUN", "SCHEDULER", "WORKERS")


@dataclass(frozen=True)
class Sweep:
    """What is asked for: the values of each rerun by its name, and where and whether they run."""

    chapter: str
    runs: dict[str, dict[str, object]]
    place: engine.Place
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
    place = engine.place(own.get("WORKERS", ""), own.get("SCHEDULER", ""))
    return Sweep(chapter, runs, place, own.get("DRY_RUN", "") not in ("", "0"))


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
    workers = None if asked.place.scheduler else asked.place.workers
    print(sweep_report.plan(root, asked.chapter, asked.runs, todo, workers=workers, dry=asked.dry), flush=True)
    if asked.dry:
        return 0
    failed = []
    if todo:
        here = engine.pool(asked.place, ThreadPoolExecutor)  # threads, each of which waits for one process
        with here as pool, sweep_report.Progress(asked.chapter, len(todo)) as progress:
            for name, fault in finished(pool, asked.chapter, {name: asked.runs[name] for name in todo}, root):
                progress.ended(root / "reruns", name, fault)
                failed += [name] if fault else []
    print(sweep_report.table(root, asked.runs, todo, failed))
    return 1 if failed else 0


def finished(pool: engine.Pool, chapter: str, runs: dict[str, dict], root: Path) -> Iterator[tuple[str, str]]:
    """Each rerun as it ends: its name, and why it failed or nothing. Raises BookError where the scheduler is lost."""
    apart = {"cwd": str(root), "stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    # Of the standard library, so that a worker needs nothing of ours to understand it.
    begin = partial(subprocess.run, start_new_session=True, **apart)
    jobs = {name: engine.Job(begin, (command(chapter, values),)) for name, values in runs.items()}
    for name, _, fault in engine.finished(pool, jobs, _fault):
        yield name, fault.said if fault else ""


def _fault(process: subprocess.CompletedProcess) -> engine.Fault | None:
    status, said = process.returncode, process.stderr.strip()
    if status < 0 or status in DEATHS:
        return engine.Fault(f" (status {status})\n{said}", died=True)
    return engine.Fault(said or f"exit status {status}") if status else None


def command(chapter: str, values: dict[str, object]) -> list[str]:
    """One rerun as a command that a worker on another machine understands as well, given the same files there."""
    settings = engine.ONE_THREAD | {name: os.environ[name] for name in FOLDERS if name in os.environ}
    settings = [f"{name}={value}" for name, value in settings.items()]
    words = [f"{name.upper()}={int(value) if isinstance(value, bool) else value}" for name, value in values.items()]
    return ["env", *settings, sys.executable, "-m", "tools.rerun", "--with-parent", f"CHAPTER={chapter}", *words]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
