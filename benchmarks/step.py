"""Where the time of a training step goes, by kind of operation, beside the limit at the same batch."""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.bound import bound_epoch
from vaelib.data import ImageDataset
from vaelib.paper import EXPERIMENTS
from vaelib.training import bfloat16_products, initial_model, train_step

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "Adam": ("aten::_fused_adam_", "Optimizer.step#Adam.step", "Optimizer.zero_grad#Adam.zero_grad"),
    "likelihood, KL, their gradients and those of the biases": (
        "aten::softplus", "aten::softplus_backward", "aten::mul", "aten::sub", "aten::sum", "aten::exp", "aten::expm1",
        "aten::pow", "aten::neg", "aten::add",
    ),
    "ReLU and its gradient": ("aten::relu", "aten::clamp_min", "aten::threshold_backward"),
    "gathering the batch": ("aten::index",),
}  # fmt: skip
OTHER = "PyTorch between them: autograd, views, copies"
BATCHES = (256, 1024)
STEPS = 100


class StepProfile(NamedTuple):
    """Milliseconds of a step: of each kind under the profiler, and the limit's, measured right after it."""

    batch_size: int
    kinds: dict[str, float]
    bound: float


def step_profile(images: ImageDataset, batch_size: int) -> StepProfile:
    """Profile `STEPS` steps of the paper's MNIST model, without the shuffling and the schedule around them."""
    config = replace(EXPERIMENTS["mnist"], batch_size=batch_size)
    model = initial_model(config, images.images.shape[1])
    optimiser = torch.optim.Adam(model.parameters(), config.learning_rate, (0.9, config.beta2), fused=True)
    batches = torch.randint(len(images.images), (20 + STEPS, batch_size), generator=torch.Generator().manual_seed(0))
    with bfloat16_products():
        for rows in batches[:20]:
            train_step(model, optimiser, images.images[rows])
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for rows in batches[20:]:
                train_step(model, optimiser, images.images[rows])
    names = {name: kind for kind, members in KINDS.items() for name in members}
    spent = Counter()
    for event in profiler.key_averages():
        spent[names.get(event.key, OTHER)] += event.self_cpu_time_total / 1000 / STEPS
    with bfloat16_products():
        bound = bound_epoch(config, STEPS * batch_size, images.images.shape[1]) * 1000 / STEPS
    return StepProfile(batch_size, {kind: spent[kind] for kind in (*KINDS, OTHER)}, bound)
