"""What the chapter on strengths and weaknesses measures, on cases whose values are known without it."""

import math
from dataclasses import replace

import pytest
import torch

from vaelib import strengths
from vaelib.data import ImageDataset
from vaelib.models import VAE
from vaelib.quadrature import Integrals, integrate
from vaelib.training import fit, heldout_elbo


def gaussian(covariance, mean=(0.3, -0.5)):
    """An `Integrals` of one Gaussian over the plane."""
    precision, mean = torch.linalg.inv(torch.tensor(covariance, dtype=torch.float64)), torch.tensor(mean)

    def log_density(z, x):
        centred = z - mean
        return -0.5 * ((centred @ precision) * centred).sum(1, keepdim=True) + 0 * x.T

    return integrate(log_density, torch.zeros(1, 1), 2)


# Axes that are turned


def test_a_round_posterior_loses_nothing_in_any_axes():
    loss = strengths.turned_divergences(gaussian([[0.04, 0], [0, 0.04]]), range(0, 90, 15))
    assert loss.shape == (1, 6)
    assert loss.abs().max() < 1e-3


def test_an_upright_posterior_loses_what_the_closed_form_says():
    a, b = 0.01, 0.09
    angles = (0, 30, 45, 60)
    loss = strengths.turned_divergences(gaussian([[a, 0], [0, b]]), angles)[0]
    for angle, value in zip(angles, loss, strict=True):
        c, s = math.cos(math.radians(angle)) ** 2, math.sin(math.radians(angle)) ** 2
        assert value.item() == pytest.approx(0.5 * math.log(a * b * (c / a + s / b) * (s / a + c / b)), abs=2e-3)
    assert loss.argmax() == 2


def test_a_slanted_posterior_is_lossless_in_its_own_axes_only():
    turn, spread = math.radians(30), torch.diag(torch.tensor([0.01, 0.09]))
    axes = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    loss = strengths.turned_divergences(gaussian((axes @ spread @ axes.T).tolist()), range(0, 90, 10))[0]
    assert sorted(loss.tolist())[0] == pytest.approx(0, abs=2e-3)
    assert sorted(loss.tolist())[1] > 0.02
    assert loss.argmin().item() in (3, 6)


def test_a_posterior_that_is_no_gaussian_costs_something_in_every_axes():
    z = torch.cartesian_prod(*[torch.arange(-4, 4, 0.05, dtype=torch.float64)] * 2)
    heaps = torch.stack([-((z - centre) ** 2).sum(1) / 0.1 for centre in (-1, 1)]).logsumexp(0)
    grid = Integrals(torch.zeros(1), torch.zeros(1), (z,), (heaps.softmax(0),))
    assert strengths.turned_divergences(grid, (0, 45)).min() > 0.1


def test_log_joint_is_that_of_the_model_and_the_encoder_s_divergence_follows():
    torch.manual_seed(0)
    model, x = VAE(2, (8,), 12), torch.rand(5, 12)
    z = torch.randn(7, 2, dtype=torch.float64)
    expected = model.log_likelihood(x, z.float()[:, None].expand(7, 5, 2)) + model.prior.log_prob(z)[:, None]
    torch.testing.assert_close(strengths.log_joint(model, z, x), expected.detach().to(strengths.log_joint(model, z, x)))
    grid = integrate(lambda z, x: strengths.log_joint(model, z, x), x, 2)
    assert strengths.encoder_divergence(model, x, grid) > 0
    # Of a decoder that ignores its code the posterior is the prior; an encoder that says so too loses nothing.
    with torch.no_grad():
        for layer in (model.encoder[-1], model.decoder[0]):
            layer.weight.zero_()
            layer.bias.zero_()
    grid = integrate(lambda z, x: strengths.log_joint(model, z, x), x, 2)
    assert strengths.encoder_divergence(model, x, grid) == pytest.approx(0, abs=1e-3)


# Pictures


def pictures(**changed):
    """Pictures by two models that both rebuild images as they are and draw others like them."""
    images = torch.rand(400, 36, generator=torch.Generator().manual_seed(0))
    test = ImageDataset(images[:100], torch.full((100,), -1), (6, 6), "noise")
    kinds = ("rebuilt", "drawn", "pixels")
    names = [f"{name}, {kind}" for name in ("VAE", "autoencoder") for kind in kinds]
    made = {name: images[100 * (i % 3) : 100 * (i % 3) + 100] for i, name in enumerate(names)}
    return made | changed, test


def test_drawn_pictures_of_the_same_kind_cannot_be_told_and_blank_ones_can():
    same = strengths.compared(*pictures())
    assert same["told_vae"] == pytest.approx(0.5, abs=0.1)
    assert same["sharp_vae"] == pytest.approx(1)
    assert strengths.compared(*pictures(**{"autoencoder, drawn": torch.zeros(100, 36)}))["told_ae"] > 0.9


def test_regained_sharpness_is_all_of_it_none_of_it_or_a_part():
    made, test = pictures()
    gray = 0.5 * made["VAE, rebuilt"]  # a quarter of the variance
    half = math.sqrt(0.625) * made["VAE, rebuilt"]
    for other, expected in ((made["VAE, rebuilt"], 1), (gray, 0), (half, 0.5)):
        made, test = pictures(**{"VAE, rebuilt": gray, "autoencoder, rebuilt": other})
        assert strengths.compared(made, test)["regained"] == pytest.approx(expected, abs=1e-4)


# Widths and numbers of images


def test_as_many_steps_for_each_number_of_images():
    for size in strengths.SIZES:
        config = strengths.one_layer(strengths.CONFIG, 16, size)
        assert config.epochs * size / config.batch_size == pytest.approx(strengths.STEPS, rel=0.05)
    assert strengths.one_layer(strengths.CONFIG, 0, 500).hidden == ()
    assert strengths.one_layer(strengths.CONFIG, 4, 10**9).epochs == 1
    assert len(set(strengths.SWEEP)) == len(strengths.SWEEP)


@pytest.fixture
def tiny(tiny_npz):
    return replace(tiny_npz, hidden=(7,), latent_dim=2, seed=3)


def test_halves_of_one_width_are_the_model_of_fit(tiny):
    halves = strengths.train_halves(tiny, 7, 7).state_dict()
    for name, weight in fit(tiny, progress=False, device="cpu").model.state_dict().items():
        assert torch.equal(halves[name], weight), name


def test_halves_have_the_widths_that_are_asked_for(tiny):
    model = strengths.train_halves(tiny, 3, 5)
    assert [model.encoder[0].out_features, model.decoder[0].out_features] == [3, 5]


def test_gaps_are_training_less_held_out(tiny, monkeypatch):
    run = fit(tiny, progress=False, device="cpu")
    found = strengths.generalization(run)
    train, test = tiny.load("train").images, tiny.load("test").images
    assert found["gap"] == pytest.approx(heldout_elbo(run.model, train).elbo - heldout_elbo(run.model, test).elbo)
    assert found["heldout"] == pytest.approx(run.heldout.elbo)
    assert strengths.elbo_gap(run.model, tiny) == pytest.approx(found["gap"])
    plain = strengths.generalization(fit(replace(tiny, model="autoencoder"), progress=False, device="cpu"))
    assert plain["gap"] == plain["at_code"]
    # Null: where the held-out images are the training images, there is no gap.
    monkeypatch.setattr(strengths, "_both", lambda config: (train, train))
    none = strengths.generalization(run)
    assert (none["gap"], none["at_code"]) == (0, 0)
