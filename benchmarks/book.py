"""What a reader waits for: the book from a clean clone, again with nothing changed, and one chapter's rerun."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import BenchmarkError
from tools.chapters import ROOT

COMMANDS = {
    "install, packages cached": ["env"],
    "make book, nothing built": ["book"],
    "make book, nothing changed": ["book"],
    "make rerun CHAPTER=mnist LATENT_DIM=10": ["rerun", "CHAPTER=mnist", "LATENT_DIM=10"],
}


class Wait(NamedTuple):
    """Seconds that a command took, and those of the stages that it reports."""

    command: str
    seconds: float
    stages: dict[str, float]


def waits() -> list[Wait]:
    """Every command once, in this order, in a clone of the last commit. Raises BenchmarkError where one fails."""
    # Without what `make bench` was called with, and with a store of runs of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VAELIB_RUNS"))}
    environment.setdefault("VAELIB_DATA", str(ROOT / "data"))  # a clone has none of its own
    measured = []
    # On the project's own disk: the clone installs everything once more.
    with tempfile.TemporaryDirectory(dir=ROOT / "_build") as folder:
        clone = Path(folder) / "book"
        if subprocess.run(["git", "clone", "--quiet", ROOT, clone]).returncode:
            raise BenchmarkError("the project could not be cloned; only a git checkout can be measured")
        for name, goals in COMMANDS.items():
            start = time.perf_counter()
            done = subprocess.run(["make", *goals], cwd=clone, env=environment, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise BenchmarkError(f"{name} stopped with status {done.returncode}:\n{done.stdout[-2000:]}")
            measured.append(Wait(name, time.perf_counter() - start, stages(done.stdout)))
            print(f"  {name}: {measured[-1].seconds:.1f} s", flush=True)
    return measured


def stages(printed: str) -> dict[str, float]:
    """What a build says of its stages and chapters: lines "training the runs: 12.3 s", "  mnist executed after 9 s"."""
    found = re.findall(r"^ *(.+?)(?:: | executed after )(\d+(?:\.\d+)?) s$", printed, flags=re.M)
    return {name: float(seconds) for name, seconds in found}
