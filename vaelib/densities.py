"""Log-likelihoods, the closed-form KL and reparameterized sampling: eqs. 15, 16, 18 and 19.

Axes: B batch, D pixels, K latent. Functions sum over the last axis, whose sizes must agree (else ValueError), and
broadcast over those before it.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vaelib.checks import check_floating


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x|z) of a Bernoulli decoder, eq. 15, written with logits: p = sigmoid(logits).

    x (..., D) pixels in [0, 1]; logits (..., D). Returns (...), in nats. For gray pixels this is the paper's objective
    and not a normalized density.
    """
    _check_last_axis(x, logits)
    # x log p + (1 - x) log(1 - p) = x·logits - softplus(logits): no logarithm of a rounded-off zero.
    return (x * logits - F.softplus(logits)).sum(-1)


def gaussian_log_likelihood(x: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log N(x | mean, diag(exp(logvar))), eq. 16. x, mean, logvar (..., D). Returns (...), in nats.

    Raises ValueError also for a mean or logvar of whole numbers, which would wrap around.
    """
    _check_last_axis(x, mean, logvar)
    check_floating(mean=mean, logvar=logvar)
    squared_distance = (x - mean).square() * torch.exp(-logvar)
    return -0.5 * (math.log(2 * math.pi) + logvar + squared_distance).sum(-1)


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """D_KL[N(mu, diag(exp(logvar))) ‖ N(0, I)] ≥ 0: eq. 18 without its minus sign.

    mu, logvar (..., K), of one shape. Returns (...), in nats.
    """
    return kl_per_dimension(mu, logvar).sum(-1)


def kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """The K summands of `kl_to_standard_normal`: how many nats each latent dimension carries. Shape of mu."""
    if mu.shape != logvar.shape or mu.ndim == 0:
        raise ValueError(f"mu and logvar must have one shape (..., K), not {tuple(mu.shape)} and {tuple(logvar.shape)}")
    # expm1 keeps σ² - 1 - log σ² exact near the prior, where the two sides cancel.
    return 0.5 * (mu.square() + torch.expm1(logvar) - logvar)


def reparameterise(
    mu: Tensor, logvar: Tensor, *, generator: torch.Generator | None = None, eps: Tensor | None = None
) -> Tensor:
    """z = mu + σ ⊙ ε with ε ~ N(0, I), eq. 19: a sample that gradients flow through.

    mu, logvar (..., K), broadcast against each other. `eps` fixes the noise (any shape that broadcasts against them);
    otherwise it is drawn from `generator`, for every number of z by itself. Returns z (..., K).
    """
    if eps is None:
        shape = torch.broadcast_shapes(mu.shape, logvar.shape)
        eps = torch.randn(shape, generator=generator, dtype=mu.dtype, device=mu.device)
    return mu + torch.exp(0.5 * logvar) * eps


def _check_last_axis(*tensors: Tensor) -> None:
    """Else a single column would be taken for all pixels, without a word."""
    if len({tensor.shape[-1:] for tensor in tensors}) > 1 or tensors[0].ndim == 0:
        shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ValueError(f"the last axes of {shapes} must be there and agree")
