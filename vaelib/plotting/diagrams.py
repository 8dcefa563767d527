"""Figure 1: the model as a diagram."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from vaelib.plotting.style import BLUE, GREEN, INK, ORANGE, STYLE, done


def vae_diagram(widths: Sequence[int], latent_dim: int) -> Figure:
    """Figure 1: x through the encoder to μ and σ, z = μ + σ ⊙ ε, and through the decoder back to p_z.

    `widths` are the encoder's layers from D down to the last hidden one.
    """
    encoder, decoder = " → ".join(map(str, widths)), " → ".join(map(str, reversed(widths)))
    boxes = [  # x, y, width, text, colour
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
        for x, y, width, text, colour in boxes:
            shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.04", fc="white", ec=colour, lw=1.6)
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
