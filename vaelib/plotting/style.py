"""What all figures share: their look, and how a function here begins and ends a figure."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
# Okabe and Ito's colors, which readers with any color vision can tell apart.
INK, BLUE, ORANGE, GREEN, PURPLE = "#222222", "#0072B2", "#D55E00", "#009E73", "#CC79A7"


def axes_or_new(ax: Axes | None, figsize: tuple[float, float]) -> tuple[Figure, Axes]:
    return plt.subplots(figsize=figsize) if ax is None else (ax.figure, ax)


def bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def done(figure: Figure) -> Figure:
    """Forget the figure in pyplot: a notebook then shows it once, as the value of its cell."""
    plt.close(figure)
    return figure
