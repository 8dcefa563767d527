"""The claims of §2.3–2.5: equations, judged by computing both sides whenever they are asked for.

What each function here asks stands with its claim, at the end.
"""

import math
from dataclasses import replace

import torch
from scipy.integrate import quad
from scipy.stats import kstest
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from vaelib import bounds, densities
from vaelib.claims.judging import Claim
from vaelib.claims.known import ERRORS, NEAR, SAME, by_average, known, off, seeded, within
from vaelib.models import VAE
from vaelib.report.verdicts import HELD, Verdict, exact

# §2.3


def two_forms() -> tuple[Verdict, ...]:
    given, evidence = known(), known().evidence()
    gaps = [off(given.bound(*q), evidence - given.divergence(*q)) for q in given.others()]
    drawn = bounds.elbo(given.model, given.x, n_samples=2000, generator=seeded()).elbo.mean()
    ours = abs(drawn - given.bound(*given.encode()).mean()).item()
    return (
        within("(10) equals (11)", max(gaps), of="nats apart, the most over 20 q and 200 points", limit=SAME),
        within("the library's ELBO is the same", ours, of="nats apart, mean of 200 points"),
    )


def as_printed() -> tuple[Verdict, ...]:
    given = known()
    mu, logvar = given.encode()
    log_q = -Normal(mu, (logvar / 2).exp()).entropy().sum(1)
    log_prior = log_q - densities.kl_to_standard_normal(mu, logvar)
    printed = given.likelihood(mu, logvar) - (log_q + log_prior)
    return (within("(8) as printed equals the ELBO", off(printed, given.bound(mu, logvar)), of="nats apart, the most"),)


def lower_bound() -> tuple[Verdict, ...]:
    given, evidence = known(), known().evidence()
    gap = min((evidence - given.bound(*q)).min().item() for q in given.others())
    return (
        exact(
            "the ELBO is at most log p(x)",
            gap >= -1e-9,
            of=f"the least of 20 × 200 gaps: {gap:.1e} nats",
            rule="no gap is negative",
        ),
    )


def tight() -> tuple[Verdict, ...]:
    given = known()
    exact_q = given.bound(*given.encode())
    one_draw = bounds.log_marginal(given.model, given.x, n_samples=1, generator=seeded())
    of = "nats from log p(x), the most of 200 points"
    return (
        within("the ELBO at the true posterior is log p(x)", off(exact_q, given.evidence()), of=of),
        within("so is one draw of log p(x, z) − log q(z|x)", off(one_draw, given.evidence()), of=of),
    )


def closer() -> tuple[Verdict, ...]:
    given = known()
    sums = torch.stack([given.bound(*q) + given.divergence(*q) for q in given.others()])
    q, scales = given.encode(), torch.linspace(0.3, 1.7, 29).tolist()
    models = [given._replace(truth=replace(given.truth, weights=scale * given.truth.weights)) for scale in scales]
    one = [(model.bound(*q)[0].item(), model.divergence(*q)[0].item()) for model in models]
    opened = any(b[0] > a[0] and b[1] > a[1] + NEAR for a in one for b in one)
    return (
        within(
            "over φ the bound rises as the divergence falls", off(sums, sums[0]), of="nats their sum moves", limit=SAME
        ),
        exact(
            "over θ as well",
            not opened,
            of=f"the bound rises with the divergence: {'yes' if opened else 'no'}",
            rule="of 29 models none has a higher bound and a larger divergence than another",
        ),
    )


# §2.4


def batch() -> tuple[Verdict, ...]:
    given = known()
    draws, target = seeded(), given.likelihood(*given.encode())
    drawn = torch.stack(
        [bounds.elbo(given.model, given.x, generator=draws).log_likelihood.mean().detach() for _ in range(200)]
    )
    single = (target - drawn.mean()).abs().median() / drawn.std() * math.sqrt(len(drawn))
    return (
        by_average(
            "averages over a batch, a draw each, estimate the mean of the expectations",
            drawn,
            target.mean(),
            of="200 batches against the closed form",
        ),
        exact(
            "they estimate the expectation for one image",
            single.item() <= ERRORS,
            of=f"half of the images are farther off, in standard errors, than {single:.0f}",
            rule=f"at most {ERRORS}",
        ),
    )


def bernoulli() -> tuple[Verdict, ...]:
    logits = torch.linspace(-3, 2, 6).double()
    p, pixels = logits.sigmoid(), torch.tensor([[0.0], [1.0]]).double()
    by_torch = Bernoulli(logits=logits).log_prob(pixels.expand(2, 6)).sum(1)
    ours = densities.bernoulli_log_likelihood(pixels.expand(2, 6), logits)
    areas = [quad(lambda x, p=share: p**x * (1 - p) ** (1 - x), 0, 1)[0] for share in p.tolist()]
    return (
        within(
            "a log-probability for pixels of 0 and 1",
            off(ours, by_torch),
            of="nats from torch.distributions",
            limit=SAME,
        ),
        exact(
            "a log-density for gray pixels",
            max(areas) >= 1 - 1e-6,
            of=f"integral over [0, 1]: {min(areas):.2f} to {max(areas):.2f}",
            rule="the integral over [0, 1] is 1",
        ),
    )


def gaussian() -> tuple[Verdict, ...]:
    x, mean, logvar = torch.randn(3, 100, 7, generator=seeded(), dtype=torch.float64)
    theirs = MultivariateNormal(mean, torch.diag_embed(logvar.exp())).log_prob(x)
    ours = densities.gaussian_log_likelihood(x, mean, logvar)
    return (within("(16) is a normal log-density", off(ours, theirs), of="nats from torch.distributions", limit=SAME),)


def closed_form() -> tuple[Verdict, ...]:
    mu, logvar = torch.randn(2, 100, 3, generator=seeded(), dtype=torch.float64)
    q, p = Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)
    ours = densities.kl_to_standard_normal(mu, logvar)
    z = mu + (logvar / 2).exp() * torch.randn(20_000, 100, 3, generator=seeded(), dtype=torch.float64)
    ratios = (q.log_prob(z) - p.log_prob(z)).sum(-1)
    return (
        within("(18) is torch.distributions' KL", off(ours, kl_divergence(q, p).sum(1)), of="nats apart", limit=SAME),
        by_average("(18) is the integral (17)", ratios, ours, of="20,000 draws for each of 100 q"),
    )


def sampling() -> tuple[Verdict, ...]:
    given = known()
    mu, logvar = (value[:1].detach().requires_grad_() for value in given.encode())
    sigma = (logvar / 2).exp()
    drawn = torch.normal(mu, sigma, generator=seeded())
    through = torch.autograd.grad(given.model.log_likelihood(given.x[:1], drawn).sum(), mu)[0].abs().max().item()
    eps = torch.randn(200_000, 2, generator=seeded(), dtype=torch.float64)
    with torch.no_grad():
        value = given.model.log_likelihood(given.x[:1], (mu + sigma * eps)[:, None])
        scores = (value - value.mean()) * eps / sigma
        slope = (given.x[:1] - mu @ given.truth.weights.T - given.truth.mean) @ given.truth.weights
        slope = slope[0] / given.truth.noise**2
    score = by_average("", scores, slope, of="the score-function estimate against the exact gradient")
    return (
        exact(
            "no gradient passes through a draw",
            through == 0,
            of=f"gradient of the likelihood at μ: {through:g}",
            rule="it is zero",
        ),
        exact(
            "so there is no gradient descent without (19)",
            score.outcome != HELD,
            of=score.measured,
            rule=f"the score function's estimate is off by more than {ERRORS}",
        ),
    )


# §2.5


def reparameterized() -> tuple[Verdict, ...]:
    given = known()
    mu, logvar = (value[:1].detach().requires_grad_() for value in given.encode())
    z = densities.reparameterise(mu.expand(20_000, -1), logvar, generator=seeded()).detach()
    p_values = [kstest(z[:, k], "norm", args=(mu[0, k].item(), (logvar[0, k] / 2).exp().item())).pvalue for k in (0, 1)]
    eps = torch.randn(1, 2, generator=seeded(), dtype=torch.float64)

    def value(mu: Tensor, logvar: Tensor) -> Tensor:
        return given.model.log_likelihood(given.x[:1], densities.reparameterise(mu, logvar, eps=eps)).sum()

    gradients, h = torch.autograd.grad(value(mu, logvar), (mu, logvar)), 1e-6
    gaps = []
    for k in (0, 1):
        step = torch.zeros_like(mu).index_fill_(1, torch.tensor([k]), h)
        moved = (
            value(mu + step, logvar) - value(mu - step, logvar),
            value(mu, logvar + step) - value(mu, logvar - step),
        )
        gaps += [abs(d.item() / (2 * h) - g[0, k].item()) for d, g in zip(moved, gradients, strict=True)]
    return (
        exact(
            "z follows q(z|x)",
            min(p_values) > 1e-6,
            of=f"Kolmogorov–Smirnov, the smaller p: {min(p_values):.2g}",
            rule="above 1e-6",
        ),
        within("its gradients are those of finite differences", max(gaps), of="the most apart", limit=1e-5),
    )


def direction() -> tuple[Verdict, ...]:
    def gain(sign: int) -> float:
        model, x = VAE(2, (), 5, "gaussian").double(), known().x
        draws = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(0.1 * torch.randn(weight.shape, generator=draws, dtype=torch.float64))
        ends = []
        for _ in range(21):
            value = bounds.elbo(model, x, n_samples=5, generator=seeded()).elbo.mean()
            ends.append(value.item())
            gradients = torch.autograd.grad(value, list(model.parameters()))
            with torch.no_grad():
                for weight, gradient in zip(model.parameters(), gradients, strict=True):
                    weight += sign * 1e-3 * gradient
        return ends[-1] - ends[0]

    up, down = gain(1), gain(-1)
    of = "nats gained by 20 steps"
    return (
        exact("steps up the gradient raise the ELBO", up > 0, of=f"{of}: {up:.2f}", rule="above 0"),
        exact("steps of descent, as printed, raise it", down > 0, of=f"{of}: {down:.2f}", rule="above 0"),
    )


def after_training() -> tuple[Verdict, ...]:
    given = known()
    crude = VAE(2, (), 5, "gaussian").double()
    crude.load_state_dict(given.model.state_dict())
    with torch.no_grad():
        crude.encoder[0].bias += torch.tensor([0.15, -0.15, 0.3, 0.3]).double()
        short = (given.evidence() - given.bound(*crude.encode(given.x))).mean().item()
    estimate = bounds.log_marginal(crude, given.x, n_samples=10_000, generator=seeded())
    learned = sum(p.numel() for name, p in crude.named_parameters() if not name.startswith(("encoder", "decoder")))
    return (
        within(
            f"independent draws estimate log p(x), from a q whose ELBO is {short:.1f} nats short",
            (estimate - given.evidence()).abs().mean().item(),
            of="nats off, mean of 200 points",
        ),
        exact("the prior is learned", learned > 0, of=f"weights of the prior: {learned}", rule="it has any"),
    )


CLAIMS = (
    Claim(
        "intractable", "2.3", "The integral (1) for p(x) is intractable.",
        "None: the chapter on the ELBO does it by quadrature for two latent dimensions.", "chapter-elbo",
        reason="That no method could do it in general is a statement about all methods, which no run decides; in two "
        "dimensions it is tractable.",
    ),
    Claim(
        "two-forms", "2.3", "The ELBO, log p(x) less the divergence from the posterior (11), is the objective (10).",
        "Both sides in closed form, and the library's, in a linear-Gaussian model.", "eq-10", two_forms,
    ),
    Claim(
        "equation-8", "2.3", "Rearranging (7) gives (8).",
        "The right side of (8), with the sign that is printed, beside the ELBO.", "shows-erratum-1", as_printed,
    ),
    Claim(
        "bound", "2.3", "The ELBO is a lower bound on log p(x) (12).",
        "Twenty q of a linear-Gaussian model, from near the posterior to far from it.", "fig-gap", lower_bound,
    ),
    Claim(
        "tight", "2.3", "The bound is tight where q is the posterior.",
        "A linear-Gaussian model whose encoder is the exact posterior.", "eq-12", tight,
    ),
    Claim(
        "closer", "2.3", "Maximizing the ELBO over θ and φ is the same as bringing q close to the posterior.",
        "The sum of bound and divergence as q moves, and both as the model moves.", "fig-theta", closer,
    ),
    Claim(
        "equation-14", "2.4", "The expectation E[log p(x|z)] is estimated by an average over a batch (14).",
        "200 batches of a linear-Gaussian model beside expectations in closed form.", "eq-14", batch,
    ),
    Claim(
        "equation-15", "2.4", "For pixels in [0, 1], (15) is the log-likelihood under a Bernoulli distribution.",
        "torch.distributions at 0 and 1, and the integral over the gray values between.", "fig-gray", bernoulli,
    ),
    Claim(
        "equation-16", "2.4", "Outside [0, 1], (16) is the log-likelihood under a normal distribution.",
        "torch.distributions, at random means and variances.", "eq-16", gaussian,
    ),
    Claim(
        "equation-18", "2.4", "The KL term has the closed form (18).",
        "torch.distributions, and averages over draws.", "eq-18", closed_form,
    ),
    Claim(
        "sampling", "2.4", "Sampling stops the gradient, so that the network cannot be trained by gradient descent.",
        "The gradient through PyTorch's sampler; the score-function estimate, which needs none.", "fig-variance",
        sampling,
    ),
    Claim(
        "equation-19", "2.5", "Reparameterized draws (19) have the same distribution, and gradients flow through them.",
        "A test of the distribution; gradients beside finite differences.", "fig-reparameterized", reparameterized,
    ),
    Claim(
        "algorithm-1", "2.5", "Algorithm 1 maximizes the ELBO by gradient descent on it.",
        "Twenty plain steps in either direction on a linear-Gaussian model.", "shows-erratum-8", direction,
    ),
    Claim(
        "after-training", "2.5", "With p(z) and p(x|z) learned, p(x) can be estimated.",
        "Importance-weighted draws beside the exact log p(x); the weights that the prior has.", "shows-erratum-9",
        after_training,
    ),
)  # fmt: skip
