"""What is recorded of many runs: each part a list of configs and what is measured of each, row by row of `results/`."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from vaelib import factors, latent, measures, synthetic
from vaelib.config import TrainConfig
from vaelib.paper import experiment
from vaelib.training import TrainedRun


class Part(NamedTuple):
    """Configs, each recorded for seeds 1 to `seeds`, and what is measured of each: numbers by name.

    The measure of a `TrainConfig` is given its trained run. A config may also be a mapping of names to numbers and
    words, for data that no `TrainConfig` names: its measure is given the mapping, with the seed as "seed", and draws
    and trains what it needs. A constant or function of vaelib that a measure names is part of the row's code digest.
    """

    configs: tuple[TrainConfig | Mapping[str, object], ...]
    measure: Callable[..., dict[str, float]]
    seeds: int


def plane(run: TrainedRun) -> dict[str, float]:
    """What the chapters on MNIST and Fashion-MNIST give verdicts on."""
    train, test = run.config.load("train"), run.config.load("test")
    null = measures.mean_image_log_likelihood(train.images, test.images)
    floor = -measures.binary_entropy(test.images).mean().item()
    q = measures.posterior(run.model, test.images)
    codes = measures.posterior(run.model, train.images).mu, q.mu
    linear = measures.pca_codes(train.images, test.images, n_components=run.config.latent_dim)
    vae, pca = (measures.knn_accuracy(a, train.labels, b, test.labels) for a, b in (codes, linear))
    grid = latent.latent_grid(run.config.latent_dim, latent.prior_quantiles(20), latent.most_informative(*q))
    seed = run.config.seed
    samples = latent.prior_samples(run.model, 64, generator=torch.Generator().manual_seed(seed))
    noise = torch.rand(64, train.images.shape[1], generator=torch.Generator().manual_seed(seed))
    near = [measures.nearest_distance(pictures, train.images) for pictures in (samples, noise)]
    return {
        "elbo": run.heldout.elbo,
        "gain": run.heldout.log_likelihood - null,
        "left": (floor - run.heldout.log_likelihood) / (floor - null),
        "votes": vae - pca,
        "step": measures.relative_step(latent.decode_means(run.model, grid), 20, seed=seed),
        "distance": near[0] / near[1],
    }


def boots_axes(run: TrainedRun) -> dict[str, float]:
    """Which latent axis holds heel and shaft of boots, read off pictures that are decoded from 4000 prior draws."""
    test = run.config.load("test").images
    dims = list(latent.most_informative(*measures.posterior(run.model, test)))
    z = torch.randn(4000, run.config.latent_dim, generator=torch.Generator().manual_seed(0))
    heights = factors.boot_heights(latent.decode_means(run.model, z))
    strength = factors.turned(z[:, dims], heights, range(90))
    rebuilt = factors.boot_heights(latent.reconstruct(run.model, test))
    kept = measures.correlations(factors.boot_heights(test), rebuilt).diagonal()
    return {
        **factors.among_turned(strength),
        "as_numbered": factors.as_numbered(strength[0]).item(),
        "kept_heel": kept[0].item(),
        "kept_shaft": kept[1].item(),
    }


def drawn_boots_axes(run: TrainedRun) -> dict[str, float]:
    """The same of the codes of 4000 new drawn boots, whose heel and shaft are known; `boots_axes` beside it."""
    pictures, truth = synthetic.drawn_boots(4000, seed=3)
    q = measures.posterior(run.model, pictures)
    codes = q.mu[:, list(latent.most_informative(*q))]
    strength = factors.turned(codes, truth, range(90))
    known = {**factors.among_turned(strength), "as_numbered": factors.as_numbered(strength[0]).item()}
    read_off = boots_axes(run)
    known["misread"] = max(abs(known[name] - read_off[name]) for name in ("one", "apart"))
    scores = [factors.known_scores(measures.rotated(codes, float(angle)), truth) for angle in range(0, 90, 5)]
    for name in scores[0]:
        by_angle = torch.tensor([score[name] for score in scores])
        known |= {name: by_angle[0].item(), f"{name}_rank": factors.rank_among(by_angle[0], by_angle)}
    return known


PARTS = {
    "planes": Part((experiment("mnist"), experiment("fashion_mnist")), plane, 5),
    "boots_axes": Part((experiment("boots_2d"),), boots_axes, 10),
    "drawn_boots_axes": Part((experiment("boots_2d", dataset="synthetic-boots"),), drawn_boots_axes, 10),
}
