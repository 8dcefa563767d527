"""Equations 1–12: each step of the derivation, by quadrature, in a model whose evidence and posterior are formulas.

The integrals are sums over a grid of z, the densities in them are torch's, and the formulas are `LinearGaussian`'s.
"""

import itertools
import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from vaelib import elbo
from vaelib.synthetic import linear_gaussian as planted


class Setting(NamedTuple):
    """One observation of a linear-Gaussian model, a q that is not its posterior, and both on a grid over z (n, K)."""

    log_likelihood: Tensor  # log p(x|z), (n,)
    log_prior: Tensor  # (n,)
    log_q: Tensor  # (n,)
    cell: float
    log_evidence: Tensor
    posterior: MultivariateNormal
    q: MultivariateNormal

    def integral(self, values: Tensor) -> Tensor:
        return values.sum() * self.cell

    def mean(self, values: Tensor) -> Tensor:
        """E[values] under q."""
        return self.integral(self.log_q.exp() * values)

    def log_posterior(self) -> Tensor:
        """By Bayes' rule on the grid, from the model's two parts alone."""
        log_joint = self.log_likelihood + self.log_prior
        return log_joint - self.integral(log_joint.exp()).log()


@pytest.fixture(params=[1, 2])
def setting(request) -> Setting:
    latent_dim = request.param
    model = planted(latent_dim=latent_dim, data_dim=3, noise=0.7, seed=5)
    x, _ = model.sample(1, seed=2)
    step = 0.04
    axis = torch.arange(-8, 8, step, dtype=x.dtype)
    z = torch.cartesian_prod(*[axis] * latent_dim).reshape(-1, latent_dim)
    mean, covariance = model.posterior(x)
    spread = 0.3 * torch.eye(latent_dim, dtype=x.dtype) + 0.1
    q = MultivariateNormal(mean[0] + 0.5, spread)
    return Setting(
        Normal(z @ model.weights.T + model.mean, model.noise).log_prob(x).sum(-1),
        Normal(0.0, 1.0).log_prob(z).sum(-1),
        q.log_prob(z),
        step**latent_dim,
        model.log_evidence(x)[0],
        MultivariateNormal(mean[0], covariance),
        q,
    )


@pytest.mark.equation(1)
def test_the_evidence_is_the_integral_over_z(setting):
    integral = setting.integral((setting.log_likelihood + setting.log_prior).exp())
    torch.testing.assert_close(integral.log(), setting.log_evidence)


@pytest.mark.equation(2)
def test_the_divergence_to_the_posterior_is_its_integral(setting):
    ratio = setting.log_q.exp() / setting.log_posterior().exp()
    integral = setting.integral(torch.where(ratio > 0, setting.log_q.exp() * ratio.log(), 0.0))
    torch.testing.assert_close(integral, kl_divergence(setting.q, setting.posterior))


@pytest.mark.equation(3)
@pytest.mark.equation(4)
def test_the_divergence_is_the_mean_log_ratio_of_draws(setting):
    z = (
        setting.q.mean
        + torch.randn(50_000, len(setting.q.mean), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        @ torch.linalg.cholesky(setting.q.covariance_matrix).T
    )
    log_ratios = setting.q.log_prob(z) - setting.posterior.log_prob(z)
    error = log_ratios.std() / math.sqrt(len(z))
    assert (log_ratios.mean() - kl_divergence(setting.q, setting.posterior)).abs() < 5 * error


@pytest.mark.equation(5)
@pytest.mark.equation(6)
@pytest.mark.equation(7)
def test_bayes_rule_takes_the_divergence_apart(setting):
    log_q, log_likelihood, log_prior = setting.log_q, setting.log_likelihood, setting.log_prior
    five = setting.mean(log_q - setting.log_posterior())
    six = setting.mean(log_q - (log_likelihood + log_prior - setting.log_evidence))
    seven = setting.mean(log_q - log_likelihood - log_prior) + setting.log_evidence
    for form in (five, six, seven):
        torch.testing.assert_close(form, kl_divergence(setting.q, setting.posterior))


@pytest.mark.equation(8)
def test_the_bound_as_one_expectation_has_a_minus_where_the_paper_prints_a_plus(setting):
    left = setting.log_evidence - kl_divergence(setting.q, setting.posterior)
    corrected = setting.mean(setting.log_likelihood - (setting.log_q - setting.log_prior))
    printed = setting.mean(setting.log_likelihood - (setting.log_q + setting.log_prior))
    torch.testing.assert_close(corrected, left)
    torch.testing.assert_close(printed - left, -2 * setting.mean(setting.log_prior))
    assert printed - left > 1


@pytest.mark.equation(9)
@pytest.mark.equation(10)
def test_the_bound_is_reconstruction_minus_divergence_to_the_prior(setting):
    left = setting.log_evidence - kl_divergence(setting.q, setting.posterior)
    prior = MultivariateNormal(torch.zeros_like(setting.q.mean), torch.eye(len(setting.q.mean), dtype=torch.float64))
    reconstruction = setting.mean(setting.log_likelihood)
    torch.testing.assert_close(reconstruction - setting.mean(setting.log_q - setting.log_prior), left)
    torch.testing.assert_close(reconstruction - kl_divergence(setting.q, prior), left)


@torch.no_grad()
@pytest.mark.equation(11)
@pytest.mark.equation(12)
def test_our_elbo_falls_short_by_the_divergence_and_never_exceeds_the_evidence(linear_gaussian):
    """The encoder is moved off the posterior in mean, in width, in both and not at all."""
    model, bias = linear_gaussian.model, linear_gaussian.model.encoder[0].bias
    exact, x, width = bias.clone(), linear_gaussian.x[:1], linear_gaussian.posterior_variance.sqrt()
    evidence = linear_gaussian.log_evidence(x)[0]
    posterior = Normal(linear_gaussian.posterior_mean(x)[0], width)
    for shift, stretch in itertools.product((0.0, 0.4), (0.5, 1.0, 1.7)):
        bias.copy_(exact + torch.tensor([shift, shift, *[2 * math.log(stretch)] * 2]))
        gap = kl_divergence(Normal(posterior.mean + shift, width * stretch), posterior).sum()
        draws = elbo(model, x.expand(100_000, -1), generator=torch.Generator().manual_seed(0)).elbo
        error = draws.std() / math.sqrt(len(draws))
        assert (draws.mean() - (evidence - gap)).abs() < 5 * error + 1e-9
        assert draws.mean() < evidence + 5 * error + 1e-9
        assert (gap == 0) == ((shift, stretch) == (0.0, 1.0))
