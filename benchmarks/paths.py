"""The race on lesser processors, as this one imitates them: a few epochs of every peer on each instruction path."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.race import EPOCHS, train, unzipped_data
from tools.portability import PATHS
from vaelib.data import load_dataset

TIMED = 3  # epochs
# What the peers' libraries go by: oneDNN, ATen and MKL in PATHS, and XLA.
XLA = {"own": {}, "AVX-512": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX512"}, "AVX2": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}}


class Pace(NamedTuple):
    """One peer on one instruction path: seconds until its first epoch began, and those of each epoch."""

    path: str
    peer: str
    begun: float
    epochs: list[float]


def paces(repeats: int) -> Iterator[Pace]:
    """Every peer on every path, in turns, so that a noisy minute meets all of them, `repeats` times."""
    few = load_dataset("MNIST", "test", limit=100).images
    with unzipped_data() as data:
        for seed in range(1, repeats + 1):
            for path, settings in PATHS.items():
                for peer in EPOCHS:
                    result = train(peer, seed, TIMED, data, few, settings | XLA[path])
                    yield Pace(path, peer, result.begun, result.epochs)
