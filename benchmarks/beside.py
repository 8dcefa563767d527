"""Beside other work: seconds of an epoch alone and while another process keeps a core busy; seeds side by side."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks import computed

# Experiments, and as many epochs of each as take some ten seconds.
EPOCHS = {"boots_2d": 12, "mnist": 5}
THREADS = ("", "1")  # OMP_NUM_THREADS: not set, which is all cores, and what chapters, sweeps and results run with
TRAIN = """
import json, sys
from vaelib.paper import experiment
from vaelib.training import fit

run = fit(experiment(sys.argv[1], epochs=int(sys.argv[2])), device="cpu", progress=False)
print(json.dumps([epoch.seconds for epoch in run.history]))
"""


class Beside(NamedTuple):
    """Seconds of each epoch of one process, `busy` others keeping a core busy meanwhile."""

    experiment: str
    threads: str
    busy: int
    epochs: list[float]


def beside(repeats: int) -> Iterator[Beside]:
    """Every experiment alone and beside a busy process, in turns, so that a noisy minute meets all of them."""
    for _ in range(repeats):
        for name, epochs in EPOCHS.items():
            for threads in THREADS:
                for busy in (0, 1):
                    with busy_processes(busy):
                        yield Beside(name, threads, busy, trained(name, epochs, threads))


class Seeds(NamedTuple):
    """Seconds of an epoch of one seed: one after another with all threads, and one on each core with one thread."""

    experiment: str
    after_another: list[float]
    side_by_side: list[float]


def seeds(repeats: int) -> Iterator[Seeds]:
    """Every experiment both ways, in turns. Side by side, each epoch counts as the cores' share of its seconds."""
    at_once = os.cpu_count() or 1
    for _ in range(repeats):
        for name, epochs in EPOCHS.items():
            alone = trained(name, epochs, "")
            with ThreadPoolExecutor(at_once) as pool:
                runs = list(pool.map(trained, *zip(*[(name, epochs, "1")] * at_once, strict=True)))
            yield Seeds(name, alone[1:], [seconds / at_once for run in runs for seconds in run[1:]])


@contextmanager
def busy_processes(n: int) -> Iterator[None]:
    """Meanwhile, n processes that each keep a core busy."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def trained(name: str, epochs: int, threads: str) -> list[float]:
    """Seconds of the epochs of an experiment, trained in a process of its own."""
    environment = {variable: value for variable, value in os.environ.items() if variable != "OMP_NUM_THREADS"}
    environment |= {"OMP_NUM_THREADS": threads} if threads else {}
    return computed(name, TRAIN, name, str(epochs), environment=environment)
