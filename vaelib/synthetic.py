"""Data whose truth is known: drawn boots, linear-Gaussian data, and manifolds of a planted dimension.

Axes: N images or points, D pixels or coordinates, K latent dimensions. The only randomness is `seed`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.checks import check_axes

SIDE = 28

# Ranges of the two factors of a drawn boot, in pixels; both are uniform and independent of each other.
HEEL_RANGE = (1.0, 8.0)
SHAFT_RANGE = (9.0, 17.0)

GROUND = 27.0  # y of the floor; y grows downwards, and a pixel covers [i, i + 1)
TOE, BACK = 2.0, 24.5  # x of the tip of the toe and of the back of the heel


def drawn_boots(n: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Side views of boots, toe to the left, that differ in two factors only.

    Returns
    -------
    images : (n, 784) float32 in [0, 1]
        28x28 anti-aliased pictures, row-major, 0 for the background.
    factors : (n, 2) float32, pixels
        Heel height and shaft height, uniform on `HEEL_RANGE` and `SHAFT_RANGE`. The shaft is measured from the top of
        the heel to the top of the boot, so that the two together are the height of the picture.

    Raises
    ------
    ValueError
        If n < 1.
    """
    _check_counts(n=n)
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor([HEEL_RANGE, SHAFT_RANGE]).T
    factors = low + (high - low) * torch.rand(n, 2, generator=generator)
    return _draw(*factors[:, :, None, None].unbind(1)).reshape(n, SIDE * SIDE), factors


def _draw(heel: Tensor, shaft: Tensor) -> Tensor:
    """Pictures (n, 28, 28) of boots with these heel and shaft heights, each (n, 1, 1)."""
    x = torch.arange(SIDE) + 0.5  # (28,) columns
    y = x[:, None]  # (28, 1) rows; what depends on one of the two only stays that small
    seat = GROUND - heel  # where the heel meets the boot
    top = seat - shaft

    # Foot, column by column. Below: a flat ball and an arch up to the seat. Above: a round toe and an instep.
    bottom = GROUND - heel * _rise(x, 9.0, 17.0)
    toe_cap = 5.0 * (1 - ((8.0 - x) / (8.0 - TOE)).clamp(0, 1) ** 2).sqrt()
    instep = GROUND - toe_cap - (heel + 3.5) * _rise(x, 6.0, 16.0)
    in_foot = _overlap(y, instep.maximum(top), bottom) * _overlap(x, TOE, BACK)

    # Shaft, row by row: narrowest at the ankle, wider towards the top.
    above_ankle = ((seat - 5.0 - y) / 12.0).clamp(0, 1)
    in_shaft = _overlap(y, top, seat) * _overlap(x, 14.0 - 1.5 * above_ankle, BACK - 0.8 + 0.8 * above_ankle)

    taper = 3.0 * ((y - seat) / HEEL_RANGE[1]).clamp(0, 1)
    in_heel = _overlap(y, seat - 1.0, GROUND) * _overlap(x, 19.0 + taper, BACK)

    in_sole = in_foot * _overlap(y, bottom - 1.5, bottom)
    upper = 0.65 + 0.2 * ((x - 14.0) / 10.0).clamp(0, 1)  # light falls from behind
    return torch.maximum(upper * in_foot.maximum(in_shaft), in_sole.maximum(in_heel))


def _rise(x: Tensor, start: float, end: float) -> Tensor:
    """A smooth step from 0 at `start` to 1 at `end`."""
    t = ((x - start) / (end - start)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _overlap(centre: Tensor, low, high) -> Tensor:
    """Share of the unit interval around `centre` that lies in [low, high]: the anti-aliasing."""
    low, high = torch.as_tensor(low), torch.as_tensor(high)
    return ((centre + 0.5).minimum(high) - (centre - 0.5).maximum(low)).clamp(0, 1)


def heel_height(images: Tensor, *, threshold: float = 0.5) -> Tensor:
    """Height of the heel read off pictures of boots: the depth of the hollow below the sole, between ball and heel.

    Parameters
    ----------
    images : (N, 784), the toe on either side
        Drawn, decoded or Fashion-MNIST boots. A wedge, whose heel leaves no gap, has height 0.
    threshold : float in (0, 1)
        Share of a picture's brightest pixel from which a pixel belongs to the boot; edges are interpolated to it.

    Returns
    -------
    (N,) pixels; NaN for a picture that is black all over.

    Raises
    ------
    ValueError
        If a picture has another number of pixels.
    """
    check_axes(images=(images, ..., SIDE * SIDE))
    lowest = _lower_edges(images.reshape(-1, SIDE, SIDE), threshold)
    # A hollow has something lower on either side; a toe that curls up has it on one side only.
    on_left, on_right = lowest.cummax(1).values, lowest.flip(1).cummax(1).values.flip(1)
    depth = torch.where(lowest.isfinite(), on_left.minimum(on_right) - lowest, 0.0).amax(1)
    return torch.where(lowest.isfinite().any(1), depth, torch.nan)


def shaft_height(images: Tensor, *, threshold: float = 0.5) -> Tensor:
    """Height of the boot above its heel, read off pictures: from the floor to the top, less `heel_height`.

    Takes, returns and raises what `heel_height` does.
    """
    check_axes(images=(images, ..., SIDE * SIDE))
    pictures = images.reshape(-1, SIDE, SIDE)
    floor = _lower_edges(pictures, threshold).amax(1)  # y grows downwards
    top = SIDE - _lower_edges(pictures.flip(1), threshold).amax(1)
    return floor - top - heel_height(images, threshold=threshold)


def _lower_edges(pictures: Tensor, threshold: float) -> Tensor:
    """The y (N, 28) at which each column of pictures (N, 28, 28) is last as bright as the threshold; -inf if never."""
    level = threshold * pictures.amax((1, 2))[:, None]
    bright = (pictures >= level[:, None]) & (pictures > 0)
    row = (bright * torch.arange(SIDE)[:, None]).amax(1)  # (N, 28)
    below = torch.nn.functional.pad(pictures, (0, 0, 0, 1))
    last, following = (below.gather(1, rows[:, None])[:, 0] for rows in (row, row + 1))
    edge = row + 0.5 + (last - level) / (last - following)
    return torch.where(bright.any(1), edge, -torch.inf)


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """Probabilistic PCA, the one latent-variable model of ours whose evidence and posterior are known exactly.

    z ~ N(0, I) and x | z ~ N(W z + mean, noise^2 I). Computations are in the precision of `weights`.

    Attributes
    ----------
    weights : (D, K)
    mean : (D,)
    noise : float
        Standard deviation of each coordinate of x given z; above 0.
    """

    weights: Tensor
    mean: Tensor
    noise: float

    def __post_init__(self):
        if self.weights.ndim != 2 or self.mean.shape != self.weights.shape[:1]:
            shapes = f"{tuple(self.weights.shape)} and {tuple(self.mean.shape)}"
            raise ValueError(f"weights and mean have shapes {shapes}; they must be (D, K) and (D,)")
        if not 0 < self.noise < math.inf:
            raise ValueError(f"noise is {self.noise}; it is a standard deviation, above 0")

    def sample(self, n: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Points x (n, D) and the latents z (n, K) that they came from."""
        _check_counts(n=n)
        generator = torch.Generator().manual_seed(seed)
        z, eps = (torch.randn(n, size, generator=generator, dtype=torch.float64) for size in self.weights.T.shape)
        z, eps = z.to(self.weights), eps.to(self.weights)
        return z @ self.weights.T + self.mean + self.noise * eps, z

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (N, K) and covariance (K, K) of p(z | x) for x (N, D); the covariance is the same for every x.

        Raises ValueError for another shape.
        """
        check_axes(x=(x, "N", len(self.mean)))
        covariance = torch.linalg.inv(self._precision())
        return (x.to(self.mean) - self.mean) @ self.weights @ covariance / self.noise**2, covariance

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (N,), for x (N, D): the log density of N(mean, W W^T + noise^2 I).

        Raises ValueError for another shape.
        """
        check_axes(x=(x, "N", len(self.mean)))
        centred = x.to(self.mean) - self.mean
        mean, _ = self.posterior(x)
        # The D x D covariance is never formed: its determinant and inverse follow from the K x K posterior precision.
        squared = (centred * (centred - mean @ self.weights.T)).sum(1) / self.noise**2
        log_scale = len(self.mean) * math.log(2 * math.pi * self.noise**2) + torch.logdet(self._precision())
        return -0.5 * (squared + log_scale)

    def _precision(self) -> Tensor:
        identity = torch.eye(self.weights.shape[1]).to(self.weights)
        return identity + self.weights.T @ self.weights / self.noise**2


def linear_gaussian(
    *, latent_dim: int, data_dim: int, noise: float, seed: int, dtype: torch.dtype = torch.float64
) -> LinearGaussian:
    """A random `LinearGaussian`: weights N(0, 1/K), so that W z has coordinates of unit variance; mean N(0, 1)."""
    _check_counts(latent_dim=latent_dim, data_dim=data_dim)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(data_dim, latent_dim, generator=generator, dtype=torch.float64) / math.sqrt(latent_dim)
    mean = torch.randn(data_dim, generator=generator, dtype=torch.float64)
    return LinearGaussian(weights.to(dtype), mean.to(dtype), noise)


def planted_manifold(
    n: int, *, true_dim: int, data_dim: int, seed: int, manifold_seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Points on a curved manifold of known dimension in the unit cube.

    z ~ N(0, I) goes through a random ReLU network of three layers (He initialization, biases N(0, 1)); each
    output is then standardized and squashed by a sigmoid.

    Parameters
    ----------
    n, seed : int
        How many points, and which.
    true_dim, data_dim, manifold_seed : int
        Dimension of the manifold, dimension of the space around it (not below it), and which of them: the same three
        with another `seed` give new points of the same manifold.

    Returns
    -------
    points : (n, data_dim) float32 in [0, 1]
    latents : (n, true_dim) float32

    Raises
    ------
    ValueError
        If a count is below 1, or true_dim above data_dim.
    """
    _check_counts(n=n, true_dim=true_dim, data_dim=data_dim)
    if true_dim > data_dim:
        raise ValueError(
            f"true_dim is {true_dim}, above data_dim {data_dim}; a manifold fits only into as many dimensions"
        )
    generator = torch.Generator().manual_seed(manifold_seed)
    # Hidden layers wider than the data: a narrow ReLU layer would switch off dimensions of the manifold in places.
    width = 4 * max(data_dim, 16)
    sizes = (true_dim, width, width, data_dim)
    weights = [torch.randn(size, generator=generator) * math.sqrt(2 / size[0]) for size in itertools.pairwise(sizes)]
    # Without biases the net would be positively homogeneous and its image a cone, which has no dimension at its tip.
    biases = [torch.randn(size, generator=generator) for size in sizes[1:3]]

    def outputs(z: Tensor) -> Tensor:
        for weight, bias in zip(weights, biases, strict=False):
            z = (z @ weight + bias).relu()
        return z @ weights[-1]

    reference = outputs(torch.randn(4096, true_dim, generator=generator))
    z = torch.randn(n, true_dim, generator=torch.Generator().manual_seed(seed))
    return torch.sigmoid(2 * (outputs(z) - reference.mean(0)) / reference.std(0)), z


PINWHEEL_ARMS = 4


def pinwheel(
    n_per_arm: int, *, seed: int, radial: float = 0.3, tangential: float = 0.1, rate: float = 0.25
) -> tuple[Tensor, Tensor]:
    """Four curved arms around the origin: the clustered data of Mathieu et al. (2019), after R. P. Adams.

    A Gaussian at (1, 0), drawn out along the radius, is turned by a quarter for each arm, and every point further by
    `rate` · exp(distance along the radius), in radians, which bends the arms.

    Parameters
    ----------
    radial, tangential : float
        Standard deviations along and across an arm, before it is bent; the published script swaps the two names.

    Returns
    -------
    points : (4 n_per_arm, 2) float32
    arms : (4 n_per_arm,) int64
        Which arm a point belongs to, 0 to 3, in blocks.
    """
    _check_counts(n_per_arm=n_per_arm)
    arms = torch.arange(PINWHEEL_ARMS).repeat_interleave(n_per_arm)
    noise = torch.randn(len(arms), 2, generator=torch.Generator().manual_seed(seed))
    along, across = 1 + radial * noise[:, 0], tangential * noise[:, 1]
    angle = arms * (2 * math.pi / PINWHEEL_ARMS) + rate * along.exp()
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([along * cos + across * sin, across * cos - along * sin], 1), arms


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} is {count!r}; it must be an integer of 1 or more")
