"""The claims on robustness (§3.1, §4.1.4, Figure 6): their rules come with the tables that they are judged by."""

from collections.abc import Callable, Sequence

from vaelib import results
from vaelib.claims.judging import Claim, Unrecorded
from vaelib.report.verdicts import Verdict


def awaiting(part: str) -> Callable[[], Sequence[Verdict]]:
    """A judge for a claim on a table that `evidence` does not list yet. Once it does, this claim needs its rule."""

    def judge() -> Sequence[Verdict]:
        if part in results.PARTS:
            raise NotImplementedError(f"the part {part!r} is there: judge the claims on robustness by its rules")
        raise Unrecorded(f"`results/{part}.csv` has no current rows for it")

    return judge


CLAIMS = (
    Claim(
        "robust", "3.1", "VAEs are more robust to outliers than deterministic autoencoders (Figure 6).",
        "Synthetic data of known dimension with a share of entries replaced: the error of the clean data, VAE beside "
        "autoencoder.", "erratum-20", awaiting("robustness_outliers"),
    ),
    Claim(
        "robust-by-kl", "3.1", "That is due to the KL term.",
        "With and without the latent noise, with and without a variance for each entry.", "erratum-14",
        awaiting("robustness_outliers"),
    ),
    Claim(
        "noisy-digits", "4.1.4", "On noisy MNIST the two are level at small K; at large K the autoencoder is ahead.",
        "The error of clean reconstructions over K and the amount of noise.", "erratum-28",
        awaiting("robustness_images"),
    ),
    Claim(
        "robust-digits", "4.1.4", "The robustness of Figure 6 could not be verified on MNIST.",
        "The same errors, relative to those without noise.", "erratum-20", awaiting("robustness_images"),
    ),
)  # fmt: skip
