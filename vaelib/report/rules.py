"""The rules of the verdicts on §2.6, §3 and Figure 7, each in one place: a chapter judges by them, and so do `claims`.

Numbers are one a seed: a chapter's own run among the recorded ones, or the recorded ones alone. Those of `planes` and
`counts` stand there.
"""

from collections.abc import Mapping, Sequence

from vaelib.report.verdicts import Verdict, above, below, exact

Numbers = Mapping[str, Sequence[float]]
KNOWN = ("mig", "sap", "disentanglement", "completeness")  # scores that take known factors and depend on the axes


def excess(numbers: Numbers, one: str, other: str) -> list[float]:
    """By how much the number called `one` exceeds the `other`, seed by seed."""
    return [a - b for a, b in zip(numbers[one], numbers[other], strict=True)]


# Figure 7: heel and shaft along the latent axes


def axes(whose: str, numbers: Numbers) -> dict[str, Verdict]:
    """Whether the latent axes hold heel and shaft of the boots called `whose`, and better than turned axes."""
    rank = "rank among all angles"
    return {
        "one": above(f"{whose}: each height lies along one axis", numbers["one"], 0.5, of="one axis each"),
        "one, turned": above(
            f"{whose}: each height lies along one axis rather than a turned one", numbers["one_rank"], 0.5, of=rank
        ),
        "apart": above(f"{whose}: heel and shaft lie along different axes", numbers["apart"], 0.5, of="different axes"),
        "apart, turned": above(
            f"{whose}: the axes part heel from shaft better than turned ones", numbers["apart_rank"], 0.5, of=rank
        ),
        "numbered": above(
            f"{whose}: of the two axes the first is the heel, the second the shaft",
            numbers["as_numbered"],
            0,
            of="different axes, negative if exchanged",
        ),
    }


def common_scores(numbers: Numbers) -> Verdict:
    """Whether the usual scores of disentanglement prefer the trained axes of drawn boots."""
    ranks = [numbers[f"{score}_rank"] for score in KNOWN]
    return above(
        "drawn boots: MIG, SAP, disentanglement and completeness are higher than in turned axes",
        [sum(of_seed) / len(of_seed) for of_seed in zip(*ranks, strict=True)],
        0.5,
        of="mean of their ranks",
    )


def read_off(numbers: Numbers) -> Verdict:
    """Whether heights that are read off decoded pictures score as the true ones of drawn boots."""
    return below(
        "drawn boots: heights read off decoded pictures score as true ones do",
        numbers["misread"],
        0.1,
        of="largest difference of a score",
    )


def kept(whose: str, height: str, numbers: Numbers) -> Verdict:
    """Whether a code keeps a height at all: what it does not keep no axis can hold."""
    return above(
        f"{whose}: the code keeps the {height}",
        numbers[f"kept_{height}"],
        0.5,
        of="correlation of held-out images with their reconstructions",
    )


# §2.6: autoencoders and other priors


def at_zero(finite: bool) -> Verdict:
    """Whether the ELBO is `finite` at σ = 0."""
    kl = "finite" if finite else "∞"
    return exact("an autoencoder is a VAE at σ = 0", finite, of=f"KL at σ = 0: {kl}", rule="the ELBO is finite there")


def autoencoder(numbers: Numbers) -> tuple[Verdict, Verdict]:
    """How far a trained VAE is from σ = 0, and an autoencoder, with one σ for all codes, from a VAE."""
    return (
        below(
            "σ goes to zero where it is left free",
            numbers["sigma"],
            0.01,
            of="the least σ of a latent number, as a share of the spread of its codes",
            form=".3f",
        ),
        below(
            "with one σ for all codes an autoencoder has the ELBO of a VAE",
            numbers["behind"],
            1.0,
            of="nats of ELBO by which it is behind, each with its best common σ",
            form=".1f",
        ),
    )


def clustered(numbers: Numbers) -> Verdict:
    """Whether codes lie in the clusters of a clustered prior."""
    return above(
        "a prior of clusters gives clustered codes", numbers["inside"], 0.8, of="share of codes in its clusters"
    )


def sparse(share: Sequence[float], ahead: Sequence[float], divergence: Sequence[float]) -> tuple[Verdict, ...]:
    """Whether a sparse prior gives sparse codes, by how much `ahead` of a normal one, and with the `divergence`."""
    difference = "difference of the shares"
    return (
        above("a sparse prior gives sparse codes", share, 0.5, of="share of the way from N(0, I) to the prior"),
        above("a sparse prior gives sparser codes than a normal one", ahead, 0.1, of=difference),
        above("with the divergence codes are sparser still", divergence, 0.1, of=difference),
    )


# §3: strengths


def generation(kl: Numbers) -> tuple[Verdict, Verdict]:
    """Whether pictures of drawn codes pass for reconstructions, and more often than an autoencoder's."""
    return (
        below(
            "drawn pictures pass for reconstructions",
            kl["told_vae"],
            0.6,
            of="share told apart, 0.5 if none can be",
        ),
        above(
            "drawn pictures pass for reconstructions better than an autoencoder's do",
            excess(kl, "told_ae", "told_vae"),
            0,
            of="share told apart, autoencoder less VAE",
        ),
    )


def interpretability(numbers: Numbers) -> tuple[Verdict, ...]:
    """Whether the axes of small models hold the factors of drawn boots, and what the posterior prefers."""
    return (
        above("drawn boots: each dimension follows one factor", numbers["apart"], 0.5, of="different axes"),
        above(
            "drawn boots: the axes part the factors better than turned ones",
            numbers["apart_rank"],
            0.5,
            of="rank among all angles",
        ),
        above(
            "a diagonal posterior fits better in the axes of training than half way between",
            excess(numbers, "loss_45", "loss_0"),
            0,
            of="nats",
            form=".3f",
        ),
    )


def flexibility(worth: Sequence[float], units: int, images: int, *, longer: bool) -> Verdict:
    """Whether hidden `units` are worth anything; `longer`: beside a linear model that was trained for longer."""
    return above(
        "bends where a linear model cannot",
        worth,
        0,
        of=f"nats that {units} hidden units are worth on {images:,} images"
        + (", the linear model trained four times as long" if longer else ""),
        form=".1f",
    )


def regularization(difference: Sequence[float], images: int) -> Verdict:
    """Whether training images are reconstructed better than held-out ones by more where there is no KL term."""
    return above(
        "the KL regularizes",
        difference,
        0,
        of=f"nats by which the gap on {images:,} images is larger without it",
        form=".1f",
    )


# §3: weaknesses


def blur(kl: Numbers) -> Verdict:
    """Whether drawn pictures are blurred."""
    return below("images are blurred", kl["sharp_drawn"], 0.5, of="sharpness of drawn pictures, 1 for the data")


def blur_by_kl(regained: Mapping[int, Sequence[float]]) -> tuple[Verdict, ...]:
    """Whether most of the missing sharpness comes back without the KL, by latent size."""
    return tuple(
        above(
            f"it is the KL that blurs, at K = {k}",
            values,
            0.5,
            of="part of the missing sharpness that comes back without it",
        )
        for k, values in regained.items()
    )


def complexity(farther: Sequence[float], kind: str) -> Verdict:
    """Whether runs of a network of this `kind` end farther from their mean than those of a linear model."""
    return above("seeds end apart", farther, 0, of=f"nats from the mean, {kind} less linear", form=".1f")


def memorization(grows: Sequence[float], wide: int, narrow: int, images: int) -> Verdict:
    """Whether the gap between training and held-out ELBO grows with the width."""
    return above(
        "large models on few images memorize",
        grows,
        0,
        of=f"nats of gap, {wide} units less {narrow}, on {images:,} images",
        form=".1f",
    )


def blame(halves: Numbers) -> Verdict:
    """Whether a wide encoder adds more to that gap than a wide decoder."""
    return above(
        "it is the encoder that memorizes",
        excess(halves, "encoder", "decoder"),
        0,
        of="nats that a wide encoder adds to the gap, less those of a wide decoder",
        form=".1f",
    )
