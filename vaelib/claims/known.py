"""A model whose evidence and posterior are known exactly, and verdicts on sides that should be equal.

Axes: B points, D coordinates, K latent dimensions, S draws.
"""

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from vaelib import densities
from vaelib.models import VAE
from vaelib.report.verdicts import Verdict, exact
from vaelib.synthetic import LinearGaussian

NEAR, SAME = 0.01, 1e-8  # nats: of an average over draws, and of two sides in double precision
ERRORS = 5  # standard errors that an average over draws may be off


class Known(NamedTuple):
    """A linear-Gaussian model, the same as a `VAE` whose encoder is the true posterior, and points x (B, D) from it."""

    truth: LinearGaussian
    model: VAE
    x: Tensor

    def encode(self) -> tuple[Tensor, Tensor]:
        """The exact posterior of x: mean and log-variance (B, K), its covariance being diagonal."""
        mean, covariance = self.truth.posterior(self.x)
        return mean, covariance.diagonal().log().expand_as(mean)

    def likelihood(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """E_q[log p(x|z)] (B,) in closed form, for q = N(mu, diag(exp(logvar)))."""
        truth, noise = self.truth, 2 * math.log(self.truth.noise)
        spread = (logvar.exp() * truth.weights.square().sum(0)).sum(-1) / truth.noise**2
        mean = mu @ truth.weights.T + truth.mean
        return densities.gaussian_log_likelihood(self.x, mean, torch.full_like(self.x, noise)) - spread / 2

    def bound(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """The right side of (13), (B,), in closed form."""
        return self.likelihood(mu, logvar) - densities.kl_to_standard_normal(mu, logvar)

    def divergence(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """D_KL[q ‖ p(z|x)] (B,), by torch.distributions."""
        mean, covariance = self.truth.posterior(self.x)
        q = MultivariateNormal(mu, torch.diag_embed(logvar.exp()))
        return kl_divergence(q, MultivariateNormal(mean, covariance))

    def evidence(self) -> Tensor:
        """log p(x) (B,), the density of N(mean, W Wᵀ + noise² I) by torch.distributions."""
        covariance = self.truth.weights @ self.truth.weights.T + self.truth.noise**2 * torch.eye(
            self.x.shape[1], dtype=self.x.dtype
        )
        return MultivariateNormal(self.truth.mean, covariance).log_prob(self.x)

    def others(self, n: int = 20) -> list[tuple[Tensor, Tensor]]:
        """n other q, from nearly the posterior to far from it."""
        mu, logvar = self.encode()
        draws, away = torch.Generator().manual_seed(1), torch.logspace(-2, 0.5, n).double()
        moved = [torch.randn(2, *mu.shape, generator=draws, dtype=mu.dtype) * by for by in away]
        return [(mu + shift, logvar + stretch) for shift, stretch in moved]


@cache
def known() -> Known:
    """D = 5, K = 2, 200 points; the columns of W are orthogonal, so that the posterior is a diagonal Gaussian."""
    draws = torch.Generator().manual_seed(3)
    columns, _ = torch.linalg.qr(torch.randn(5, 2, generator=draws, dtype=torch.float64))
    mean = torch.randn(5, generator=draws, dtype=torch.float64)
    truth = LinearGaussian(columns * torch.tensor([2.0, 0.8]).double(), mean, noise=0.6)
    model, covariance = VAE(2, (), 5, "gaussian").double(), truth.posterior(mean[None])[1]
    to_mean, none = covariance @ truth.weights.T / truth.noise**2, torch.zeros(2, 5)
    values = {
        "encoder.0.weight": torch.cat([to_mean, none]),
        "encoder.0.bias": torch.cat([-to_mean @ mean, covariance.diagonal().log()]),
        "decoder.0.weight": torch.cat([truth.weights, none.T]),
        "decoder.0.bias": torch.cat([mean, torch.full((5,), 2 * math.log(truth.noise))]),
    }
    model.load_state_dict(values)
    return Known(truth, model, truth.sample(200, seed=4)[0])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def off(a: Tensor, b: Tensor) -> float:
    """The largest difference of two tensors."""
    return (a - b).abs().max().item()


def within(claim: str, difference: float, *, of: str, limit: float = NEAR) -> Verdict:
    """Held where two sides that should be equal differ by no more than `limit`."""
    return exact(claim, difference <= limit, of=f"{of}: {difference:.2g}", rule=f"at most {limit:g}")


def by_average(claim: str, draws: Tensor, target: Tensor, *, of: str) -> Verdict:
    """Held where averages of draws (S, …) lie within so many standard errors of the target."""
    error = draws.std(0) / math.sqrt(len(draws))
    worst = ((draws.mean(0) - target).abs() / error).max().item()
    return exact(
        claim, worst <= ERRORS, of=f"{of}, in standard errors of the average: {worst:.1f}", rule=f"at most {ERRORS}"
    )
