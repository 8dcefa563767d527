"""Falsehoods to plant in a chapter: an untrained network in place of the trained one, labels that mean nothing.

A cell that a test puts after a chapter's imports calls one of these. Whatever the chapter says afterwards, it says of
what was planted.
"""

import dataclasses

import torch

import vaelib
from vaelib import config as config_module
from vaelib import data as data_module
from vaelib.training import Epoch, TrainedRun, _measure, initial_model


def untrained() -> None:
    """Every network stays as it was initialized; it is measured as a trained one would be."""

    def initial(config, data=None, *, heldout=None, **_):
        data = config.load("train") if data is None else data
        heldout = config.load("test") if heldout is None else heldout
        model = initial_model(config, data.images.shape[1])
        measured = _measure(model, heldout.images)
        history = tuple(Epoch(epoch, *measured, config.learning_rate, 1.0) for epoch in range(1, config.epochs + 1))
        return TrainedRun(model, config, history, measured, data.digest, "nowhere")

    vaelib.runs.get_or_train = initial
    vaelib.runs.fit = initial
    vaelib.fit = initial


def shuffled_labels() -> None:
    """Each image gets the label of another one."""
    load = data_module.load_dataset

    def shuffled(*args, **kwargs):
        images = load(*args, **kwargs)
        order = torch.randperm(len(images.labels), generator=torch.Generator().manual_seed(0))
        return dataclasses.replace(images, labels=images.labels[order])

    config_module.load_dataset = shuffled
    vaelib.load_dataset = shuffled
