"""Integrals over the latent space, where they are known: Gaussians wide and narrow, near and far, and sums of them."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from vaelib.quadrature import integrate


def log_gaussians(z, x):
    """Densities of N(mean, sigma²I), times e^-100, for rows x = (mean …, sigma): what a narrow posterior looks like."""
    return Normal(x[:, :-1], x[:, -1:]).log_prob(z[:, None]).sum(-1) - 100


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_gaussians_of_any_width_integrate_to_one(latent_dim):
    sigmas = torch.tensor([0.9, 0.3, 0.03, 0.012], dtype=torch.float64)
    x = torch.cat([torch.linspace(-1.13, 1.77, 4).double()[:, None].expand(4, latent_dim), sigmas[:, None]], 1)
    found = integrate(log_gaussians, x, latent_dim)
    torch.testing.assert_close(found.log_value, torch.full((4,), -100.0).double(), rtol=0, atol=1e-3)
    assert (found.moved <= 0.01).all()
    for cells, shares, row in zip(found.cells, found.shares, x, strict=True):
        torch.testing.assert_close(shares.sum().item(), 1.0)
        torch.testing.assert_close(shares @ cells, row[:-1], rtol=0, atol=1e-4)


def test_two_peaks_far_apart_are_both_found():
    spread = MultivariateNormal(torch.tensor([1.7, -0.3]).double(), torch.tensor([[0.04, 0.03], [0.03, 0.04]]).double())

    def log_density(z, x):
        narrow = Normal(torch.tensor([-2.0, 2.0]).double(), 0.02).log_prob(z).sum(-1)
        return torch.logaddexp(spread.log_prob(z), narrow)[:, None] + x

    found = integrate(log_density, torch.zeros(1).double(), 2)
    assert found.log_value.item() == pytest.approx(math.log(2), abs=1e-3)
    assert found.shares[0][found.cells[0][:, 0] < 0].sum().item() == pytest.approx(0.5, abs=1e-3)


def test_at_the_limit_of_work_it_says_which_have_not_settled():
    x = torch.tensor([[0.01, 0.02, 0.5], [0.01, 0.02, 0.008]], dtype=torch.float64)
    short, enough = integrate(log_gaussians, x, 2, most=40_000, tolerance=1e-9), integrate(log_gaussians, x, 2)
    assert short.moved[0] < 1e-6
    assert short.moved[1] > 1e-9
    assert (enough.moved <= 0.01).all()
    cut = integrate(log_gaussians, x, 2, most=10_000)
    assert cut.moved.isinf().all()  # two halvings were not made


def test_mass_outside_the_grid_is_not_counted():
    """The broken control: half of this Gaussian lies beyond |z| = 6."""
    found = integrate(log_gaussians, torch.tensor([[6.0, 0.5]]).double(), 1)
    assert found.log_value.item() == pytest.approx(-100 - math.log(2), abs=1e-3)


def test_three_dimensions_are_refused():
    with pytest.raises(ValueError, match="latent_dim is 3"):
        integrate(log_gaussians, torch.zeros(1, 4).double(), 3)
