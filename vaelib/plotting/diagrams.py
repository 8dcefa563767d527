"""Figure 1: the model as a diagram; tiles that sum up a list."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from vaelib.plotting.style import BLUE, GREEN, INK, ORANGE, PURPLE, STYLE, done


def vae_diagram(widths: Sequence[int], latent_dim: int) -> Figure:
    """Figure 1: x through the encoder to μ and σ, z = μ + σ ⊙ ε, and through the decoder back to p_z.

    `widths` are the encoder's layers from D down to the last hidden one.
    """
    encoder, decoder = " → ".join(map(str, widths)), " → ".join(map(str, reversed(widths)))
    boxes = [  # x, y, width, text, color
        (0.2, 1.0, 0.9, "$\\mathbf{x}$", INK),
        (1.5, 1.0, 2.7, f"encoder $q_\\phi(\\mathbf{{z}}|\\mathbf{{x}})$\n{encoder}", BLUE),
        (4.7, 1.65, 1.0, f"$\\mu_\\mathbf{{x}}$\n{latent_dim}", BLUE),
        (4.7, 0.35, 1.0, f"$\\sigma_\\mathbf{{x}}$\n{latent_dim}", BLUE),
        (6.3, 1.0, 1.9, "$\\mathbf{z}=\\mu_\\mathbf{x}+\\sigma_\\mathbf{x}\\odot\\epsilon$", INK),
        (6.55, -0.5, 1.4, "$\\epsilon\\sim\\mathcal{N}(0,\\mathbf{I})$", ORANGE),
        (8.7, 1.0, 2.7, f"decoder $p_\\theta(\\mathbf{{x}}|\\mathbf{{z}})$\n{decoder}", GREEN),
        (11.9, 1.0, 0.9, "$p_\\mathbf{z}$", INK),
    ]
    arrows = [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 6), (6, 7)]
    height = 0.9
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(7.6, 2.1))
        for x, y, width, text, color in boxes:
            shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.04", fc="white", ec=color, lw=1.6)
            ax.add_patch(shape)
            ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8, color=INK)
        for start, end in arrows:
            (x0, y0, width, *_), (x1, y1, *_) = boxes[start], boxes[end]
            ends = (x0 + width + 0.05, y0 + height / 2), (x1 - 0.05, y1 + height / 2)
            ax.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=12, color=INK))
        ax.add_patch(FancyArrowPatch((7.25, 0.45), (7.25, 0.95), arrowstyle="-|>", mutation_scale=12, color=ORANGE))
        ax.set(xlim=(0, 13.0), ylim=(-0.7, 2.8), aspect="equal")
        ax.axis("off")
    return done(figure)


# Fills of the kinds of tiles, in this order; the signs tell them apart without color.
FILLS = (GREEN, "#F0E442", ORANGE, PURPLE, "#BBBBBB", "white")


def tiles(groups: Mapping[str, Sequence[str]], kinds: Mapping[str, tuple[str, int]], *, per_row: int = 10) -> Figure:
    """A numbered tile for each member of the named groups, numbers running on, with the color and sign of its kind.

    `kinds`, at most six in order, have a sign and a number that the legend prints. Narrow, for small screens.
    """
    fills, legend = dict(zip(kinds, FILLS, strict=False)), -(-len(kinds) // 2)
    lines = sum(-(-len(group) // per_row) for group in groups.values())
    height = 0.55 * legend + lines + 0.8 * len(groups) + 0.1
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(4.6, 0.46 * height))

        def tile(x: float, y: float, kind: str, text: str, size: float = 1.0) -> None:
            ax.add_patch(Rectangle((x, y), 0.92 * size, 0.92 * size, fc=fills[kind], ec=INK, lw=0.6))
            ax.text(x + 0.46 * size, y + 0.46 * size, text, ha="center", va="center", color=INK, fontsize=8.5)

        for place, (kind, (sign, n)) in enumerate(kinds.items()):
            x, y = per_row / 2 * (place // legend), 0.55 * (place % legend)
            tile(x, y, kind, sign, 0.5)
            ax.text(x + 0.7, y + 0.23, f"{kind}: {n}", va="center", color=INK, fontsize=9.5)
        y, number = 0.55 * legend, 0
        for title, group in groups.items():
            ax.text(0, y + 0.45, title, va="center", color=INK, fontsize=9.5)
            y += 0.8
            for place, kind in enumerate(group):
                number += 1
                tile(place % per_row, y + place // per_row, kind, f"{number}\n{kinds[kind][0]}")
            y += -(-len(group) // per_row)
        ax.set(xlim=(-0.05, per_row), ylim=(y + 0.05, -0.05), aspect="equal")
        ax.axis("off")
    return done(figure)
