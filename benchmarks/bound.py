"""The limit: the matrix products of a training step, forward and backward, and nothing else."""

import math
import time
from itertools import pairwise

import torch

from vaelib.config import TrainConfig
from vaelib.products import rounding


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
    """Seconds that the products of one epoch take, of factors as a step has them, into memory that is taken once.

    Inside `bfloat16_products` they are rounded where a step rounds them; what it takes to round them is not counted.
    Whole batches of `config.batch_size` are timed, as many as hold `n_images`, and the time is scaled to `n_images`.
    """
    batch = config.batch_size
    layers, sizes = [], shapes(config, data_dim)
    rounded = rounding(torch.empty(1), batch * max(n_in * n_out for n_in, n_out in sizes))
    kind = {"dtype": torch.bfloat16 if isinstance(rounded, torch.autocast) else torch.float32}
    for n_in, n_out in sizes:
        factors = torch.randn(batch, n_in, **kind), torch.randn(n_out, n_in, **kind), torch.randn(batch, n_out, **kind)
        layers.append((*factors, *map(torch.empty_like, factors)))

    def step():
        for x, weight, _, _, _, out in layers:
            torch.mm(x, weight.T, out=out)
        for i in reversed(range(len(layers))):
            x, weight, gradient, d_x, d_weight, _ = layers[i]
            torch.mm(gradient.T, x, out=d_weight)
            if i:
                torch.mm(gradient, weight, out=d_x)

    for _ in range(20):
        step()
    n_steps = math.ceil(n_images / batch)
    start = time.perf_counter()
    for _ in range(n_steps):
        step()
    return (time.perf_counter() - start) * n_images / (n_steps * batch)
