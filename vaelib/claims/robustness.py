"""The claims on robustness (§3.1, §4.1.4, Figure 6): recorded runs, judged by the rules of the robustness chapter."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from vaelib import robustness
from vaelib.claims.judging import Claim, rows
from vaelib.report import noise
from vaelib.report.verdicts import Verdict, below


def outliers() -> tuple[Verdict, ...]:
    for true_dim in robustness.TRUE_DIMS:
        for share in robustness.OUTLIER_SHARES:
            rows("robustness_outliers", robustness.outlier_setting(true_dim, share))  # there must be some of each
        rows("robustness_outliers_longer", robustness.outlier_setting(true_dim, 0.0, epochs=robustness.LONG_EPOCHS))
    return noise.rules_on_outliers(noise.outliers(), noise.without_outliers_longer())


def images() -> dict[int, pd.DataFrame]:
    return {k: rows("robustness_images", replace(robustness.CONFIG, latent_dim=k)) for k in robustness.LATENT_SIZES}


def synthetic() -> Sequence[Verdict]:
    resists, alike, longer, *_ = outliers()
    return resists, alike, longer


def by_kl() -> Sequence[Verdict]:
    _, _, _, alone, _, more, _ = outliers()
    return alone, more


def noisy_digits() -> Sequence[Verdict]:
    columns = [robustness.column(name, *cell) for name in robustness.MODELS for cell in robustness.CELLS]
    longer = rows("robustness_longer", robustness.LONGER).reindex(columns=columns)
    *of_sizes, _, _, _ = noise.rules_on_images(images(), longer)
    return of_sizes


def robust_digits() -> Sequence[Verdict]:
    largest = images()[max(robustness.LATENT_SIZES)]
    ahead = (noise.rise(largest, "autoencoder") - noise.rise(largest, "vae")).tolist()
    return (
        below(
            "noise raises the error of the VAE more than that of the autoencoder",
            ahead,
            0,
            of="rise of the error, autoencoder less VAE",
            form=".3f",
        ),
    )


CLAIMS = (
    Claim(
        "robust", "3.1", "VAEs are more robust to outliers than deterministic autoencoders (Figure 6).",
        "Points of known dimension with a share of entries redrawn: the error of the clean points, VAE beside "
        "autoencoder, with outliers and without.", "fig-6", synthetic,
    ),
    Claim(
        "robust-by-kl", "3.1", "That is due to the KL term.",
        "With and without the KL and its noise, with and without a variance for each entry.", "fig-6", by_kl,
    ),
    Claim(
        "noisy-digits", "4.1.4", "On noisy MNIST the two are level at small K; at large K the autoencoder is ahead.",
        "The error on clean held-out images after training with noise, a mean over two kinds and two shares, at the "
        "smallest and the largest K, of the author's autoencoder and of a deterministic one.",
        "fig-robustness-replaced", noisy_digits,
    ),
    Claim(
        "robust-digits", "4.1.4", "The robustness of Figure 6 could not be verified on MNIST.",
        "By how much noise raises the error at the largest K.", "fig-robustness-added", robust_digits,
    ),
)  # fmt: skip
