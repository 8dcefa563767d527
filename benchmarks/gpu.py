"""Epochs on a GPU: every operation launched by itself, and a whole epoch as one launch."""

from dataclasses import replace
from typing import NamedTuple

from vaelib.config import TrainConfig
from vaelib.training import fit


class Run(NamedTuple):
    """Seconds of one run's epochs, by how they were launched, and its nats per held-out image beside the processor's.

    `fit` launches the first epoch operation by operation, captures the second as a CUDA graph, and launches the graph
    for that one and every later one.
    """

    seed: int
    single: float
    capturing: float
    one_launch: list[float]
    heldout_loss: float
    on_cpu: float


def runs(config: TrainConfig, seeds: tuple[int, ...], device: str = "cuda") -> list[Run]:
    """Train `config` with each seed on `device` and on the processor."""
    fit(replace(config, epochs=1), device=device, progress=False)  # a device's first kernels are loaded on the way
    measured = []
    for seed in seeds:
        run = fit(replace(config, seed=seed), device=device, progress=False)
        single, capturing, *one_launch = (epoch.seconds for epoch in run.history)
        on_cpu = fit(run.config, device="cpu", progress=False)
        measured.append(Run(seed, single, capturing, one_launch, -run.heldout.elbo, -on_cpu.heldout.elbo))
    return measured
