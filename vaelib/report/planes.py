"""What the chapters on MNIST and Fashion-MNIST say: findings from the numbers beside their figures.

Each function returns findings for `reading`. Numbers that a page could not measure are None or NaN, and nothing is said
of them.
"""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from vaelib.data import STAND_INS, ImageDataset
from vaelib.dimensions import KL_IN_USE
from vaelib.measures import Confusions
from vaelib.report.findings import Finding, compare, finding
from vaelib.report.provenance import axes, class_name
from vaelib.report.verdicts import Verdict, above, below
from vaelib.training import TrainedRun


def learning(run: TrainedRun) -> tuple[Finding, ...]:
    """How the training ELBO climbs, and how far it ends from the held-out one (level: within a quarter of a nat)."""
    curve = [epoch.elbo for epoch in run.history]
    first, last, heldout = curve[0], curve[-1], run.heldout.elbo
    climbed = [(value - first) / (last - first or 1) for value in curve]
    return (
        finding(
            "climb",
            compare(last, first) if len(curve) > 1 else None,
            {
                "larger": "Nine tenths of the way from the first epoch's value to the last one's are covered by epoch "
                "{most} of {n}.",
                "smaller": "The curve falls from {first:.1f} to {last:.1f} nats: this training did not work.",
                "level": "The curve does not rise.",
            },
            most=next((epoch for epoch, share in enumerate(climbed, 1) if share >= 0.9), None),
            n=len(curve),
            first=first,
            last=last,
        ),
        finding(
            "gap",
            compare(last, heldout, within=0.25),
            {
                "larger": "The dashed line lies {gap:.1f} nats below the end of the curve, the mean over the last "
                "epoch's steps: these held-out images are coded worse than the training images.",
                "smaller": "The dashed line lies {gap:.1f} nats above the end of the curve, the mean over the last "
                "epoch's steps.",
                "level": "The dashed line lies within a quarter of a nat of the end of the curve, the mean over the "
                "last epoch's steps.",
            },
            gap=abs(last - heldout),
        ),
    )


def steps(run: TrainedRun, n: int) -> str:
    """How many steps training took on `n` images, and whether its settings were meant for them."""
    config = run.config
    sentence = f"Training took {config.epochs * math.ceil(n / config.batch_size):,} steps on {n:,} images."
    if config.dataset in STAND_INS:
        return sentence
    return f"{sentence} The settings were not chosen on these data; `EPOCHS=` gives a small set more steps."


def gray(images: Tensor) -> Finding:
    """Whether pixels (N, D) lie strictly between 0 and 1, and what their likelihood is then."""
    share = ((images > 0) & (images < 1)).double().mean().item()
    return finding(
        "gray pixels",
        share > 0,
        {
            True: "Of the pixels {share:.1%} are gray, neither 0 nor 1. With such pixels these nats are the paper's "
            "objective and not the logarithm of a density ({{ref}}`erratum 7 <erratum-7>`).",
            False: "All pixels are 0 or 1, so the Bernoulli likelihood is a probability of these images.",
        },
        share=share,
    )


def in_use(kl: Tensor) -> Finding:
    """Which latent dimensions carry more than `KL_IN_USE` of the mean KL (K,), in nats; None where it is not finite."""
    idle = [dim for dim, nats in enumerate(kl.tolist()) if nats <= KL_IN_USE]
    n = len(kl) - len(idle)
    some = (
        "Of {k} latent dimensions {n} {carry} more than {limit} nats of the KL term. In {idle} "
        "$q_\\phi(\\mathbf{{z}}|\\mathbf{{x}})$ is nearly the prior, on average over the images."
    )
    none = (
        "No latent dimension carries more than {limit} nats of the KL term: "
        "$q_\\phi(\\mathbf{{z}}|\\mathbf{{x}})$ is nearly the prior, on average over the images."
    )
    return finding(
        "dimensions in use",
        (axes(idle) or "all") if kl.isfinite().all() else None,
        "Every latent dimension carries more than {limit} nats of the KL term." if not idle else some if n else none,
        k=len(kl),
        n=n,
        carry="carries" if n == 1 else "carry",
        limit=KL_IN_USE,
        idle=axes(idle),
    )


def sharpness(share: float, n: int) -> Finding:
    """Of reconstructions of `n` held-out images, as a share of these images' (`measures.relative_sharpness`)."""
    rest = (
        ": by the mean variance of the Laplacian, those of the first {n:,} held-out images have {share:{form}} of "
        "these images' sharpness."
    )
    return finding(
        "sharpness",
        _sharp(share),
        {
            "flat": "The reconstructions are all but flat" + rest,
            "blurred": "The reconstructions are blurred" + rest,
            "level": "The reconstructions are about as sharp as the images" + rest,
            "sharper": "The reconstructions are sharper than the images" + rest,
        },
        share=share,
        form=".1%" if share < 0.05 else ".0%",
        n=n,
    )


def _sharp(share: float) -> str | None:
    if not math.isfinite(share):
        return None
    return "flat" if share < 0.05 else "blurred" if share < 0.8 else "level" if share <= 1.2 else "sharper"


def misread(data: ImageDataset, shown: Tensor, before: Tensor | None, after: Tensor | None) -> Finding:
    """Which images at `shown` (N,) are read as another class after reconstruction; None without labels.

    `before` and `after` (N,) are the classes that a vote reads images and reconstructions as.
    """
    rows = [] if before is None else zip(data.labels[shown].tolist(), before.tolist(), after.tolist(), strict=True)
    rows = [(class_name(data, label), label == b, class_name(data, a)) for label, b, a in rows if a != label]
    wrong, unsure = [f"{own} as {read}" for own, _, read in rows], [own for own, sure, _ in rows if not sure]
    come = "comes" if len(wrong) == 1 else "come"
    what = f"{len(wrong)} {come} back as another class ({', '.join(wrong)})" if wrong else "all keep their class"
    return finding(
        "misread",
        None if before is None else ", ".join(wrong),
        "Of the {n} images in the figure, each reconstruction read by the vote of its ten nearest training images, "
        "{what}{unsure}.",
        n=len(shown),
        what=what,
        unsure=f"; of class {', '.join(unsure)} the vote misreads the image itself as well" if unsure else "",
    )


def kept(images: float | None, rebuilt: float | None, n: int) -> Finding:
    """The vote's share of right classes on `n` held-out images and on their reconstructions; None without labels.

    Level: within five hundredths.
    """
    return finding(
        "class kept",
        None if images is None else compare(images, rebuilt, within=0.05),
        {
            "larger": "Of the first {n:,} held-out images the vote names the class of {images:.1%}, and of "
            "{rebuilt:.1%} of their reconstructions: what tells the classes apart is lost, in part or altogether.",
            "level": "Of the reconstructions of the first {n:,} held-out images the vote names the class of "
            "{rebuilt:.1%}, the same to within five hundredths as of these images themselves, {images:.1%}.",
            "smaller": "Of the reconstructions of the first {n:,} held-out images the vote names the class of "
            "{rebuilt:.1%}, and only of {images:.1%} of these images themselves: what tells the classes apart stands "
            "out better.",
        },
        n=n,
        images=images,
        rebuilt=rebuilt,
    )


def worth(fitted: float, null: float, floor: float, cost: float) -> Finding:
    """What the code brings: the model's log-likelihood between the mean image's and the pixels' floor, and its KL.

    Level: within a nat. All in nats per image.
    """
    return finding(
        "worth of the code",
        compare(fitted, null, within=1),
        {
            "larger": "The code gains this model {gain:.0f} nats over the mean training image, {share:.0%} of the way "
            "to what no decoder can beat, and costs {cost:.1f} nats itself, the KL term.",
            "smaller": "The mean training image in place of a decoder would do better.",
            "level": "The decoder does no better than the mean training image, to within a nat.",
        },
        share=(fitted - null) / (floor - null) if floor > null else math.nan,
        gain=fitted - null,
        cost=cost,
    )


def apart(right: Mapping[str, float], chance: float | None) -> tuple[Finding, ...]:
    """Shares of right votes, `right["VAE"]` and `right["PCA"]`, against chance; empty and None without labels."""
    vae, pca = right.get("VAE"), right.get("PCA")
    return (
        finding(
            "apart",
            compare(vae, chance, within=0.05) if right else None,
            {
                "larger": "Votes among the VAE's codes are right for {vae:.0%} of the images; always naming the "
                "commonest class would be right for {chance:.0%}.",
                "level": "Votes among the VAE's codes are right for {vae:.0%} of the images, as many to within five "
                "hundredths as if the commonest class were always named ({chance:.0%}).",
                "smaller": "Votes among the VAE's codes are right for {vae:.0%} of the images; always naming the "
                "commonest class would do better, {chance:.0%}.",
                None: "These images have no labels, so nothing was voted on.",
            },
            vae=vae,
            chance=chance,
        ),
        finding(
            "against PCA",
            compare(vae, pca, within=0.02) if right else None,
            {
                "larger": "Principal components reach {pca:.0%}: the VAE keeps classes apart better.",
                "smaller": "Principal components reach {pca:.0%}, and keep classes apart better.",
                "level": "Principal components reach {pca:.0%}, the same to within two hundredths.",
            },
            pca=pca,
        ),
    )


def confusion(found: Confusions | None, data: ImageDataset) -> Finding:
    """The class that the codes tell best, and the likeliest mistake; None without labels."""
    best, a, b = (class_name(data, label) for label in (found.surest, *found.pair)) if found else [None] * 3
    return finding(
        "confusion",
        (best, a, b) if found and found.share else None,
        "No class is found more surely than {best}, and no mistake is likelier than to take {a} for {b}: it happens to "
        "{share:.1%} of the images of {a}.",
        best=best,
        a=a,
        b=b,
        share=found.share if found else None,
    )


def way(halfway: float) -> Finding:
    """How near to the data the decoder passes between two images (`measures.halfway`; level: within a twentieth)."""
    return finding(
        "way between images",
        compare(halfway, 1, within=0.05),
        {
            "smaller": "Halfway from one image to another the decoder is nearer to the data than a fade would be: on "
            "average its picture has {share:.0%} of the distance from the nearest training image that the mean of the "
            "two ends has.",
            "level": "Halfway from one image to another the decoder is no better than a fade: on average its picture "
            "lies as far from the nearest training image as the mean of the two ends does, to within a twentieth.",
            "larger": "Halfway from one image to another the decoder has strayed from the data: on average its picture "
            "has {share:.0%} of the distance from the nearest training image that the mean of the two ends has.",
        },
        share=halfway,
    )


def orientation(latent_dim: int, codes: str) -> str:
    """How Figure 4 lies beside the figure of the codes, which is called `codes`; nothing where there is no plane."""
    if latent_dim == 1:
        return ""
    alike = f"{codes} has the same dimension across and the same one up."
    if latent_dim == 2:
        return alike
    return (
        f"{alike} Here it is a slice, the other numbers at zero, where that figure sees all codes from one side: a "
        "cloud's place there need not show its class here."
    )


def between(split: float | None) -> Finding:
    """The share of a walk's pictures on whose class their ten nearest training images have no majority."""
    amount = None if split is None else "none" if split == 0 else "few" if split <= 0.01 else "some"
    return finding(
        "between classes",
        "most" if amount and split > 0.5 else amount,
        {
            "most": "For most of the figure's pictures, {split:.0%}, the ten nearest training images cannot agree on a "
            "class by a majority.",
            "some": "For {split:.0%} of the figure's pictures the ten nearest training images cannot agree on a class "
            "by a majority.",
            "few": "For all but {split:.1%} of the figure's pictures the ten nearest training images agree on a class "
            "by a majority; nearest need not be near.",
            "none": "For every picture of the figure the ten nearest training images agree on a class by a majority; "
            "nearest need not be near.",
        },
        split=split,
    )


def nearness(near: Mapping[str, float]) -> Finding:
    """Mean distances to the nearest training image, of "samples", "held-out images" and "the mean image".

    Far: no nearer than the mean image. Level with held-out images: within a fiftieth.
    """
    s, h, m = near["samples"], near["held-out images"], near["the mean image"]
    return finding(
        "near the data",
        "far" if s >= m else compare(s, h, within=0.02 * h),
        {
            "far": "Samples lie no nearer to the data than the mean training image does: on average the nearest "
            "training image is {s:.1f} away from a sample, {m:.1f} from the mean and {h:.1f} from a held-out image.",
            "larger": "On average these samples lie farther from the nearest training image than held-out images "
            "do, {s:.1f} against {h:.1f}, and nearer to it than the mean training image, {m:.1f}.",
            "smaller": "On average these samples lie even closer to the nearest training image than held-out images "
            "do, {s:.1f} against {h:.1f}; the mean training image lies at {m:.1f}.",
            "level": "On average these samples lie as close to the nearest training image as held-out images do, "
            "{s:.1f}; the mean training image lies at {m:.1f}.",
        },
        s=s,
        h=h,
        m=m,
    )


def softness(share: float) -> Finding:
    """Sharpness of samples, as a share of the images' (`measures.relative_sharpness`)."""
    return finding(
        "samples' sharpness",
        _sharp(share),
        {
            "flat": "Samples have next to none of the sharpness of the data, {share:.1%}.",
            "blurred": "Samples are soft, with {share:.0%} of the sharpness of the data. A blurred picture is near to "
            "many images at once, so closeness alone shows neither sharpness nor variety.",
            "level": "Samples are about as sharp as the data, with {share:.0%} of their sharpness; closeness does not "
            "show that they vary.",
            "sharper": "Samples are sharper than the data, with {share:.0%} of their sharpness; closeness does not "
            "show that they vary.",
        },
        share=share,
    )


def rules(seeds: Mapping[str, Sequence[float]]) -> tuple[Verdict, ...]:
    """The verdicts on the four claims of §4.1, from measures of the part "planes", one value a seed."""
    return (
        above("reconstructs held-out images", seeds["gain"], 0, of="nats above the mean image", form=".1f"),
        above("puts classes in different places", seeds["votes"], 0, of="share of right votes, less PCA's"),
        below(
            "passes nearer to the data than a fade from one image to another",
            seeds["halfway"],
            1,
            of="distance from the data halfway, over a fade's",
        ),
        below(
            "generates pictures nearer to the data than the mean image is",
            seeds["distance"],
            1,
            of="distance from the data, over the mean image's",
        ),
    )
