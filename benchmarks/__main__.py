"""Everything that `make bench` measures, into benchmarks/results.

python -m benchmarks [race] [paths] [busy] [step] [growth] [many] [book] [gpu]    (all where none is named)
"""

import itertools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks import BenchmarkError, gpu, report
from benchmarks.beside import beside, seeds
from benchmarks.book import waits
from benchmarks.growth import growth
from benchmarks.many import recordings
from benchmarks.paths import paces
from benchmarks.race import EPOCHS, missing_peers, race
from benchmarks.step import BATCHES, PRECISIONS, profiles, share
from tools.chapters import ROOT
from vaelib.data import DataError, load_dataset
from vaelib.paper import EXPERIMENTS

RESULTS = Path(__file__).parent / "results"
SEEDS = (1, 2, 3)
REPEATS = 3


def main(asked: list[str]) -> int:
    """Measure the parts asked for, write their numbers and draw their pictures; returns the exit status."""
    if unknown := set(asked) - set(MEASURE):
        print(f"bench: there is no part {', '.join(sorted(unknown))}; there are {', '.join(MEASURE)}", file=sys.stderr)
        return 2
    parts = asked or [part for part in MEASURE if part != "gpu" or torch.cuda.is_available()]
    try:
        if "gpu" in parts and not torch.cuda.is_available():
            raise BenchmarkError("the part gpu needs a GPU, and PyTorch finds none here")
        load_dataset("MNIST", "test", limit=1)
        if {"race", "paths"} & set(parts) and (missing := missing_peers()):
            raise BenchmarkError(f"no environment of {', '.join(missing)}: run make bench, which makes the peers'")
        RESULTS.mkdir(exist_ok=True)
        where = machine()  # before the report is written, which is a change to the checkout
        report.write(RESULTS, but=parts)  # what cannot be told is said before hours of measuring
        for number, part in enumerate(parts, start=1):
            print(f"{part} ...", flush=True)
            measured = {"machine": where} | MEASURE[part]()
            (RESULTS / f"{part}.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
            report.write(RESULTS, but=parts[number:])
    except (BenchmarkError, DataError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"The report: {RESULTS / 'README.md'}")
    return 0


def machine() -> dict[str, str | int | bool]:
    """What the numbers hold for."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
    return {
        "processor": model,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "commit": commit(),
    }


def commit() -> str:
    """The commit that is measured, and whether files differ from it; empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def told(measured: Iterable[NamedTuple]) -> list[dict]:
    """What is measured, one after the other; each is printed when it is there."""
    found = []
    for each in measured:
        print(f"  {each}", flush=True)
        found.append(each._asdict())
    return found


def measure_race() -> dict:
    results, bounds = race(SEEDS)
    n_train = len(load_dataset("MNIST").images)
    return {
        "n_train": n_train,
        "results": [result._asdict() for result in results],
        "bounds": [bound._asdict() for bound in bounds],
    }


def measure_paths() -> dict:
    return {"epochs": EPOCHS, "paces": told(paces(REPEATS))}


def measure_busy() -> dict:
    return {"runs": told(beside(REPEATS)), "seeds": told(seeds(REPEATS))}


def measure_step() -> dict:
    images = load_dataset("MNIST")
    each = itertools.product(PRECISIONS, BATCHES)
    shares = (share(images, size, precision) for precision, size in each)
    return {"profiles": told(profiles()), "shares": told(shares)}


def measure_growth() -> dict:
    return {"costs": told(growth())}


def measure_many() -> dict:
    return {"recordings": told(recordings())}


def measure_book() -> dict:
    return {"waits": [wait._asdict() for wait in waits()]}


def measure_gpu() -> dict:
    return {"runs": [run._asdict() for run in gpu.runs(EXPERIMENTS["mnist"], SEEDS)]}


MEASURE = {
    "race": measure_race,
    "paths": measure_paths,
    "busy": measure_busy,
    "step": measure_step,
    "growth": measure_growth,
    "many": measure_many,
    "book": measure_book,
    "gpu": measure_gpu,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
