"""Each measure on an ideal case, a null and a broken control, whose values are known without it."""

import math

import numpy as np
import pytest
import torch

from vaelib.measures import active_units, column_norms, column_sums, knn_accuracy, pca_codes, posterior
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


# Principal components: the linear code to compare with


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
