"""The claims of §4, on MNIST and Fashion-MNIST: recorded runs, judged by the rules of the chapters.

What each function here asks stands with its claim, at the end. The rules on what the parts "figures", "layout" and
"repair" record stand here and were written down before their runs.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from vaelib import evidence
from vaelib.claims.judging import Claim, Unrecorded, numbers
from vaelib.config import TrainConfig
from vaelib.models import VAE
from vaelib.paper import experiment
from vaelib.report import counts, planes, rules
from vaelib.report.verdicts import Verdict, above, below, exact, near
from vaelib.strengths import CONFIG

MNIST, FASHION, BOOTS_2D = (experiment(name) for name in ("mnist", "fashion_mnist", "boots_2d"))


# §4.1


def architecture() -> Sequence[Verdict]:
    model = VAE(MNIST.latent_dim, MNIST.hidden)
    layers = [sum(hasattr(layer, "weight") for layer in half) for half in (model.encoder, model.decoder)]
    hidden = sum(layers) - len(layers)
    return (
        exact(
            "784–400–256–128–2 and back has eight hidden layers",
            hidden == 8,
            of=f"{hidden} hidden layers, {sum(layers)} matrices of weights",
            rule="its last layers, which leave f out, not counted, there are 8",
        ),
    )


def of_plane(config: TrainConfig) -> dict[str, Verdict]:
    names = ("reconstructs", "classes", "passes", "generates")
    return dict(zip(names, planes.rules(numbers("planes", config)), strict=True))


def reconstruction() -> Sequence[Verdict]:
    return (of_plane(MNIST)["reconstructs"],)


def repair() -> Sequence[Verdict]:
    left = numbers("repair", CONFIG)
    of = "error in an erased square, 1 if left alone"
    return (
        below("erased strokes are filled in", left["vae"], 1, of=of),
        above("better than the mean image does", rules.excess(left, "mean", "vae"), 0, of=f"{of}, mean image less VAE"),
        above("better than principal components do", rules.excess(left, "pca", "vae"), 0, of=f"{of}, PCA less VAE"),
        above("better than an autoencoder does", rules.excess(left, "ae", "vae"), 0, of=f"{of}, autoencoder less VAE"),
        below(
            "the whole picture is nearer to the undamaged one", left["whole"], 1, of="error of the picture, 1 if left"
        ),
    )


def blurred() -> Sequence[Verdict]:
    sharp = numbers("strengths_kl", replace(CONFIG, latent_dim=MNIST.latent_dim))["sharp_vae"]
    return (below("reconstructions are blurred", sharp, 0.8, of="sharpness of rebuilt digits, 1 for the data"),)


def separation() -> Sequence[Verdict]:
    return (of_plane(MNIST)["classes"],)


def neighbors() -> Sequence[Verdict]:
    kept = numbers("figures", MNIST)
    return tuple(
        above(
            f"{words} than in {title}",
            rules.excess(kept, name, f"{name}_{than}"),
            0,
            of=f"{word}, less {title}'s",
            form=".3f",
        )
        for than, title in (("pca", "PCA"), ("tsne", "t-SNE"))
        for name, word, words in (
            ("trust", "trustworthiness", "fewer false neighbors"),
            ("continuity", "continuity", "fewer neighbors lost"),
        )
    )


def smooth() -> Sequence[Verdict]:
    fastest = numbers("figures", MNIST)["fastest"]
    return (
        below(
            "walks between classes do not jump",
            fastest,
            0.5,
            of="part of a walk's change in the longest tenth of its steps, 0.1 if even",
        ),
        of_plane(MNIST)["passes"],
    )


def layout() -> Sequence[Verdict]:
    found = numbers("layout", MNIST)
    return (
        above("0, 1 and 7 lie farther out than 2, 3 and 8", found["outside"], 0, of="standard deviations of the prior"),
        above("and are told more surely", found["told"], 0, of="share of right votes, less that of 2, 3 and 8"),
    )


def samples() -> Sequence[Verdict]:
    found = numbers("figures", MNIST)
    return (
        of_plane(MNIST)["generates"],
        below(
            "all digits are drawn, as often as in the data",
            found["labels_off"],
            0.1,
            of="share of samples that would need another label",
        ),
        below(
            "codes of images look like draws of the prior",
            found["told_prior"],
            0.6,
            of="share told apart, 0.5 if none can be",
        ),
    )


# §4.2


def garments() -> Sequence[Verdict]:
    return tuple(of_plane(FASHION).values())


def of_axes() -> dict[str, Verdict]:
    return rules.axes("ankle boots", numbers("boots_axes", BOOTS_2D))


def figure_7() -> Sequence[Verdict]:
    return tuple(of_axes()[name] for name in ("one", "apart", "numbered"))


def turned() -> Sequence[Verdict]:
    return tuple(of_axes()[name] for name in ("one, turned", "apart, turned"))


def of_boots() -> Sequence[Verdict]:
    boots, known = counts.recorded(evidence.BOOTS), counts.planted(*evidence.PLANTED[0])
    for part, found in (("boots_dimension", boots), ("planted_dimension", known)):
        if found.empty:
            raise Unrecorded(f"`results/{part}.csv` has no current rows for it")
    columns = {name: boots[name].tolist() for name in ("kl", "sum_fall")}
    return counts.rules("boots", evidence.BOOTS.latent_dim, columns, math.nan, known)


def figure_8() -> Sequence[Verdict]:
    _, counted, _, _, two = of_boots()
    return counted, two


def columns() -> Sequence[Verdict]:
    apart = rules.excess(numbers("boots_dimension", evidence.BOOTS), "norm", "kl")
    return (
        near(
            "a pruned dimension has a small column, and no other has",
            apart,
            0,
            within=0.5,
            of="columns longer than a twentieth of the longest, less dimensions that carry a tenth of a nat",
            form=".1f",
        ),
    )


def dimension() -> Sequence[Verdict]:
    *_, two, _ = of_boots()
    return (two,)


def only_here() -> dict[str, dict[str, list[float]]]:
    """What no chapter draws, for `plotting.dots`: by panel and name, a value a seed; none where none is recorded."""

    def recorded(part: str, config: TrainConfig) -> dict[str, list[float]]:
        try:
            return numbers(part, config)
        except Unrecorded:
            return {}

    found = recorded("figures", MNIST)
    left = {k: recorded("repair", replace(CONFIG, latent_dim=k)) for k in (CONFIG.latent_dim, 20)}
    names = {"VAE": "vae", "AE": "ae", "PCA": "pca", "mean": "mean"}
    shares = {"walks": "fastest", "samples": "labels_off", "codes": "told_prior"}
    codes = {"VAE": "", "PCA": "_pca", "t-SNE": "_tsne"}
    return {
        **{
            f"error in an erased square, K = {k}": {name: its.get(column, []) for name, column in names.items()}
            for k, its in left.items()
        },
        "three shares of the VAE": {name: found.get(column, []) for name, column in shares.items()},
        **{
            title: {name: found.get(f"{measure}{code}", []) for name, code in codes.items()}
            for title, measure in (("trustworthiness", "trust"), ("continuity", "continuity"))
        },
    }


CLAIMS = (
    Claim(
        "layers", "4.1", "The model is composed of eight hidden layers.",
        "The layers of the network that the book builds from the paper's widths are counted.", "erratum-17",
        architecture,
    ),
    Claim(
        "reconstruction", "4.1.1", "The VAE reconstructs held-out digits from two numbers (Figure 2).",
        "Held-out log-likelihood beside that of the mean image.", "fig-2-mnist", reconstruction,
    ),
    Claim(
        "repair", "4.1.1", "It fills in missing details.",
        "A 5 × 5 square around a pixel of ink is erased from held-out digits: how much of it comes back. Small "
        "networks on 6,000 images.", "fig-claims-strokes", repair,
    ),
    Claim(
        "blurred-reconstructions", "4.1.1", "The reconstructions are somewhat blurry.",
        "The variance of the Laplacian of rebuilt held-out digits at K = 2, as a share of that of the digits. Small "
        "networks on 6,000 images; below 0.8 the chapters call a picture blurred.", "fig-strengths-blur-sizes",
        blurred,
    ),
    Claim(
        "separation", "4.1.1", "Digits lie in different clusters (Figure 3).",
        "Votes of the ten nearest codes, beside principal components: not whether clusters are apart.", "fig-3-mnist",
        separation,
    ),
    Claim(
        "neighbors", "4.1.1", "VAEs are effective at dimension reduction.",
        "Trustworthiness and continuity of the codes of 2,000 held-out digits, beside PCA and t-SNE.",
        "fig-claims-neighbors", neighbors,
    ),
    Claim(
        "smooth", "4.1.2", "The manifold is smooth: digits turn into each other (Figure 4).",
        "How evenly the picture changes on straight walks between classes, step by step; how near to the "
        "data the decoder passes.", "fig-4-mnist", smooth,
    ),
    Claim(
        "layout", "4.1.2", "1, 7 and 0 are distinct clusters on the edge, 2, 3 and 8 lie close together in the center.",
        "Distances of codes from the origin, and votes of the ten nearest codes: not whether clusters are apart, nor "
        "how close 2, 3 and 8 lie.", "fig-3-mnist", layout,
    ),
    Claim(
        "samples", "4.1.3", "VAEs are effective at generating new examples (Figure 5).",
        "Distance of drawn pictures from the data; their labels, by a vote of training images; drawn codes of images "
        "beside draws of the prior.", "fig-5-mnist", samples,
    ),
    Claim(
        "garments", "4.2", "Reconstructions, manifold and samples are shown for Fashion-MNIST as well.",
        "The four verdicts of the chapter: reconstruction, classes, walks, samples.", "fig-2-fashion", garments,
    ),
    Claim(
        "figure-7", "4.2.1", "On boots the x-axis is the height of the heel, the y-axis that of the shaft (Figure 7).",
        "Heights read off decoded pictures, and which of two latent axes accounts for them.", "fig-7", figure_7,
    ),
    Claim(
        "trained-axes", "4.2.1", "The VAE learns disentangled features of boots (Figure 7).",
        "Its axes beside the same ones turned by every angle, which are our control.", "fig-boots-rotation", turned,
    ),
    Claim(
        "small-columns", "4.2.2", "Dimensions are pruned by small columns of the decoder's first matrix.",
        "Columns that are not small, counted beside dimensions that carry information, at K = 20.", "fig-boots-counts",
        columns,
    ),
    Claim(
        "figure-8", "4.2.2", "Sorted column sums of the decoder's first matrix show the dimension: two (Figure 8).",
        "The steepest fall of the sums, on planted manifolds and on boots.", "fig-8", figure_8,
    ),
    Claim(
        "two-dimensions", "4.2.2", "Boots lie on a manifold of two dimensions, and the VAE finds that.",
        "Dimensions that carry a tenth of a nat, at K = 20, beside the rule's error where two is the truth.",
        "fig-boots-counts", dimension,
    ),
)  # fmt: skip
