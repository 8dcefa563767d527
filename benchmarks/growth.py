"""How the seconds of an epoch grow with the number of images, K, the network's width and the batch."""

import statistics
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vaelib.config import TrainConfig
from vaelib.paper import EXPERIMENTS
from vaelib.training import fit

IMAGES = 15_000  # where something else varies
TIMED = 3  # epochs, after one that is not
AXES = {
    "images": (3_750, 7_500, 15_000, 30_000, 60_000),
    "latent_dim": (2, 8, 32, 128, 512),
    "width": (0.25, 0.5, 1, 2, 4),
    "batch_size": (32, 64, 128, 256, 512, 1024, 2048),
}


class Cost(NamedTuple):
    """Median seconds of an epoch where `axis` has `value`; all else is the paper's MNIST model, on `IMAGES` images."""

    axis: str
    value: float
    seconds: float


def growth() -> Iterator[Cost]:
    """One cost after the other, along each axis."""
    few = replace(EXPERIMENTS["mnist"], limit=100).load("test")  # what is measured here is training
    for axis, values in AXES.items():
        for value in values:
            config, n = varied(axis, value)
            run = fit(replace(config, epochs=1 + TIMED, limit=n), heldout=few, device="cpu", progress=False)
            yield Cost(axis, value, statistics.median(epoch.seconds for epoch in run.history[1:]))


def varied(axis: str, value: float) -> tuple[TrainConfig, int]:
    """The paper's MNIST config with one thing changed, and the number of images to train on."""
    config = EXPERIMENTS["mnist"]
    if axis == "images":
        return config, value
    if axis == "width":
        return replace(config, hidden=tuple(round(value * width) for width in config.hidden)), IMAGES
    return replace(config, **{axis: value}), IMAGES


def slope(costs: list[Cost], last: int = 3) -> float:
    """The power with which the cost grows over the `last` values of an axis: a least-squares line on log-log axes."""
    x, y = np.log([[cost.value, cost.seconds] for cost in costs[-last:]]).T
    return float(np.polyfit(x, y, 1)[0])
