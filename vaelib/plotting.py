"""Arrays in, matplotlib `Figure` out. No model reaches this module and no figure is shown or saved by it.

Axes: N images, D pixels, K latent. Pictures are clipped to [0, 1]: 0 is black and 1 white, as in the paper's figures.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from numpy.typing import ArrayLike

STYLE = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "font.size": 10,
    "legend.frameon": False,
}
# Okabe and Ito's colours, which readers with any colour vision can tell apart.
INK, BLUE, ORANGE, GREEN, PURPLE = "#222222", "#0072B2", "#D55E00", "#009E73", "#CC79A7"


def tile(images: ArrayLike, image_shape: tuple[int, int], n_cols: int, gap: int = 1) -> np.ndarray:
    """Images (N, D) as one picture, row by row, with `gap` grey pixels between them."""
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
            _bare(ax)
    return _done(figure)


def image_grid(images: ArrayLike, image_shape: tuple[int, int], *, n_cols: int = 8, ax: Axes | None = None) -> Figure:
    """Images (N, D) in rows of `n_cols`."""
    with plt.rc_context(STYLE):
        figure, ax = _axes(ax, (5.5, 5.5))
        ax.imshow(tile(images, image_shape, n_cols), cmap="gray", vmin=0, vmax=1)
        _bare(ax)
    return _done(figure)


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
        figure, ax = _axes(ax, (7, 7) if len(dims) == 2 else (7, 2))
        ax.imshow(tile(images, image_shape, n_cols, gap=0), cmap="gray", vmin=0, vmax=1)
        if len(dims) == 2:
            ax.set_xticks((ticks + 0.5) * width - 0.5, [f"{values[t]:.2f}" for t in ticks])
            ax.set_yticks((n_cols - 1 - ticks + 0.5) * height - 0.5, [f"{values[t]:.2f}" for t in ticks])
            ax.set(xlabel=f"$z_{{{dims[0] + 1}}}$", ylabel=f"$z_{{{dims[1] + 1}}}$")
            ax.spines[:].set_visible(False)
        else:
            _bare(ax)
            ax.set_xlabel(f"$z_{{{dims[0] + 1}}}$ from {values[0]:.2f} (first) to {values[-1]:.2f} (last), row by row")
    return _done(figure)


def latent_scatter(
    z: ArrayLike,
    labels: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    dims: Sequence[int] = (0, 1),
    ax: Axes | None = None,
) -> Figure:
    """Codes z (N, K) along one or two dimensions, coloured by label (N,); -1 is an image without a label.

    With one dimension each class is a row of its own, so that overlaps can be seen.
    """
    import seaborn as sns  # brings pandas and scipy with it: seconds that other figures need not wait for

    z, labels = np.asarray(z), np.asarray(labels)
    classes = np.unique(labels)
    colours = dict(
        zip(classes, sns.color_palette("tab10" if len(classes) <= 10 else "husl", len(classes)), strict=True)
    )
    with plt.rc_context(STYLE):
        figure, ax = _axes(ax, (6.4, 5.4) if len(dims) == 2 else (6.4, 3.6))
        spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(z))
        for row, label in enumerate(classes):
            at = labels == label
            name = "unlabelled" if label < 0 else class_names[label] if class_names else str(label)
            up = z[at, dims[1]] if len(dims) == 2 else row + spread[at]
            ax.scatter(
                z[at, dims[0]], up, s=3, alpha=0.5, linewidths=0, color=colours[label], label=name, rasterized=True
            )
        ax.set_xlabel(f"$z_{{{dims[0] + 1}}}$")
        if len(dims) == 2:
            ax.set_ylabel(f"$z_{{{dims[1] + 1}}}$")
            ax.set_aspect("equal", adjustable="datalim")
            figure.legend(loc="outside right center", markerscale=4)
        else:
            names = [t.get_label() for t in ax.collections]
            ax.set_yticks(range(len(names)), names)
    return _done(figure)


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
    return _done(figure)


def learning_curve(
    history: Sequence[Sequence[float]], heldout: float | None = None, *, ax: Axes | None = None
) -> Figure:
    """The training ELBO (nats per image) over epochs, from a run's history, and its held-out value as a line."""
    with plt.rc_context(STYLE):
        figure, ax = _axes(ax, (5.5, 3))
        ax.plot(
            [row.epoch for row in history],
            [row.elbo for row in history],
            "o-",
            color=BLUE,
            markersize=3,
            label="training",
        )
        if heldout is not None:
            ax.axhline(heldout, color=ORANGE, linestyle="--", label="held-out, after training")
        ax.set(xlabel="epoch", ylabel="ELBO (nats per image)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend()
    return _done(figure)


def factor_maps(maps: Mapping[str, ArrayLike], values: ArrayLike, dims: Sequence[int], *, unit: str) -> Figure:
    """One panel per factor: its value at each point of `latent.latent_grid(K, values, dims)`, in the grid's order.

    One dimension in `dims`: curves (n,) in one panel. Two: maps (n·n,) in colour, axes as in `manifold`.
    """
    values = np.asarray(values, dtype=float)
    with plt.rc_context(STYLE):
        if len(dims) == 1:
            figure, ax = plt.subplots(figsize=(5.5, 3))
            for (name, curve), colour in zip(maps.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=False):
                ax.plot(values, np.asarray(curve), "o-", markersize=3, color=colour, label=name)
            ax.set(xlabel=f"$z_{{{dims[0] + 1}}}$", ylabel=unit)
            ax.legend()
            return _done(figure)
        figure, axes = plt.subplots(1, len(maps), figsize=(3.9 * len(maps), 3.3), squeeze=False)
        for ax, (name, flat) in zip(axes[0], maps.items(), strict=True):
            grid = np.asarray(flat, dtype=float).reshape(len(values), len(values))[::-1]
            mesh = ax.pcolormesh(values, values, grid, cmap="viridis", shading="nearest")
            ax.set(title=name, xlabel=f"$z_{{{dims[0] + 1}}}$", ylabel=f"$z_{{{dims[1] + 1}}}$", aspect="equal")
            figure.colorbar(mesh, ax=ax, label=unit, shrink=0.85)
    return _done(figure)


def vae_diagram(widths: Sequence[int], latent_dim: int) -> Figure:
    """Figure 1: x through the encoder to μ and σ, z = μ + σ ⊙ ε, and through the decoder back to p_z.

    `widths` are the encoder's layers from D down to the last hidden one.
    """
    encoder, decoder = " → ".join(map(str, widths)), " → ".join(map(str, reversed(widths)))
    boxes = [  # x, y, width, text, colour
        (0.2, 1.0, 0.9, "$\\mathbf{x}$", INK),
        (1.7, 1.0, 2.3, f"encoder $q_\\phi(\\mathbf{{z}}|\\mathbf{{x}})$\n{encoder}", BLUE),
        (4.7, 1.65, 1.0, f"$\\mu_\\mathbf{{x}}$\n{latent_dim}", BLUE),
        (4.7, 0.35, 1.0, f"$\\sigma_\\mathbf{{x}}$\n{latent_dim}", BLUE),
        (6.3, 1.0, 1.9, "$\\mathbf{z}=\\mu_\\mathbf{x}+\\sigma_\\mathbf{x}\\odot\\epsilon$", INK),
        (6.55, -0.5, 1.4, "$\\epsilon\\sim\\mathcal{N}(0,\\mathbf{I})$", ORANGE),
        (8.8, 1.0, 2.3, f"decoder $p_\\theta(\\mathbf{{x}}|\\mathbf{{z}})$\n{decoder}", GREEN),
        (11.7, 1.0, 0.9, "$p_\\mathbf{z}$", INK),
    ]
    arrows = [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 6), (6, 7)]
    height = 0.9
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(10, 2.9))
        for x, y, width, text, colour in boxes:
            shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.04", fc="white", ec=colour, lw=1.6)
            ax.add_patch(shape)
            ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9, color=INK)
        for start, end in arrows:
            (x0, y0, width, *_), (x1, y1, *_) = boxes[start], boxes[end]
            ends = (x0 + width + 0.05, y0 + height / 2), (x1 - 0.05, y1 + height / 2)
            ax.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=12, color=INK))
        ax.add_patch(FancyArrowPatch((7.25, 0.45), (7.25, 0.95), arrowstyle="-|>", mutation_scale=12, color=ORANGE))
        ax.set(xlim=(0, 12.8), ylim=(-0.7, 2.8), aspect="equal")
        ax.axis("off")
    return _done(figure)


def _axes(ax: Axes | None, figsize: tuple[float, float]) -> tuple[Figure, Axes]:
    return plt.subplots(figsize=figsize) if ax is None else (ax.figure, ax)


def _bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _done(figure: Figure) -> Figure:
    """Forget the figure in pyplot: a notebook then shows it once, as the value of its cell."""
    plt.close(figure)
    return figure


def reparameterisation(z: ArrayLike, density: ArrayLike, paths: ArrayLike, sigmas: ArrayLike) -> Figure:
    """Eq. 19 in two pictures: what it draws, and how each draw moves with σ while its ε stays.

    z (n,) draws; density (m, 2) points (z, q(z)) of the distribution asked for; paths (P, S) the z of P fixed ε at the
    S values of `sigmas`.
    """
    density, paths, sigmas = np.asarray(density), np.asarray(paths), np.asarray(sigmas)
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3))
        left.hist(np.asarray(z), bins=60, density=True, color=BLUE, alpha=0.4, label="draws")
        left.plot(density[:, 0], density[:, 1], color=INK, linewidth=1.2, label="density")
        left.set(xlabel="$z_1$", ylabel="density", title="what is drawn")
        left.legend()
        for path in paths:
            right.plot(sigmas, path, color=ORANGE, linewidth=1)
        right.set(xlabel="$\\sigma_1$", ylabel="$z_1$", title="how a draw moves, its $\\epsilon$ held")
    return _done(figure)


def estimator_variance(
    dims: ArrayLike, measured: Mapping[str, ArrayLike], exact: Mapping[str, ArrayLike], *, ax: Axes | None = None
) -> Figure:
    """Variance per coordinate of gradient estimators over K, both axes logarithmic: dots measured, lines exact.

    dims (n,); under each estimator's name, measured (n,) and exact (n,).
    """
    with plt.rc_context(STYLE):
        figure, ax = _axes(ax, (6, 3.8))
        for colour, marker, name in zip((ORANGE, GREEN, BLUE), "s^o", measured, strict=False):
            ax.plot(dims, exact[name], color=colour, linewidth=1)
            ax.plot(dims, measured[name], marker, color=colour, markersize=5, label=name)
        ax.set(xscale="log", yscale="log", xlabel="latent dimensions K", ylabel="variance per coordinate")
        ax.set_xticks(dims, [str(k) for k in dims])
        ax.minorticks_off()
        ax.legend()
    return _done(figure)


def panels(n: int, *, size: tuple[float, float] = (4.2, 3.2)) -> Sequence[Axes]:
    """n empty axes side by side, each of `size` inches, to be given to the functions here as `ax`."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, n, figsize=(n * size[0], size[1]), squeeze=False)
    _done(figure)
    return axes[0]


def curves(
    x: ArrayLike | Mapping[str, ArrayLike],
    ys: Mapping[str, ArrayLike],
    *,
    errors: Mapping[str, ArrayLike] | None = None,
    levels: Mapping[str, float] | None = None,
    marker: str = "",
    xscale: str = "linear",
    ax: Axes | None = None,
    **labels: str,
) -> Figure:
    """Named curves ys over x (N,), or each over an x of its own, with bars of half-length `errors` around the points.

    `levels` are named constants, drawn as dashed lines. `labels` go to `Axes.set`: xlabel, ylabel, title, ylim …
    """
    with plt.rc_context(STYLE):
        figure, ax = _axes(ax, (6, 3.4))
        for (name, y), colour in zip(ys.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=False):
            at, error = x[name] if isinstance(x, Mapping) else x, errors[name] if errors else None
            ax.errorbar(at, y, error, color=colour, marker=marker, markersize=4, capsize=2 if errors else 0, label=name)
        for (name, level), style in zip((levels or {}).items(), ("--", ":", "-."), strict=False):
            ax.axhline(level, color=INK, linestyle=style, lw=1, label=name)
        ax.set(xscale=xscale, **labels)
        ax.legend(fontsize="small")
    return _done(figure)


def contours(x: ArrayLike, y: ArrayLike, values: ArrayLike, levels: Sequence[float], **labels: str) -> Figure:
    """Contour lines, at `levels`, of values (len(y), len(x)) that are at least 0, with a cross at the smallest one."""
    values = np.asarray(values)
    row, col = np.unravel_index(values.argmin(), values.shape)
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(5.6, 4))
        shades = ax.contourf(x, y, values, [0, *levels], cmap="Blues", extend="max")
        lines = ax.contour(x, y, values, levels, colors=INK, linewidths=0.7)
        ax.clabel(lines, fontsize="small")
        ax.plot(np.asarray(x)[col], np.asarray(y)[row], "x", color=ORANGE, markersize=9, mew=2)
        figure.colorbar(shades, label=labels.pop("clabel", ""))
        ax.set(**labels)
    return _done(figure)


def bound_ladder(
    images: ArrayLike, image_shape: tuple[int, int], estimates: Mapping[str, ArrayLike], top: ArrayLike, name: str
) -> Figure:
    """Estimates (N,) of log p(x), in nats below `top` (N,), each over the picture it belongs to; `name` is top's."""
    top = np.asarray(top)
    n = len(top)
    with plt.rc_context(STYLE):
        figure, (ax, strip) = plt.subplots(
            2, 1, figsize=(7.5, 3.9), height_ratios=(5, 7.5 / n / 0.9 * image_shape[0] / image_shape[1])
        )
        ax.axhline(0, color=INK, lw=1, label=name)
        for (label, values), colour in zip(estimates.items(), (ORANGE, PURPLE, BLUE), strict=False):
            ax.plot(range(n), np.asarray(values) - top, "o", color=colour, markersize=5, label=label)
        ax.set(xlim=(-0.5, n - 0.5), xticks=[], ylabel="difference (nats)")
        figure.legend(loc="outside upper center", ncols=4, fontsize="small")
        strip.imshow(tile(images, image_shape, n), cmap="gray", vmin=0, vmax=1, aspect="auto")
        _bare(strip)
    return _done(figure)


def code_panels(
    codes: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    x: ArrayLike | None = None,
    density: ArrayLike | None = None,
    shared: bool = True,
) -> Figure:
    """One scatter plot of codes for each name: z (N, 1) or (N, 2), coloured by label (N,). One coordinate: a strip.

    `density` (n, n) over the square x × x is drawn under every panel as contours. `shared` gives all panels one scale.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(codes), figsize=(3.1 * len(codes), 3.2), squeeze=False, sharex=shared, sharey=shared
        )
        for ax, (name, (z, labels)) in zip(axes[0], codes.items(), strict=True):
            z, labels = np.asarray(z), np.asarray(labels)
            up = z[:, 1] if z.shape[1] > 1 else np.random.default_rng(0).uniform(-1, 1, len(z))
            colours = {"c": labels, "cmap": "tab10", "vmin": -0.5, "vmax": 9.5}
            ax.scatter(z[:, 0], up, s=4, **colours, linewidths=0, alpha=0.6, rasterized=True)
            if density is not None:
                height = np.asarray(density).max()
                ax.contour(x, x, density, [0.05 * height, 0.5 * height], colors=INK, linewidths=0.7)
            ax.set(title=name, xlabel="first coordinate", ylabel="second coordinate" if z.shape[1] > 1 else "(spread)")
            if shared and z.shape[1] > 1:
                ax.set_aspect("equal")
    return _done(figure)


def histograms(
    samples: Mapping[str, ArrayLike], edges: ArrayLike, *, density: tuple[str, ArrayLike] | None = None, **labels: str
) -> Figure:
    """Outlined histograms of samples (N,), as log-scaled densities; `density` names a curve over the edges."""
    edges = np.asarray(edges)
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(6, 3.4))
        if density:
            ax.plot(edges, density[1], color=INK, linestyle="--", linewidth=1, label=density[0])
        for (name, values), colour in zip(samples.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=False):
            ax.hist(np.asarray(values).ravel(), edges, density=True, histtype="step", color=colour, label=name)
        ax.set(yscale="log", **labels)
        ax.legend(fontsize="small")
    return _done(figure)
