"""What the chapters on MNIST and Fashion-MNIST say alike: findings from the numbers beside their figures.

Each function returns findings for `reading`. Numbers that a page could not measure are None or NaN, and nothing is said
of them.
"""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from vaelib.data import ImageDataset
from vaelib.measures import Confusions
from vaelib.report.findings import Finding, compare, finding
from vaelib.report.provenance import class_name
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
            compare(last, first),
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
                "larger": "The dashed line lies {gap:.1f} nats below the end of the curve: held-out images are coded "
                "worse than training images, as one should expect of a network with {weights:,} weights.",
                "smaller": "The dashed line lies {gap:.1f} nats above the end of the curve, which is the mean over an "
                "epoch in which the weights still moved.",
                "level": "The dashed line lies within a quarter of a nat of the end of the curve: held-out images are "
                "coded as well as training images.",
            },
            gap=abs(last - heldout),
            weights=sum(parameter.numel() for parameter in run.model.parameters()),
        ),
    )


def sharpness(share: float) -> Finding:
    """Of reconstructions, as a share of the images' (`measures.relative_sharpness`)."""
    return finding(
        "sharpness",
        _sharp(share),
        {
            "flat": "Next to nothing is left of an image's sharpness in its reconstruction: by the variance of the "
            "Laplacian, {share:.1%} on average.",
            "blurred": "The reconstructions are blurred: by the variance of its Laplacian, an average one has "
            "{share:.0%} of the sharpness of an image.",
            "level": "The reconstructions are about as sharp as the images: by the variance of its Laplacian, an "
            "average one has {share:.0%} of the sharpness of an image.",
            "sharper": "The reconstructions are sharper than the images: by the variance of its Laplacian, an average "
            "one has {share:.0%} of the sharpness of an image.",
        },
        share=share,
    )


def _sharp(share: float) -> str | None:
    if not math.isfinite(share):
        return None
    return "flat" if share < 0.05 else "blurred" if share < 0.8 else "level" if share <= 1.2 else "sharper"


def misread(data: ImageDataset, shown: Tensor, read: Tensor | None) -> Finding:
    """Which reconstructions of the images at `shown` (N,) are `read` (N,) as another class; None without labels."""
    pairs = [] if read is None else zip(data.labels[shown].tolist(), read.tolist(), strict=True)
    wrong = [f"{class_name(data, a)} as {class_name(data, b)}" for a, b in pairs if a != b]
    come = "comes" if len(wrong) == 1 else "come"
    return finding(
        "misread",
        None if read is None else ", ".join(wrong),
        "Of the {n} in the figure, each read by the vote of its ten nearest training images, {what}.",
        n=len(shown),
        what=f"{len(wrong)} {come} back as another class ({', '.join(wrong)})" if wrong else "all keep their class",
    )


def worth(fitted: float, null: float, floor: float, cost: float) -> Finding:
    """What the code brings: the model's log-likelihood between the mean image's and the pixels' floor, and its KL.

    Level: within a nat. All in nats per image.
    """
    return finding(
        "worth of the code",
        compare(fitted, null, within=1),
        {
            "larger": "The code brings this model {share:.0%} of the way from the mean training image to what no "
            "decoder can beat, {gain:.0f} nats, and costs {cost:.1f} nats itself, the KL term.",
            "smaller": "The mean training image in place of a decoder would do better: the code is worth nothing here.",
            "level": "The decoder does no better than the mean training image, to within a nat: the code is worth "
            "nothing here.",
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
                "larger": "Votes among the codes are right for {vae:.0%}; always naming the commonest class would be "
                "right for {chance:.0%}.",
                "level": "Votes among the codes are right for {vae:.0%}, as many to within five hundredths as if the "
                "commonest class were always named ({chance:.0%}).",
                "smaller": "Votes among the codes are right for {vae:.0%}; always naming the commonest class would do "
                "better, {chance:.0%}.",
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
                "level": "Principal components reach {pca:.0%}, as many to within two hundredths.",
            },
            pca=pca,
        ),
    )


def confusion(found: Confusions | None, data: ImageDataset) -> Finding:
    """The class that the codes tell best, and the commonest mistake; None without labels."""
    best, a, b = (class_name(data, label) for label in (found.surest, *found.pair)) if found else [None] * 3
    return finding(
        "confusion",
        (best, a, b) if found and found.share else None,
        "No class is found more surely than {best}, and no mistake is commoner than to take {a} for {b}, which happens "
        "to {share:.1%} of its images: where their clouds meet, the code does not keep these classes apart.",
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
            "smaller": "On its way from one image to another the decoder keeps nearer to the data than a fade would: "
            "its picture halfway has {share:.0%} of the distance from the nearest training image that the mean of the "
            "two ends has.",
            "level": "On its way from one image to another the decoder merely fades: its picture halfway lies as far "
            "from the nearest training image as the mean of the two ends does, to within a twentieth.",
            "larger": "On its way from one image to another the decoder strays from the data: its picture halfway has "
            "{share:.0%} of the distance from the nearest training image that the mean of the two ends has.",
        },
        share=halfway,
    )


def between(split: float | None) -> Finding:
    """The share of a walk's pictures on whose class their ten nearest training images have no majority."""
    amount = None if split is None else "none" if split == 0 else "few" if split <= 0.01 else "some"
    return finding(
        "between classes",
        "most" if amount and split > 0.5 else amount,
        {
            "most": "Most pictures have no class: for {split:.0%} of them the ten nearest training images cannot agree "
            "by a majority.",
            "some": "Not every picture has a class: for {split:.0%} of them the ten nearest training images cannot "
            "agree by a majority. There the picture is like more than one class.",
            "few": "Nearly every picture has a class: a majority of its ten nearest training images agrees, for all "
            "but {split:.1%}.",
            "none": "Every picture has a class: a majority of its ten nearest training images agrees.",
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
            "larger": "On average a sample lies farther from the nearest training image than a held-out image does, "
            "{s:.1f} against {h:.1f}, and nearer to it than the mean training image, {m:.1f}.",
            "smaller": "On average a sample lies even closer to the nearest training image than a held-out image does, "
            "{s:.1f} against {h:.1f}; the mean training image lies at {m:.1f}.",
            "level": "On average a sample lies as close to the nearest training image as a held-out image does, "
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
        above("puts classes in different places", seeds["votes"], 0, of="right votes more than PCA's"),
        below("changes one image into another", seeds["halfway"], 1, of="distance from the data halfway, as a fade's"),
        below(
            "generates pictures like the data", seeds["distance"], 1, of="distance from the data, as the mean image's"
        ),
    )
