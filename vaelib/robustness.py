"""Corrupted data and what models make of them: the experiments on robustness (§3.1, §4.1.4, Figure 6).

Axes: N examples, B batch, D pixels or entries.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from vaelib.bounds import elbo_terms
from vaelib.checks import check_axes
from vaelib.config import TrainConfig
from vaelib.densities import gaussian_log_likelihood, kl_to_standard_normal, reparameterise
from vaelib.models import VAE, Autoencoder, LatentModel
from vaelib.products import bfloat16_products
from vaelib.synthetic import planted_manifold
from vaelib.training import TrainedRun, adam, initial_model, learning_rates

Loss = Callable[[LatentModel, Tensor, torch.Generator], Tensor]


def normalised_error(clean: Tensor, rebuilt: Tensor) -> float:
    """‖L - L̂‖² / ‖L‖² of clean data L and rebuilt data L̂ (N, D), as in Figure 6: 0 where they agree, 1 for L̂ = 0.

    Raises ValueError for other shapes, and where L is zero.
    """
    if clean.ndim != 2 or clean.shape != rebuilt.shape:
        shapes = f"{tuple(clean.shape)} and {tuple(rebuilt.shape)}"
        raise ValueError(f"clean and rebuilt data must have one shape (N, D), not {shapes}")
    whole = clean.double().square().sum()
    if whole == 0:
        raise ValueError("the error is relative to the clean data, and these are zero everywhere")
    return ((clean.double() - rebuilt.double()).square().sum() / whole).item()


@torch.no_grad()
def error(model: LatentModel, clean: Tensor, seen: Tensor) -> float:
    """`normalised_error` of clean data (N, D), rebuilt by codes without noise from what is `seen` of them (N, D)."""
    return normalised_error(clean, model.mean_image(model.embed(seen)))


def minimise(loss: Loss, config: TrainConfig, data: Tensor) -> LatentModel:
    """Train as `fit` does on one CPU, on the mean over each batch of `loss`(model, x, generator) (B,) instead.

    data (N, D). With `elbo_loss` the weights are those of `fit`, bit for bit.
    """
    model = initial_model(config, data.shape[1])
    generator, optimiser = torch.Generator().manual_seed(config.seed), adam(config, model)
    steps = math.ceil(len(data) / config.batch_size)
    rates = iter(learning_rates(config, config.epochs * steps))
    with bfloat16_products():
        for _ in range(config.epochs):
            order = torch.randperm(len(data), generator=generator)
            for batch in order.split(config.batch_size):
                optimiser.param_groups[0]["lr"] = next(rates)
                optimiser.zero_grad()
                loss(model, data[batch], generator).mean().backward()
                optimiser.step()
    return model


# Images with noise

NOISES = ("added", "replaced")


def corrupted(images: Tensor, noise: str, share: float, *, seed: int) -> Tensor:
    """Images (N, D) with noise in a `share` of their pixels, each hit by itself with this probability.

    "added": |N(0, 1)| is added and the sum cut off at 1, after the author's script. "replaced": the pixel is drawn anew
    from U(0, 1). Raises ValueError for another noise, a share outside [0, 1] and pixels outside [0, 1].
    """
    _check_noise(noise, share)
    low, high = images.aminmax()
    _check_range(low, high)
    generator = torch.Generator().manual_seed(seed)
    hit = torch.rand(images.shape, generator=generator) < share
    if noise == "added":
        other = (images + torch.randn(images.shape, generator=generator).abs()).clamp_max(1)
    else:
        other = torch.rand(images.shape, generator=generator)
    return torch.where(hit, other, images)


def expected(images: Tensor, noise: str, share: float) -> Tensor:
    """The mean of `corrupted` over its draws, pixel by pixel: what is left of images (N, D) where noise averages out.

    E[min(x + |ε|, 1)] = x + √(2/π) (1 - exp(-c²/2)) + c erfc(c/√2) with c = 1 - x. Raises what `corrupted` raises.
    """
    _check_noise(noise, share)
    if not images.is_floating_point():
        raise ValueError(f"images must be of a floating-point type, not {images.dtype}")
    _check_range(*images.aminmax())
    if noise == "replaced":
        return torch.lerp(images, torch.full_like(images, 0.5), share)
    room = 1 - images
    rise = -math.sqrt(2 / math.pi) * torch.expm1(-room.square() / 2) + room * torch.erfc(room / math.sqrt(2))
    return images + share * rise


def _check_noise(noise: str, share: float) -> None:
    if noise not in NOISES:
        raise ValueError(f"noise must be one of {NOISES}, not {noise!r}")
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, not {share!r}")


def _check_range(low: Tensor, high: Tensor) -> None:
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images must have pixels in [0, 1], not from {low:.3g} to {high:.3g}")


# Three models of images

CONFIG = TrainConfig("MNIST", latent_dim=20, epochs=10, hidden=(128, 64), batch_size=64, limit=6000)
LATENT_SIZES = (2, 5, 10, 20, 50)
CELLS = (("added", 0.0), ("added", 0.1), ("added", 0.2), ("replaced", 0.1), ("replaced", 0.2))  # the first: no noise
MODELS = ("vae", "autoencoder", "shipped")

# The same at the largest size with four times the images, and so four times the steps.
LONGER = replace(CONFIG, latent_dim=LATENT_SIZES[-1], limit=4 * CONFIG.limit)
LONGER_CELLS = (CELLS[0], CELLS[-1])
LONGER_MODELS = MODELS[:2]


def elbo_loss(model: VAE, x: Tensor, generator: torch.Generator) -> Tensor:
    """-ELBO with one draw of z for each x (B, D): what Algorithm 1 minimizes. Returns (B,), in nats."""
    return -elbo_terms(model, x, generator=generator).elbo


def reconstruction_loss(model: Autoencoder, x: Tensor, generator: torch.Generator) -> Tensor:
    """-log p(x|z) at z = encode(x), with x (B, D). Returns (B,), in nats. It draws nothing."""
    return -model.log_likelihood(x, model.encode(x))


def shipped_loss(model: VAE, x: Tensor, generator: torch.Generator) -> Tensor:
    """What the author's script minimizes for its autoencoder: -log p(x|z) + ½‖mu‖² - K/2, with z drawn from q(z|x).

    Drawing was meant to be switched off and is not; no term speaks of the variance. x (B, D). Returns (B,), in nats.
    """
    mu, logvar = model.encode(x)
    z = reparameterise(mu, logvar, generator=generator)
    return 0.5 * (mu.square() - 1).sum(-1) - model.log_likelihood(x, z)


def train_model(name: str, config: TrainConfig, images: Tensor) -> LatentModel:
    """One of `MODELS`, trained on images (N, D) by the recipe of `config`: all differ in their loss alone."""
    if name == "autoencoder":
        return minimise(reconstruction_loss, replace(config, model="autoencoder"), images)
    return minimise({"vae": elbo_loss, "shipped": shipped_loss}[name], config, images)


def column(name: str, noise: str, share: float) -> str:
    """The name that the error of a model goes by in recorded tables."""
    return f"{name}_{noise}_{share:g}" if share else f"{name}_clean"


def clean_errors(run: TrainedRun, cells: tuple = CELLS, models: tuple[str, ...] = MODELS) -> dict[str, float]:
    """`error` on clean held-out images of each of `models`, trained on images with noise of each of `cells`.

    `run` gives the recipe, the images and the seed, of the noise as well. What is seen of a held-out image is clean.
    """
    train, test = (run.config.load(split).images for split in ("train", "test"))
    errors = {}
    for noise, share in cells:
        images = corrupted(train, noise, share, seed=run.config.seed)
        for name in models:
            errors[column(name, noise, share)] = error(train_model(name, run.config, images), test, test)
    return errors


def clean_errors_of_longer_runs(run: TrainedRun) -> dict[str, float]:
    """`clean_errors` of `LONGER_MODELS` in `LONGER_CELLS`, for runs that take longer."""
    return clean_errors(run, LONGER_CELLS, LONGER_MODELS)


# Points with outliers

TRUE_DIMS = (2, 4, 8)
OUTLIER_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
LONG_EPOCHS = 240  # four times `outlier_setting`'s own: without outliers, what is left is not for want of steps
DATA_DIM = 50
FLOOR = 0.1  # least standard deviation of an entry, without which eq. 16 has no upper bound
CONTROL = (("vae", "entry"), ("vae", "common"), ("autoencoder", "entry"), ("autoencoder", "common"))


class Points(NamedTuple):
    """Points on a manifold, `clean` (N, D), and the same with outliers among their entries, `seen` (N, D)."""

    clean: Tensor
    seen: Tensor


def points_with_outliers(n: int, *, true_dim: int, share: float, seed: int) -> Points:
    """n standardized points of `planted_manifold`, D = `DATA_DIM`, and the same with entries redrawn from N(0, 1).

    The `seed` chooses manifold, points and outliers; each entry is hit by itself with the probability `share`.
    """
    points, _ = planted_manifold(n, true_dim=true_dim, data_dim=DATA_DIM, seed=seed, manifold_seed=seed)
    clean = (points - points.mean(0)) / points.std(0)
    generator = torch.Generator().manual_seed(seed)
    hit = torch.rand(clean.shape, generator=generator) < share
    return Points(clean, torch.where(hit, torch.randn(clean.shape, generator=generator), clean))


def best_logvar(x: Tensor, mean: Tensor, variance: str) -> Tensor:
    """log σ² (B, D) at which N(mean, diag(σ²)), eq. 16, makes x (B, D) likeliest, with no σ below `FLOOR`.

    "entry": a σ for each entry of each x, σ² = (x - mean)². "common": one for the whole batch; then the likeliest mean
    is that of the least squares. No gradient passes: it is zero at the best σ. Raises ValueError for
    other shapes.
    """
    check_axes(x=(x, "B", "D"), mean=(mean, "B", "D"))
    squares = (x - mean).detach().square()
    best = squares if variance == "entry" else squares.mean().expand_as(x)
    return best.clamp_min(FLOOR**2).log()


def outlier_loss(model: LatentModel, x: Tensor, generator: torch.Generator, *, variance: str) -> Tensor:
    """-ELBO of a VAE, and of an autoencoder -log p(x|z), with the variances of `best_logvar`.

    x (B, D). Returns (B,), in nats.
    """
    if isinstance(model, VAE):
        mu, logvar = model.encode(x)
        z, kl = reparameterise(mu, logvar, generator=generator), kl_to_standard_normal(mu, logvar)
    else:
        z, kl = model.encode(x), torch.zeros(len(x))
    mean = model.mean_image(z)
    return kl - gaussian_log_likelihood(x, mean, best_logvar(x, mean, variance))


def outlier_setting(true_dim: int, share: float, *, points: int = 5000, epochs: int = 60) -> dict[str, float]:
    """What a run on outliers is recorded by, all but its "seed"."""
    return {"true_dim": true_dim, "share": share, "points": points, "epochs": epochs}


def outlier_errors(setting: Mapping[str, float], models: tuple = CONTROL) -> dict[str, float]:
    """`error` of models, of `CONTROL` all, trained on points with outliers that they are to rebuild without.

    "seen": the error of the corrupted points themselves.
    """
    seed, its = setting["seed"], {"true_dim": setting["true_dim"], "share": setting["share"]}
    points = points_with_outliers(setting["points"], seed=seed, **its)
    errors = {"seen": normalised_error(*points)}
    for model, variance in models:
        config = outlier_config(model, epochs=setting["epochs"], seed=seed)
        fitted = minimise(partial(outlier_loss, variance=variance), config, points.seen)
        errors[f"{model}_{variance}"] = error(fitted, *points)
    return errors


def outlier_config(model: str, *, epochs: int, seed: int) -> TrainConfig:
    """The recipe for points with outliers: 20 latent dimensions, more than the points have."""
    return TrainConfig(
        "points with outliers",
        latent_dim=20,
        epochs=epochs,
        seed=seed,
        hidden=(200, 100),
        likelihood="gaussian",
        batch_size=250,
        model=model,
    )
