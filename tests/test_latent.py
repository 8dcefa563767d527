"""Grids, samples and reconstructions against quantiles, axes and models whose answers are known."""

import math
from statistics import NormalDist

import pytest
import torch

from vaelib import plotting
from vaelib.latent import (
    decode_means,
    first_of_each_class,
    latent_grid,
    most_informative,
    prior_quantiles,
    prior_samples,
    reconstruct,
)
from vaelib.models import VAE, Autoencoder


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_prior_quantiles_are_those_of_the_standard_normal():
    values = prior_quantiles(20)
    expected = [NormalDist().inv_cdf(0.05 + 0.9 * i / 19) for i in range(20)]
    assert values.tolist() == pytest.approx(expected, abs=1e-6)
    assert values[0].item() == pytest.approx(-1.6448536, abs=1e-6)
    assert prior_quantiles(3, 0.1, 0.9)[1].item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("arguments", [(0,), (5, 0.0, 0.5), (5, 0.5, 1.0), (5, 0.9, 0.1)])
def test_impossible_quantiles_are_refused(arguments):
    with pytest.raises(ValueError, match=f"n={arguments[0]}"):
        prior_quantiles(*arguments)


def test_the_first_dimension_grows_to_the_right_and_the_second_upwards():
    grid = latent_grid(2, torch.tensor([-1.0, 0.0, 2.0])).reshape(3, 3, 2)  # rows from the top, columns from the left
    assert grid[0, 0].tolist() == [-1, 2]  # top left
    assert grid[0, 2].tolist() == [2, 2]  # top right
    assert grid[2, 0].tolist() == [-1, -1]  # bottom left
    assert grid[2, 2].tolist() == [2, -1]  # bottom right
    assert (grid[:, 1:, 0] > grid[:, :-1, 0]).all()
    assert (grid[1:, :, 1] < grid[:-1, :, 1]).all()


@pytest.mark.parametrize(("latent_dim", "dims"), [(3, (0, 2)), (3, (2, 0)), (10, (7, 3)), (20, (0, 19))])
def test_other_dimensions_of_a_grid_are_zero(latent_dim, dims):
    values = torch.tensor([-1.5, 0.5])
    grid = latent_grid(latent_dim, values, dims)
    assert grid.shape == (4, latent_dim)
    assert grid[:, dims[0]].tolist() == [-1.5, 0.5, -1.5, 0.5]
    assert grid[:, dims[1]].tolist() == [0.5, 0.5, -1.5, -1.5]
    others = [d for d in range(latent_dim) if d not in dims]
    assert not grid[:, others].any()


@pytest.mark.parametrize(("latent_dim", "dim"), [(1, 0), (3, 2)])
def test_one_dimension_gives_a_strip_from_left_to_right(latent_dim, dim):
    values = prior_quantiles(7)
    strip = latent_grid(latent_dim, values, (dim,))
    assert strip.shape == (7, latent_dim)
    assert torch.equal(strip[:, dim], values)
    assert strip.abs().sum() == values.abs().sum()


@pytest.mark.parametrize(
    ("latent_dim", "dims"), [(1, (0, 1)), (3, (0, 3)), (3, (1, 1)), (3, ()), (3, (0, 1, 2)), (3, (-1,))]
)
def test_impossible_dimensions_are_refused(latent_dim, dims):
    with pytest.raises(ValueError, match=f"below {latent_dim}"):
        latent_grid(latent_dim, torch.zeros(2), dims)


def test_a_manifold_picture_has_its_codes_where_its_axes_say():
    """Decoders that show z₁ (then z₂) as brightness: bright must be right (then up), and agree with the tick labels."""
    values = prior_quantiles(5)
    grid = latent_grid(3, values, (2, 0))
    for place, dim in enumerate((2, 0)):
        brightness = torch.sigmoid(grid[:, dim])
        figure = plotting.manifold(brightness[:, None].expand(-1, 4), (2, 2), values, (2, 0))
        [ax] = figure.axes
        picture = ax.images[0].get_array()
        ticks = (ax.get_xticks(), ax.get_yticks())[place]
        labels = (ax.get_xticklabels(), ax.get_yticklabels())[place]
        assert len(ticks) == 5
        for tick, label in zip(ticks, labels, strict=True):
            # Nothing is between two pixels: a tick lies on the line between the two halves of its picture.
            pixel = math.floor(tick)
            row, column = (3, pixel) if place == 0 else (pixel, 3)
            assert picture[row, column] == pytest.approx(1 / (1 + math.exp(-float(label.get_text()))), abs=2e-3)
        ends = picture[5, [0, -1]] if place == 0 else picture[[-1, 0], 5]
        assert ends[1] > ends[0]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_{3}$", "$z_{1}$")
        assert ax.yaxis_inverted()  # row 0 of the picture is its top


def test_most_informative_ideal_null_and_broken():
    n = 100
    mu = torch.zeros(n, 4)
    logvar = torch.zeros(n, 4)
    mu[:, 2] = torch.linspace(-2, 2, n)
    logvar[:, 2] = -3
    mu[:, 0] = torch.linspace(-1, 1, n)
    assert most_informative(mu, logvar) == (0, 2)
    assert most_informative(mu, logvar, 1) == (2,)
    # It is nats that count: a mean that never moves, with a small variance, carries more than one that moves a little.
    logvar[:, 3] = -6
    assert most_informative(mu, logvar) == (2, 3)
    # Null: where nothing is known, it still names n different dimensions.
    assert len(set(most_informative(torch.zeros(n, 4), torch.zeros(n, 4)))) == 2


def test_most_informative_of_one_dimension():
    assert most_informative(torch.randn(5, 1), torch.randn(5, 1)) == (0,)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("model_class", [VAE, Autoencoder])
@pytest.mark.parametrize("latent_dim", [1, 3, 10])
def test_pictures_for_every_model(likelihood, model_class, latent_dim):
    model = model_class(latent_dim, (4,), 6, likelihood)
    pictures = [decode_means(model, torch.randn(5, latent_dim)), reconstruct(model, torch.rand(5, 6))]
    if model_class is VAE:  # an autoencoder has no prior to draw from
        pictures.append(prior_samples(model, 5, generator=seeded(0)))
    for picture in pictures:
        assert picture.shape == (5, 6)
        assert not picture.requires_grad
        if likelihood == "bernoulli":
            assert 0 <= picture.min() <= picture.max() <= 1


def test_reconstruction_shows_the_mean_of_the_posterior(linear_gaussian):
    lg = linear_gaussian
    expected = lg.posterior_mean(lg.x) @ lg.weight.T + lg.bias
    torch.testing.assert_close(reconstruct(lg.model, lg.x), expected)
    assert torch.equal(reconstruct(lg.model, lg.x), reconstruct(lg.model, lg.x))  # no noise


def test_prior_samples_have_the_moments_of_the_model(linear_gaussian):
    lg, n = linear_gaussian, 20_000
    samples = prior_samples(lg.model.float(), n, generator=seeded(0)).double()
    covariance = lg.weight @ lg.weight.T  # of the decoder's means; the pixel noise is not drawn
    error = math.sqrt(covariance.diag().max().item() / n)
    torch.testing.assert_close(samples.mean(0), lg.bias, rtol=0, atol=4.5 * error)
    torch.testing.assert_close(torch.cov(samples.T), covariance, rtol=0, atol=4.5 * 2 * math.sqrt(2 / n))


def test_prior_samples_come_from_the_generator_alone():
    model = VAE(2, (), 6)
    before = torch.get_rng_state()
    first, again, other = (prior_samples(model, 4, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_first_of_each_class():
    labels = torch.tensor([7, 3, 3, 7, 0, 3])
    assert first_of_each_class(labels).tolist() == [4, 1, 0]
    assert first_of_each_class(labels, 2).tolist() == [4, 1]
    # One class, or no labels at all: the first images.
    assert first_of_each_class(torch.full((5,), 9), 3).tolist() == [0, 1, 2]
    assert first_of_each_class(torch.full((5,), -1)).tolist() == [0, 1, 2, 3, 4]
