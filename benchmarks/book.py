"""What a reader waits for: the book from a clean clone, again with nothing changed, a chapter's rerun, the tests."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import BenchmarkError
from tools.chapters import ROOT

COMMANDS = {
    "install, nothing cached": ["env"],
    "install, packages cached": ["env"],
    "make book, nothing built": ["book"],
    "make book, nothing changed": ["book"],
    "make rerun CHAPTER=mnist LATENT_DIM=10": ["rerun", "CHAPTER=mnist", "LATENT_DIM=10"],
    "make test": ["test"],
}


class Span(NamedTuple):
    """What ran from when to when, in seconds from the start of the command."""

    name: str
    began: float
    ended: float


class Wait(NamedTuple):
    """Seconds that a command took, those of the stages that it reports, and when each of these began and ended.

    `idle` is the share of this time that each core was idle.
    """

    command: str
    seconds: float
    stages: dict[str, float]
    idle: list[float]
    spans: list[Span]


def waits() -> list[Wait]:
    """Every command once, in this order, in a clone of the last commit. Raises BenchmarkError where one fails."""
    # Without what `make bench` was called with, and with a store of runs of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VAELIB_RUNS"))}
    environment.setdefault("VAELIB_DATA", str(ROOT / "data"))  # a clone has none of its own
    environment["PYTHONUNBUFFERED"] = "1"  # a line is read when it is written
    measured = []
    # On the project's own disk: the clone installs everything once more.
    with tempfile.TemporaryDirectory(dir=ROOT / "_build") as folder:
        clone = Path(folder) / "book"
        environment["UV_CACHE_DIR"] = str(Path(folder) / "cache")
        if subprocess.run(["git", "clone", "--quiet", ROOT, clone]).returncode:
            raise BenchmarkError("the project could not be cloned; only a git checkout can be measured")
        for name, goals in COMMANDS.items():
            if name == "install, packages cached":
                shutil.rmtree(clone / ".venv")
            start, before = time.perf_counter(), psutil.cpu_times(percpu=True)
            with subprocess.Popen(
                ["make", *goals], cwd=clone, env=environment, stdout=subprocess.PIPE, text=True
            ) as process:
                lines = [(time.perf_counter() - start, line) for line in process.stdout]
            printed, seconds = "".join(line for _, line in lines), time.perf_counter() - start
            if process.returncode:
                raise BenchmarkError(f"{name} stopped with status {process.returncode}:\n{printed[-2000:]}")
            measured.append(
                Wait(name, seconds, stages(printed), idle(before, psutil.cpu_times(percpu=True)), spans(lines))
            )
            print(f"  {name}: {seconds:.1f} s", flush=True)
    return measured


def idle(before: Sequence[NamedTuple], after: Sequence[NamedTuple]) -> list[float]:
    """The share of the time between two `psutil.cpu_times(percpu=True)` that each core was idle or awaited a disk.

    Of the whole machine: the times of processes leave out those that nobody waited for, such as killed kernels.
    """
    shares = []
    for then, now in zip(before, after, strict=True):
        # A guest's time is counted as the user's, too.
        spent = {kind: value - getattr(then, kind) for kind, value in now._asdict().items() if "guest" not in kind}
        shares.append((spent["idle"] + spent.get("iowait", 0.0)) / sum(spent.values()))
    return shares


def stages(printed: str) -> dict[str, float]:
    """What a build says of its stages and chapters: lines "training the runs: 12.3 s", "  mnist executed after 9 s"."""
    found = re.findall(r"^ *(.+?)(?:: | executed after )(\d+(?:\.\d+)?) s$", printed, flags=re.M)
    return {name: float(seconds) for name, seconds in found}


def spans(lines: Iterable[tuple[float, str]]) -> list[Span]:
    """When each stage, run and chapter of a build began and ended, by the seconds at which it printed its lines.

    A stage or a chapter says so when it begins; a run says at its end how long it took.
    """
    began, found = {}, []
    for seconds, line in lines:
        if begins := re.fullmatch(r" *(.+) \.\.\.\n", line):
            began[begins[1]] = seconds
        elif run := re.fullmatch(r"(\w+): .* \((\d+) s\)\n", line):
            found.append(Span(f"training {run[1]}", seconds - float(run[2]), seconds))
        elif (ends := re.fullmatch(r" *(.+?)(?:: | executed after )\d+(?:\.\d+)? s\n", line)) and ends[1] in began:
            found.append(Span(ends[1], began.pop(ends[1]), seconds))
    return sorted(found, key=lambda span: span.began)
