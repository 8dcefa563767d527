"""Priors p(z) of a VAE (§2.6.2), and two ways to say how far the codes of a whole batch are from one.

The clustered and the sparse prior, and both divergences, follow Mathieu et al. (2019) and their published scripts.

Axes: S samples of z, B batch, K latent. A prior is any object with `log_prob` and `sample` as below.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from vaelib.checks import check_floating
from vaelib.densities import gaussian_log_likelihood, reparameterise

PRIORS = ("standard-normal", "clustered", "sparse")


class Prior(Protocol):
    """What a VAE needs of its prior."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats: z (..., K) → (...)."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n draws of z, (n, K), on the generator's device."""


@dataclass(frozen=True)
class StandardNormal:
    """N(0, I): the one prior whose KL is used in closed form."""

    latent_dim: int

    def __post_init__(self) -> None:
        _check_dim(self.latent_dim)

    def log_prob(self, z: Tensor) -> Tensor:
        _check_codes(z, self.latent_dim)
        return gaussian_log_likelihood(z, torch.zeros_like(z), torch.zeros_like(z))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return _randn(n, self.latent_dim, generator=generator)


@dataclass(frozen=True)
class EqualGaussians:
    """A mixture of Gaussians of equal weight and one variance. `means` are C centers of K coordinates each."""

    means: tuple[tuple[float, ...], ...]
    variance: float

    def __post_init__(self) -> None:
        if len({len(mean) for mean in self.means}) != 1 or not self.means[0]:
            raise ValueError(f"means must be one or more centers of K ≥ 1 coordinates each, not {self.means!r}")
        if not 0 < self.variance < math.inf:
            raise ValueError(f"variance must be a number above 0, not {self.variance!r}")

    @property
    def latent_dim(self) -> int:
        return len(self.means[0])

    def log_prob(self, z: Tensor) -> Tensor:
        _check_codes(z, self.latent_dim)
        check_floating(z=z)
        logvar = z.new_full((self.latent_dim,), math.log(self.variance))
        log_p = gaussian_log_likelihood(z[..., None, :], _rows(self.means, z.dtype, z.device), logvar)
        return log_p.logsumexp(-1) - math.log(len(self.means))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        noise = _randn(n, self.latent_dim, generator=generator)
        centres = torch.randint(len(self.means), (n,), generator=generator, device=noise.device)
        return _rows(self.means, noise.dtype, noise.device)[centres] + math.sqrt(self.variance) * noise


@dataclass(frozen=True)
class SpikeAndSlab:
    """Each coordinate by itself: a narrow Gaussian at zero (the spike) or, less often, N(0, 1).

    p(z_k) = γ N(0, s²) + (1 - γ) N(0, 1) with γ = `spike_weight` in (0, 1) and s = `spike_std`.
    """

    latent_dim: int
    spike_weight: float = 0.8
    spike_std: float = 0.05

    def __post_init__(self) -> None:
        _check_dim(self.latent_dim)
        if not 0 < self.spike_weight < 1 or not 0 < self.spike_std < math.inf:
            seen = f"{self.spike_weight!r} and {self.spike_std!r}"
            raise ValueError(f"spike_weight must be in (0, 1) and spike_std above 0, not {seen}")

    def log_prob(self, z: Tensor) -> Tensor:
        _check_codes(z, self.latent_dim)
        each = z[..., None]  # densities sum over the last axis, and here every coordinate is a mixture of its own
        zero = torch.zeros_like(each)
        spike = gaussian_log_likelihood(each, zero, zero + 2 * math.log(self.spike_std))
        slab = gaussian_log_likelihood(each, zero, zero)
        return torch.logaddexp(spike + math.log(self.spike_weight), slab + math.log1p(-self.spike_weight)).sum(-1)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        noise = _randn(n, self.latent_dim, generator=generator)
        in_spike = torch.rand(noise.shape, generator=generator, device=noise.device) < self.spike_weight
        return torch.where(in_spike, self.spike_std * noise, noise)


def make_prior(prior: str | Prior, latent_dim: int) -> Prior:
    """The prior of a name for K = `latent_dim`; an object that is a prior already is returned as it is.

    "clustered" has 2K centers, one unit from the origin on either side of every axis, with variance 0.03; in the plane
    these are the four of Mathieu et al. "sparse" is `SpikeAndSlab`.
    """
    if not isinstance(prior, str):
        missing = [method for method in ("log_prob", "sample") if not callable(getattr(prior, method, None))]
        if missing:
            raise ValueError(f"prior must be one of {PRIORS} or have log_prob and sample; {prior!r} lacks {missing[0]}")
        _check_dim(latent_dim)
        its_dim = getattr(prior, "latent_dim", latent_dim)
        if its_dim != latent_dim:
            raise ValueError(f"prior must be one of {latent_dim} dimensions, as the codes are; {prior!r} has {its_dim}")
        return prior
    if prior == "standard-normal":
        return StandardNormal(latent_dim)
    if prior == "clustered":
        _check_dim(latent_dim)
        axes = torch.eye(latent_dim)
        return EqualGaussians(tuple(map(tuple, torch.cat([axes, -axes]).tolist())), variance=0.03)
    if prior == "sparse":
        return SpikeAndSlab(latent_dim)
    raise ValueError(f"prior must be one of {PRIORS}, not {prior!r}")


def kl_estimate(prior: Prior, z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Monte-Carlo D_KL[q(z|x) ‖ p(z)]: the mean of log q(z|x) - log p(z) over draws z (S, B, K) of q.

    mu, logvar (B, K). Returns (B,), in nats; an estimate, which can fall below zero where the KL is near it.
    """
    _check_code(mu, logvar)
    check_floating(z=z)
    if z.ndim != 3 or z.shape[1:] != mu.shape:
        raise ValueError(f"z must hold draws (S, B, K) of q with mu {tuple(mu.shape)}, not {tuple(z.shape)}")
    return (gaussian_log_likelihood(z, mu, logvar) - prior.log_prob(z)).mean(0)


# How far the aggregate q(z), the average of q(z|x) over a batch, is from p(z).


def inclusive_kl(prior: Prior, mu: Tensor, logvar: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """D_KL[p(z) ‖ q(z)], estimated on B draws from the prior: large where the prior has mass and no code is.

    mu, logvar (B, K). Returns a scalar, in nats.
    """
    _check_code(mu, logvar)
    z = prior.sample(len(mu), generator=generator).to(mu)
    log_q = gaussian_log_likelihood(z[:, None], mu, logvar).logsumexp(1) - math.log(len(mu))
    return (prior.log_prob(z) - log_q).mean()


def mmd(prior: Prior, mu: Tensor, logvar: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Squared maximum mean discrepancy between draws of q(z) and of p(z), coordinate by coordinate, summed over K.

    mu, logvar (B, K). Returns a scalar, the unbiased estimate of `squared_mmd`.
    """
    _check_code(mu, logvar)
    z = reparameterise(mu, logvar, generator=generator)
    return squared_mmd(z, prior.sample(len(mu), generator=generator).to(mu))


def squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased MMD² of each coordinate of two samples (N, K), summed over K and over six widths of the kernel.

    The kernel is the inverse multiquadric c / (c + (a - b)²) with c = 2·(0.1, 0.2, 0.5, 1, 2, 5). A value near 0, on
    either side of it, says that no coordinate's distribution tells the samples apart.
    """
    if a.ndim != 2 or b.shape != a.shape or len(a) < 2:
        raise ValueError(f"the two samples need one shape (N, K), N ≥ 2, not {tuple(a.shape)} and {tuple(b.shape)}")
    n, latent_dim = a.shape
    alike = n * latent_dim * len(_WIDTHS)  # each point with itself, which an unbiased mean leaves out
    within = (_kernel_sum(a, a) + _kernel_sum(b, b) - 2 * alike) / (n * (n - 1))
    return within - 2 * _kernel_sum(a, b) / n**2


_WIDTHS = tuple(2 * scale for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0))


def _kernel_sum(a: Tensor, b: Tensor) -> Tensor:
    squares = (a[:, None] - b).square()
    return sum((c / (c + squares)).sum() for c in _WIDTHS)


@cache  # a CUDA graph of training steps cannot copy them to the GPU each time
def _rows(rows: tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(rows, dtype=dtype, device=device)


def _check_dim(latent_dim: int) -> None:
    if isinstance(latent_dim, bool) or not isinstance(latent_dim, int) or latent_dim < 1:
        raise ValueError(f"latent_dim must be an integer of at least 1, not {latent_dim!r}")


def _check_codes(z: Tensor, latent_dim: int) -> None:
    if z.shape[-1:] != (latent_dim,):
        raise ValueError(f"z must have shape (..., {latent_dim}) for this prior, not {tuple(z.shape)}")


def _check_code(mu: Tensor, logvar: Tensor) -> None:
    if mu.ndim != 2 or mu.shape != logvar.shape:
        raise ValueError(f"mu and logvar must have one shape (B, K), not {tuple(mu.shape)} and {tuple(logvar.shape)}")
    check_floating(mu=mu, logvar=logvar)


def _randn(*shape: int, generator: torch.Generator | None) -> Tensor:
    return torch.randn(*shape, generator=generator, device=None if generator is None else generator.device)


DIVERGENCES = {"inclusive-kl": inclusive_kl, "mmd": mmd}
