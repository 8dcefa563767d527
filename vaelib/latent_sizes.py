"""The same images through codes of different sizes: what is measured of a VAE at every K, side by side.

Axes: N images, D pixels, K latent.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from vaelib import measures, strengths
from vaelib.bounds import elbo, log_marginal
from vaelib.models import VAE
from vaelib.training import TrainedRun

SIZES = (1, 2, 3, 5, 10, 20, 50)
CONFIG = replace(strengths.CONFIG, latent_dim=10)
SMOKE_SIZES = (2, 10, 50)
IMAGES, PIECE, PIECES = 500, 100, 5  # of log p(x): held-out images, and draws for each in equal pieces
MEASURES = ("rate", "distortion", "elbo", "log_p", "moved", "loose", "active", "knn", "pca")


def at_size(run: TrainedRun) -> dict[str, float]:
    """Numbers about one VAE, on held-out images, in nats per image but for the last three.

    "rate" is E[D_KL(q(z|x) ‖ p(z))], "distortion" -E[log p(x|z)], and "elbo" minus their sum. Of the first `IMAGES`,
    "log_p" is the importance-weighted estimate of log p(x), "moved" by how much it grew from `PIECE` to all its draws,
    and "loose" by how much it exceeds the ELBO. "active" counts active units; "knn" and "pca" are the shares of images
    whose class the nearest codes vote for, the VAE's codes and principal components of the same number; NaN without
    labels.
    """
    train, test = run.config.load("train"), run.config.load("test")
    codes, mu = (measures.posterior(run.model, data.images).mu for data in (train, test))
    votes = {"knn": math.nan, "pca": math.nan}
    if test.has_labels:
        linear = measures.pca_codes(train.images, test.images, n_components=run.config.latent_dim)
        for name, (near, asked) in {"knn": (codes, mu), "pca": linear}.items():
            votes[name] = measures.knn_accuracy(near, train.labels, asked, test.labels)
    some = test.images[:IMAGES]
    generator = torch.Generator().manual_seed(run.config.seed)
    bound = elbo(run.model, some, n_samples=PIECES, generator=generator).elbo.mean().item()
    log_p, moved = log_evidence(run.model, some, generator)
    return {
        "rate": run.heldout.kl,
        "distortion": -run.heldout.log_likelihood,
        "elbo": run.heldout.elbo,
        "log_p": log_p,
        "moved": moved,
        "loose": log_p - bound,
        "active": float(measures.active_units(mu)),
        **votes,
    }


def log_evidence(model: VAE, images: Tensor, generator: torch.Generator) -> tuple[float, float]:
    """Mean importance-weighted log p(x) of images (N, D), and by how much it exceeds that of a piece of the draws."""
    pieces = [log_marginal(model, images, n_samples=PIECE, generator=generator) for _ in range(PIECES)]
    together = torch.stack(pieces).logsumexp(0) - math.log(PIECES)
    return together.mean().item(), (together - torch.stack(pieces).mean(0)).mean().item()
