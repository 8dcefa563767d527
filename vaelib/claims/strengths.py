"""The claims of §3, on strengths and weaknesses: recorded runs, judged by the rules of the chapters.

What each function here asks stands with its claim, at the end. A rule that no chapter has stands here; it was written
down before the runs that it judges, unless the chapter shows their numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch.distributions import MultivariateNormal

from vaelib import embeddings, strengths
from vaelib.claims import examples
from vaelib.claims.judging import Claim, difference, numbers, rows
from vaelib.claims.known import NEAR, off, seeded
from vaelib.config import TrainConfig
from vaelib.embeddings import METHODS
from vaelib.measures import rotated
from vaelib.report import beside, rules
from vaelib.report.verdicts import Verdict, above, exact
from vaelib.strengths import CONFIG, SIZES, STEPS, WIDTHS, one_layer

FEW, MIDDLE, _ = SIZES
LINEAR, _, NARROW, NETWORK, WIDE = WIDTHS


def width(units: int, images: int, **changes: object) -> TrainConfig:
    return one_layer(CONFIG, units, images, **changes)


# §3.1


def prefers_no_axes() -> tuple[Verdict, ...]:
    z = torch.randn(1000, 2, generator=seeded(), dtype=torch.float64)
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    moved = max(off(prior.log_prob(z), prior.log_prob(rotated(z, float(angle)))) for angle in range(90))
    return (
        exact(
            "the isotropic prior favors the axes of the factors",
            moved > NEAR,
            of=f"nats by which its density changes when codes are turned: {moved:.1g}",
            rule=f"above {NEAR:g}",
        ),
    )


def generation() -> Sequence[Verdict]:
    others = embeddings.settings("MNIST", METHODS[1:])
    can = {setting["method"]: numbers("compared", setting)["generates"][0] for setting in others}
    return *rules.generation(numbers("strengths_kl", CONFIG)), beside.lacking(can)


def interpretability() -> Sequence[Verdict]:
    one, turned, _ = rules.interpretability(numbers("strengths_axes", strengths.BOOTS))
    return one, turned


def flexibility() -> Sequence[Verdict]:
    longer = width(LINEAR, MIDDLE, steps=4 * STEPS)
    worth = difference("strengths_widths", width(NETWORK, MIDDLE), longer, "heldout")
    return (rules.flexibility(worth, NETWORK, MIDDLE, longer=True),)


def without_kl(images: int) -> TrainConfig:
    return width(WIDE, images, model="autoencoder")


def regularization() -> Sequence[Verdict]:
    larger = difference("strengths_widths", without_kl(FEW), width(WIDE, FEW), "at_code")
    return (rules.regularization(larger, FEW),)


def pruning() -> Sequence[Verdict]:
    by_nats, _, fewer, *_ = examples.of_boots()
    return by_nats, fewer


# §3.2


def blur() -> Sequence[Verdict]:
    return (rules.blur(numbers("strengths_kl", CONFIG)),)


def blur_by_objective() -> Sequence[Verdict]:
    sizes = strengths.LATENT_SIZES[0], strengths.LATENT_SIZES[-1]
    return rules.blur_by_kl({k: numbers("strengths_kl", replace(CONFIG, latent_dim=k))["regained"] for k in sizes})


def complexity() -> Sequence[Verdict]:
    ends = {units: rows("strengths_seeds", width(units, MIDDLE))["heldout"] for units in (LINEAR, NETWORK)}
    away = {units: (values - values.mean()).abs() for units, values in ends.items()}
    farther = (away[NETWORK] - away[LINEAR]).dropna().tolist() or [math.nan]
    return (rules.complexity(farther, f"{NETWORK} units"),)


def memorization() -> Sequence[Verdict]:
    grows = difference("strengths_widths", width(WIDE, FEW), width(NARROW, FEW), "gap")
    return (rules.memorization(grows, WIDE, NARROW, FEW),)


def wide_half(half: str) -> Sequence[Verdict]:
    halves = numbers("strengths_halves", width(WIDE, FEW))
    return (
        above(
            f"a wide {half} alone memorizes",
            rules.excess(halves, half, "neither"),
            0,
            of=f"nats that a wide {half} adds to the gap of two narrow halves",
            form=".1f",
        ),
    )


def no_guarantee() -> Sequence[Verdict]:
    gap = numbers("strengths_widths", width(WIDE, FEW))["at_code"]
    return (
        *regularization(),
        above("the VAE memorizes too", gap, 0, of=f"nats of gap on {FEW:,} images with the KL", form=".1f"),
    )


CLAIMS = (
    Claim(
        "prior-axes", "3.1", "The isotropic prior pushes each latent dimension towards one factor.",
        "The prior's density of codes and of the same codes turned.", "shows-erratum-12", prefers_no_axes,
    ),
    Claim(
        "generation", "3.1", "VAEs learn a generative model, which many methods of dimension reduction lack.",
        "Can pictures of drawn codes be told from reconstructions, and those of an autoencoder? Which of five other "
        "methods, as their libraries have them, make new pictures at all?",
        "fig-strengths-generation", generation,
    ),
    Claim(
        "interpretability", "3.1", "In simple cases each latent dimension follows one independent factor.",
        "Boots drawn from two known heights; the latent axes beside the same axes turned.", "fig-strengths-rotation",
        interpretability,
    ),
    Claim(
        "flexibility", "3.1", "The networks capture manifolds that are not linear.",
        "A hidden layer beside a linear VAE that is trained four times as long.",
        "fig-strengths-flexibility", flexibility,
    ),
    Claim(
        "approximation", "3.1", "Large networks approximate any continuous function on a closed, bounded set.",
        "None: see the errata for the theorem that covers rectifiers.", "erratum-13",
        reason="It is a theorem about what weights exist; no trained network can bear it out or refute it.",
    ),
    Claim(
        "regularization", "3.1", "The prior regularizes, in a way that autoencoders lack.",
        "How much better training images are reconstructed than held-out ones, with the KL term and its noise and "
        "without them.",
        "fig-strengths-gap", regularization,
    ),
    Claim(
        "pruning", "3.1", "In simple cases the dimensions that K has too many are pruned, and the true number shows.",
        "Planted manifolds of 1 to 8 dimensions; ankle boots at K = 20. Dimensions that carry a tenth of a nat "
        "are counted.", "fig-planted", pruning,
    ),
    Claim(
        "blur", "3.2", "Generated images are often too blurry.",
        "The variance of the Laplacian of drawn pictures, as a share of that of held-out images.",
        "fig-strengths-blur", blur,
    ),
    Claim(
        "blur-by-objective", "3.2", "They are blurry because of the divergence that is minimized.",
        "Of the objective's divergence, the KL term and its noise: the sharpness that comes back without them, at the "
        "smallest and the largest K.",
        "fig-strengths-blur-sizes", blur_by_objective,
    ),
    Claim(
        "no-closed-form", "3.2", "VAEs have no simple closed-form solution.",
        "None: a linear decoder has one, that of probabilistic principal components.",
        "chapter-strengths-and-weaknesses",
        reason="That no formula exists for deep networks is a statement about all formulas, which no run decides.",
    ),
    Claim(
        "local-optima", "3.2", "Training is iterative and can end in sub-optimal solutions.",
        "How far seeds end from their mean, beside a linear model.", "fig-strengths-seeds", complexity,
    ),
    Claim(
        "long-training", "3.2", "Large VAEs take long to train.",
        "None: times of this book's trainings are in the benchmarks.", "chapter-strengths-and-weaknesses",
        reason="It names no size and no time, so that no measurement could contradict it.",
    ),
    Claim(
        "memorization", "3.2", "A large model can have a small training error without generalizing.",
        "The gap between training and held-out ELBO, of wide and narrow networks on few images.",
        "fig-strengths-memorization", memorization,
    ),
    Claim(
        "memorizing-encoder", "3.2", "An over-parameterized encoder can memorize each example.",
        "One wide and one narrow half, in all combinations.", "fig-strengths-halves", partial(wide_half, "encoder"),
    ),
    Claim(
        "memorizing-decoder", "3.2", "An over-parameterized decoder can reconstruct what was memorized.",
        "One wide and one narrow half, in all combinations.", "fig-strengths-halves", partial(wide_half, "decoder"),
    ),
    Claim(
        "no-guarantee", "3.2", "The KL term somewhat controls overfitting, without a guarantee.",
        "The gap with the KL term, beside the gap without it and beside zero.", "fig-strengths-gap", no_guarantee,
    ),
)  # fmt: skip
