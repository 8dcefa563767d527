"""Figures of codes and of latent dimensions. Axes: N images, K latent."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaelib.plotting.style import BLUE, GREEN, INK, ORANGE, PURPLE, STYLE, axes_or_new, bare, done


def latent_scatter(
    z: ArrayLike,
    labels: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    dims: Sequence[int] = (0, 1),
    ax: Axes | None = None,
) -> Figure:
    """Codes z (N, K) along one or two dimensions, colored by label (N,); -1 is an image without a label.

    With one dimension each class is a row of its own, so that overlaps can be seen.
    """
    import seaborn as sns  # brings pandas and scipy with it: seconds that other figures need not wait for

    z, labels = np.asarray(z), np.asarray(labels)
    classes = np.unique(labels)
    colors = dict(zip(classes, sns.color_palette("tab10" if len(classes) <= 10 else "husl", len(classes)), strict=True))
    with plt.rc_context(STYLE):
        figure, ax = axes_or_new(ax, (6.4, 5.4) if len(dims) == 2 else (6.4, 3.6))
        spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(z))
        for row, label in enumerate(classes):
            at = labels == label
            name = "unlabelled" if label < 0 else class_names[label] if class_names else str(label)
            up = z[at, dims[1]] if len(dims) == 2 else row + spread[at]
            ax.scatter(
                z[at, dims[0]], up, s=3, alpha=0.5, linewidths=0, color=colors[label], label=name, rasterized=True
            )
        ax.set_xlabel(f"$z_{{{dims[0] + 1}}}$")
        if len(dims) == 2:
            ax.set_ylabel(f"$z_{{{dims[1] + 1}}}$")
            ax.set_aspect("equal", adjustable="datalim")
            figure.legend(loc="outside right center", markerscale=4)
        else:
            names = [t.get_label() for t in ax.collections]
            ax.set_yticks(range(len(names)), names)
    return done(figure)


def code_panels(
    codes: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    x: ArrayLike | None = None,
    density: ArrayLike | None = None,
    shared: bool = True,
) -> Figure:
    """One scatter plot of codes for each name: z (N, 1) or (N, 2), colored by label (N,). One coordinate: a strip.

    Three panels to a row; labels from 9 on share a color. `density` (n, n) over the square x × x is drawn under every
    panel as contours. `shared` gives all panels one scale.
    """
    with plt.rc_context(STYLE):
        n_cols = min(3, len(codes))
        n_rows, side = -(-len(codes) // n_cols), 7.2 / max(2, n_cols)
        size = (side * n_cols, (side + 0.3) * n_rows)
        figure, axes = plt.subplots(n_rows, n_cols, figsize=size, squeeze=False, sharex=shared, sharey=shared)
        for lowest in axes.flat[len(codes) - n_cols : len(codes)]:
            lowest.tick_params(labelbottom=True)
        for unused in axes.flat[len(codes) :]:
            unused.remove()
        for ax, (name, (z, labels)) in zip(axes.flat, codes.items(), strict=False):
            z, labels = np.asarray(z), np.asarray(labels)
            up = z[:, 1] if z.shape[1] > 1 else np.random.default_rng(0).uniform(-1, 1, len(z))
            colors = {"c": labels, "cmap": "tab10", "vmin": -0.5, "vmax": 9.5}
            ax.scatter(z[:, 0], up, s=4, **colors, linewidths=0, alpha=0.6, rasterized=True)
            if density is not None:
                height = np.asarray(density).max()
                ax.contour(x, x, density, [0.05 * height, 0.5 * height], colors=INK, linewidths=0.7)
            ax.set(title=name, xlabel="one coordinate", ylabel="another" if z.shape[1] > 1 else "(spread)")
            if shared and z.shape[1] > 1:
                ax.set_aspect("equal")
    return done(figure)


def histograms(
    samples: Mapping[str, ArrayLike], edges: ArrayLike, *, density: tuple[str, ArrayLike] | None = None, **labels: str
) -> Figure:
    """Outlined histograms of samples (N,), as log-scaled densities; `density` names a curve over the edges."""
    edges = np.asarray(edges)
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(6, 3.4))
        if density:
            ax.plot(edges, density[1], color=INK, linestyle="--", linewidth=1, label=density[0])
        for (name, values), color in zip(samples.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=False):
            ax.hist(np.asarray(values).ravel(), edges, density=True, histtype="step", color=color, label=name)
        ax.set(yscale="log", **labels)
        ax.legend(fontsize="small")
    return done(figure)


def scree(panels: Mapping[str, ArrayLike], *, reference: Mapping[str, ArrayLike] | None = None) -> Figure:
    """One panel per measure of the latent dimensions, values (K,) in decreasing order.

    `reference` may hold, under the same name, the values of an untrained network: drawn as open circles.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 2.9), squeeze=False)
        for ax, (name, values) in zip(axes[0], panels.items(), strict=True):
            ordered = np.sort(np.asarray(values))[::-1]
            rank = np.arange(1, len(ordered) + 1)
            ax.plot(rank, ordered, "o-", color=BLUE, markersize=4, label="trained")
            if reference and name in reference:
                null = np.sort(np.asarray(reference[name]))[::-1]
                ax.plot(rank, null, "o", color=ORANGE, markersize=4, fillstyle="none", label="before training")
                ax.legend()
            ax.set(title=name, xlabel="rank of the dimension", ylim=(0, None))
            ax.xaxis.get_major_locator().set_params(integer=True)
    return done(figure)


def factor_maps(maps: Mapping[str, ArrayLike], values: ArrayLike, dims: Sequence[int], *, unit: str) -> Figure:
    """One panel per factor: its value at each point of `latent.latent_grid(K, values, dims)`, in the grid's order.

    One dimension in `dims`: curves (n,) in one panel. Two: maps (n·n,) in color, axes as in `manifold`.
    """
    values = np.asarray(values, dtype=float)
    with plt.rc_context(STYLE):
        if len(dims) == 1:
            figure, ax = plt.subplots(figsize=(5.5, 3))
            for (name, curve), color in zip(maps.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=False):
                ax.plot(values, np.asarray(curve), "o-", markersize=3, color=color, label=name)
            ax.set(xlabel=f"$z_{{{dims[0] + 1}}}$", ylabel=unit)
            ax.legend()
            return done(figure)
        figure, axes = plt.subplots(1, len(maps), figsize=(3.9 * len(maps), 3.3), squeeze=False)
        for ax, (name, flat) in zip(axes[0], maps.items(), strict=True):
            grid = np.asarray(flat, dtype=float).reshape(len(values), len(values))[::-1]
            mesh = ax.pcolormesh(values, values, grid, cmap="viridis", shading="nearest")
            ax.set(title=name, xlabel=f"$z_{{{dims[0] + 1}}}$", ylabel=f"$z_{{{dims[1] + 1}}}$", aspect="equal")
            figure.colorbar(mesh, ax=ax, label=unit, shrink=0.85)
    return done(figure)


def posterior_and_q(
    axis: Sequence[ArrayLike],
    density: ArrayLike,
    mu: ArrayLike,
    sigma: ArrayLike,
    *,
    picture: ArrayLike | None = None,
    ax: Axes | None = None,
    **labels: str,
) -> Figure:
    """A density over one or two latent dimensions, and the Gaussian N(mu, diag(sigma²)) that stands in for it.

    axis holds K = 1 or 2 ascending arrays (n,), density (n,) or (n, n) with z_1 along the first axis; mu, sigma (K,).
    One dimension: two curves. Two: the smallest regions that hold 50% and 95% of either. `picture` (H, W) is drawn
    beside; `labels` go to `Axes.set`.
    """
    axis, density = [np.asarray(values) for values in axis], np.asarray(density)
    mu, sigma = np.asarray(mu), np.asarray(sigma)
    with plt.rc_context(STYLE):
        figure, ax = axes_or_new(ax, (4.2, 3.6))
        if len(axis) == 1:
            stand_in = np.exp(-0.5 * ((axis[0] - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
            ax.fill_between(axis[0], density, color=BLUE, alpha=0.35, linewidth=0, label="posterior")
            ax.plot(axis[0], stand_in, color=ORANGE, label="q")
            ax.set(xlabel="$z_1$", ylabel="density", ylim=(0, None))
        else:
            falling = np.sort(density.ravel())[::-1]
            held = np.cumsum(falling) / falling.sum()
            levels = [falling[np.searchsorted(held, mass)] for mass in (0.95, 0.5)]
            levels[1] = max(levels[1], 1.001 * levels[0], 1e-30)  # of a peak in one pixel they are the same
            ax.contourf(*axis, density.T, [*levels, np.inf], colors=[BLUE], alpha=0.25)
            ax.contour(*axis, density.T, levels, colors=BLUE, linewidths=1)
            ax.plot([], [], color=BLUE, label="posterior")
            angle = np.linspace(0, 2 * np.pi, 200)
            circle = np.stack([np.cos(angle), np.sin(angle)])
            for radius in np.sqrt(-2 * np.log([0.5, 0.05])):  # of the discs that hold 50% and 95% of N(0, I)
                ax.plot(*(mu[:, None] + radius * sigma[:, None] * circle), color=ORANGE)
            ax.plot(*mu, "x", color=ORANGE, label="q")
            ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
        ax.set(**labels)
        ax.legend(fontsize="small")
        if picture is not None:
            beside = ax.inset_axes((1.03, 0.7, 0.3, 0.3))
            beside.imshow(np.asarray(picture), cmap="gray", vmin=0, vmax=1)
            bare(beside)
    return done(figure)
