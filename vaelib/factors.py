"""Which axis of a code holds which factor of the data: scores of disentanglement, and the same axes turned.

Axes: N images, K codes, F factors, A angles. A strength (..., K, F) says how much of a factor each code holds, 0 to 1.
Codes that are not finite numbers have no place in an order: ValueError.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaelib.checks import check_finite, check_floating
from vaelib.measures import correlations, rotated
from vaelib.synthetic import heel_height, shaft_height


def boot_heights(images: Tensor) -> Tensor:
    """Heel and shaft of boots, read off pictures (N, 784): (N, 2) in pixels, as `synthetic.heel_height` has it."""
    return torch.stack([heel_height(images), shaft_height(images)], 1)


def brightness(images: Tensor) -> Tensor:
    """Mean pixel of what is bright, Σx²/Σx: that of an even patch on black, however large. (N, D) → (N,).

    NaN for an image that is black all over. Raises ValueError for another number of axes.
    """
    if images.ndim != 2:
        raise ValueError(f"images must have shape (N, D), not {tuple(images.shape)}")
    return images.square().sum(1) / images.sum(1)


def correlation_ratios(codes: Tensor, factors: Tensor, *, bins: int = 20) -> Tensor:
    """η²: the share of each factor's variance that each code accounts for by itself, along whatever curve.

    codes (N, K), factors (N, F) → (K, F); NaN for a constant factor. A code is cut into `bins` equally filled bins, and
    the variance of a factor's mean over them is divided by its variance. 1: the factor is a function of the code; about
    bins/N: it has nothing to do with it. Of independent codes these are the first-order Sobol indices.
    """
    check_finite(codes=codes)
    factors = factors.double() - factors.double().mean(0)
    between = torch.stack([_between(b, factors) for b in _binned(codes, bins).T])
    return between / factors.square().sum(0)


def turned(codes: Tensor, factors: Tensor, angles: Iterable[float]) -> Tensor:
    """`correlation_ratios` (A, K, F) of codes (N, K), K ≤ 2, in axes turned by each of the angles, in degrees."""
    return torch.stack([correlation_ratios(rotated(codes, float(angle)), factors) for angle in angles])


def one_axis_each(strength: Tensor) -> Tensor:
    """The strongest axis of each factor less its weakest, averaged over factors. strength (..., K, F) → (...).

    1 when every factor lies along a single axis, be it the same or not; 0 when all axes hold it alike.
    """
    return (strength.amax(-2) - strength.amin(-2)).mean(-1)


def as_numbered(strength: Tensor) -> Tensor:
    """How far the first axis holds the first factor and the second axis the second. strength (..., 2, 2) → (...).

    For each factor its own axis less the other one, averaged: 1 when it is so, -1 when the axes are exchanged, 0 when
    both factors lie along one axis, or evenly along both. With a single axis there is nothing to number: 0.
    Raises ValueError for three axes or more, for another number of factors, and for whole numbers, which wrap around.
    """
    check_floating(strength=strength)
    if strength.shape[-1:] != (2,) or strength.shape[-2] not in (1, 2):
        raise ValueError(f"strength must have shape (..., 2, 2) or (..., 1, 2), not {tuple(strength.shape)}")
    if strength.shape[-2] == 1:
        return torch.zeros(strength.shape[:-2], dtype=strength.dtype)
    return (strength[..., 0, 0] - strength[..., 1, 0] + strength[..., 1, 1] - strength[..., 0, 1]) / 2


def different_axes(strength: Tensor) -> Tensor:
    """`as_numbered`, whichever way the axes are numbered: 1 only when two factors have an axis each, and not one."""
    return as_numbered(strength).abs()


def own_axis(strength: Tensor, *, margin: float = 0.1) -> tuple[int | None, ...]:
    """The axis that holds each factor, by `margin` more than any other axis; None where none does. strength (K, F)."""
    axes = []
    for factor in strength.T:
        first, *rest = factor.sort(descending=True).values.tolist()
        axes.append(factor.argmax().item() if first - max(rest, default=0) > margin else None)
    return tuple(axes)


def rank_among(value: Tensor, others: Tensor) -> float:
    """Share of `others` (A,) below `value`, those equal to it counted half; NaN if the value is not a number.

    Of a value that is one of many alike it is uniform on [0, 1], with mean one half.
    """
    if value.isnan():
        return float("nan")
    return ((others < value).double() + (others == value).double() / 2).mean().item()


def among_turned(strength: Tensor) -> dict[str, float]:
    """`one_axis_each` ("one") and `different_axes` ("apart") of the first angle, among all angles: strength (A, K, F).

    "one_mean": the mean over the angles, and so on for the least, the largest and `rank_among`; "one_turn": from the
    first angle to the best one, the shorter way round the A angles, as a share of the way round.
    """
    scores = {}
    for name, score in {"one": one_axis_each(strength), "apart": different_axes(strength)}.items():
        others = {"mean": score.mean(), "low": score.min(), "high": score.max()}
        scores |= {name: score[0].item(), f"{name}_rank": rank_among(score[0], score)}
        best = score.argmax().item() / len(score)
        scores[f"{name}_turn"] = min(best, 1 - best)
        scores |= {f"{name}_{what}": value.item() for what, value in others.items()}
    return scores


def mutual_information_gap(codes: Tensor, factors: Tensor, *, bins: int = 20) -> float:
    """MIG of Chen et al. (2018): for each factor, how much more one code says of it than any other does.

    codes (N, K), factors (N, F), both cut into `bins` equally filled bins. The gap between the two largest mutual
    informations, as a share of the factor's entropy, averaged over factors. 1: one code decides each factor; 0: two
    codes say the same of it, or none says anything.
    """
    check_finite(codes=codes, factors=factors)
    from sklearn.metrics import mutual_info_score

    a, b = _binned(codes, bins).numpy(), _binned(factors, bins).numpy()
    info = torch.tensor([[mutual_info_score(code, factor) for factor in b.T] for code in a.T])
    return _gap(info / torch.tensor([mutual_info_score(factor, factor) for factor in b.T]))


def separated_predictability(codes: Tensor, factors: Tensor) -> float:
    """SAP of Kumar et al. (2018) for continuous factors: the two best codes' squared correlations, their difference.

    codes (N, K), factors (N, F); averaged over factors. It sees straight relations only. Raises ValueError for
    numbers that are not finite, and for none.
    """
    check_finite(codes=codes, factors=factors)
    return _gap(correlations(codes, factors).square().nan_to_num())


class DCI(NamedTuple):
    """Eastwood and Williams (2018). `disentanglement`: each code is used for one factor only; `completeness`: each
    factor is predicted from one code only; `informativeness`: R² of the prediction on codes it was not fitted to."""

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: Tensor, factors: Tensor, *, trees: int = 20, seed: int = 0) -> DCI:
    """DCI, with the importances of random forests: codes (N, K), factors (N, F), the second half of N to test on.

    With a single code completeness is 1, and with a single factor disentanglement.
    """
    from sklearn.ensemble import RandomForestRegressor

    half = len(codes) // 2
    x, x_test = codes[:half].numpy(), codes[half:].numpy()
    importance, fit = [], []
    for factor in factors.T.numpy():
        forest = RandomForestRegressor(trees, min_samples_leaf=5, random_state=seed).fit(x, factor[:half])
        importance.append(forest.feature_importances_)
        fit.append(forest.score(x_test, factor[half:]))
    table = torch.from_numpy(np.stack(importance, 1))  # (K, F)
    return DCI(_peakedness(table), _peakedness(table.T), sum(fit) / len(fit))


def total_correlation(codes: Tensor) -> float:
    """A lower bound of the total correlation of codes (N, K) in nats, for where no factor is known.

    The total correlation (Watanabe 1960) is the KL from the distribution of codes to the product of its margins, 0 if
    they are independent. Each code is put through its ranks to the normal distribution with which it has the same
    order, which leaves the total correlation as it is. Of all codes with normal margins and these correlations R the
    jointly normal ones have the least, -½ log|R|, which is returned: what is dependent beyond straight relations of
    the normal scores is not seen. Independent codes come to about K(K-1)/4N and not to 0. Constant codes
    depend on nothing; infinite where one code is a function of others. Raises ValueError for numbers that are not
    finite, and for none.
    """
    check_finite(codes=codes)
    if codes.ndim != 2:
        raise ValueError(f"codes must have shape (N, K), not {tuple(codes.shape)}")
    from scipy.stats import rankdata

    varied = codes[:, (codes != codes[:1]).any(0)]
    ranks = torch.from_numpy(rankdata(varied.numpy(), axis=0))
    scores = torch.special.ndtri((ranks - 0.5) / len(codes))
    scores = scores / scores.square().mean(0).sqrt()
    spread = torch.linalg.eigvalsh(scores.T @ scores / len(codes)).clamp(min=0)
    return (-spread.log().sum() / 2).clamp(min=0).item()


def known_scores(codes: Tensor, factors: Tensor) -> dict[str, float]:
    """MIG, SAP and DCI of codes (N, K) for known factors (N, F), under their names in lower case."""
    return {
        "mig": mutual_information_gap(codes, factors),
        "sap": separated_predictability(codes, factors),
        **dci(codes, factors)._asdict(),
    }


def _peakedness(table: Tensor) -> float:
    """1 less the entropy of each row of (P, Q), in units of log Q, averaged over rows by their sums."""
    weights = table.sum(1)
    shares = table / weights.clamp(min=1e-12)[:, None]
    entropy = -torch.special.xlogy(shares, shares).sum(1) / torch.tensor(max(table.shape[1], 2)).log()
    return ((1 - entropy) @ weights / weights.sum()).item()


def _gap(strength: Tensor) -> float:
    """The strongest code less the second, of each factor, averaged; a single code has no second. (K, F) → number."""
    best = strength.topk(min(2, len(strength)), 0).values
    return (best[0] - (best[1] if len(best) > 1 else 0)).mean().item()


def _binned(values: Tensor, bins: int) -> Tensor:
    """Each column of values (N, P) by its own quantiles: which of `bins` equally filled bins, (N, P) int64."""
    inner = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]
    columns = values.double().T.contiguous()
    return torch.searchsorted(columns.quantile(inner, 1).T.contiguous(), columns).T


def _between(bins: Tensor, centred: Tensor) -> Tensor:
    """Σ n_b · mean_b², over bins (N,), of columns (N, F) with mean zero: (F,)."""
    counts = bins.bincount().double()
    sums = torch.zeros(len(counts), centred.shape[1], dtype=centred.dtype).index_add_(0, bins, centred)
    return (sums.square() / counts.clamp(min=1)[:, None]).sum(0)
