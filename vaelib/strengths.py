"""The experiments on the strengths and weaknesses of VAEs (§3): networks small enough to be trained many times.

Axes: N images, D pixels, K latent, G cells of a grid, A angles.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from vaelib import factors, latent, measures, synthetic
from vaelib.bounds import elbo
from vaelib.config import TrainConfig
from vaelib.data import ImageDataset
from vaelib.models import VAE, Autoencoder, LatentModel
from vaelib.products import bfloat16_products
from vaelib.quadrature import Integrals, integrate
from vaelib.runs import get_or_train
from vaelib.training import (
    TrainedRun,
    adam,
    heldout_elbo,
    initial_model,
    learning_rates,
    one_epoch,
)

CONFIG = TrainConfig("MNIST", latent_dim=2, epochs=12, hidden=(256, 128), batch_size=64, limit=6000)
BOOTS = TrainConfig("synthetic-boots", latent_dim=2, epochs=20, hidden=(128, 64), batch_size=64, limit=2000)
LATENT_SIZES = (2, 5, 10, 20, 50)
WIDTHS = (0, 4, 16, 64, 256)  # of the one hidden layer; 0 is a linear model
SIZES = (500, 2000, 6000)  # training images
STEPS = 1200  # for each of these sizes, so that a model of few images is not simply trained less
HELD_OUT = 2000  # images on which models of all sizes are measured
ANGLES = tuple(range(0, 90, 15))


def one_layer(config: TrainConfig, width: int, size: int, *, steps: int = STEPS, **changes: object) -> TrainConfig:
    """`config` with one hidden layer of `width`, or none for 0, on `size` images, for about so many steps."""
    epochs = max(1, round(steps * config.batch_size / size))
    return replace(config, hidden=(width,) if width else (), limit=size, epochs=epochs, **changes)


# All widths on all sizes, the widest also without the KL term, and a linear model that is trained for longer.
SWEEP = (
    *(one_layer(CONFIG, width, size) for width in WIDTHS for size in SIZES),
    *(one_layer(CONFIG, WIDTHS[-1], size, model="autoencoder") for size in SIZES),
    one_layer(CONFIG, 0, SIZES[1], steps=4 * STEPS),
)


# With the KL term and without it


def with_and_without_kl(run: TrainedRun) -> dict[str, float]:
    """A VAE beside the autoencoder of the same layers, data and seed: see `beside_autoencoder`."""
    return beside_autoencoder(run, get_or_train(replace(run.config, model="autoencoder")).model)


def beside_autoencoder(run: TrainedRun, autoencoder: Autoencoder) -> dict[str, float]:
    """How both models' pictures, drawn and rebuilt, compare with each other and with the held-out images."""
    test = run.config.load("test")
    return compared(pictures({"VAE": run.model, "autoencoder": autoencoder}, test, run.config.seed), test)


def pictures(models: Mapping[str, LatentModel], test: ImageDataset, seed: int) -> dict[str, Tensor]:
    """Up to 500 pictures by each model: decoded from codes that N(0, I) draws, and as many held-out images rebuilt.

    "pixels" are draws of each pixel from the probability that a drawn code gives it.
    """
    n, made = max(1, min(500, len(test.images) // 2)), {}
    for name, model in models.items():
        generator = torch.Generator().manual_seed(seed)
        drawn = latent.decode_means(model, torch.randn(n, model.latent_dim, generator=generator))
        made[f"{name}, drawn"], made[f"{name}, rebuilt"] = drawn, latent.reconstruct(model, test.images[:n])
        made[f"{name}, pixels"] = torch.bernoulli(drawn, generator=generator)
    return made


def compared(made: Mapping[str, Tensor], test: ImageDataset) -> dict[str, float]:
    """Of `pictures` of a "VAE" and an "autoencoder": whether drawn ones can be told from rebuilt ones, and sharpness.

    "told_": `measures.two_sample_accuracy`; "sharp_": `measures.relative_sharpness`; "regained": of the sharpness that
    the VAE's rebuilt images lack, the part that the autoencoder's have; NaN where they lack none.
    """
    told, sharp = measures.two_sample_accuracy, partial(measures.relative_sharpness, image_shape=test.image_shape)
    vae, other = (sharp(made[f"{name}, rebuilt"], test.images) for name in ("VAE", "autoencoder"))
    return {
        "told_vae": told(made["VAE, drawn"], made["VAE, rebuilt"]),
        "told_ae": told(made["autoencoder, drawn"], made["autoencoder, rebuilt"]),
        "sharp_vae": vae,
        "sharp_ae": other,
        "sharp_drawn": sharp(made["VAE, drawn"], test.images),
        "sharp_pixels": sharp(made["VAE, pixels"], test.images),
        "regained": (other - vae) / (1 - vae) if vae < 1 else math.nan,
    }


# Axes that are turned


def boots_turned(run: TrainedRun) -> dict[str, float]:
    """Whether the axes of a plane of drawn boots hold heel and shaft, and what a diagonal posterior loses in others.

    Divergences from the true posterior are means over 100 boots, in nats: "own" that of the encoder's q, "loss_0" and
    so on those of `turned_divergences` by angle; "least" is the angle at which the latter are smallest.
    """
    boots, heights = synthetic.drawn_boots(1000, seed=2)
    strength = factors.turned(measures.posterior(run.model, boots).mu, heights, range(90))
    grid = integrate(partial(log_joint, run.model), boots[:100], 2)
    loss = turned_divergences(grid, ANGLES).mean(0)
    return {
        **factors.among_turned(strength),
        "own": encoder_divergence(run.model, boots[:100], grid),
        **{f"loss_{angle}": value.item() for angle, value in zip(ANGLES, loss, strict=True)},
        "least": float(ANGLES[loss.argmin()]),
        "moved": grid.moved.max().item(),
    }


@torch.no_grad()
def log_joint(model: VAE, z: Tensor, x: Tensor) -> Tensor:
    """log p(x|z) p(z) of every point z (G, K) with every image x (N, D), Bernoulli pixels: (G, N), in nats."""
    log_likelihood = []
    for piece in z.float().split(10_000):
        logits = model.decode(piece)
        log_likelihood.append(logits @ x.T - F.softplus(logits).sum(1, keepdim=True))
    return torch.cat(log_likelihood) + model.prior.log_prob(z)[:, None]


@torch.no_grad()
def encoder_divergence(model: VAE, x: Tensor, grid: Integrals) -> float:
    """Mean D_KL[q(z|x) ‖ p(z|x)], eq. 11: log p(x), from the grid of `log_joint`, less the ELBO of x (N, D)."""
    bound = elbo(model, x, n_samples=100, generator=torch.Generator().manual_seed(0)).elbo
    return (grid.log_value - bound).mean().item()


def turned_divergences(grid: Integrals, angles: Iterable[float]) -> Tensor:
    """D_KL[q ‖ p] (N, A) of the Gaussian q that fits a density p over the plane and is diagonal in turned axes.

    q has the mean of p and, in axes turned as by `measures.rotated`, the variances 1/(S⁻¹)_kk, S being the covariance
    of p: where p is Gaussian no other diagonal q is closer. The sum is over the cells of the grid.
    """
    losses = []
    for z, share in zip(grid.cells, grid.shares, strict=True):
        log_p = share.clamp_min(1e-300).log()
        centred = z - share @ z
        for angle in angles:
            turned = measures.rotated(centred, float(angle))
            precision = torch.linalg.inv((share[:, None] * turned).T @ turned).diagonal()
            log_q = (-0.5 * turned.square() @ precision).log_softmax(0)
            losses.append((log_q.exp() * (log_q - log_p)).sum())
    return torch.stack(losses).reshape(len(grid.cells), -1)


# Widths and numbers of images


def generalization(run: TrainedRun) -> dict[str, float]:
    """The objective on held-out images, and by how much training images fare better, in nats.

    The objective is the ELBO of a VAE and log p(x|z) of an autoencoder; "at_code" is the gap of log p(x|z) at the code
    without noise, which both have.
    """
    bounds = [heldout_elbo(run.model, x).elbo for x in _both(run.config)] if isinstance(run.model, VAE) else None
    with torch.no_grad():
        at_code = [run.model.log_likelihood(x, run.model.embed(x)).mean().item() for x in _both(run.config)]
    seen, unseen = bounds or at_code
    return {"heldout": unseen, "gap": seen - unseen, "at_code": at_code[0] - at_code[1]}


def halves(run: TrainedRun) -> dict[str, float]:
    """The gap between training and held-out ELBO with one half as wide as the run's, or both, or neither."""
    narrow, (wide,) = WIDTHS[2], run.config.hidden
    models = {
        "neither": get_or_train(replace(run.config, hidden=(narrow,))).model,
        "encoder": train_halves(run.config, wide, narrow),
        "decoder": train_halves(run.config, narrow, wide),
        "both": run.model,
    }
    return {name: elbo_gap(model, run.config) for name, model in models.items()}


def train_halves(config: TrainConfig, encoder: int, decoder: int) -> VAE:
    """A VAE with one hidden layer in each half, of these two widths, trained as `fit` does on one CPU.

    Two equal widths give the weights of `fit`, bit for bit.
    """
    images = config.load("train").images
    model, other = (initial_model(replace(config, hidden=(width,)), images.shape[1]) for width in (encoder, decoder))
    model.decoder = other.decoder
    generator, optimizer = torch.Generator().manual_seed(config.seed), adam(config, model)
    steps = -(-len(images) // config.batch_size)
    rates = learning_rates(config, config.epochs * steps)
    for first in range(0, len(rates), steps):
        order = torch.randperm(len(images), generator=generator)
        with bfloat16_products():
            one_epoch(config, model, optimizer, images, generator, order, rates[first : first + steps])
    return model


def elbo_gap(model: VAE, config: TrainConfig) -> float:
    """By how much the mean ELBO of the config's training images exceeds that of held-out ones, in nats."""
    seen, unseen = (heldout_elbo(model, x).elbo for x in _both(config))
    return seen - unseen


def _both(config: TrainConfig) -> tuple[Tensor, Tensor]:
    """The training images of a config, and the held-out ones that configs of all sizes share."""
    return config.load("train").images, replace(config, limit=HELD_OUT).load("test").images
