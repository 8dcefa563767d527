"""Integrals over a latent space of one or two dimensions, by brute force: a grid, refined until its sums stand still.

Axes: G cells of the grid, K latent, N integrals.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

REACH = 6.0  # |z_k| below which a standard normal prior has all its mass but two parts in a billion
WHOLE = {1: 0.003, 2: 0.06}  # by K: the last cell width at which all cells are kept
WITHIN = 20.0  # nats below the largest density of an integral from which a cell is dropped


class Integrals(NamedTuple):
    """N integrals over z, and how their mass is spread.

    log_value (N,) in nats; moved (N,), by how much the last two halvings of the cells moved it, the larger of the two;
    cells, for each integral the centers (G, K) of its last cells; shares, the part (G,) of the integral in each.
    """

    log_value: Tensor
    moved: Tensor
    cells: tuple[Tensor, ...]
    shares: tuple[Tensor, ...]


def integrate(
    log_density: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    latent_dim: int,
    *,
    tolerance: float = 0.01,
    most: int = 400_000,
) -> Integrals:
    """log ∫ exp(log_density(z, x)) dz over |z_k| < 6 for each x, by the midpoint rule.

    All cells are halved down to `WHOLE`, then those that hold mass of an integral that has not settled. An integral has
    settled when two halvings in a row moved its logarithm by no more than `tolerance` nats; at `most` cells the search
    ends, and `moved` says which have not. A peak much narrower than a cell of `WHOLE` can be missed.

    Parameters
    ----------
    log_density : (z (G, K), x (n, …)) → (G, n), such as log p(x|z) p(z); z is double precision.
    x : (N, …).
    latent_dim : K, 1 or 2.

    Raises
    ------
    ValueError
        For another K: a grid that is fine enough cannot be had.
    """
    if latent_dim not in WHOLE:
        raise ValueError(f"latent_dim is {latent_dim}: there is a grid for {' and '.join(map(str, WHOLE))} only")
    log_value, moved = torch.full((2, len(x)), math.inf, dtype=torch.float64)
    last = moved.clone()
    cells, shares = [torch.empty(0)] * len(x), [torch.empty(0)] * len(x)
    step, unsettled = 4 * WHOLE[latent_dim], torch.arange(len(x))
    z = _all_cells(step, latent_dim)
    while len(unsettled) and len(z) <= most:
        values = log_density(z, x[unsettled]).double()
        new = values.logsumexp(0) + latent_dim * math.log(step)
        change = (new - log_value[unsettled]).abs()
        moved[unsettled] = torch.maximum(change, last[unsettled])
        log_value[unsettled], last[unsettled] = new, change
        for i, column in zip(unsettled.tolist(), values.T, strict=True):
            cells[i], shares[i] = z, (column - column.logsumexp(0)).exp()
        going_on = ~(moved[unsettled] <= tolerance)
        unsettled, values = unsettled[going_on], values[:, going_on]
        if step > 1.5 * WHOLE[latent_dim]:
            z = _all_cells(step / 2, latent_dim)
        else:
            kept = (values > values.amax(0) - WITHIN).any(1)
            z = (z[kept][:, None] + _corners(step / 4, latent_dim)).flatten(0, 1)
        step /= 2
    return Integrals(log_value, moved, tuple(cells), tuple(shares))


def _all_cells(step: float, latent_dim: int) -> Tensor:
    axis = torch.arange(-REACH + step / 2, REACH, step, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * latent_dim).reshape(-1, latent_dim)


def _corners(offset: float, latent_dim: int) -> Tensor:
    axis = torch.tensor([-offset, offset], dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * latent_dim).reshape(-1, latent_dim)
