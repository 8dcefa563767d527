"""How many dimensions: sizes of a model's latent dimensions, rules that count them, and estimates from points alone.

Axes: N images or points, D pixels or coordinates, K latent dimensions. Arguments with other axes than a function names
raise ValueError, and so do NaN and what else cannot be ranked.
"""

import math
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from vaelib.checks import check_axes, check_finite, check_numbers
from vaelib.densities import kl_per_dimension
from vaelib.measures import column_norms, column_sums, posterior
from vaelib.models import VAE

KL_IN_USE = 0.1  # nats: a posterior variance of exp(-0.2), four fifths of the prior's
ACTIVE = 0.01  # of Var(mu), the threshold of Burda et al. (2016)
OF_LARGEST = 0.05  # of the largest column norm, the threshold of Dai et al. (2018)
NEAR = 3.0  # a factor: a value as far from a threshold might lie on its other side in another run

NEIGHBOURS = 20  # of a point, for its maximum-likelihood dimension
KEPT = 0.95  # of the variance, by principal components


def sizes(model: VAE, images: Tensor) -> dict[str, Tensor]:
    """Four sizes (K,) of each latent dimension, on images (N, D).

    "sum" and "norm" are of the decoder's column, |Σ_h W_hk| and ‖W_·k‖₂; "kl" the mean nats that the dimension carries;
    "variance" that of its mean over the images.
    """
    check_axes(images=(images, "N", model.data_dim))
    q = posterior(model, images)
    return {
        "sum": column_sums(model.latent_weight),
        "norm": column_norms(model.latent_weight),
        "kl": kl_per_dimension(*q).mean(0),
        "variance": q.mu.var(0, correction=0),
    }


def elbow(values: Tensor) -> float:
    """How many of the values (K,), in decreasing order, stand before the elbow of their curve; NaN for K < 3.

    The elbow is the point farthest below the straight line from the first value to the last (Satopää et al. 2011). Two
    points have none, equal values have it nowhere (0), and beyond it there are two values at least.
    """
    check_finite(values=values)
    if len(values) < 3:
        return math.nan
    ordered = values.double().sort(descending=True).values
    fall = ordered[0] - ordered[-1]
    if fall <= 0:
        return 0.0
    line = 1 - torch.linspace(0, 1, len(ordered), dtype=torch.float64)
    return float((line - (ordered - ordered[-1]) / fall).argmax())


def steepest(values: Tensor) -> float:
    """How many of the values (K,), in decreasing order, stand before the largest fall from one to the next.

    NaN for K < 3, where there is hardly a choice; 0 for equal values, which do not fall.
    """
    check_finite(values=values)
    if len(values) < 3:
        return math.nan
    falls = -values.double().sort(descending=True).values.diff()
    return float(falls.argmax() + 1) if falls.max() > 0 else 0.0


def above(values: Tensor, threshold: float) -> float:
    """How many of the values (K,) lie above the threshold."""
    check_numbers(values=values)
    return float((values > threshold).sum())


def near(values: Tensor, threshold: float) -> float:
    """How many of the values (K,) lie within the factor `NEAR` of the threshold, on either side."""
    check_numbers(values=values)
    return float(((values > threshold / NEAR) & (values < threshold * NEAR)).sum())


def counts(sizes: Mapping[str, Tensor]) -> dict[str, float]:
    """How many dimensions are in use, by six rules that read the `sizes` of a model.

    "kl" and "active": KL or Var(mu) above its threshold, and as "kl_near" and "active_near" how many lie near it;
    "norm_share": norms above `OF_LARGEST` of the largest; "norm" and "sum": the `elbow` of the sorted norms or column
    sums, and "sum_fall": the sums before their `steepest` fall, two ways to read Figure 8.
    """
    return {
        "kl": above(sizes["kl"], KL_IN_USE),
        "kl_near": near(sizes["kl"], KL_IN_USE),
        "active": above(sizes["variance"], ACTIVE),
        "active_near": near(sizes["variance"], ACTIVE),
        "norm_share": above(sizes["norm"], OF_LARGEST * sizes["norm"].max()),
        "norm": elbow(sizes["norm"]),
        "sum": elbow(sizes["sum"]),
        "sum_fall": steepest(sizes["sum"]),
    }


def of_points(points: Tensor) -> dict[str, float]:
    """The dimension of points (N, D) without any network: NaN for fewer than 50 different points, or for D = 1.

    "twonn" (Facco et al. 2017) and "mle" (Levina and Bickel 2005, `NEIGHBOURS` neighbors) see how fast the number of
    neighbors grows with distance; "pca" counts the principal components that keep `KEPT` of the variance.
    """
    points = points.unique(dim=0)
    if len(points) < 50 or points.shape[1] < 2:
        return dict.fromkeys(("twonn", "mle", "pca"), math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what compiles it as it is imported
        from skdim.id import MLE, TwoNN
    x = points.double()
    shares = torch.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0))).flip(0)
    kept = shares.cumsum(0) / shares.sum()
    return {
        "twonn": float(TwoNN().fit(x.numpy()).dimension_),
        "mle": float(MLE().fit(x.numpy(), n_neighbors=NEIGHBOURS).dimension_),
        "pca": float((kept < KEPT).sum() + 1),
    }
