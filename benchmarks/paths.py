"""The race on lesser processors, as this one imitates them: a few epochs of every peer on each instruction path."""

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from benchmarks import computed
from benchmarks.race import EPOCHS, train, unzipped_data
from tools.portability import PATHS
from vaelib.data import load_dataset

TIMED = 3  # epochs
# What the peers' libraries go by: oneDNN, ATen and MKL in PATHS, and XLA. For XLA YNNPACK multiplies matrices, by the
# processor's own instructions whatever the flag says; without it oneDNN does. On the own path both take equally long.
XLA = {
    "own": {},
    "AVX-512": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX512"},
    "AVX2": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type="},
}


PRODUCTS = """
import json
from benchmarks.bound import bound_epoch
from vaelib.paper import EXPERIMENTS
from vaelib.products import bfloat16_products

with bfloat16_products():
    print(json.dumps([bound_epoch(EXPERIMENTS["mnist"], 60_000, 784) for _ in range(3)]))
"""


class Pace(NamedTuple):
    """One peer on one instruction path: seconds until its first epoch began, and those of each epoch."""

    path: str
    peer: str
    begun: float
    epochs: list[float]


def paces(repeats: int) -> Iterator[Pace]:
    """Every peer on every path, in turns, so that a noisy minute meets all of them, `repeats` times.

    The last peer, "products", is the limit: the matrix products of our epochs and nothing else.
    """
    few = load_dataset("MNIST", "test", limit=100).images
    with unzipped_data() as data:
        for seed in range(1, repeats + 1):
            for path, settings in PATHS.items():
                for peer in EPOCHS:
                    result = train(peer, seed, TIMED, data, few, settings | XLA[path])
                    yield Pace(path, peer, result.begun, result.epochs)
                yield Pace(path, "products", 0.0, products(settings))


def products(settings: Mapping[str, str]) -> list[float]:
    """Seconds of the products of some epochs, in a process of its own with these environment variables."""
    return computed("the products", PRODUCTS, environment=os.environ | dict(settings))
