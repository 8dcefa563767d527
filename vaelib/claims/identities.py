"""Claims that follow from how a model or a network is made, each by computing both sides (§2.3, §2.6.1, §4.1, §4.2.2).

What each function here asks stands with its claim, at the end.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from vaelib import densities
from vaelib.claims.judging import Claim
from vaelib.claims.known import SAME, by_average, known, off, seeded, within
from vaelib.models import VAE, Autoencoder
from vaelib.paper import experiment
from vaelib.report.verdicts import Verdict, exact

FEW = 50  # points of the known model, where there are thousands of draws for each
LITTLE = 0.1  # standard deviations of the prior: codes within it are near zero


def drawn(n: int, points: int) -> tuple[Tensor, Tensor, Tensor]:
    """n draws z (n, B, K) from a q that is not the posterior of the first points, log q(z|x) and log p(z|x) (n, B)."""
    mu, logvar = (value[:points] for value in known().others()[12])
    q, (mean, covariance) = Normal(mu, (logvar / 2).exp()), known().truth.posterior(known().x[:points])
    z = mu + q.scale * torch.randn(n, *mu.shape, generator=seeded(), dtype=mu.dtype)
    return z, q.log_prob(z).sum(-1), MultivariateNormal(mean, covariance).log_prob(z)


# §2.3


def expectation() -> tuple[Verdict, ...]:
    _, log_q, log_posterior = drawn(20_000, FEW)
    return (
        by_average(
            "the divergence (2) is the mean of log q(z|x) − log p(z|x) under q",
            log_q - log_posterior,
            known().divergence(*known().others()[12])[:FEW],
            of=f"20,000 draws for each of {FEW} points",
        ),
    )


def bayes() -> tuple[Verdict, ...]:
    given, evidence = known(), known().evidence()
    z, log_q, log_posterior = drawn(20, len(given.x))
    mean, noise = z @ given.truth.weights.T + given.truth.mean, 2 * math.log(given.truth.noise)
    given_z = densities.gaussian_log_likelihood(given.x.expand_as(mean), mean, torch.full_like(mean, noise))
    joint = given_z + Normal(0.0, 1.0).log_prob(z).sum(-1)
    gaps = [off(evidence - given.bound(*q), given.divergence(*q)) for q in given.others()]
    of = "nats apart, the most"
    return (
        within(
            "at every z the bracket of (7) with log p(x) is that of (5)",
            off(log_q - joint + evidence, log_q - log_posterior),
            of=f"{of} over 20 × 200 draws",
            limit=SAME,
        ),
        within("so are their expectations", max(gaps), of=f"{of} over 20 q and 200 points", limit=SAME),
    )


def two_expectations() -> tuple[Verdict, ...]:
    given, gaps = known(), []
    for mu, logvar in given.others():
        log_q = -Normal(mu, (logvar / 2).exp()).entropy().sum(1)
        log_prior = -(mu.square() + logvar.exp() + math.log(2 * math.pi)).sum(1) / 2
        right = given.likelihood(mu, logvar) - (log_q - log_prior)
        gaps.append(off(right, given.evidence() - given.divergence(mu, logvar)))
    of = "nats apart, the most over 20 q and 200 points"
    return (within("the right side of (9) is the ELBO", max(gaps), of=of, limit=SAME),)


# §2.6.1


def deterministic() -> tuple[Verdict, ...]:
    x = torch.rand(20, 50, generator=seeded())
    model = Autoencoder(2, (16,), 50)
    with torch.no_grad():
        codes = [model.embed(x) for _ in range(2)]
    return (
        exact(
            "the same image has the same code each time",
            torch.equal(*codes),
            of=f"largest difference of two codes of an image: {off(*codes):g}",
            rule="it is zero",
        ),
    )


# §4.1


def layers() -> tuple[Verdict, ...]:
    config = experiment("mnist")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE(config.latent_dim, config.hidden)
    y = x = torch.rand(50, 784, generator=seeded())
    *hidden, last = [layer for layer in model.encoder if hasattr(layer, "weight")]
    with torch.no_grad():
        for layer in hidden:
            y = (y @ layer.weight.T + layer.bias).clamp(min=0)
        heads = y @ last.weight.T + last.bias
        apart = off(heads, torch.cat(model.encode(x), dim=1))
        darkest = model.decode(torch.randn(500, config.latent_dim, generator=seeded())).relu().sigmoid().min().item()
    return (
        within("hidden layers compute (20)", apart, of="outputs apart, by hand and by the library", limit=1e-4),
        exact(
            "every layer can, the last ones too",
            darkest < 0.5,
            of=f"least probability of a pixel behind a last layer with f = max(0, ·): {darkest:.2f}",
            rule="a decoder that ends in (20) can call a pixel improbable, below ½",
        ),
    )


# §4.2.2


def superfluous() -> tuple[Verdict, ...]:
    given = known()
    truth = replace(given.truth, weights=torch.cat([given.truth.weights, torch.zeros(5, 1).double()], dim=1))
    mean, covariance = truth.posterior(given.x)
    spread = (mean[:, 2].var() + covariance[2, 2]).sqrt().item()
    product = off(truth.weights[:, 2:] @ mean[:, 2:].T, torch.zeros(5, len(mean)).double())
    return (
        exact(
            "a column of zeros takes its dimension out of the product Wz",
            product == 0,
            of=f"its largest part of Wz: {product:g}",
            rule="it is zero",
        ),
        exact(
            "the dimension of z is itself pushed to zero",
            spread < LITTLE,
            of=f"standard deviation of z in it, under the exact posterior: {spread:.2f}",
            rule=f"below {LITTLE:g}",
        ),
    )


CLAIMS = (
    Claim(
        "equation-4", "2.3", "The divergence (2) from the posterior is an expectation under q (3, 4).",
        "Averages over draws of a linear-Gaussian model's q, beside torch.distributions.", "eq-4", expectation,
    ),
    Claim(
        "equation-7", "2.3", "Bayes' rule turns (5) into (7), with log p(x) outside of the expectation.",
        "Both brackets at draws of z, and both expectations in closed form, of a linear-Gaussian model.", "eq-7",
        bayes,
    ),
    Claim(
        "equation-9", "2.3", "The ELBO is E[log p(x|z)] − E[log q(z|x) − log p(z)] (9).",
        "Three expectations in closed form beside log p(x) less the divergence from the posterior.", "eq-9",
        two_expectations,
    ),
    Claim(
        "deterministic", "2.6.1", "An autoencoder's code is deterministic: nothing is sampled.",
        "The library's autoencoder encodes images twice; the one that the author published samples.", "erratum-28",
        deterministic,
    ),
    Claim(
        "equation-20", "4.1", "Each layer computes y = f(Wx + b) with a nonlinear f (20).",
        "The layers of the paper's encoder written out; a decoder whose last layer is rectified as well.", "eq-20",
        layers,
    ),
    Claim(
        "pushed-to-zero", "4.2.2", "Small columns of the decoder's first matrix push dimensions of z to zero.",
        "A linear-Gaussian model with a column of zeros: the exact posterior of that dimension.", "erratum-25",
        superfluous,
    ),
)  # fmt: skip
