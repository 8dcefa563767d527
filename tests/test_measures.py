"""Each measure on an ideal case, a null and a broken control, whose values are known without it."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, laplace
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import NearestNeighbors

from vaelib.densities import bernoulli_log_likelihood
from vaelib.measures import (
    active_units,
    binary_entropy,
    column_norms,
    column_sums,
    confusion_table,
    confusions,
    correlations,
    halfway,
    knn_accuracy,
    laplacian_variance,
    left_out_accuracy,
    mean_image_log_likelihood,
    nearest_distance,
    neighbour_votes,
    pca_codes,
    posterior,
    relative_sharpness,
)
from vaelib.models import VAE


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


# Posterior


def test_posterior_in_batches_is_the_encoder_at_once(rng):
    model, images = VAE(3, (4,), 5), torch.rand(5003, 5, generator=rng)
    mu, logvar = posterior(model, images)
    expected_mu, expected_logvar = model.encode(images)
    torch.testing.assert_close(mu, expected_mu.detach())
    torch.testing.assert_close(logvar, expected_logvar.detach())
    assert not mu.requires_grad


def test_posterior_of_the_linear_gaussian_model_is_the_true_one(linear_gaussian):
    mu, logvar = posterior(linear_gaussian.model, linear_gaussian.x)
    torch.testing.assert_close(mu, linear_gaussian.posterior_mean(linear_gaussian.x))
    torch.testing.assert_close(logvar.exp(), linear_gaussian.posterior_variance.expand_as(logvar))


# Active units: Var(mu) > 0.01


@pytest.mark.control("active_units", "ideal", "null", "broken")
def test_active_units_ideal_null_and_broken(rng):
    noise = torch.randn(2000, 6, generator=rng)
    noise = (noise - noise.mean(0)) / noise.std(0, correction=0)  # unit variance, exactly
    assert active_units(noise) == 6
    assert active_units(torch.zeros(2000, 6)) == 0
    # Large means that never move carry nothing: a count of large |mu| would say 6.
    assert active_units(torch.full((2000, 6), 5.0)) == 0
    # The threshold is on the variance: σ = 0.09 is below it, σ = 0.11 above.
    assert active_units(noise * torch.tensor([1, 0.5, 0.11, 0.09, 0.01, 0.0])) == 3
    assert active_units(noise * torch.tensor([1, 0.5, 0.11, 0.09, 0.01, 0.0]), threshold=0.2) == 2
    # A rotation of two active dimensions into a dead third spreads them: the count belongs to axes.
    assert active_units(noise[:, :2] @ torch.tensor([[1.0, 0, 0], [0, 0.6, 0.8]])) == 3


# The decoder's columns (Figure 8)


@pytest.mark.control("column_sums", "ideal", "null", "broken")
@pytest.mark.control("column_norms", "ideal", "null")
def test_column_measures_ideal_null_and_cancelling():
    weight = torch.tensor([[3.0, 0, 1], [4, 0, -1], [0, 0, 2], [0, 0, -2]], requires_grad=True)
    sums, norms = column_sums(weight), column_norms(weight)
    assert sums.tolist() == [7, 0, 0]  # the third column cancels though it is used
    assert norms.tolist() == pytest.approx([5, 0, math.sqrt(10)])
    assert not sums.requires_grad
    assert not norms.requires_grad


def test_column_measures_agree_with_numpy_and_have_one_entry_per_latent_dimension(rng):
    weight = torch.randn(7, 3, generator=rng)
    expected = weight.double().numpy()
    assert column_sums(weight).tolist() == pytest.approx(np.abs(expected.sum(axis=0)), abs=1e-5)
    assert column_norms(weight).tolist() == pytest.approx(np.sqrt((expected**2).sum(axis=0)), rel=1e-5)
    assert column_sums(-weight).tolist() == column_sums(weight).tolist()


@pytest.mark.control("column_norms", "broken")
def test_column_measures_of_a_model_whose_second_dimension_is_cut():
    model = VAE(3, (6,), 5)
    with torch.no_grad():
        model.latent_weight[:, 1] = 0
    for measure in (column_sums, column_norms):
        assert (measure(model.latent_weight) == 0).tolist() == [False, True, False]


# k-NN accuracy


def by_brute_force(z, labels, z_test, labels_test, k):
    hits = 0
    for point, label in zip(z_test, labels_test, strict=True):
        nearest = sorted(range(len(z)), key=lambda i: ((z[i] - point) ** 2).sum().item())[:k]
        votes = [labels[i].item() for i in nearest]
        hits += max(sorted(set(votes)), key=votes.count) == label.item()  # ties go to the smaller label
    return hits / len(z_test)


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_knn_accuracy_is_that_of_brute_force(rng, latent_dim, k):
    z, z_test = torch.randn(60, latent_dim, generator=rng), torch.randn(40, latent_dim, generator=rng)
    labels, labels_test = (z[:, 0] > 0).long() + (z[:, 0] > 1), (z_test[:, 0] > 0).long() + (z_test[:, 0] > 1)
    expected = by_brute_force(z, labels, z_test, labels_test, k)
    assert knn_accuracy(z, labels, z_test, labels_test, k=k) == pytest.approx(expected)
    assert expected > 0.4  # chance is about a third


@pytest.mark.control("knn_accuracy", "ideal", "null", "broken")
def test_knn_accuracy_ideal_null_and_broken(rng):
    labels = torch.arange(400) % 4
    corners = 10 * torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    z = corners[labels] + torch.randn(400, 2, generator=rng)
    train, test = slice(0, 200), slice(200, 400)
    assert knn_accuracy(z[train], labels[train], z[test], labels[test]) == 1
    # Null: codes that know nothing of the labels are right one time in four, give or take 4.5 standard errors.
    noise = torch.randn(400, 2, generator=rng)
    chance = knn_accuracy(noise[train], labels[train], noise[test], labels[test])
    assert chance == pytest.approx(0.25, abs=4.5 * math.sqrt(0.25 * 0.75 / 200))
    # Broken: test labels that belong to the next class.
    assert knn_accuracy(z[train], labels[train], z[test], (labels[test] + 1) % 4) == 0


def test_knn_accuracy_with_fewer_codes_than_neighbours():
    z, labels = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([1, 1, 0])
    assert knn_accuracy(z, labels, z, labels, k=10) == pytest.approx(2 / 3)  # all three vote: always class 1


@pytest.mark.control("left_out_accuracy", "ideal", "null", "broken")
def test_left_out_accuracy_ideal_null_and_broken(rng):
    labels = torch.arange(400) % 4
    corners = 10 * torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    z = corners[labels] + torch.randn(400, 2, generator=rng)
    assert left_out_accuracy(z, labels) == 1
    # Null: a code's own label has no vote, so that codes at random are right one time in four and not more often.
    noise = torch.randn(400, 2, generator=rng)
    assert left_out_accuracy(noise, labels) == pytest.approx(0.25, abs=4.5 * math.sqrt(0.25 * 0.75 / 400))
    # Broken: each code beside one of another class, and both far from all others.
    pairs = torch.arange(8.0).repeat_interleave(2)[:, None] * 100 + torch.arange(16)[:, None] % 2
    assert left_out_accuracy(pairs, torch.arange(16) % 2, k=1) == 0
    assert math.isnan(left_out_accuracy(z[:1], labels[:1]))


# Principal components: the linear code to compare with


@pytest.mark.control("pca_codes", "ideal", "null", "broken")
def test_pca_codes_ideal_null_and_broken(rng):
    """Data on a plane in 6 dimensions: two components hold all of it, one does not, and noise is held by no two."""
    basis = torch.linalg.qr(torch.randn(6, 2, generator=rng)).Q
    plane = 3 + torch.randn(300, 2, generator=rng) * torch.tensor([5.0, 1.0]) @ basis.T
    noise = torch.randn(300, 6, generator=rng)

    def kept(data, n_components):
        train, test = pca_codes(data[:200], data[200:], n_components=n_components)
        assert train.shape == (200, n_components)
        assert test.shape == (100, n_components)
        centred = data[200:] - data[:200].mean(0)
        return (test.square().sum() / centred.square().sum()).item()

    assert kept(plane, 2) == pytest.approx(1, abs=1e-4)
    assert kept(plane, 1) < 0.99
    assert kept(noise, 2) < 0.6


def test_pca_codes_are_projections_on_singular_vectors_of_the_first_split(rng):
    train, test = torch.randn(50, 4, generator=rng) * torch.tensor([4.0, 3, 2, 1]), torch.randn(20, 4, generator=rng)
    centre = train.mean(0)
    directions = torch.linalg.svd(train - centre, full_matrices=False).Vh[:2]
    for codes, images in zip(pca_codes(train, test, n_components=2), (train, test), strict=True):
        expected = (images - centre) @ directions.T
        torch.testing.assert_close(codes.abs(), expected.abs(), rtol=1e-3, atol=1e-4)  # a direction has no sign


def test_pca_codes_cannot_have_more_components_than_there_are(rng):
    train, test = pca_codes(torch.randn(3, 5, generator=rng), torch.randn(7, 5, generator=rng), n_components=10)
    assert train.shape == (3, 3)
    assert test.shape == (7, 3)


# Neighbors' votes, and what is confused


def test_neighbour_votes_are_those_of_brute_force(rng):
    reference, queries = torch.randn(60, 3, generator=rng), torch.randn(20, 3, generator=rng)
    labels = torch.randint(2, 6, (60,), generator=rng)
    votes = neighbour_votes(reference, labels, queries, k=7)
    nearest = labels[torch.cdist(queries, reference).topk(7, largest=False).indices]
    counts = torch.stack([(nearest == label).sum(1) for label in range(6)], dim=1)
    torch.testing.assert_close(votes.share, counts.amax(1).double() / 7)
    assert all(counts[i, label] == counts[i].max() for i, label in enumerate(votes.label))


def test_confusions_are_those_of_scikit_learn(rng):
    labels = torch.randint(3, 8, (500,), generator=rng)
    voted = torch.where(torch.rand(500, generator=rng) < 0.3, torch.randint(3, 8, (500,), generator=rng), labels)
    voted[labels == 4] = 7
    classes, table = confusion_table(labels, voted)
    assert classes.tolist() == [3, 4, 5, 6, 7]
    expected = confusion_matrix(labels, voted, normalize="true")
    np.testing.assert_allclose(table, expected)
    found = confusions(labels, voted)
    assert found.surest == 3 + expected.diagonal().argmax()
    assert (found.pair, found.share) == ((4, 7), 1.0)


def test_nothing_is_confused_where_all_votes_are_right():
    labels = torch.tensor([0, 1, 1, 2])
    assert confusions(labels, labels).share == 0
    assert confusions(torch.tensor([5, 5]), torch.tensor([5, 5])) == (5, (5, 5), 0)


# Pictures against the data


def test_nearest_distance(rng):
    pictures, images = torch.rand(30, 4, generator=rng), torch.rand(50, 4, generator=rng)
    expected = NearestNeighbors(n_neighbors=1).fit(images).kneighbors(pictures)[0].mean()
    assert nearest_distance(pictures, images) == pytest.approx(expected, rel=1e-5)
    assert nearest_distance(images[:7], images) == pytest.approx(0, abs=1e-3)


@pytest.mark.control("nearest_distance", "ideal", "null", "broken")
def test_nearest_distance_ideal_null_and_broken():
    corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    assert nearest_distance(corners.flip(0), corners) == pytest.approx(0, abs=1e-6)
    assert nearest_distance(corners.mean(0, keepdim=True), corners) == pytest.approx(math.sqrt(0.5))  # the mean image
    # Broken: one of two pictures far away. A median, or the distance of the nearest picture, would not notice.
    assert nearest_distance(torch.tensor([[0.0, 0], [1, 5]]), corners) == pytest.approx(2)


class Circle:
    """Images on a circle, whose code is their angle; pictures of codes within a gap of the data lie at `radius`."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def embed(self, x):
        return torch.atan2(x[:, 1:], x[:, :1])

    def mean_image(self, z):
        radius = torch.where((z > 0.5) & (z < 2.5), self.radius, 1.0)
        return radius * torch.cat([z.cos(), z.sin()], dim=1)


def on_circle(angles):
    return torch.stack([angles.cos(), angles.sin()], dim=1)


@pytest.mark.control("halfway", "ideal", "null", "broken")
def test_halfway_ideal_null_and_broken(linear_gaussian):
    everywhere = on_circle(torch.linspace(0, 3, 2000))
    ends = on_circle(torch.cat([torch.linspace(0, 0.5, 20), torch.linspace(2.5, 3, 20)]))
    assert halfway(Circle(1.0), ends, everywhere) < 0.01
    assert halfway(Circle(3.0), ends, everywhere) > 2
    fade = halfway(linear_gaussian.model, linear_gaussian.x[:100], linear_gaussian.x[100:])
    assert fade == pytest.approx(1, abs=1e-9)
    assert math.isnan(halfway(linear_gaussian.model, linear_gaussian.x[:1], linear_gaussian.x))


# Sharpness


def test_laplacian_variance_is_that_of_scipy(rng):
    images = torch.rand(3, 35, generator=rng)
    inside = [laplace(image.reshape(5, 7).numpy())[1:-1, 1:-1] for image in images]
    torch.testing.assert_close(laplacian_variance(images, (5, 7)), torch.tensor(np.var(inside, axis=(1, 2))))


@pytest.mark.control("relative_sharpness", "ideal", "null", "broken")
def test_relative_sharpness_ideal_null_and_broken(rng):
    images = torch.rand(10, 64, generator=rng)
    soft = torch.from_numpy(gaussian_filter(images.reshape(10, 8, 8).numpy(), (0, 1, 1))).reshape(10, 64)
    assert relative_sharpness(images, images, (8, 8)) == 1
    assert 0 < relative_sharpness(soft, images, (8, 8)) < 0.1
    assert relative_sharpness(torch.full((10, 64), 0.5), images, (8, 8)) == pytest.approx(0, abs=1e-6)
    assert relative_sharpness(images, torch.zeros(10, 64), (8, 8)) == math.inf
    assert math.isnan(relative_sharpness(torch.zeros(10, 64), torch.zeros(10, 64), (8, 8)))
    assert math.isnan(relative_sharpness(images, images, (1, 64)))


# What gray pixels cost


@pytest.mark.control("binary_entropy", "ideal", "null", "broken")
def test_binary_entropy_is_the_least_that_pixels_cost(rng):
    x = torch.rand(20, 6, generator=rng).double()
    torch.testing.assert_close(binary_entropy(x), -bernoulli_log_likelihood(x, x.logit()))
    assert (binary_entropy(x) < -bernoulli_log_likelihood(x, x.logit() + 0.1)).all()
    assert binary_entropy(torch.tensor([[0.0, 1.0]])).item() == 0
    assert binary_entropy(torch.full((1, 3), 0.5)).item() == pytest.approx(3 * math.log(2))


@pytest.mark.control("mean_image_log_likelihood", "ideal", "null", "broken")
def test_mean_image_log_likelihood_ideal_null_and_broken(rng):
    image = torch.rand(1, 6, generator=rng)
    alike = image.expand(10, 6)
    assert mean_image_log_likelihood(alike, alike) == pytest.approx(-binary_entropy(image).item(), rel=1e-4)
    coins = (torch.rand(4000, 6, generator=rng) < 0.5).float()
    assert mean_image_log_likelihood(coins, coins) == pytest.approx(-6 * math.log(2), rel=1e-2)
    black, white = torch.zeros(5, 6), torch.ones(5, 6)
    assert mean_image_log_likelihood(black, black) == pytest.approx(0, abs=1e-4)
    assert mean_image_log_likelihood(black, white) == pytest.approx(6 * math.log(1e-6), rel=1e-2)


# Pairs of columns


@pytest.mark.control("correlations", "ideal", "null", "broken")
def test_correlations_ideal_null_and_broken(rng):
    a = torch.randn(4000, 2, generator=rng)
    b = torch.stack([3 * a[:, 0] - 1, -a[:, 1], torch.randn(4000, generator=rng), torch.ones(4000)], 1)
    found = correlations(a, b)
    np.testing.assert_allclose(found[:, :3], np.corrcoef(a.numpy().T, b[:, :3].numpy().T)[:2, 2:], atol=1e-6)
    assert found[0, 0].item() == pytest.approx(1)
    assert found[1, 1].item() == pytest.approx(-1)
    assert found[:, 2].abs().max() < 4.5 / math.sqrt(4000)
    assert found[:, 3].isnan().all()
