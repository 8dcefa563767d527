"""Numbers about a trained model and its latent space.

Axes: N images, D pixels, K latent, H width of the layer that reads z. Arguments with other axes than a function names,
or with sizes that do not agree, raise ValueError.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaelib.bounds import check_pixels
from vaelib.checks import check_axes, check_finite
from vaelib.densities import bernoulli_log_likelihood
from vaelib.models import VAE, LatentModel


class Posterior(NamedTuple):
    """q(z|x) for every image: mu (N, K) and logvar (N, K)."""

    mu: Tensor
    logvar: Tensor


@torch.no_grad()
def posterior(model: VAE, images: Tensor) -> Posterior:
    """Encode images (N, D) in batches."""
    mus, logvars = zip(*(model.encode(x) for x in images.split(5000)), strict=True)
    return Posterior(torch.cat(mus), torch.cat(logvars))


def active_units(mu: Tensor, threshold: float = 0.01) -> int:
    """How many latent dimensions have Var_x(mu_k) > threshold (Burda et al. 2016). mu (N, K).

    Raises ValueError where mu has no numbers, or some that are not finite.
    """
    check_axes(mu=(mu, "N", "K"))
    check_finite(mu=mu)
    return int((mu.var(0, correction=0) > threshold).sum())


def column_sums(weight: Tensor) -> Tensor:
    """|Σ_h W_hk|: the paper's measure of a latent dimension (§4.2.2), in which signs can cancel. W (H, K) → (K,)."""
    check_axes(weight=(weight, "H", "K"))
    return weight.detach().sum(0).abs()


def column_norms(weight: Tensor) -> Tensor:
    """‖W_·k‖₂: zero only when dimension k has no way into the decoder (Dai et al. 2018). W (H, K) → (K,)."""
    check_axes(weight=(weight, "H", "K"))
    return weight.detach().norm(dim=0)


class Votes(NamedTuple):
    """What the nearest neighbors of each query say: the label with most votes (N,) and its share of the votes (N,)."""

    label: Tensor
    share: Tensor


TREE = 8  # numbers in a row: of longer ones a tree finds the neighbors no sooner than looking at all


def neighbour_votes(reference: Tensor, labels: Tensor, queries: Tensor, *, k: int = 10) -> Votes:
    """The vote of the k nearest rows of `reference` (M, D), labeled by `labels` (M,), on each query (N, D)."""
    from sklearn.neighbors import KNeighborsClassifier  # seconds to import, needed by few readers

    search = "auto" if reference.shape[1] <= TREE else "brute"
    classifier = KNeighborsClassifier(n_neighbors=min(k, len(reference)), algorithm=search)
    classifier.fit(reference.numpy(), labels.numpy())
    shares = torch.from_numpy(classifier.predict_proba(queries.numpy()))
    best = shares.max(1)
    return Votes(torch.from_numpy(classifier.classes_)[best.indices], best.values)


class Confusions(NamedTuple):
    """`surest`, the label most often recognized; `pair`, the two most confused (true, taken for); and how often."""

    surest: int
    pair: tuple[int, int]
    share: float


def confusions(labels: Tensor, voted: Tensor) -> Confusions:
    """Which classes are recognized and which confused. labels, voted (N,).

    `share` is of the images with the true label; 0, and the pair of no meaning, where nothing is confused.
    """
    classes, table = confusion_table(labels, voted)
    surest = classes[table.diagonal().argmax()].item()
    a, b = divmod(table.fill_diagonal_(0).argmax().item(), len(classes))
    return Confusions(surest, (classes[a].item(), classes[b].item()), table[a, b].item())


def confusion_table(labels: Tensor, voted: Tensor) -> tuple[Tensor, Tensor]:
    """The classes (C,) of labels (N,) and of votes (N,), and (C, C): which share of each, row by row, is voted which.

    A class without images, which only votes name, has a row of zeros.
    """
    classes = torch.cat([labels, voted]).unique()
    shares = [(voted[labels == a, None] == classes).double().mean(0) for a in classes]
    return classes, torch.stack(shares).nan_to_num(0.0)


def knn_accuracy(z: Tensor, labels: Tensor, z_test: Tensor, labels_test: Tensor, *, k: int = 10) -> float:
    """Share of test codes whose k nearest training codes vote for their label. z (N, K), labels (N,)."""
    check_axes(z=(z, "N", "K"), labels=(labels, "N"), z_test=(z_test, "M", "K"), labels_test=(labels_test, "M"))
    return (neighbour_votes(z, labels, z_test, k=k).label == labels_test).double().mean().item()


def left_out_accuracy(z: Tensor, labels: Tensor, *, k: int = 10) -> float:
    """Share of codes z (N, K) whose k nearest others vote for their label (N,), with no second set of codes.

    The smallest label wins a tie. NaN for a single code.
    """
    check_axes(z=(z, "N", "K"), labels=(labels, "N"))
    from sklearn.neighbors import NearestNeighbors

    if len(z) < 2:
        return math.nan
    near = NearestNeighbors(n_neighbors=min(k, len(z) - 1)).fit(z.numpy()).kneighbors(return_distance=False)
    return (labels[torch.from_numpy(near)].mode(1).values == labels).double().mean().item()


@torch.no_grad()
def halfway(model: LatentModel, images: Tensor, train: Tensor, *, n_pairs: int = 500, seed: int = 0) -> float:
    """How near to the data the decoder passes on its way from one image to another, against fading between them.

    The distance to the nearest of train (M, D) of the picture halfway between the codes of two of the images (N, D), as
    a share of that of the mean of the two reconstructions; over random pairs. 1: the way is a fade, as of any linear
    decoder; below 1: it keeps nearer to the data. NaN for a single image, and where the fade never leaves the data.
    """
    check_axes(images=(images, "N", "D"), train=(train, "M", "D"))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    if len(order) < 2:
        return math.nan
    a, b = (model.embed(images[rows[:n_pairs]]) for rows in (order, order.roll(1)))
    faded = (model.mean_image(a) + model.mean_image(b)) / 2
    halfway, fade = (nearest_distance(pictures, train) for pictures in (model.mean_image((a + b) / 2), faded))
    return halfway / fade if fade else math.nan


def nearest_distance(pictures: Tensor, images: Tensor) -> float:
    """Mean distance of pictures (N, D) to the nearest of the images (M, D)."""
    check_axes(pictures=(pictures, "N", "D"), images=(images, "M", "D"))
    return torch.cdist(pictures, images).amin(1).mean().item()


def pca_codes(train: Tensor, test: Tensor, *, n_components: int) -> tuple[Tensor, Tensor]:
    """Principal components of both splits, fitted on the first: the linear code of the same size. (N, D) → (N, K)."""
    from sklearn.decomposition import PCA

    pca = PCA(min(n_components, *train.shape), svd_solver="covariance_eigh").fit(train.numpy())
    return tuple(torch.from_numpy(pca.transform(images.numpy())) for images in (train, test))


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation of each column of a (N, P) with each of b (N, Q): (P, Q), NaN for a constant column."""
    a, b = (v.double() - v.double().mean(0) for v in (a, b))
    return (a.T @ b) / (a.norm(dim=0)[:, None] * b.norm(dim=0))


def rotated(z: Tensor, degrees: float) -> Tensor:
    """Codes z (N, 2) in axes turned by an angle: equally good coordinates under N(0, I), which prefers no axes.

    A single coordinate (N, 1) has no second one to be turned towards and is returned as it is.
    """
    if z.shape[1] == 1:
        return z
    angle = torch.deg2rad(torch.tensor(degrees, dtype=z.dtype))
    c, s = angle.cos(), angle.sin()
    return z @ torch.stack([torch.stack([c, -s]), torch.stack([s, c])])


def cluster_purity(z: Tensor, labels: Tensor, n_clusters: int) -> float:
    """Share of codes with the commonest label of their cluster, where k-means, not the labels, makes the clusters.

    z (N, K), labels (N,). 1: every cluster has one label; the share of the largest class, or a little above: chance.
    """
    check_axes(z=(z, "N", "K"), labels=(labels, "N"))
    from sklearn.cluster import KMeans

    clusters = KMeans(n_clusters, n_init=10, random_state=0).fit_predict(z.numpy())
    counts = torch.zeros(n_clusters, int(labels.max()) + 1).index_put_(
        (torch.from_numpy(clusters).long(), labels), torch.ones(len(labels)), accumulate=True
    )
    return (counts.amax(1).sum() / len(labels)).item()


def hoyer_sparsity(z: Tensor) -> float:
    """Hoyer's (√K - mean ‖z‖₁/‖z‖₂) / (√K - 1) of codes z (N, K), K ≥ 2, scaled to unit standard deviation.

    1: one coordinate of each code is not zero. 0: all are equally large. About 0.25: N(0, I) with K = 20. The scaling
    is Mathieu et al.'s (2019): without it a dimension that is never used would count as sparsity.
    """
    z = z / z.std(0)
    root = math.sqrt(z.shape[1])
    return ((root - (z.abs().sum(1) / z.norm(dim=1)).mean()) / (root - 1)).item()


def binary_entropy(images: Tensor) -> Tensor:
    """-x log x - (1-x) log(1-x), the least that gray pixels x in [0, 1] cost under eq. 15. (N, D) → (N,), in nats."""
    check_axes(images=(images, "N", "D"))
    return -(torch.special.xlogy(images, images) + torch.special.xlogy(1 - images, 1 - images)).sum(1)


def laplacian_variance(images: Tensor, image_shape: tuple[int, int]) -> Tensor:
    """Sharpness: the variance, over an image, of each pixel's four neighbors less four times itself. (N, D) → (N,).

    NaN for images so narrow that no pixel has four neighbors. Raises ValueError where D is not that of `image_shape`.
    """
    check_axes(images=(images, ..., math.prod(image_shape)))
    if min(image_shape) < 3:
        return torch.full((len(images),), math.nan)
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).to(images)
    edges = torch.nn.functional.conv2d(images.reshape(-1, 1, *image_shape), kernel[None, None])
    return edges.flatten(1).var(1, correction=0)


def relative_sharpness(pictures: Tensor, images: Tensor, image_shape: tuple[int, int]) -> float:
    """Mean Laplacian variance of pictures (N, D) as a share of that of images (M, D); NaN where these have none."""
    ours, theirs = (laplacian_variance(some, image_shape).mean() for some in (pictures, images))
    return (ours / theirs).item()


def mean_image_log_likelihood(train: Tensor, test: Tensor) -> float:
    """Mean log-likelihood (eq. 15) of test (M, D) where the mean of train (N, D) stands in for a decoder, in nats.

    Pixels that are black (or white) throughout train get a probability of 1e-6 of being otherwise.
    Raises ValueError for pixels outside [0, 1].
    """
    check_pixels(train, "bernoulli", "train")
    check_pixels(test, "bernoulli", "test")
    logits = train.mean(0).clamp(1e-6, 1 - 1e-6).logit()
    return bernoulli_log_likelihood(test, logits).mean().item()


def two_sample_accuracy(a: Tensor, b: Tensor) -> float:
    """How often a point's nearest neighbor, itself left out, is of its own sample.

    0.5: the samples cannot be told apart. 1: they are disjoint. a, b (N, D): the leave-one-out 1-nearest-neighbor test
    of Lopez-Paz and Oquab (2017). Raises ValueError for other shapes, for points without coordinates, and for
    coordinates that are not finite.
    """
    check_finite(a=a, b=b)
    if a.shape != b.shape:
        raise ValueError(f"the two samples need one shape, not {tuple(a.shape)} and {tuple(b.shape)}")
    both = torch.cat([a, b])
    nearest = torch.cdist(both, both).fill_diagonal_(math.inf).argmin(1)
    own = torch.arange(len(both)) < len(a)
    return (own == own[nearest]).float().mean().item()
