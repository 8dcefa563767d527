"""The evidence lower bound (eqs. 13 and 14) and the importance-weighted estimate of log p(x).

Axes: S samples of z, B batch, D pixels, K latent.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaelib.densities import gaussian_log_likelihood, kl_to_standard_normal, reparameterise
from vaelib.models import VAE
from vaelib.priors import StandardNormal, kl_estimate


class ElboTerms(NamedTuple):
    """The bound and its two parts, in nats; `elbo = log_likelihood - kl`, higher is better."""

    log_likelihood: Tensor
    kl: Tensor
    elbo: Tensor


def elbo(
    model: VAE,
    x: Tensor,
    *,
    n_samples: int = 1,
    generator: torch.Generator | None = None,
    code: tuple[Tensor, Tensor] | None = None,
) -> ElboTerms:
    """L(θ, φ, x) = E_q[log p(x|z)] - D_KL[q(z|x) ‖ p(z)], eq. 13, for each x.

    The expectation is an average over `n_samples` draws of z (eq. 14, one draw in training). The KL is exact (eq. 18)
    where the prior is the standard normal, and estimated from the same draws where it is another.
    x (B, D); `code` is model.encode(x), from a caller who has it already. Returns terms of shape (B,).
    Raises ValueError for other shapes, and for pixels that the likelihood does not take (`check_pixels`).
    """
    _check(model, x, n_samples)
    check_pixels(x, model.likelihood)
    return elbo_terms(model, x, n_samples=n_samples, generator=generator, code=code)


def elbo_terms(
    model: VAE,
    x: Tensor,
    *,
    n_samples: int = 1,
    generator: torch.Generator | None = None,
    code: tuple[Tensor, Tensor] | None = None,
) -> ElboTerms:
    """`elbo` for a step of training: x is on its device already, and its pixels are not read off to be looked at."""
    mu, logvar = model.encode(x) if code is None else code
    if mu.shape != (len(x), model.latent_dim) or logvar.shape != mu.shape:
        shapes = f"{tuple(mu.shape)} and {tuple(logvar.shape)}"
        raise ValueError(f"mu and logvar of code must have shape {(len(x), model.latent_dim)}, not {shapes}")
    z = reparameterise(mu.expand(n_samples, *mu.shape), logvar, generator=generator)
    log_likelihood = model.log_likelihood(x, z).mean(0)
    if isinstance(model.prior, StandardNormal):
        kl = kl_to_standard_normal(mu, logvar)
    else:
        kl = kl_estimate(model.prior, z, mu, logvar)
    return ElboTerms(log_likelihood, kl, log_likelihood - kl)


@torch.no_grad()
def log_marginal(model: VAE, x: Tensor, *, n_samples: int = 1000, generator: torch.Generator | None = None) -> Tensor:
    """Importance-weighted estimate of log p(x) (Burda et al. 2016), with q(z|x) as the proposal.

    log (1/S) Σ_s p(x|z_s) p(z_s) / q(z_s|x): with one sample the ELBO, in expectation never above log p(x), and
    growing towards it with S. x (B, D). Returns (B,), in nats. Raises what `elbo` raises.
    """
    _check(model, x, n_samples)
    check_pixels(x, model.likelihood)
    mu, logvar = model.encode(x)
    # Decoded images of all samples at once would take S·B·D floats: work through S in pieces of about 64 MB.
    piece = max(1, 2**24 // max(1, x.numel()))
    total = torch.full_like(x[:, 0], -math.inf)
    for start in range(0, n_samples, piece):
        mu_s = mu.expand(min(piece, n_samples - start), *mu.shape)
        z = reparameterise(mu_s, logvar, generator=generator)
        log_prior = model.prior.log_prob(z)
        log_weight = model.log_likelihood(x, z) + log_prior - gaussian_log_likelihood(z, mu, logvar)
        total = torch.logaddexp(total, log_weight.logsumexp(0))
    return total - math.log(n_samples)


def check_pixels(x: Tensor, likelihood: str, what: str = "x") -> None:
    """Raise ValueError for pixels that no likelihood takes, and outside [0, 1] those that "bernoulli" does not."""
    low, high = x.aminmax() if x.numel() else (x.new_zeros(()), x.new_zeros(()))
    if likelihood == "bernoulli" and not (low >= 0 and high <= 1):
        raise ValueError(
            f"the Bernoulli likelihood (eq. 15) needs pixels in [0, 1], but {what} has values from {low:.3g} to "
            f"{high:.3g}: rescale the images or use likelihood='gaussian' (eq. 16)"
        )
    if not (low > -math.inf and high < math.inf):
        raise ValueError(f"pixels must be finite numbers, but {what} has values from {low:.3g} to {high:.3g}")


def _check(model: VAE, x: Tensor, n_samples: int) -> None:
    if not isinstance(model, VAE):
        raise TypeError(f"the bound needs a VAE; a {type(model).__name__} has no q(z|x) to average over")
    if x.ndim != 2 or x.shape[1] != model.data_dim:
        raise ValueError(f"x must have shape (B, {model.data_dim}) for this model, not {tuple(x.shape)}")
    weight = model.latent_weight
    if (x.dtype, x.device) != (weight.dtype, weight.device):
        raise ValueError(f"x must be {weight.dtype} on {weight.device}, as the model is, not {x.dtype} on {x.device}")
    if n_samples < 1:
        raise ValueError(f"n_samples must be at least 1, not {n_samples}")
