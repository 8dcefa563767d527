"""Log-likelihoods, the closed-form KL and reparameterised sampling: eqs. 15, 16, 18 and 19.

Axes: B batch, D pixels, K latent. Every function sums over the last axis and broadcasts over the others.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x|z) of a Bernoulli decoder, eq. 15, written with logits: p = sigmoid(logits).

    x (..., D) pixels in [0, 1]; logits (..., D). Returns (...), in nats. For grey pixels this is the paper's objective
    and not a normalised density.
    """
    # x log p + (1 - x) log(1 - p) = x·logits - softplus(logits): no logarithm of a rounded-off zero.
    return (x * logits - F.softplus(logits)).sum(-1)


def gaussian_log_likelihood(x: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log N(x | mean, diag(exp(logvar))), eq. 16. x, mean, logvar (..., D). Returns (...), in nats."""
    squared_distance = (x - mean).square() * torch.exp(-logvar)
    return -0.5 * (math.log(2 * math.pi) + logvar + squared_distance).sum(-1)


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """D_KL[N(mu, diag(exp(logvar))) ‖ N(0, I)] ≥ 0: eq. 18 without its minus sign.

    mu, logvar (..., K). Returns (...), in nats.
    """
    return kl_per_dimension(mu, logvar).sum(-1)


def kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """The K summands of `kl_to_standard_normal`: how many nats each latent dimension carries. Shape of mu."""
    # expm1 keeps σ² - 1 - log σ² exact near the prior, where the two sides cancel.
    return 0.5 * (mu.square() + torch.expm1(logvar) - logvar)


def reparameterise(
    mu: Tensor, logvar: Tensor, *, generator: torch.Generator | None = None, eps: Tensor | None = None
) -> Tensor:
    """z = mu + σ ⊙ ε with ε ~ N(0, I), eq. 19: a sample that gradients flow through.

    mu, logvar (..., K). `eps` fixes the noise (any shape that broadcasts against mu); otherwise it is drawn from
    `generator`. Returns z (..., K).
    """
    if eps is None:
        eps = torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
    return mu + torch.exp(0.5 * logvar) * eps
