"""What is measured at every latent size, on models whose evidence and codes are known without it."""

import math
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch

from vaelib import VAE, elbo, latent_sizes


def data(images, labels=None):
    labels = torch.full((len(images),), -1) if labels is None else labels
    return SimpleNamespace(images=images, labels=labels, has_labels=bool((labels >= 0).all()))


def run_of(model, train, test):
    config = SimpleNamespace(load={"train": train, "test": test}.get, latent_dim=model.latent_dim, seed=1)
    heldout = SimpleNamespace(kl=2.0, log_likelihood=-5.0, elbo=-7.0)
    return SimpleNamespace(model=model, config=config, heldout=heldout)


def widened(model, factor):
    """The model with the variances of its q times a factor."""
    with torch.no_grad():
        model.encoder[0].bias[model.latent_dim :] += math.log(factor)
    return model


@pytest.mark.control("log_evidence", "ideal")
def test_evidence_of_an_exact_posterior_is_the_textbooks_whatever_the_draws(linear_gaussian):
    known, model = linear_gaussian, linear_gaussian.model
    log_p, moved = latent_sizes.log_evidence(model, known.x, torch.Generator().manual_seed(0))
    assert log_p == pytest.approx(known.log_evidence(known.x).mean().item(), abs=1e-9)
    assert moved == pytest.approx(0, abs=1e-9)


@pytest.mark.control("log_evidence", "null")
def test_a_q_that_knows_nothing_leaves_most_of_the_evidence_unfound(linear_gaussian):
    """Draws of the prior for every image: 500 of them come nearer to log p(x) than the bound, by more than a nat."""
    known, model = linear_gaussian, deepcopy(linear_gaussian.model)
    with torch.no_grad():
        model.encoder[0].weight.zero_()
        model.encoder[0].bias.zero_()
    found, moved = latent_sizes.log_evidence(model, known.x, torch.Generator().manual_seed(0))
    bound = elbo(model, known.x, n_samples=2000, generator=torch.Generator().manual_seed(1)).elbo.mean().item()
    assert bound + 1 < found <= known.log_evidence(known.x).mean().item() + 0.1
    assert moved > 0


@pytest.mark.control("log_evidence", "broken")
def test_a_wide_q_loosens_the_bound_by_its_divergence_and_leaves_the_evidence(linear_gaussian):
    known, factor = linear_gaussian, 2.0
    run = run_of(widened(known.model, factor), data(known.x), data(known.x))
    found = latent_sizes.at_size(run)
    divergence = 0.5 * run.model.latent_dim * (factor - 1 - math.log(factor))
    assert found["log_p"] == pytest.approx(known.log_evidence(known.x).mean().item(), abs=0.02)
    assert found["loose"] == pytest.approx(divergence, abs=0.1)
    assert 0 < found["moved"] < 0.02
    assert (found["rate"], found["distortion"], found["elbo"]) == (2, 5, -7)


def test_active_units_are_those_that_the_model_encodes_in(linear_gaussian):
    model, x = linear_gaussian.model, linear_gaussian.x
    assert latent_sizes.at_size(run_of(model, data(x), data(x)))["active"] == 2
    with torch.no_grad():
        model.encoder[0].weight[0] = 0  # the first mean is the same for every image
    assert latent_sizes.at_size(run_of(model, data(x), data(x)))["active"] == 1


def test_votes_of_separate_classes_of_chance_and_of_none():
    torch.manual_seed(0)
    images = torch.cat([torch.rand(100, 6) * 0.1, 0.9 + torch.rand(100, 6) * 0.1])
    labels = torch.arange(200) // 100
    model = VAE(2, (), 6)
    with torch.no_grad():
        model.encoder[0].weight[:2] = 1.0
    apart = latent_sizes.at_size(run_of(model, data(images, labels), data(images, labels)))
    assert (apart["knn"], apart["pca"]) == (1, 1)
    shuffled = labels[torch.randperm(200)]
    chance = latent_sizes.at_size(run_of(model, data(images, shuffled), data(images, labels)))
    assert 0.3 < chance["knn"] < 0.7
    nothing = latent_sizes.at_size(run_of(model, data(images), data(images)))
    assert math.isnan(nothing["knn"]) and math.isnan(nothing["pca"])
    assert tuple(nothing) == latent_sizes.MEASURES
