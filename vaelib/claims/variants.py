"""The claims of §2.6, on autoencoders and priors: computed, and read from recorded runs.

What each function here asks stands with its claim, at the end.
"""

import math
from collections.abc import Sequence

import torch
from torch.distributions import Normal, kl_divergence

from vaelib import densities, evidence
from vaelib.claims.judging import Claim, difference, numbers
from vaelib.claims.known import SAME, known, off, seeded, within
from vaelib.report import rules
from vaelib.report.verdicts import Verdict, above


def at_zero() -> tuple[Verdict, ...]:
    kl = densities.kl_to_standard_normal(known().encode()[0], torch.full((200, 2), -math.inf).double())
    free, _ = rules.autoencoder(numbers("variants_autoencoder", evidence.GARMENTS))
    return rules.at_zero(bool(kl.isfinite().all())), free


def penalty() -> tuple[Verdict, ...]:
    mu = torch.randn(100, 3, generator=seeded(), dtype=torch.float64)
    gaps = []
    for sigma in (0.01, 0.1, 0.5, 1.0):
        rest = mu.shape[1] * ((sigma**2 - 1) / 2 - math.log(sigma))
        kl = kl_divergence(Normal(mu, torch.full_like(mu, sigma)), Normal(0.0, 1.0)).sum(1)
        gaps.append(off(kl, mu.square().sum(1) / 2 + rest))
    return (within("at a fixed σ the KL is ½‖μ‖² and a constant", max(gaps), of="nats apart, four σ", limit=SAME),)


def pull() -> tuple[Verdict, ...]:
    spread = numbers("variants_autoencoder", evidence.GARMENTS)["spread"]
    return (above("the KL term keeps codes near the prior's mean", spread, 1, of="an autoencoder's ‖z‖, over a VAE's"),)


def clustered() -> Sequence[Verdict]:
    _, setting, *_ = evidence.PARTS["variants_pinwheel"].configs
    return (rules.clustered(numbers("variants_pinwheel", setting)),)


def sparse() -> Sequence[Verdict]:
    normal, alone, with_divergence = evidence.PARTS["variants_sparse"].configs
    share, ahead, _ = rules.sparse(
        numbers("variants_sparse", alone)["share"],
        difference("variants_sparse", alone, normal, "share"),
        difference("variants_sparse", with_divergence, alone, "share"),
    )
    return share, ahead


CLAIMS = (
    Claim(
        "sigma-zero", "2.6.1", "An autoencoder is the VAE with σ² = 0.",
        "The KL term at σ = 0, and the σ of trained VAEs.", "shows-erratum-10", at_zero,
    ),
    Claim(
        "norm-penalty", "2.6.1", "The KL term regularizes the norm of the code.",
        "(18) at one σ for all codes, taken apart.", "fig-variants-limit", penalty,
    ),
    Claim(
        "prior-pull", "2.6.2", "The KL term pushes q(z|x) towards the prior.",
        "Codes of garments, in the root mean square: an autoencoder's over those of the VAE with the same layers.",
        "fig-variants-limit", pull,
    ),
    Claim(
        "prior-clusters", "2.6.2", "A clustered prior leads to clustered codes.",
        "Codes of a pinwheel; the share in the prior's clusters.", "fig-variants-pinwheel", clustered,
    ),
    Claim(
        "prior-sparsity", "2.6.2", "A sparse prior leads to sparse codes.",
        "Hoyer's measure of the codes of garments, from a normal prior's 0 to the sparse prior's 1.",
        "fig-variants-hoyer", sparse,
    ),
)  # fmt: skip
