"""The corruption is what it is called, training follows its loss, and the error knows perfect, blank and wrong data."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from vaelib import results, robustness
from vaelib.config import TrainConfig
from vaelib.evidence import PARTS
from vaelib.models import VAE, Autoencoder
from vaelib.robustness import (
    CELLS,
    CONTROL,
    FLOOR,
    NOISES,
    best_logvar,
    corrupted,
    elbo_loss,
    error,
    expected,
    minimise,
    normalised_error,
    outlier_loss,
    points_with_outliers,
    reconstruction_loss,
    shipped_loss,
)
from vaelib.training import TrainedRun, fit, heldout_elbo, initial_model


@pytest.fixture
def images():
    return torch.rand(400, 30, generator=torch.Generator().manual_seed(0))


# The error


@pytest.mark.control("normalised_error", "ideal", "null", "broken")
def test_error_is_zero_for_the_data_one_for_blanks_and_that_of_numpy_for_others(images):
    other = images.flip(0)
    ratio = np.linalg.norm(images.numpy() - other.numpy()) ** 2 / np.linalg.norm(images.numpy()) ** 2
    assert normalised_error(images, images) == 0
    assert normalised_error(images, 0 * images) == 1
    assert normalised_error(images, other) == pytest.approx(ratio, rel=1e-5)
    assert normalised_error(3 * images, 3 * other) == pytest.approx(ratio, rel=1e-5)  # in no unit
    assert normalised_error(images, -images) == pytest.approx(4)  # broken: worse than blank


def test_error_refuses_other_shapes_and_blank_data(images):
    with pytest.raises(ValueError, match=r"one shape \(N, D\), not \(400, 30\) and \(30,\)"):
        normalised_error(images, images[0])
    with pytest.raises(ValueError, match="zero everywhere"):
        normalised_error(0 * images, images)


def test_a_model_is_judged_by_what_it_makes_of_what_it_sees(images):
    model = VAE(2, (), 30, "gaussian")
    mean = model.mean_image(model.encode(images)[0]).detach()
    assert error(model, mean, images) == 0
    assert error(model, images, images) == pytest.approx(normalised_error(images, mean))


# Noise in images


@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_decided_by_its_seed(images, noise):
    torch.manual_seed(0)
    first = corrupted(images, noise, 0.3, seed=1)
    torch.manual_seed(1)
    assert torch.equal(first, corrupted(images, noise, 0.3, seed=1))
    assert not torch.equal(first, corrupted(images, noise, 0.3, seed=2))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("share", [0, 0.1, 0.4, 1])
def test_noise_hits_its_share_of_the_pixels_and_stays_in_bounds(images, noise, share):
    before = images.clone()
    noisy = corrupted(images, noise, share, seed=3)
    assert torch.equal(images, before)
    assert noisy.dtype == torch.float32
    assert 0 <= noisy.min() <= noisy.max() <= 1
    hit = (noisy != images).double().mean().item()
    assert hit == pytest.approx(share, abs=4 * math.sqrt(0.25 / images.numel()) if 0 < share < 1 else 1e-9)
    if noise == "added":
        assert (noisy >= images).all()


def test_about_a_third_of_the_black_pixels_that_are_hit_are_cut_off():
    """P(|N(0, 1)| > 1) = 0.317: erratum 30."""
    noisy = corrupted(torch.zeros(300, 300), "added", 1.0, seed=1)
    assert (noisy == 1).double().mean().item() == pytest.approx(math.erfc(1 / math.sqrt(2)), abs=0.006)


@pytest.mark.parametrize("noise", NOISES)
def test_the_expected_image_is_the_mean_of_many_draws(noise):
    images = torch.tensor([[0.0, 0.2, 0.7, 1.0]])
    draws = torch.stack([corrupted(images.expand(500, 4), noise, 0.4, seed=seed) for seed in range(80)]).flatten(0, 1)
    torch.testing.assert_close(expected(images, noise, 0.4)[0], draws.mean(0), atol=5 * 0.5 / 200, rtol=0)
    assert torch.equal(expected(images, noise, 0.0), images)


@pytest.mark.parametrize(
    ("noise", "share", "pixels", "message"),
    [
        ("salt", 0.1, 1.0, r"noise must be one of \('added', 'replaced'\), not 'salt'"),
        ("added", 1.5, 1.0, "share must be from 0 to 1, not 1.5"),
        ("added", math.nan, 1.0, "share must be from 0 to 1, not nan"),
        ("replaced", 0.1, 255.0, r"pixels in \[0, 1\], not from 0 to 255"),
        ("replaced", 0.1, math.nan, r"pixels in \[0, 1\]"),
    ],
)
def test_noise_of_no_sense_is_refused(noise, share, pixels, message):
    with pytest.raises(ValueError, match=message):
        corrupted(torch.tensor([[0.0, pixels]]), noise, share, seed=1)


# Training


@pytest.mark.parametrize(("model", "loss"), [("vae", elbo_loss), ("autoencoder", reconstruction_loss)])
def test_on_the_loss_of_fit_the_weights_are_those_of_fit(tiny_npz, model, loss):
    config = replace(tiny_npz, model=model, epochs=2)
    ours = minimise(loss, config, config.load("train").images).state_dict()
    for name, weight in fit(config, progress=False, device="cpu").model.state_dict().items():
        assert torch.equal(ours[name], weight), name


def test_a_linear_autoencoder_finds_the_plane_of_principal_components():
    """Under the sum of squares no linear map of rank 2 does better, and a trained one comes near."""
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(1000, 2, generator=generator) @ torch.randn(2, 10, generator=generator)
    data = data + 0.3 * torch.randn(1000, 10, generator=generator)
    data = data - data.mean(0)
    config = TrainConfig("linear", 2, 40, hidden=(), likelihood="gaussian", model="autoencoder", batch_size=100)
    fitted = minimise(partial(outlier_loss, variance="common"), config, data)
    pca = PCA(2).fit(data.numpy())
    best = normalised_error(data, torch.tensor(pca.inverse_transform(pca.transform(data.numpy())), dtype=data.dtype))
    assert best < error(fitted, data, data) < 1.05 * best
    assert error(initial_model(config, 10), data, data) > 10 * best


def slope(loss, model, x, weight, step=1e-5):
    """Finite differences of the mean loss along one weight, each with the same draws."""
    values = []
    for shift in (step, -step):
        with torch.no_grad():
            weight[0, 0] += shift
            values.append(loss(model, x, torch.Generator().manual_seed(1)).mean().item())
            weight[0, 0] -= shift
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize(
    ("kind", "likelihood", "loss"),
    [
        (VAE, "bernoulli", shipped_loss),
        (VAE, "gaussian", partial(outlier_loss, variance="entry")),
        (VAE, "gaussian", partial(outlier_loss, variance="common")),
        (Autoencoder, "gaussian", partial(outlier_loss, variance="entry")),
        (Autoencoder, "gaussian", partial(outlier_loss, variance="common")),
    ],
)
def test_gradients_are_the_slopes_of_the_losses(kind, likelihood, loss):
    """Also through the best variances, which no gradient passes."""
    torch.manual_seed(0)
    model, x = kind(2, (6,), 8, likelihood).double(), torch.rand(5, 8).double()
    loss(model, x, torch.Generator().manual_seed(1)).mean().backward()
    for layer in (model.encoder[0], model.encoder[-1], model.decoder[0], model.decoder[-1]):
        assert layer.weight.grad[0, 0].item() == pytest.approx(slope(loss, model, x, layer.weight), rel=1e-4, abs=1e-7)


def test_the_shipped_loss_is_the_negative_elbo_but_for_what_the_variance_costs(images):
    torch.manual_seed(0)
    model = VAE(3, (8,), 30)
    shipped, bound = (loss(model, images, torch.Generator().manual_seed(1)) for loss in (shipped_loss, elbo_loss))
    logvar = model.encode(images)[1]
    torch.testing.assert_close(bound - shipped, 0.5 * (logvar.exp() - logvar).sum(1), atol=1e-4, rtol=1e-5)


def test_no_penalty_lets_the_shipped_model_s_variance_go_and_its_codes_are_drawn(tiny_npz):
    config = replace(tiny_npz, epochs=100)
    data = config.load("train").images
    deviations = []
    for loss in (elbo_loss, shipped_loss):
        model = minimise(loss, config, data)
        deviations.append((0.5 * model.encode(data)[1]).exp().mean().item())
    assert deviations[1] < 0.5 * deviations[0]
    draws = [shipped_loss(model, data[:5], torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    assert not torch.equal(*draws)


# The best variances


def test_best_variances_are_those_of_a_fine_search():
    x, mean = torch.tensor([[0.5, -1.0, 3.0], [0.2, 0.0, 1.0]]), torch.zeros(2, 3)
    grid = torch.logspace(2 * math.log10(FLOOR), 2, 20001).double()
    cost = 0.5 * (grid.log() + x.double().square()[..., None] / grid)
    by_entry = grid[cost.argmin(-1)].log()
    torch.testing.assert_close(best_logvar(x, mean, "entry").double(), by_entry, atol=2e-3, rtol=0)
    in_common = grid[cost.sum((0, 1)).argmin()].log()
    torch.testing.assert_close(best_logvar(x, mean, "common").double(), in_common.expand(2, 3), atol=2e-3, rtol=0)
    assert best_logvar(x, x, "entry").exp().tolist()[0] == pytest.approx([FLOOR**2] * 3)


# Outliers


def test_outliers_hit_their_share_of_the_entries_and_are_drawn_from_a_standard_normal():
    clean, seen = points_with_outliers(2000, true_dim=3, share=0.3, seed=1)
    hit = seen != clean
    assert hit.double().mean().item() == pytest.approx(0.3, abs=0.01)
    assert seen[hit].mean().item() == pytest.approx(0, abs=0.03)
    assert seen[hit].std().item() == pytest.approx(1, abs=0.03)
    # Independent of what was there: E(l - s)² = 2 E l² for standardized l, in a share of the entries.
    assert normalised_error(clean, seen) == pytest.approx(0.6, abs=0.03)
    torch.testing.assert_close(clean.mean(0), torch.zeros(50), atol=1e-5, rtol=0)
    torch.testing.assert_close(clean.std(0), torch.ones(50), atol=1e-5, rtol=0)


def test_points_are_decided_by_their_seed_and_without_a_share_they_are_clean():
    first, again, other = (points_with_outliers(100, true_dim=2, share=0.2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.seen, again.seen)
    assert not torch.equal(first.clean, other.clean)
    clean, seen = points_with_outliers(100, true_dim=2, share=0.0, seed=1)
    assert torch.equal(clean, seen)
    assert torch.equal(clean, first.clean)  # the share changes the outliers alone


def test_errors_on_outliers_by_name_where_one_planted_model_is_perfect(monkeypatch):
    """A model that is given the clean points scores 0, one that copies what it sees the error of the data."""

    class Made(torch.nn.Module):
        def embed(self, x):
            return x

        def mean_image(self, z):
            return self.clean if self.perfect else z

    def planted(loss, config, data):
        model = Made()
        model.perfect, model.clean = loss.keywords["variance"] == "entry", points.clean
        assert torch.equal(data, points.seen)
        return model

    points = points_with_outliers(50, true_dim=2, share=0.2, seed=4)
    monkeypatch.setattr(robustness, "minimise", planted)
    found = robustness.outlier_errors(robustness.outlier_setting(2, 0.2, points=50, epochs=1) | {"seed": 4})
    assert list(found) == ["seen", *(f"{model}_{variance}" for model, variance in CONTROL)]
    assert found["vae_entry"] == found["autoencoder_entry"] == 0
    assert found["vae_common"] == found["autoencoder_common"] == found["seen"] > 0.2


def test_a_variance_for_each_entry_ignores_what_the_sum_of_squares_cannot():
    """The location of one number among outliers: nearly the median, and the mean."""
    data = torch.full((100, 1), 2.0)
    data[:30] = 12.0
    found = {}
    for variance in ("entry", "common"):
        mean = torch.zeros(1, requires_grad=True)
        optimiser = torch.optim.Adam([mean], 0.05)
        for _ in range(1000):
            logvar = best_logvar(data, mean.expand_as(data), variance)
            cost = -robustness.gaussian_log_likelihood(data, mean.expand_as(data), logvar).mean()
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
        found[variance] = mean.item()
    assert found["entry"] == pytest.approx(2, abs=0.1)
    assert found["common"] == pytest.approx(5, abs=0.1)


# What is recorded


def test_errors_on_images_are_those_of_each_model_on_each_noise(tiny_npz, monkeypatch):
    config = replace(tiny_npz, epochs=1)
    run = TrainedRun(None, config, (), None, "", "nowhere")
    train, test = config.load("train").images, config.load("test").images
    seen = []

    def noted(loss, config, data):
        seen.append((loss.__name__, config.model, data))
        return initial_model(config, data.shape[1])

    monkeypatch.setattr(robustness, "minimise", noted)
    found = robustness.clean_errors(run)
    assert len(found) == len(seen) == 3 * len(CELLS)
    assert {"vae_clean", "shipped_added_0.1", "autoencoder_replaced_0.2"} < set(found)
    assert [(name, kind) for name, kind, _ in seen[:3]] == [
        ("elbo_loss", "vae"),
        ("reconstruction_loss", "autoencoder"),
        ("shipped_loss", "vae"),
    ]
    assert torch.equal(seen[0][2], train)
    assert torch.equal(seen[-1][2], corrupted(train, "replaced", 0.2, seed=config.seed))
    assert found["vae_clean"] == pytest.approx(error(initial_model(config, train.shape[1]), test, test))


def test_the_vae_among_them_is_the_run_itself(tiny_npz):
    """Without noise it is the model of `fit`, so the rows of a table are about the run that their config names."""
    run = fit(replace(tiny_npz, epochs=2), progress=False, device="cpu")
    test = run.config.load("test").images
    found = robustness.clean_errors(run, CELLS[:1], ("vae",))
    assert found == {"vae_clean": error(run.model, test, test)}
    assert math.isfinite(heldout_elbo(run.model, test).elbo)


def test_the_digest_of_a_table_covers_its_losses_and_sizes():
    found = results._called(PARTS["robustness_images"].measure, {})
    for name in ("shipped_loss", "elbo_loss", "reconstruction_loss", "corrupted", "error", "CELLS", "MODELS"):
        assert f"vaelib.robustness.{name}" in found
    found = results._called(PARTS["robustness_outliers"].measure, {})
    for name in ("outlier_loss", "best_logvar", "points_with_outliers", "outlier_config", "FLOOR", "CONTROL"):
        assert f"vaelib.robustness.{name}" in found
