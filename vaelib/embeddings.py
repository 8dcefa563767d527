"""Planes of the same few images by six methods of dimension reduction: the VAE beside what one would use instead.

Axes: N fitted images, M new ones, D pixels.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaelib import latent, measures, pictures
from vaelib.config import TrainConfig
from vaelib.data import ImageDataset
from vaelib.training import fit

METHODS = ("VAE", "PCA", "LDA", "autoencoder", "UMAP", "t-SNE")
FAST = METHODS[:3]  # that a page fits anew; the others take it too long
DATASETS = ("MNIST", "FashionMNIST")
IMAGES = 2000  # fitted, and as many new ones: the layouts, slowest of the six, then take seconds and not minutes
EPOCHS, BATCH = 24, 64  # of the networks: some 750 steps
COMPONENTS = 50  # in place of pixels, for LDA: some pixels are the same in all images
FEWEST = 50  # images for the neighbors of neighbors
SHOWN = 500  # codes that are recorded for the picture
TIMED = 10  # new images that are embedded one by one


def settings(dataset: str, methods: Iterable[str], n: int = IMAGES) -> tuple[dict[str, object], ...]:
    """What `compared` and `points` are given, but for the seed: each of the methods, on n images of a data set."""
    return tuple({"dataset": dataset, "method": method, "images": n} for method in methods)


SETTINGS = settings(DATASETS[0], METHODS) + settings(DATASETS[1], METHODS)
POINTS = settings(DATASETS[0], METHODS[3:]) + settings(DATASETS[1], METHODS[3:])


class Plane(NamedTuple):
    """A method fitted on images: two numbers for each of them, what that took, and what else it can do.

    `codes` is (N, 2), and `seconds` are of processor time, which does not depend on what runs beside. `embed` maps
    images (M, D) to codes (M, 2), and is None for a layout of the fitted images alone.
    `generate` makes n new pictures (n, D), and is None where nothing says which code to draw or what it stands for.
    """

    codes: Tensor
    seconds: float
    embed: Callable[[Tensor], Tensor] | None = None
    generate: Callable[[int, torch.Generator], Tensor] | None = None


def few(dataset: str, n: int, seed: int) -> tuple[ImageDataset, ImageDataset]:
    """n images of each split of a data set, or all where there are fewer, drawn by the seed."""
    return tuple(_drawn(TrainConfig(dataset).load(split), n, seed) for split in ("train", "test"))


def _drawn(data: ImageDataset, n: int, seed: int) -> ImageDataset:
    rows = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(seed))[:n]
    return replace(data, images=data.images[rows], labels=data.labels[rows])


def fitted(method: str, given: ImageDataset, seed: int) -> Plane | None:
    """The plane of one of `METHODS`, of all images given; None where it needs more labels or images than there are.

    The networks have the paper's layers and take equally many steps, and UMAP and t-SNE are set as by their libraries.
    The same images and seed give the same plane. Only LDA is shown the labels.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: one of {', '.join(METHODS)}")
    of = {"VAE": _network, "autoencoder": _network, "PCA": _pca, "LDA": _lda, "UMAP": _umap, "t-SNE": _tsne}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of images so few or so alike that a method falls back on another start
        return of[method](method, given, seed)


def _network(method: str, given: ImageDataset, seed: int) -> Plane:
    config = TrainConfig(given.name, 2, EPOCHS, seed, batch_size=BATCH, model="vae" if method == "VAE" else method)
    start = time.process_time()
    run = fit(config, given, heldout=given, progress=False)
    seconds = time.process_time() - start

    @torch.no_grad()
    def embed(images: Tensor) -> Tensor:
        return run.model.embed(images)

    def generate(n: int, generator: torch.Generator) -> Tensor:
        return latent.prior_samples(run.model, n, generator=generator)

    return Plane(embed(given.images), seconds, embed, generate if hasattr(run.model, "prior") else None)


def _pca(method: str, given: ImageDataset, seed: int) -> Plane:
    from sklearn.decomposition import PCA

    pca = PCA(min(2, *given.images.shape), svd_solver="full")

    def generate(n: int, generator: torch.Generator) -> Tensor:
        # The means of the linear-Gaussian model of the same plane (Tipping and Bishop 1999).
        z = torch.randn(n, pca.n_components_, generator=generator).numpy() * np.sqrt(pca.explained_variance_)
        return torch.from_numpy(pca.inverse_transform(z)).float()

    return _of_estimator(pca, given)._replace(generate=generate)


def _lda(method: str, given: ImageDataset, seed: int) -> Plane | None:
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline

    (n, d), classes = given.images.shape, len(given.labels.unique())
    if not given.has_labels or not 1 < classes < n:
        return None
    components = PCA(min(COMPONENTS, n - classes, d), svd_solver="full")
    lda = LinearDiscriminantAnalysis(n_components=min(2, classes - 1, components.n_components))
    return _of_estimator(make_pipeline(components, lda), given, given.labels.numpy())


def _umap(method: str, given: ImageDataset, seed: int) -> Plane | None:
    from umap import UMAP  # a library that is imported and compiled for many seconds

    if len(given.images) < FEWEST:
        return None
    compiled = UMAP(random_state=seed, n_jobs=1).fit(given.images[:FEWEST].numpy())  # so that no fit is timed with it
    compiled.transform(given.images[:1].numpy())
    return _of_estimator(UMAP(random_state=seed, n_jobs=1), given)


def _tsne(method: str, given: ImageDataset, seed: int) -> Plane | None:
    from sklearn.manifold import TSNE

    return _of_estimator(TSNE(init="pca", random_state=seed), given) if len(given.images) >= FEWEST else None


def _of_estimator(estimator: object, given: ImageDataset, labels: np.ndarray | None = None) -> Plane:
    """What one of scikit-learn's estimators, or one like them, makes of the images. UMAP too would use labels (N,)."""
    start = time.process_time()
    codes = _tensor(estimator.fit_transform(given.images.numpy(), labels))
    seconds = time.process_time() - start

    def embed(images: Tensor) -> Tensor:
        return _tensor(estimator.transform(images.numpy()))

    return Plane(codes, seconds, embed if hasattr(estimator, "transform") else None)


def _tensor(codes: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(codes, dtype=np.float32))


# What is measured


def scores(plane: Plane, given: ImageDataset, new: ImageDataset) -> dict[str, float]:
    """Numbers about a plane of the images `given`, on them and on `new` ones.

    "votes": the share of new images for whose label the nearest fitted codes vote; "votes_fitted": of fitted images,
    the nearest others. "trust" and "continuity" (`pictures.neighbors_kept`) of the fitted. "fit_seconds", and
    "embed_ms", the median for a single new image, of processor time. "embeds" and "generates", 1 or 0: whether the
    plane has the function.
    NaN without labels, where no new image can be placed, and where images are too few for neighbors.
    """
    found = dict.fromkeys(("votes", "votes_fitted", "trust", "continuity", "embed_ms"), math.nan)
    if given.has_labels:
        found["votes_fitted"] = measures.left_out_accuracy(plane.codes, given.labels)
    if len(given.images) >= FEWEST:
        found |= pictures.neighbors_kept(given.images, plane.codes)
    if plane.embed:
        found["embed_ms"] = 1000 * float(np.median([_seconds(plane.embed, image) for image in new.images[:TIMED]]))
    if plane.embed and given.has_labels:
        found["votes"] = measures.knn_accuracy(plane.codes, given.labels, plane.embed(new.images), new.labels)
    can = {"embeds": float(plane.embed is not None), "generates": float(plane.generate is not None)}
    return found | {"fit_seconds": plane.seconds} | can


def _seconds(embed: Callable[[Tensor], Tensor], image: Tensor) -> float:
    start = time.process_time()
    embed(image[None])
    return time.process_time() - start


def compared(setting: Mapping[str, object]) -> dict[str, float]:
    """`scores` of the "method" on "images" of the "dataset", drawn by the "seed", which is the method's own as well."""
    given, new = few(setting["dataset"], setting["images"], setting["seed"])
    return scores(fitted(setting["method"], given, setting["seed"]), given, new)


def points(setting: Mapping[str, object]) -> dict[str, float]:
    """The first `SHOWN` codes of the same plane, as "x0", "y0", "x1", …: in units of its spread, to three digits."""
    given, _ = few(setting["dataset"], setting["images"], setting["seed"])
    codes = fitted(setting["method"], given, setting["seed"]).codes[:SHOWN]
    shown = ((codes - codes.mean(0)) / codes.std()).tolist()
    return {
        f"{axis}{i}": round(value, 3) for i, code in enumerate(shown) for axis, value in zip("xy", code, strict=True)
    }
