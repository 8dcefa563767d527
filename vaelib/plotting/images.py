"""Pictures of images: rows, mosaics and the manifold.

Axes: N images, D pixels, K latent. Pictures are clipped to [0, 1]: 0 is black and 1 white, as in the paper's figures.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaelib.plotting.style import STYLE, axes_or_new, bare, done


def tile(images: ArrayLike, image_shape: tuple[int, int], n_cols: int, gap: int = 1) -> np.ndarray:
    """Images (N, D) as one picture, row by row, with `gap` gray pixels between them."""
    pictures = np.clip(np.asarray(images, dtype=float), 0, 1).reshape(-1, *image_shape)
    height, width = image_shape
    n_rows = -(-len(pictures) // n_cols)
    canvas = np.full((n_rows * (height + gap) - gap, n_cols * (width + gap) - gap), 0.5)
    for i, picture in enumerate(pictures):
        top, left = (i // n_cols) * (height + gap), (i % n_cols) * (width + gap)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def image_rows(rows: Mapping[str, ArrayLike], image_shape: tuple[int, int]) -> Figure:
    """Named rows of images, one above the other: {"input": (N, D), "reconstruction": (N, D)}."""
    n_cols = max(len(np.asarray(images)) for images in rows.values())
    with plt.rc_context(STYLE):
        aspect = image_shape[0] / image_shape[1]
        figure, axes = plt.subplots(len(rows), 1, figsize=(7, 0.25 + 6.2 / n_cols * aspect * len(rows)), squeeze=False)
        for ax, (name, images) in zip(axes[:, 0], rows.items(), strict=True):
            ax.imshow(tile(images, image_shape, n_cols), cmap="gray", vmin=0, vmax=1)
            ax.set_ylabel(name, rotation=0, ha="right", va="center")
            bare(ax)
    return done(figure)


def image_grid(images: ArrayLike, image_shape: tuple[int, int], *, n_cols: int = 8, ax: Axes | None = None) -> Figure:
    """Images (N, D) in rows of `n_cols`."""
    with plt.rc_context(STYLE):
        figure, ax = axes_or_new(ax, (5.5, 5.5))
        ax.imshow(tile(images, image_shape, n_cols), cmap="gray", vmin=0, vmax=1)
        bare(ax)
    return done(figure)


def manifold(
    images: ArrayLike,
    image_shape: tuple[int, int],
    values: ArrayLike,
    dims: Sequence[int],
    *,
    ax: Axes | None = None,
) -> Figure:
    """The pictures of `latent.latent_grid(K, values, dims)` in place, with latent coordinates on the axes.

    One dimension in `dims`: a strip, folded into rows of ten. Two: an n × n grid, z of the first to the right and of
    the second upwards.
    """
    values = np.asarray(values, dtype=float)
    height, width = image_shape
    n_cols = len(values) if len(dims) == 2 else min(10, len(values))
    ticks = np.unique(np.linspace(0, n_cols - 1, 5).round().astype(int))
    with plt.rc_context(STYLE):
        figure, ax = axes_or_new(ax, (7, 7) if len(dims) == 2 else (7, 2))
        ax.imshow(tile(images, image_shape, n_cols, gap=0), cmap="gray", vmin=0, vmax=1)
        if len(dims) == 2:
            ax.set_xticks((ticks + 0.5) * width - 0.5, [f"{values[t]:.2f}" for t in ticks])
            ax.set_yticks((n_cols - 1 - ticks + 0.5) * height - 0.5, [f"{values[t]:.2f}" for t in ticks])
            ax.set(xlabel=f"$z_{{{dims[0] + 1}}}$", ylabel=f"$z_{{{dims[1] + 1}}}$")
            ax.spines[:].set_visible(False)
        else:
            bare(ax)
            ax.set_xlabel(f"$z_{{{dims[0] + 1}}}$ from {values[0]:.2f} (first) to {values[-1]:.2f} (last), row by row")
    return done(figure)
