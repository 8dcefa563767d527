"""What is recorded of many runs: each part a list of configs and what is measured of each, row by row of `results/`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch

from vaelib import (
    dimensions,
    embeddings,
    factors,
    latent,
    latent_sizes,
    measures,
    pictures,
    priors,
    robustness,
    strengths,
    synthetic,
    variants,
)
from vaelib.config import TrainConfig
from vaelib.data import ImageDataset
from vaelib.densities import reparameterise
from vaelib.models import Autoencoder
from vaelib.paper import experiment
from vaelib.runs import get_or_train
from vaelib.training import TrainedRun, fit, initial_model


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
    seed = run.config.seed
    samples = latent.prior_samples(run.model, 64, generator=torch.Generator().manual_seed(seed))
    mean = train.images.mean(0, keepdim=True)
    near = [measures.nearest_distance(pictures, train.images) for pictures in (samples, mean)]
    return {
        "elbo": run.heldout.elbo,
        "gain": run.heldout.log_likelihood - null,
        "short": floor - run.heldout.log_likelihood,
        "votes": vae - pca,
        "halfway": measures.halfway(run.model, test.images, train.images, seed=seed),
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
    scores = [factors.known_scores(measures.rotated(codes, float(angle)), truth) for angle in range(0, 90, 10)]
    for name in scores[0]:
        by_angle = torch.tensor([score[name] for score in scores])
        known |= {name: by_angle[0].item(), f"{name}_rank": factors.rank_among(by_angle[0], by_angle)}
    del known["informativeness_rank"]  # both heights can be told from any pair of axes
    return known


def dimension(run: TrainedRun) -> dict[str, float]:
    """How many dimensions a model uses, by the rules of `dimensions.counts`, some also before training."""
    return _counted(run, run.config.load("test"))


def _counted(run: TrainedRun, heldout: ImageDataset) -> dict[str, float]:
    data_dim = heldout.images.shape[1]
    untrained = dimensions.counts(dimensions.sizes(initial_model(run.config, data_dim), heldout.images))
    return {
        "elbo": run.heldout.elbo,
        "nats": run.heldout.kl,
        **dimensions.counts(dimensions.sizes(run.model, heldout.images)),
        **{f"{rule}_untrained": untrained[rule] for rule in ("norm", "sum", "sum_fall")},
    }


def planted_data(setting: Mapping[str, int], n: int, seed: int) -> ImageDataset:
    """n points on the manifold of dimension "true_dim" that the setting's "seed" chose, in a cube of 100 dimensions."""
    true_dim, manifold = setting["true_dim"], setting["seed"]
    points, _ = synthetic.planted_manifold(n, true_dim=true_dim, data_dim=100, seed=seed, manifold_seed=manifold)
    return ImageDataset(points, torch.full((n,), -1), (1, 100), f"planted manifold of dimension {true_dim}")


def planted_run(setting: Mapping[str, int]) -> tuple[TrainedRun, ImageDataset, ImageDataset]:
    """A small VAE trained on "points" of a planted manifold for "epochs", the points, and 1000 held-out ones."""
    seed, widths = setting["seed"], {"latent_dim": setting["latent_dim"], "hidden": (200, 100), "batch_size": 100}
    config = TrainConfig("planted", epochs=setting["epochs"], seed=seed, **widths)
    points, heldout = planted_data(setting, setting["points"], 2 * seed), planted_data(setting, 1000, 2 * seed + 1)
    return fit(config, points, heldout=heldout, progress=False), points, heldout


def planted_dimension(setting: Mapping[str, int]) -> dict[str, float]:
    """The counts of `dimension` where the truth is known, and what the points alone say of their dimension."""
    run, points, heldout = planted_run(setting)
    return {**_counted(run, heldout), **dimensions.of_points(points.images)}


def autoencoder_as_vae(run: TrainedRun) -> dict[str, float]:
    """A VAE beside the autoencoder of the same layers, data and seed, with one σ for all codes and with its own."""
    autoencoder = get_or_train(replace(run.config, model="autoencoder")).model
    return beside_autoencoder(run, autoencoder)


def beside_autoencoder(run: TrainedRun, autoencoder: Autoencoder) -> dict[str, float]:
    """What `autoencoder_as_vae` records, in nats per held-out image where it is not a ratio."""
    test = run.config.load("test").images
    some, log_sigma = test[:1000], torch.linspace(-10, 1, 45)
    with torch.no_grad():
        codes, others = run.model.embed(test), autoencoder.embed(test)
        at_mean = run.model.log_likelihood(test, codes).mean().item()
        rebuilt = autoencoder.log_likelihood(test, others).mean().item()
        noise = run.model.encode(test)[1].exp().mean(0)
    units = variants.own_units(others)
    vae = variants.common_sigma(run.model, some, codes[:1000], log_sigma).elbo
    other = variants.common_sigma(autoencoder, some, units.apply(others[:1000]), log_sigma, units=units).elbo
    return {
        "better": rebuilt - at_mean,
        "noise": (at_mean - run.heldout.log_likelihood) / run.config.latent_dim,
        "behind": (vae.max() - other.max()).item(),
        "spread": (others.square().mean() / codes.square().mean()).sqrt().item(),
        "sigma": (noise / (noise + codes.var(0))).min().sqrt().item(),
    }


def pinwheel_data() -> tuple[ImageDataset, ImageDataset]:
    """400 points of the pinwheel to train on, and 400 held-out ones; their labels are the arms."""
    return tuple(ImageDataset(*synthetic.pinwheel(100, seed=seed), (1, 2), "pinwheel") for seed in (1, 2))


def pinwheel_config(setting: Mapping[str, object]) -> TrainConfig:
    """The recipe of Mathieu et al. (2019) with Adam, under a "prior", with weights "beta" and "alpha"."""
    return TrainConfig(
        "pinwheel",
        latent_dim=2,
        epochs=setting["epochs"],
        seed=setting["seed"],
        hidden=(100,),
        likelihood="gaussian",
        batch_size=400,
        learning_rate=1e-3,
        beta2=0.999,
        schedule="constant",
        prior=setting["prior"],
        beta=setting["beta"],
        divergence="inclusive-kl" if setting["alpha"] else None,
        divergence_weight=setting["alpha"],
    )


def pinwheel(setting: Mapping[str, object]) -> dict[str, float]:
    """Whether the codes of a pinwheel lie in the clusters of the clustered prior, under one objective."""
    data, heldout = pinwheel_data()
    run = fit(pinwheel_config(setting), data, heldout=heldout, progress=False)
    return in_arms_and_clusters(run, heldout)


def in_arms_and_clusters(run: TrainedRun, heldout: ImageDataset) -> dict[str, float]:
    """Of one drawn code for each held-out point: the share in a cluster of the prior, and the purity of four groups."""
    q = measures.posterior(run.model, heldout.images)
    z = reparameterise(*q, generator=torch.Generator().manual_seed(run.config.seed))
    return {
        "inside": variants.in_clusters(z, priors.make_prior("clustered", 2)),
        "purity": measures.cluster_purity(z, heldout.labels, 4),
    }


def sparse_codes(run: TrainedRun) -> dict[str, float]:
    """How sparse the mean codes of held-out images are, over coordinates in use and over all, and what they cost."""
    test = run.config.load("test").images
    mu = measures.posterior(run.model, test).mu
    used = variants.in_use(*variants.coordinate_worth(run.model, test[:2000], mu[:2000]))
    return {
        "share": variants.sparse_share(mu[:, used]),
        "used": used.sum().item(),
        "all": variants.sparse_share(mu),
        "likelihood": run.heldout.log_likelihood,
    }


BOOTS, DRAWN_BOOTS = experiment("boots_20d"), experiment("boots_20d", dataset="synthetic-boots")
PLANTED = ((6000, 40), (6000, 10), (1000, 60))  # points and epochs; the last two take equally many steps

# The first 10,000 images: the chapter on variants trains several models.
GARMENTS = TrainConfig("FashionMNIST", latent_dim=2, epochs=20, limit=10_000)
SPARSE = replace(GARMENTS, epochs=30, latent_dim=20, hidden=(256, 128), batch_size=64, learning_rate=1e-3)

PARTS = {
    "planes": Part((experiment("mnist"), experiment("fashion_mnist")), plane, 5),
    "compared": Part(embeddings.SETTINGS, embeddings.compared, 5),
    "compared_points": Part(embeddings.POINTS, embeddings.points, 1),
    "figures": Part((experiment("mnist"), experiment("fashion_mnist")), pictures.figures, 5),
    "layout": Part((experiment("mnist"),), pictures.layout, 5),
    "repair": Part(tuple(replace(strengths.CONFIG, latent_dim=k) for k in (2, 20)), pictures.repair, 5),
    "boots_axes": Part((experiment("boots_2d"),), boots_axes, 10),
    "drawn_boots_axes": Part((experiment("boots_2d", dataset="synthetic-boots"),), drawn_boots_axes, 10),
    "boots_dimension": Part(tuple(replace(BOOTS, latent_dim=k) for k in (20, 5, 10, 50)), dimension, 10),
    "boots_length": Part(
        (*(replace(BOOTS, epochs=n) for n in (20, 200)), replace(DRAWN_BOOTS, epochs=200)), dimension, 3
    ),
    "boots_control": Part(
        (DRAWN_BOOTS, replace(DRAWN_BOOTS, latent_dim=2), replace(BOOTS, latent_dim=2)), dimension, 5
    ),
    "planted_dimension": Part(
        tuple({"true_dim": d, "points": n, "epochs": e, "latent_dim": 20} for n, e in PLANTED for d in range(1, 9)),
        planted_dimension,
        5,
    ),
    "variants_autoencoder": Part((GARMENTS,), autoencoder_as_vae, 5),
    "variants_pinwheel": Part(
        tuple(
            {"prior": prior, "beta": beta, "alpha": alpha, "epochs": 500}
            for prior, beta, alpha in (
                ("standard-normal", 1, 0),
                ("clustered", 1, 0),
                ("clustered", 1, 1),
                ("clustered", 0, 1),
            )
        ),
        pinwheel,
        10,
    ),
    "variants_sparse": Part(
        (
            SPARSE,
            replace(SPARSE, prior="sparse"),
            replace(SPARSE, prior="sparse", divergence="mmd", divergence_weight=100),
        ),
        sparse_codes,
        5,
    ),
    "strengths_kl": Part(
        tuple(replace(strengths.CONFIG, latent_dim=k) for k in strengths.LATENT_SIZES), strengths.with_and_without_kl, 5
    ),
    "strengths_axes": Part((strengths.BOOTS,), strengths.boots_turned, 10),
    "strengths_widths": Part(strengths.SWEEP, strengths.generalization, 5),
    "strengths_seeds": Part(
        tuple(strengths.one_layer(strengths.CONFIG, width, strengths.SIZES[1]) for width in (0, 16, 64)),
        strengths.generalization,
        10,
    ),
    "strengths_halves": Part(
        (strengths.one_layer(strengths.CONFIG, strengths.WIDTHS[-1], strengths.SIZES[0]),), strengths.halves, 10
    ),
    "latent_sizes": Part(
        tuple(replace(latent_sizes.CONFIG, latent_dim=k) for k in latent_sizes.SIZES), latent_sizes.at_size, 5
    ),
    "robustness_images": Part(
        tuple(replace(robustness.CONFIG, latent_dim=k) for k in robustness.LATENT_SIZES), robustness.clean_errors, 5
    ),
    "robustness_longer": Part((robustness.LONGER,), robustness.clean_errors_of_longer_runs, 3),
    "robustness_outliers": Part(
        tuple(
            robustness.outlier_setting(true_dim, share)
            for true_dim in robustness.TRUE_DIMS
            for share in robustness.OUTLIER_SHARES
        ),
        robustness.outlier_errors,
        5,
    ),
    "robustness_outliers_longer": Part(
        tuple(robustness.outlier_setting(d, 0.0, epochs=robustness.LONG_EPOCHS) for d in robustness.TRUE_DIMS),
        robustness.outlier_errors,
        5,
    ),
}
