"""Walks through the latent space, as tensors for pictures: grids, prior samples, reconstructions.

Axes: N images, D pixels, K latent. Decoded pictures are the decoder's pixel means.
"""

import torch
from torch import Tensor

from vaelib.checks import check_finite
from vaelib.densities import kl_per_dimension
from vaelib.models import VAE, LatentModel


def prior_quantiles(n: int, low: float = 0.05, high: float = 0.95) -> Tensor:
    """Φ⁻¹ of n evenly spaced probabilities from low to high (§4.1.2): equal steps of prior mass. Returns (n,)."""
    if not (0 < low < high < 1 and n >= 2):
        raise ValueError(f"need n ≥ 2 and 0 < low < high < 1, not n={n}, low={low}, high={high}")
    return torch.special.ndtri(torch.linspace(low, high, n, dtype=torch.float64)).float()


def latent_grid(latent_dim: int, values: Tensor, dims: tuple[int, ...] = (0, 1)) -> Tensor:
    """Codes on a grid over one or two latent dimensions, the others at zero, the prior's mean.

    values (n,) ascending. One dimension in `dims`: a strip (n, K), left to right. Two: (n·n, K), row by row from the
    top, where the first dimension grows to the right and the second upwards, as on the axes of a scatter plot.
    """
    if values.ndim != 1:
        raise ValueError(f"values must have shape (n,), not {tuple(values.shape)}")
    if not dims or len(set(dims)) != len(dims) or len(dims) > 2 or not all(0 <= d < latent_dim for d in dims):
        raise ValueError(f"dims must name one or two different dimensions below {latent_dim}, not {dims}")
    if len(dims) == 1:
        columns = [values]
    else:
        rows, cols = torch.meshgrid(values.flip(0), values, indexing="ij")
        columns = [cols.flatten(), rows.flatten()]
    grid = torch.zeros(len(columns[0]), latent_dim)
    for dim, column in zip(dims, columns, strict=True):
        grid[:, dim] = column
    return grid


def most_informative(mu: Tensor, logvar: Tensor, n: int = 2) -> tuple[int, ...]:
    """The n latent dimensions that carry the most nats on average, in their own order. mu, logvar (N, K).

    Raises ValueError for numbers that are not finite, and for none.
    """
    check_finite(mu=mu, logvar=logvar)
    kl = kl_per_dimension(mu, logvar).mean(0)
    return tuple(sorted(kl.topk(min(n, len(kl))).indices.tolist()))


@torch.no_grad()
def decode_means(model: LatentModel, z: Tensor) -> Tensor:
    """Pictures of codes z (N, K): (N, D), in the data's units."""
    return model.mean_image(z)


@torch.no_grad()
def reconstruct(model: LatentModel, x: Tensor) -> Tensor:
    """Pictures of x (N, D) after encoding, without noise, and decoding: (N, D)."""
    return model.mean_image(model.embed(x))


def prior_samples(model: VAE, n: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Pictures of n codes drawn from the model's prior (§4.1.3): (n, D)."""
    return decode_means(model, model.prior.sample(n, generator=generator))


def first_of_each_class(labels: Tensor, n: int = 10) -> Tensor:
    """Indices of the first image of each of the first n classes, or of the first n images of a single class.

    labels (N,). Raises ValueError for another number of axes.
    """
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (N,), not {tuple(labels.shape)}")
    classes = labels.unique()[:n]
    if len(classes) < 2:
        return torch.arange(min(n, len(labels)))
    return torch.stack([(labels == label).nonzero()[0, 0] for label in classes])
