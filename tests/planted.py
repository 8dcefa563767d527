"""Falsehoods to plant in a chapter: other networks in place of the trained ones, labels that mean nothing.

A cell that a test puts after a chapter's imports calls one of these. Whatever the chapter says afterwards, it says of
what was planted.
"""

import dataclasses
import math
import random
import sys
from collections.abc import Callable

import torch

import vaelib
from vaelib.data import ImageDataset, load_dataset
from vaelib.training import Epoch, TrainedRun, _measure, fit, initial_model


def untrained() -> None:
    """Every network stays as it was initialized; it is measured as a trained one would be."""
    _put("fit", "get_or_train", by=_initial)
    _put("minimise", by=lambda loss, config, data: initial_model(config, data.shape[1]))


def arbitrary(draw: int) -> None:
    """Every network has the weights that it was initialized with, times a factor for its config and the `draw`.

    The held-out ELBO is finite, as that of every network that `fit` returns.
    """

    def factors(config):
        found = [0.2, 3.0, 6.0]
        random.Random(f"{draw} {dataclasses.replace(config, seed=0)}").shuffle(found)
        return found

    def scaled(config, *args, **kwargs):
        for factor in factors(config):
            run = _initial(config, *args, **kwargs)
            _rescale(run.model, factor)
            run = _measured(run, kwargs.get("heldout"))
            if math.isfinite(run.heldout.log_likelihood):
                break
        return run

    def minimised(loss, config, data):
        return _rescale(initial_model(config, data.shape[1]), factors(config)[0])

    _put("fit", "get_or_train", by=scaled)
    _put("minimise", by=minimised)


def turned(degrees: float) -> None:
    """Every network is trained; then the first two axes of its means and pictures are turned, not of its variances."""
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def trained(config, *args, **kwargs):
        kwargs.setdefault("progress", False)
        run = fit(config, *args, **kwargs)
        if config.latent_dim < 2:
            return run
        with torch.no_grad():
            heads = run.model.encoder[-1]
            heads.weight[:2], heads.bias[:2] = turn @ heads.weight[:2], turn @ heads.bias[:2]
            run.model.latent_weight[:, :2] = run.model.latent_weight[:, :2] @ turn.T
        return _measured(run, kwargs.get("heldout"))

    _put("fit", "get_or_train", by=trained)


def shuffled_labels() -> None:
    """Each image gets the label of another one."""

    def shuffled(*args, **kwargs):
        images = load_dataset(*args, **kwargs)
        order = torch.randperm(len(images.labels), generator=torch.Generator().manual_seed(0))
        return dataclasses.replace(images, labels=images.labels[order])

    _put("load_dataset", by=shuffled)


def steps(length: float) -> None:
    """Every step of Adam is so many times as long as the chapter asks for; 0: nothing is learned."""
    start = torch.optim.Adam.__init__

    def longer(self, params, lr=1e-3, *args, **kwargs):
        start(self, params, length * lr, *args, **kwargs)

    torch.optim.Adam.__init__ = longer


def _rescale(model, factor: float):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model


def _initial(config, data=None, *, heldout=None, **_) -> TrainedRun:
    data = config.load("train") if data is None else data
    heldout = config.load("test") if heldout is None else heldout
    model = initial_model(config, data.images.shape[1])
    measured = _measure(model, heldout.images)
    history = tuple(Epoch(epoch, *measured, config.learning_rate, 1.0) for epoch in range(1, config.epochs + 1))
    return TrainedRun(model, config, history, measured, data.digest, "nowhere")


def _measured(run: TrainedRun, heldout: ImageDataset | None) -> TrainedRun:
    """The run with what its network is worth now."""
    now = _measure(run.model, (run.config.load("test") if heldout is None else heldout).images)
    return dataclasses.replace(run, heldout=now)


def _put(*names: str, by: Callable) -> None:
    """Put one function in the place of another, under its name in every module of the package."""
    for module in [vaelib, *(each for name, each in sys.modules.items() if name.startswith("vaelib."))]:
        for name in names:
            if callable(getattr(module, name, None)):
                setattr(module, name, by)
