"""What the paper says of Figures 2–5, as numbers: erased strokes, neighbors, walks without jumps, samples of a class.

Axes: N images, D pixels, K latent, P pairs.
"""

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from vaelib import latent, measures
from vaelib.checks import check_axes, check_numbers
from vaelib.densities import reparameterise
from vaelib.models import LatentModel
from vaelib.runs import get_or_train
from vaelib.training import TrainedRun

NEIGHBOURS = 10  # of an image or a code
STEPS = 100  # of a walk
EDGE, MIDDLE = (0, 1, 7), (2, 3, 8)  # digits, as §4.1.2 places them


# What is recorded


def figures(run: TrainedRun) -> dict[str, float]:
    """What the paper says of Figures 3–5 beyond `plane`: neighbors kept, walks between classes, labels of samples.

    Neighbors are those of 2000 held-out images, with t-SNE of these images beside the code and as many principal
    components; "told_prior" sets a draw from each image's q(z|x) beside draws of the prior.
    """
    from sklearn.manifold import TSNE

    train, test = run.config.load("train"), run.config.load("test")
    some, generator = test.images[:2000], torch.Generator().manual_seed(run.config.seed)
    q = measures.posterior(run.model, some)
    embedded = {
        "": q.mu,
        "_pca": measures.pca_codes(train.images, some, n_components=run.config.latent_dim)[1],
        "_tsne": torch.from_numpy(TSNE(init="pca", random_state=run.config.seed).fit_transform(some.numpy())),
    }
    kept = {f"{name}{code}": value for code, z in embedded.items() for name, value in neighbors_kept(some, z).items()}
    drawn = reparameterise(*q, generator=generator)
    samples = latent.prior_samples(run.model, 2000, generator=generator)
    codes = measures.posterior(run.model, test.images).mu
    a, b = pairs_of_classes(test.labels, 500, seed=run.config.seed)
    return {
        **kept,
        "fastest": fastest_tenth(step_lengths(run.model, codes[a], codes[b])),
        "labels_off": labels_off(samples, train.images, train.labels),
        "told_prior": measures.two_sample_accuracy(drawn, torch.randn(drawn.shape, generator=generator)),
    }


def layout(run: TrainedRun) -> dict[str, float]:
    """Of Figure 3's digits: are 0, 1 and 7 on the edge and apart, and 2, 3 and 8 close together in the middle?

    "outside": by how much farther from the origin; "told": by how much larger the share of right votes is.
    """
    train, test = run.config.load("train"), run.config.load("test")
    codes, heldout = (measures.posterior(run.model, data.images).mu for data in (train, test))
    right = measures.neighbour_votes(codes, train.labels, heldout).label == test.labels
    of_edge, of_middle = (
        right[torch.isin(test.labels, torch.tensor(some))].double().mean().item() for some in (EDGE, MIDDLE)
    )
    return {"outside": outside(heldout, test.labels, EDGE, MIDDLE), "told": of_edge - of_middle}


def repair(run: TrainedRun) -> dict[str, float]:
    """How much of an erased stroke is left over after a VAE, the autoencoder of the same layers, and the like.

    `left_over` within the erased square of 5 × 5 pixels, of 2000 held-out images, and of the VAE also over the
    whole picture.
    """
    train, test = run.config.load("train"), run.config.load("test")
    autoencoder = get_or_train(replace(run.config, model="autoencoder")).model
    images = test.images[:2000]
    damaged, square = erased(images, test.image_shape, seed=run.config.seed)
    rebuilt = {
        "vae": latent.reconstruct(run.model, damaged),
        "ae": latent.reconstruct(autoencoder, damaged),
        "pca": linear_rebuild(train.images, damaged, run.config.latent_dim),
        "mean": train.images.mean(0).expand_as(images),
    }
    left = {name: left_over(each, images, damaged, square) for name, each in rebuilt.items()}
    return left | {"whole": left_over(rebuilt["vae"], images, damaged)}


# What it is made from


def erased(images: Tensor, image_shape: tuple[int, int], *, side: int = 5, seed: int) -> tuple[Tensor, Tensor]:
    """Images (N, D) with a square of `side` pixels set to 0 around a random pixel of ink (above ½), and where it is.

    Returns the damaged images (N, D) and the squares (N, D), bool. Raises ValueError for an image without ink.
    """
    ink = (images > 0.5).float()
    if (without := (ink.sum(1) == 0).nonzero().flatten()).numel():
        raise ValueError(f"image {without[0].item()} has no pixel above ½, so that there is no stroke to erase")
    centre = torch.multinomial(ink, 1, generator=torch.Generator().manual_seed(seed))[:, 0]
    height, width = image_shape
    row, col = centre // width, centre % width
    rows = (torch.arange(height) - row[:, None]).abs() <= side // 2
    cols = (torch.arange(width) - col[:, None]).abs() <= side // 2
    square = (rows[:, :, None] & cols[:, None, :]).flatten(1)
    return images.masked_fill(square, 0), square


def left_over(rebuilt: Tensor, images: Tensor, damaged: Tensor, where: Tensor | None = None) -> float:
    """How much of a damage is left after repair: squared error of `rebuilt`, as a share of that of `damaged`.

    0: as if nothing had happened; 1: no better than left alone. All (N, D); over all pixels, or those of `where`.
    NaN where nothing was damaged. Raises ValueError for other shapes.
    """
    check_axes(rebuilt=(rebuilt, "N", "D"), images=(images, "N", "D"), damaged=(damaged, "N", "D"))
    if where is not None and where.shape != images.shape:
        raise ValueError(f"where must have the shape {tuple(images.shape)} of the images, not {tuple(where.shape)}")
    weight = torch.ones_like(images) if where is None else where.to(images)
    error, before = (((picture - images).square() * weight).sum() for picture in (rebuilt, damaged))
    return (error / before).item() if before > 0 else math.nan


def linear_rebuild(train: Tensor, images: Tensor, n_components: int) -> Tensor:
    """Images (N, D) rebuilt from their principal components, fitted on train (M, D); pixels kept in [0, 1]."""
    from sklearn.decomposition import PCA

    pca = PCA(n_components, svd_solver="covariance_eigh").fit(train.numpy())
    return torch.from_numpy(pca.inverse_transform(pca.transform(images.numpy()))).float().clamp(0, 1)


def neighbors_kept(images: Tensor, codes: Tensor) -> dict[str, float]:
    """Trustworthiness and continuity (Venna and Kaski 2001) of codes (N, K) of images (N, D); 1: no neighbor is lost.

    "trust" falls where codes are neighbors and images are not, "continuity" where images are and codes are not; codes
    at random have ½ of both.
    """
    from sklearn.manifold import trustworthiness

    x, z = images.numpy(), codes.numpy()
    return {
        "trust": float(trustworthiness(x, z, n_neighbors=NEIGHBOURS)),
        "continuity": float(trustworthiness(z, x, n_neighbors=NEIGHBOURS)),
    }


@torch.no_grad()
def step_lengths(model: LatentModel, start: Tensor, end: Tensor, *, steps: int = STEPS) -> Tensor:
    """How far the decoder's picture moves in each step of straight walks from codes start to end (P, K): (P, steps).

    For small steps ‖J(z)(end − start)‖ / steps, J being the Jacobian of the pixel means; a jump shows as one long step.
    Raises ValueError for other shapes.
    """
    check_axes(start=(start, "P", "K"), end=(end, "P", "K"))
    walk = [model.mean_image(start + share * (end - start)) for share in torch.linspace(0, 1, steps + 1).tolist()]
    return torch.stack([(after - before).norm(dim=1) for before, after in pairwise(walk)], dim=1)


def fastest_tenth(lengths: Tensor) -> float:
    """The part of a walk's change that the longest tenth of its steps makes, on average over walks; lengths (P, S).

    0.1: it changes evenly; 1: it jumps. NaN where nothing changes on any walk. Raises ValueError for NaN.
    """
    check_numbers(lengths=lengths)
    moving = lengths[lengths.sum(1) > 0]
    if not len(moving):
        return math.nan
    fastest = moving.sort(dim=1, descending=True).values[:, : max(1, round(moving.shape[1] / 10))]
    return (fastest.sum(1) / moving.sum(1)).mean().item()


def pairs_of_classes(labels: Tensor, n: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Up to n random pairs of images with different labels (N,), as two tensors of indices."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    a, b = order, order.roll(1)
    differ = labels[a] != labels[b]
    return a[differ][:n], b[differ][:n]


def labels_off(pictures: Tensor, images: Tensor, labels: Tensor) -> float:
    """How far the labels of pictures (N, D) are from those of the data, images (M, D) and labels (M,): 0 to 1.

    The label of a picture is the vote of its ten nearest images. The number is the total variation distance between the
    two histograms: the share of pictures that would need another label.
    """
    voted = measures.neighbour_votes(images, labels, pictures).label
    size = int(labels.max()) + 1
    theirs, ours = (some.bincount(minlength=size).double() / len(some) for some in (labels, voted))
    return (0.5 * (theirs - ours).abs().sum()).item()


def outside(codes: Tensor, labels: Tensor, outer: tuple[int, ...], inner: tuple[int, ...]) -> float:
    """By how much farther from the origin the codes (N, K) of the `outer` labels lie than those of the `inner` ones.

    The difference of the mean distances, in the prior's standard deviations.
    """
    distance = codes.norm(dim=1)
    mean = [distance[torch.isin(labels, torch.tensor(some))].mean() for some in (outer, inner)]
    return (mean[0] - mean[1]).item()
