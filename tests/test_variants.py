"""Codes with one σ, clusters, sparsity: against closed forms, with an ideal, a null and a broken control of each."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vaelib import variants
from vaelib.models import VAE, Autoencoder
from vaelib.priors import SpikeAndSlab, make_prior


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VAE(3, (8,), 12)


@pytest.fixture
def x():
    return torch.rand(50, 12, generator=seeded(1))


def test_with_one_sigma_the_kl_is_half_the_squared_code_and_a_constant(model, x):
    codes, log_sigma = torch.randn(50, 3, generator=seeded(2)), torch.tensor([-6.0, -1.0, 0.5])
    got = variants.common_sigma(model, x, codes, log_sigma)
    for s, penalized, elbo in zip(log_sigma, *got, strict=True):
        kl = kl_divergence(Normal(codes, s.exp()), Normal(0.0, 1.0)).sum(1).mean()
        constant = 3 * ((2 * s).exp() - 1 - 2 * s) / 2
        torch.testing.assert_close(penalized - elbo, constant, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(penalized + codes.square().sum(1).mean() / 2 - elbo, kl, atol=1e-4, rtol=1e-5)


def test_a_small_sigma_is_an_autoencoder_with_a_penalty(model, x):
    codes = torch.randn(50, 3, generator=seeded(2))
    limit = (model.log_likelihood(x, codes) - codes.square().sum(1) / 2).mean()
    coarse, fine = variants.common_sigma(model, x, codes, torch.tensor([0.5, 1e-4]).log()).penalized
    assert abs(fine - limit) < 1e-3 < abs(coarse - limit)


def test_units_change_the_code_and_not_the_pictures(x):
    model = Autoencoder(2, (8,), 12)
    codes = torch.randn(50, 2, generator=seeded(3)) * torch.tensor([30.0, 0.1]) + 7
    units = variants.own_units(codes)
    code = units.apply(codes)
    torch.testing.assert_close(code.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(code.std(0, correction=0), torch.ones(2))
    got = variants.common_sigma(model, x, code, torch.tensor([-20.0]), units=units)
    torch.testing.assert_close(
        got.penalized[0] + code.square().sum(1).mean() / 2, model.log_likelihood(x, codes).mean()
    )
    assert variants.own_units(torch.ones(5, 2)).scale.tolist() == [1, 1]


def test_in_clusters_ideal_null_and_broken():
    prior = make_prior("clustered", 2)
    ideal = variants.in_clusters(prior.sample(20_000, generator=seeded(0)), prior)
    assert ideal == pytest.approx(1 - math.exp(-4.5), abs=3e-3)  # of a Gaussian in the plane, by Rayleigh
    null = variants.in_clusters(torch.randn(20_000, 2, generator=seeded(1)), prior)
    assert 0.3 < null < 0.5
    assert variants.in_clusters(torch.full((10, 2), 5.0), prior) == 0
    assert variants.in_clusters(torch.zeros(10, 2), prior) == 0  # between all clusters


def test_worth_of_a_coordinate_is_what_the_decoder_loses():
    """A linear Gaussian decoder of unit variance: holding coordinate k costs half its weights' share of the signal."""
    model = VAE(3, (), 4, likelihood="gaussian")
    weights = torch.tensor([[2.0, 0, 0], [0, 1.0, 0], [0, 0, 0], [0, 0, 0]])
    with torch.no_grad():
        model.decoder[0].weight.copy_(torch.cat([weights, torch.zeros(4, 3)]))
        model.decoder[0].bias.zero_()
    codes = torch.randn(500, 3, generator=seeded(4))
    worth, whole = variants.coordinate_worth(model, codes @ weights.T, codes)
    variances = codes.var(0, correction=0)
    exact = torch.stack([2 * variances[0], variances[1] / 2, torch.zeros(())])
    torch.testing.assert_close(worth, exact, atol=1e-4, rtol=1e-4)
    assert whole == pytest.approx(worth.sum().item(), rel=1e-4)
    assert variants.in_use(worth, whole).tolist() == [True, True, False]
    assert variants.in_use(worth, whole, least=0.5).tolist() == [True, False, False]
    assert not variants.in_use(torch.zeros(3), 0.0).any()
    assert not variants.in_use(torch.tensor([-1.0, -2.0, 0.0]), -3.0).any()


@pytest.mark.parametrize("latent_dim", [2, 6, 20])
def test_sparse_share_ideal_and_null(latent_dim):
    assert variants.sparse_share(SpikeAndSlab(latent_dim).sample(20_000, generator=seeded(5))) == pytest.approx(
        1, abs=0.05
    )
    assert variants.sparse_share(torch.randn(20_000, latent_dim, generator=seeded(6))) == pytest.approx(0, abs=0.05)


def test_unused_coordinates_move_the_share_which_is_why_they_are_left_out():
    used = torch.randn(5000, 5, generator=seeded(7))
    rare = 1e-3 * torch.randn(5000, 15, generator=seeded(8)) * (torch.rand(5000, 15, generator=seeded(9)) < 0.1)
    assert abs(variants.sparse_share(used)) < 0.05
    assert variants.sparse_share(torch.cat([used, rare], 1)) > 0.3
    assert math.isnan(variants.sparse_share(used[:, :1]))
    assert math.isnan(variants.sparse_share(used[:, :0]))
