"""The limit: the matrix products of a training step, forward and backward, and nothing else."""

import math
import time
from itertools import pairwise

import torch

from vaelib.config import TrainConfig


def shapes(config: TrainConfig, data_dim: int) -> list[tuple[int, int]]:
    """(inputs, outputs) of each linear layer of a VAE, in the order in which they are applied."""
    encoder = [data_dim, *config.hidden, 2 * config.latent_dim]
    decoder = [config.latent_dim, *reversed(config.hidden), data_dim]
    return [*pairwise(encoder), *pairwise(decoder)]


def products_per_image(config: TrainConfig, data_dim: int) -> int:
    """Multiplications and additions of a step, per image: no gradient is needed of the images themselves."""
    sizes = [n_in * n_out for n_in, n_out in shapes(config, data_dim)]
    return 2 * (3 * sum(sizes) - sizes[0])


def bound_epoch(config: TrainConfig, n_images: int, data_dim: int) -> float:
    """Seconds that the products of one epoch take: whole batches of `config.batch_size`, as many as hold `n_images`."""
    batch = config.batch_size
    layers = [
        (torch.randn(batch, n_in), torch.randn(n_out, n_in), torch.randn(batch, n_out))
        for n_in, n_out in shapes(config, data_dim)
    ]

    def step():
        for x, weight, _ in layers:
            x @ weight.T
        for i in reversed(range(len(layers))):
            x, weight, gradient = layers[i]
            gradient.T @ x
            if i:
                gradient @ weight

    for _ in range(20):
        step()
    start = time.perf_counter()
    for _ in range(math.ceil(n_images / batch)):
        step()
    return time.perf_counter() - start
