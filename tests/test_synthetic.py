"""`vaelib.synthetic`: what is planted can be read off again, and the exact formulas are exact."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from vaelib import synthetic
from vaelib.synthetic import (
    HEEL_RANGE,
    SHAFT_RANGE,
    LinearGaussian,
    drawn_boots,
    heel_height,
    linear_gaussian,
    planted_manifold,
    shaft_height,
)


@pytest.fixture(scope="module")
def boots():
    return drawn_boots(1_000, seed=3)


def correlation(a, b):
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


def boxes(*spans):
    """A 28x28 picture, flattened, of bright boxes (top, bottom, left, right)."""
    picture = torch.zeros(28, 28)
    for top, bottom, left, right in spans:
        picture[top:bottom, left:right] = 1
    return picture.flatten()


# --- boots ----------------------------------------------------------------------------------------------------------


def test_boots_are_pictures_with_two_uniform_independent_factors(boots):
    images, factors = boots
    assert images.shape == (1_000, 784) and images.dtype == torch.float32
    assert images.min() == 0 and 0.9 < images.max() <= 1
    for column, (low, high) in zip(factors.T, (HEEL_RANGE, SHAFT_RANGE), strict=True):
        assert low <= column.min() and column.max() <= high
        # Kolmogorov-Smirnov: beyond 1.95 / sqrt(n) a uniform sample is found once in a thousand.
        uniform = (column.sort().values - low) / (high - low)
        assert (uniform - (torch.arange(1_000) + 0.5) / 1_000).abs().max() < 1.95 / math.sqrt(1_000)
    assert abs(correlation(*factors.T)) < 3.3 / math.sqrt(1_000)


def test_boots_follow_the_seed(boots):
    images, factors = drawn_boots(1_000, seed=3)
    assert torch.equal(images, boots[0]) and torch.equal(factors, boots[1])
    assert not torch.equal(drawn_boots(1_000, seed=4)[1], factors)


def test_boots_stand_on_one_floor_with_the_toe_to_the_left(boots):
    pictures = boots[0].reshape(-1, 28, 28) > 0.5
    assert pictures[:, 26].any(1).all() and not pictures[:, 27].any()
    tops = pictures.int().argmax(1)  # (N, 28) first bright row of each column
    assert (tops[:, 4] > tops[:, 20] + 4).all()  # the toe is low, the shaft stands at the back
    assert not boots[0].reshape(-1, 28, 28)[:, :, :2].any()  # no boot is cut off at the left
    assert not boots[0].reshape(-1, 28, 28)[:, :2].any()  # nor at the top


def test_factors_are_read_off_the_pictures(boots):
    images, factors = boots
    for read, truth, other in ((heel_height, *factors.T), (shaft_height, *factors.T.flip(0))):
        error = read(images) - truth
        assert correlation(read(images), truth) > 0.99
        assert error.abs().max() < 0.6  # pixels
        assert abs(correlation(read(images), other)) < 0.1
        assert abs(correlation(error, other)) < 0.2


def test_each_reading_ignores_the_other_factor():
    low, middle, high = (torch.tensor(values)[:, None, None] for values in ([1.0, 9.0], [4.3, 12.6], [8.0, 17.0]))
    heel = torch.linspace(*HEEL_RANGE, 29)[:, None, None]
    shaft = torch.linspace(*SHAFT_RANGE, 33)[:, None, None]
    for fixed in (low, middle, high):
        over_heels = synthetic._draw(heel, fixed[1].expand_as(heel)).flatten(1)
        over_shafts = synthetic._draw(fixed[0].expand_as(shaft), shaft).flatten(1)
        assert shaft_height(over_heels).std() < 0.25 and heel_height(over_heels).std() > 1.9
        assert heel_height(over_shafts).std() < 0.05 and shaft_height(over_shafts).std() > 2.2


def test_readings_of_boxes_whose_heights_are_counted():
    boot = boxes((20, 26, 2, 8), (5, 20, 2, 26), (20, 26, 20, 26))  # two supports of 6 below a body of 15
    one_sided = boxes((5, 20, 2, 26), (20, 26, 20, 26))  # nothing at the toe: no hollow
    other_side = boxes((5, 20, 2, 26), (20, 26, 2, 8))
    short_ball = boxes((20, 24, 2, 8), (5, 20, 2, 26), (20, 26, 20, 26))
    wedge = boxes((5, 26, 2, 26))
    images = torch.stack([boot, one_sided, other_side, short_ball, wedge, torch.zeros(784)])
    heels, shafts = heel_height(images), shaft_height(images)
    assert heels[:5].tolist() == pytest.approx([6, 0, 0, 4, 0], abs=1e-5)
    assert shafts[:5].tolist() == pytest.approx([15, 21, 21, 17, 21], abs=1e-5)
    assert heels[5].isnan() and shafts[5].isnan()


def test_readings_follow_neither_brightness_nor_side(boots):
    images = boots[0][:50]
    mirrored = images.reshape(-1, 28, 28).flip(2).flatten(1)
    for read in (heel_height, shaft_height):
        assert torch.allclose(read(images), read(0.3 * images), atol=1e-4)
        assert torch.allclose(read(images), read(mirrored), atol=1e-4)


def test_an_edge_is_interpolated():
    picture = boxes((20, 26, 2, 8), (5, 20, 2, 26), (20, 26, 20, 26)).reshape(28, 28)
    picture[20, 8:20] = 0.4  # the sole reaches 0.4 of a pixel further down
    assert 5.0 < heel_height(picture.flatten()[None]).item() < 6.0


# --- linear-Gaussian ------------------------------------------------------------------------------------------------


@pytest.fixture(params=[(1, 1), (2, 5), (3, 3), (5, 2)], ids=str)
def model(request):
    latent_dim, data_dim = request.param
    return linear_gaussian(latent_dim=latent_dim, data_dim=data_dim, noise=0.7, seed=2)


def test_evidence_is_the_gaussian_density(model):
    x, _ = model.sample(50, seed=1)
    covariance = model.weights @ model.weights.T + 0.7**2 * torch.eye(len(model.mean), dtype=torch.float64)
    expected = MultivariateNormal(model.mean, covariance).log_prob(3 * x)
    assert torch.allclose(model.log_evidence(3 * x), expected, rtol=1e-12, atol=1e-10)


def test_posterior_is_the_conditional_of_the_joint_gaussian(model):
    """Against p(z | x) = p(z) p(x | z) / p(x), each factor from torch.distributions, at any z."""
    x, _ = model.sample(6, seed=1)
    data_dim, latent_dim = model.weights.shape
    z = torch.randn(40, 1, latent_dim, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    identity = torch.eye(latent_dim, dtype=torch.float64)
    prior = MultivariateNormal(torch.zeros(latent_dim, dtype=torch.float64), identity).log_prob(z)
    noise = 0.7**2 * torch.eye(data_dim, dtype=torch.float64)
    likelihood = MultivariateNormal(z @ model.weights.T + model.mean, noise).log_prob(x)
    evidence = MultivariateNormal(model.mean, model.weights @ model.weights.T + noise).log_prob(x)
    mean, covariance = model.posterior(x)
    assert mean.shape == (6, latent_dim) and covariance.shape == (latent_dim, latent_dim)
    posterior = MultivariateNormal(mean, covariance).log_prob(z)
    assert torch.allclose(posterior, prior + likelihood - evidence, rtol=1e-10, atol=1e-8)


def test_samples_have_the_moments_of_the_model():
    model, n = linear_gaussian(latent_dim=2, data_dim=3, noise=0.5, seed=0), 200_000
    x, z = model.sample(n, seed=1)
    covariance = model.weights @ model.weights.T + 0.25 * torch.eye(3)
    bound = 5 * covariance.max().item() * math.sqrt(2 / n)
    assert torch.allclose(x.mean(0), model.mean, atol=bound)
    assert torch.allclose(x.T.cov(), covariance, atol=bound)
    assert torch.allclose(z.T.cov(), torch.eye(2, dtype=torch.float64), atol=bound)
    residual = x - z @ model.weights.T - model.mean
    assert residual.std().item() == pytest.approx(0.5, abs=bound)
    assert torch.equal(model.sample(10, seed=7)[0], model.sample(10, seed=7)[0])
    assert not torch.equal(model.sample(10, seed=7)[0], model.sample(10, seed=8)[0])


def test_random_weights_give_unit_variance_before_noise():
    model = linear_gaussian(latent_dim=4, data_dim=20_000, noise=0.1, seed=0)
    assert (model.weights**2).sum(1).mean().item() == pytest.approx(1, abs=0.03)


def test_precision_is_that_of_the_weights():
    model = linear_gaussian(latent_dim=2, data_dim=4, noise=0.3, seed=0, dtype=torch.float32)
    exact = linear_gaussian(latent_dim=2, data_dim=4, noise=0.3, seed=0)
    x, z = model.sample(5, seed=1)
    assert x.dtype == z.dtype == model.log_evidence(x).dtype == torch.float32
    assert torch.allclose(model.log_evidence(x).double(), exact.log_evidence(x), rtol=1e-4)


@pytest.mark.parametrize("noise", [0.0, -1.0, math.inf, math.nan])
def test_noise_must_be_a_standard_deviation(noise):
    with pytest.raises(ValueError, match="noise is"):
        linear_gaussian(latent_dim=1, data_dim=2, noise=noise, seed=0)


def test_weights_and_mean_must_fit():
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(2,\)"):
        LinearGaussian(torch.zeros(3, 2), torch.zeros(2), 1.0)


# --- planted manifolds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("true_dim", [1, 2, 3])
def test_planted_dimension_is_the_local_rank(true_dim):
    """Local PCA: a small neighbourhood fills `true_dim` directions and hardly one more."""
    points, z = planted_manifold(20_000, true_dim=true_dim, data_dim=30, seed=1)
    assert points.shape == (20_000, 30) and z.shape == (20_000, true_dim) and points.dtype == torch.float32
    inner = z.norm(dim=1).topk(100, largest=False).indices  # where points are dense, neighbourhoods are small
    shares = []
    for centre in inner:
        nearest = (points - points[centre]).norm(dim=1).topk(40, largest=False).indices
        variance = torch.linalg.svdvals(points[nearest] - points[nearest].mean(0)) ** 2
        shares.append(variance / variance.sum())
    shares = torch.stack(shares).median(0).values
    assert shares[:true_dim].sum() > 0.9
    assert shares[true_dim - 1] > 5 * shares[true_dim]


@pytest.mark.parametrize("true_dim", [1, 2, 4, 6])
@pytest.mark.parametrize("data_dim", [10, 50])
def test_planted_dimension_is_found_by_two_nearest_neighbours(true_dim, data_dim):
    """TwoNN (Facco et al. 2017): the ratio of a point's two nearest distances has exponent -true_dim."""
    points, _ = planted_manifold(4_000, true_dim=true_dim, data_dim=data_dim, seed=1)
    distances = torch.cdist(points.double(), points.double()).topk(3, largest=False).values
    ratios = (
        (distances[:, 2] / distances[:, 1]).sort().values[:-400]
    )  # the far tail is where neighbors are no longer near
    share = (torch.arange(len(ratios)) + 1.0).double() / 4_000
    dimension = -(torch.log(1 - share) @ torch.log(ratios)) / (torch.log(ratios) @ torch.log(ratios))
    assert dimension.item() == pytest.approx(true_dim, rel=0.15)


def test_manifold_is_curved_and_fills_its_range():
    points, _ = planted_manifold(5_000, true_dim=2, data_dim=30, seed=1)
    assert points.min() >= 0 and points.max() <= 1
    assert (points.std(0) > 0.2).all()
    variance = torch.linalg.svdvals(points - points.mean(0)) ** 2
    assert variance[:2].sum() < 0.97 * variance.sum()  # no plane holds it


def test_seed_draws_points_and_manifold_seed_draws_the_manifold():
    first, z = planted_manifold(100, true_dim=2, data_dim=10, seed=1)
    again, _ = planted_manifold(100, true_dim=2, data_dim=10, seed=1)
    assert torch.equal(first, again)
    other, other_z = planted_manifold(100, true_dim=2, data_dim=10, seed=2)
    assert not torch.equal(other_z, z) and not torch.equal(other, first)
    elsewhere, same_z = planted_manifold(100, true_dim=2, data_dim=10, seed=1, manifold_seed=1)
    assert torch.equal(same_z, z) and not torch.allclose(elsewhere, first, atol=0.1)


def test_two_seeds_lie_on_one_manifold():
    """Each point of one sample is close to the other sample, far closer than to a sample of another manifold."""
    first, second = (planted_manifold(3_000, true_dim=1, data_dim=10, seed=seed)[0] for seed in (1, 2))
    stranger = planted_manifold(3_000, true_dim=1, data_dim=10, seed=2, manifold_seed=5)[0]
    to_second, to_stranger = (torch.cdist(first, other).amin(1).median() for other in (second, stranger))
    assert to_second < 0.01 and to_stranger > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: drawn_boots(0, seed=1), "n is 0"),
        (lambda: drawn_boots(2.0, seed=1), "n is 2.0"),
        (lambda: planted_manifold(5, true_dim=0, data_dim=3, seed=1), "true_dim is 0"),
        (lambda: planted_manifold(5, true_dim=4, data_dim=3, seed=1), "true_dim is 4, above data_dim 3"),
        (lambda: linear_gaussian(latent_dim=0, data_dim=3, noise=1.0, seed=1), "latent_dim is 0"),
        (lambda: linear_gaussian(latent_dim=1, data_dim=3, noise=1.0, seed=1).sample(0, seed=1), "n is 0"),
    ],
)
def test_counts_must_be_counts(call, message):
    with pytest.raises(ValueError, match=message):
        call()
