"""Where the time of a training step goes, by kind of operation, and how near to the limit it comes."""

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks import computed
from benchmarks.bound import bound_epoch
from tools.portability import PATHS
from vaelib.config import TrainConfig
from vaelib.data import ImageDataset
from vaelib.paper import EXPERIMENTS
from vaelib.products import bfloat16_products
from vaelib.training import adam, initial_model, train_step

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "Adam": ("aten::_fused_adam_", "Optimizer.step#Adam.step", "Optimizer.zero_grad#Adam.zero_grad"),
    "likelihood, KL, their gradients and those of the biases": (
        "aten::softplus", "aten::softplus_backward", "aten::mul", "aten::sub", "aten::sum", "aten::exp", "aten::expm1",
        "aten::pow", "aten::neg", "aten::add",
    ),
    "ReLU and its gradient": ("aten::relu", "aten::clamp_min", "aten::threshold_backward"),
    "gathering the batch": ("aten::index_select",),
    "copies, among them those to bfloat16 and back": ("aten::copy_",),
}  # fmt: skip
OTHER = "PyTorch between them: autograd, views"
STEPS = 100
BATCHES = (256, 512, 1024)
ROUNDS = 5
TRAINED = "as in training"
PRECISIONS = {TRAINED: bfloat16_products, "float32": nullcontext}


PROFILE = """
import json
from benchmarks.step import TRAINED, share, step_profile
from vaelib.data import load_dataset

images = load_dataset("MNIST")
print(json.dumps([step_profile(images), share(images, 256, TRAINED)]))
"""


class PathProfile(NamedTuple):
    """A step on one instruction path, in milliseconds: each kind under the profiler; without it products and step."""

    path: str
    kinds: dict[str, float]
    products: float
    ours: float


class Share(NamedTuple):
    """Milliseconds of a step, medians of rounds in turns: the products alone, and our step."""

    batch_size: int
    precision: str
    products: float
    ours: float


def profiles() -> Iterator[PathProfile]:
    """A step of the paper's MNIST model on every instruction path, each in a process of its own."""
    for path, settings in PATHS.items():
        kinds, found = computed("a step", PROFILE, environment=os.environ | settings)
        yield PathProfile(path, kinds, *found[2:])


def step_profile(images: ImageDataset) -> dict[str, float]:
    """Milliseconds of each kind in a step, of `STEPS` without the shuffling and the schedule around them."""
    config = EXPERIMENTS["mnist"]
    step = our_step(config, images.images)
    with bfloat16_products():
        for rows in batches(images, config, 20):
            step(rows)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for rows in batches(images, config, STEPS):
                step(rows)
    names = {name: kind for kind, members in KINDS.items() for name in members}
    spent = Counter()
    for event in profiler.key_averages():
        spent[names.get(event.key, OTHER)] += event.self_cpu_time_total / 1000 / STEPS
    return {kind: spent[kind] for kind in (*KINDS, OTHER)}


def share(images: ImageDataset, batch_size: int, precision: str) -> Share:
    """Time the steps of the paper's MNIST model, and their products alone, `ROUNDS` epochs each."""
    config = replace(EXPERIMENTS["mnist"], batch_size=batch_size)
    data_dim, n_steps = images.images.shape[1], len(images.images) // batch_size
    ways = {
        "products": lambda rows: bound_epoch(config, rows.numel(), data_dim),
        "ours": partial(seconds, our_step(config, images.images)),
    }
    taken = {way: [] for way in ways}
    with PRECISIONS[precision]():
        rows = batches(images, config, n_steps)
        for _ in range(ROUNDS):
            for way, run in ways.items():
                taken[way].append(run(rows) * 1000 / n_steps)
    return Share(batch_size, precision, **{way: statistics.median(times) for way, times in taken.items()})


def our_step(config: TrainConfig, images: Tensor) -> Callable[[Tensor], Tensor]:
    """`train_step` on a new model, as a function of the rows of a batch."""
    model = initial_model(config, images.shape[1])
    optimiser = adam(config, model)
    return lambda rows: train_step(model, optimiser, images.index_select(0, rows))


def batches(images: ImageDataset, config: TrainConfig, n_steps: int) -> Tensor:
    """Rows of images drawn at random (n_steps, B)."""
    generator = torch.Generator().manual_seed(config.seed)
    return torch.randint(len(images.images), (n_steps, config.batch_size), generator=generator)


def seconds(step: Callable[[Tensor], Tensor], rows: Tensor) -> float:
    """How long `step` takes for all of `rows` (steps, B)."""
    start = time.perf_counter()
    for batch in rows:
        step(batch)
    return time.perf_counter() - start
