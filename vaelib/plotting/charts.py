"""Curves and other charts of numbers."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaelib.plotting.images import tile
from vaelib.plotting.style import BLUE, GREEN, INK, ORANGE, PURPLE, STYLE, axes_or_new, bare, done


def panels(n: int, *, size: tuple[float, float] = (4.2, 3.2)) -> Sequence[Axes]:
    """n empty axes side by side, each of `size` inches, to be given to the functions here as `ax`."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, n, figsize=(n * size[0], size[1]), squeeze=False)
    done(figure)
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
        figure, ax = axes_or_new(ax, (6, 3.4))
        for (name, y), color in zip(ys.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=False):
            at, error = x[name] if isinstance(x, Mapping) else x, errors[name] if errors else None
            ax.errorbar(at, y, error, color=color, marker=marker, markersize=4, capsize=2 if errors else 0, label=name)
        for (name, level), style in zip((levels or {}).items(), ("--", ":", "-."), strict=False):
            ax.axhline(level, color=INK, linestyle=style, lw=1, label=name)
        ax.set(xscale=xscale, **labels)
        ax.legend(fontsize="small")
    return done(figure)


def curve_panels(
    x: Sequence[float],
    named: Mapping[str, tuple[Mapping[str, ArrayLike], Mapping[str, ArrayLike], Mapping[str, float]]],
    **labels: str,
) -> Figure:
    """For each name a panel of `curves`, given their ys, errors and levels, over one logarithmic x; one scale, one key.

    The scale begins at 0. `labels` go to `Axes.set`, the y label to the first panel only.
    """
    axes, key = panels(len(named), size=(3.2, 3.3)), {}
    for ax, (title, (ys, errors, levels)) in zip(axes, named.items(), strict=True):
        own = {"title": title, "ylim": (0, None)} | labels | ({} if ax is axes[0] else {"ylabel": ""})
        curves(x, ys, errors=errors, levels=levels, marker="o", xscale="log", ax=ax, **own)
        _tick_each(ax, x)
        ax.get_legend().remove()
        handles, names = ax.get_legend_handles_labels()
        key |= dict(zip(names, handles, strict=True))
    top = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(0, top)
    with plt.rc_context(STYLE):
        axes[0].figure.legend(key.values(), key, loc="outside lower center", ncols=len(key), fontsize="small")
    return axes[0].figure


def _tick_each(ax: Axes, values: Sequence[float]) -> None:
    """A tick at each of the values of a logarithmic x axis, and none between."""
    ax.minorticks_off()
    ax.set_xticks(values, [str(value) for value in values])


def spans(
    names: Sequence[str],
    low: ArrayLike,
    high: ArrayLike,
    marks: Mapping[str, ArrayLike],
    *,
    ax: Axes | None = None,
    **labels: str,
) -> Figure:
    """One row for each name, from the top: a line from low (N,) to high (N,), and named marks (N,) on it."""
    rows = np.arange(len(names))
    with plt.rc_context(STYLE):
        figure, ax = axes_or_new(ax, (6, 3.4))
        ax.hlines(rows, low, high, color=INK, linewidth=1, alpha=0.5)
        for (name, values), color, marker in zip(marks.items(), (ORANGE, BLUE, GREEN), "o|s", strict=False):
            ax.plot(values, rows, marker, color=color, markersize=6, markeredgewidth=1.5, label=name)
        ax.set_yticks(rows, names)
        ax.set(ylim=(len(names) - 0.5, -0.5), **labels)
        ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return done(figure)


def dots(
    panels: Mapping[str, Mapping[float | str, ArrayLike]],
    *,
    diagonal: bool = False,
    level: float | None = None,
    **labels: str,
) -> Figure:
    """One panel for each name: at each x a dot for each of its values, a little apart, and a bar at their mean.

    The x stand side by side at equal distances, whatever their size; the panels share a scale, from zero up unless the
    `labels` have a `ylim`. These go to `Axes.set`, the y label to the first panel only. Dashed lines: `diagonal`, where
    a value equals its x, and a constant `level`. NaN values are left out.
    """
    ylim = labels.pop("ylim", None)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(2.9 * len(panels), 3), squeeze=False, sharey=True)
        for ax, (name, groups) in zip(axes[0], panels.items(), strict=True):
            for at, values in enumerate(groups.values()):
                values = np.asarray(values, dtype=float)
                values = values[~np.isnan(values)]
                if len(values):
                    aside = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else [0]
                    ax.plot(at + np.asarray(aside), values, "o", color=BLUE, markersize=3.5, alpha=0.6, linewidth=0)
                    ax.hlines(values.mean(), at - 0.35, at + 0.35, color=BLUE, linewidth=1.5)
            if diagonal:
                ax.plot(range(len(groups)), [float(x) for x in groups], color=INK, linestyle="--", linewidth=1)
            if level is not None:
                ax.axhline(level, color=INK, linestyle="--", linewidth=1)
            ax.set_xticks(range(len(groups)), [str(x) for x in groups])
            own = {"title": name, "xlim": (-0.6, max(len(groups), 1) - 0.4)}
            ax.set(**own | labels | ({} if ax is axes[0, 0] else {"ylabel": ""}))
        # Last, for the panels share it.
        axes[0, 0].set_ylim((0, 1.04 * axes[0, 0].get_ylim()[1]) if ylim is None else ylim)
    return done(figure)


def trade_off(points: Mapping[str, tuple[ArrayLike, ArrayLike]], totals: Sequence[float], **labels: str) -> Figure:
    """Under each name (x, y) of several runs (n,): dots of one color, from dark to light; a line joins the means.

    On each dashed line x + y is one of the `totals`. `labels` go to `Axes.set`.
    """
    means = [(np.mean(x), np.mean(y)) for x, y in points.values()]
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(6, 4))
        ax.plot(*zip(*means, strict=True), "-", color=INK, linewidth=0.8)
        shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(points)))
        for (name, (x, y)), shade in zip(points.items(), shades, strict=True):
            ax.plot(x, y, "o", color=shade, markersize=5, alpha=0.8, label=name)
        figure.legend(loc="outside right center", fontsize="small")
        ax.margins(0.08)
        ends = np.asarray(ax.get_xlim())
        ax.autoscale(enable=False)
        for total in totals:
            ax.plot(ends, total - ends, "--", color=INK, linewidth=0.8, alpha=0.5)
        ax.set(**labels)
    return done(figure)


def over_sizes(
    sizes: Sequence[int], panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], *, diagonal: str = ""
) -> Figure:
    """A panel for each name, which is its y label: named curves over K, each (means (n,), half-lengths of bars (n,)).

    `sizes` (n,) stand on a logarithmic axis. In the panel that `diagonal` names, y equals K on a dashed line.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(3.4 * len(panels), 3), squeeze=False)
        for ax, (name, drawn) in zip(axes[0], panels.items(), strict=True):
            means, bars = ({title: each[i] for title, each in drawn.items()} for i in (0, 1))
            curves(sizes, means, errors=bars, marker="o", xscale="log", ax=ax, xlabel="K", ylabel=name)
            if name == diagonal:
                straight = np.geomspace(min(sizes), max(sizes), 100)
                ax.plot(straight, straight, "--", color=INK, linewidth=0.8)
            _tick_each(ax, sizes)
    return done(figure)


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
    return done(figure)


def heat_maps(
    panels: Mapping[str, ArrayLike],
    columns: Sequence[object],
    rows: Sequence[object],
    *,
    clabel: str = "",
    **labels: str,
) -> Figure:
    """Named tables (len(rows), len(columns)) side by side, the first row below, on one scale from white (0) to blue.

    Each cell shows its value; one that is NaN stays gray. `labels` go to `Axes.set`, the y label to the first panel.
    """
    tables = {name: np.asarray(table, dtype=float) for name, table in panels.items()}
    known = [table[~np.isnan(table)] for table in tables.values()]
    top = max(float(np.concatenate(known).max(initial=0.0)), 1e-9)
    with plt.rc_context(STYLE):
        size = (0.55 * len(columns), 0.5 * len(rows))
        figure, axes = plt.subplots(
            1, len(tables), figsize=(len(tables) * size[0] + 1.5, size[1] + 1.2), squeeze=False, sharey=True
        )
        for ax, (name, table) in zip(axes[0], tables.items(), strict=True):
            ax.set_facecolor("#dddddd")
            shades = ax.imshow(table, cmap="Blues", vmin=0, vmax=top, origin="lower")
            for row, col in np.argwhere(~np.isnan(table)):
                value = table[row, col]
                color = "white" if value > 0.6 * top else INK
                ax.text(col, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize="x-small")
            ax.set_xticks(range(len(columns)), [str(x) for x in columns])
            ax.set_yticks(range(len(rows)), [str(y) for y in rows])
            ax.spines[:].set_visible(False)
            ax.tick_params(length=0)
            ax.set_title(name, fontsize="small")
            ax.set(**labels | ({} if ax is axes[0, 0] else {"ylabel": ""}))
        figure.colorbar(shades, ax=axes[0].tolist(), label=clabel, shrink=0.75)
    return done(figure)


def learning_curve(
    history: Sequence[Sequence[float]], heldout: float | None = None, *, ax: Axes | None = None
) -> Figure:
    """The training ELBO (nats per image) over epochs, from a run's history, and its held-out value as a line."""
    with plt.rc_context(STYLE):
        figure, ax = axes_or_new(ax, (5.5, 3))
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
    return done(figure)


def reparameterization(z: ArrayLike, density: ArrayLike, paths: ArrayLike, sigmas: ArrayLike) -> Figure:
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
    return done(figure)


def estimator_variance(
    dims: ArrayLike, measured: Mapping[str, ArrayLike], exact: Mapping[str, ArrayLike], *, ax: Axes | None = None
) -> Figure:
    """Variance per coordinate of gradient estimators over K, both axes logarithmic: dots measured, lines exact.

    dims (n,); under each estimator's name, measured (n,) and exact (n,).
    """
    with plt.rc_context(STYLE):
        figure, ax = axes_or_new(ax, (6, 3.8))
        for color, marker, name in zip((ORANGE, GREEN, BLUE, PURPLE), "s^oD", measured, strict=False):
            ax.plot(dims, exact[name], color=color, linewidth=1)
            ax.plot(dims, measured[name], marker, color=color, markersize=5, label=name)
        ax.set(xscale="log", yscale="log", xlabel="latent dimensions K", ylabel="variance per coordinate")
        _tick_each(ax, dims)
        ax.legend()
    return done(figure)


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
        for (label, values), color in zip(estimates.items(), (ORANGE, PURPLE, BLUE), strict=False):
            ax.plot(range(n), np.asarray(values) - top, "o", color=color, markersize=5, label=label)
        ax.set(xlim=(-0.5, n - 0.5), xticks=[], ylabel="difference (nats)")
        figure.legend(loc="outside upper center", ncols=4, fontsize="small")
        strip.imshow(tile(images, image_shape, n), cmap="gray", vmin=0, vmax=1, aspect="auto")
        bare(strip)
    return done(figure)
