"""Eqs. 13 and 14 and the importance-weighted estimate, where the evidence is known exactly or by quadrature."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

import vaelib.bounds
from vaelib.bounds import elbo, log_marginal
from vaelib.models import VAE, Autoencoder


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def small():
    """A Bernoulli VAE with D = 5 whose decoder bends, and five binary images."""

    def make(latent_dim):
        with torch.random.fork_rng():
            torch.manual_seed(latent_dim)
            model = VAE(latent_dim, (8,), 5).double()
        with torch.no_grad():
            for parameter in model.decoder.parameters():
                parameter *= 3  # away from the uniform start, so that the bound is loose
        x = (torch.rand(5, 5, generator=seeded(11)) < 0.5).double()
        return model, x

    return make


def loosened(lg):
    """Put the linear-Gaussian model's encoder off: mean shifted, variance doubled. Returns its KL to the truth."""
    latent_dim = lg.model.latent_dim
    shift = torch.tensor([0.3, -0.5], dtype=torch.float64)
    with torch.no_grad():
        lg.model.encoder[0].bias[:latent_dim] += shift
        lg.model.encoder[0].bias[latent_dim:] += math.log(2)
    truth = Normal(torch.zeros(2, dtype=torch.float64), lg.posterior_variance.sqrt())
    return kl_divergence(Normal(shift, (2 * lg.posterior_variance).sqrt()), truth).sum().item()


@pytest.mark.equation(13)
@pytest.mark.equation(14)
@pytest.mark.parametrize("n_samples", [1, 7])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_elbo_is_the_mean_log_likelihood_minus_the_kl(n_samples, likelihood):
    model = VAE(3, (4,), 6, likelihood).double()
    x = (torch.rand(4, 6, generator=seeded(0)) < 0.5).double()
    mu, logvar = model.encode(x)
    eps = torch.randn(n_samples, 4, 3, generator=seeded(1), dtype=torch.float64)
    expected = torch.zeros(4, dtype=torch.float64)
    for draw in eps:
        out = model.decode(mu + (logvar / 2).exp() * draw)
        p = Bernoulli(logits=out) if likelihood == "bernoulli" else Normal(out[0], (out[1] / 2).exp())
        expected += p.log_prob(x).sum(-1) / n_samples
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)).sum(-1)

    terms = elbo(model, x, n_samples=n_samples, generator=seeded(1))
    torch.testing.assert_close(terms.log_likelihood, expected)
    torch.testing.assert_close(terms.kl, kl)
    torch.testing.assert_close(terms.elbo, expected - kl)


@pytest.mark.equation(13)
def test_elbo_of_the_linear_gaussian_model_is_evidence_minus_kl_to_the_true_posterior(linear_gaussian):
    kl_to_truth, n_samples = loosened(linear_gaussian), 4000
    x = linear_gaussian.x[:50]
    values = elbo(linear_gaussian.model, x, n_samples=n_samples, generator=seeded(0)).elbo
    gaps = linear_gaussian.log_evidence(x) - values
    error = gaps.std().item() / math.sqrt(len(gaps))  # the gap is the same for every x: what spreads is sampling
    assert gaps.mean().item() == pytest.approx(kl_to_truth, abs=5 * error)
    assert error < 0.02 * kl_to_truth


@pytest.mark.equation(13)
def test_log_likelihood_term_has_its_closed_form_in_the_linear_gaussian_model(linear_gaussian):
    # E_q log N(x | Wz + b, Ψ) = log N(x | Wμ + b, Ψ) - ½ tr(Ψ⁻¹ W Σ Wᵀ)
    lg, x, n_samples = linear_gaussian, linear_gaussian.x[:20], 4000
    at_mean = Normal(lg.posterior_mean(x) @ lg.weight.T + lg.bias, lg.psi.sqrt()).log_prob(x).sum(-1)
    trace = ((lg.weight**2 @ lg.posterior_variance) / lg.psi).sum()
    terms = elbo(lg.model, x, n_samples=n_samples, generator=seeded(2))
    error = (terms.log_likelihood - at_mean + trace / 2).mean().item()
    assert abs(error) < 0.03
    assert trace.item() > 1


@pytest.mark.equation(13)
@pytest.mark.parametrize("latent_dim", [1, 2])
def test_elbo_agrees_with_quadrature_over_z(small, latent_dim):
    model, x = small(latent_dim)
    z, cell = grid(latent_dim)
    with torch.no_grad():
        mu, logvar = model.encode(x)
        q = Normal(mu, (logvar / 2).exp()).log_prob(z[:, None]).sum(-1).exp()  # (G, B)
        log_p = Bernoulli(logits=model.decode(z)[:, None]).log_prob(x).sum(-1)
        log_ratio = Normal(0.0, 1.0).log_prob(z).sum(-1)[:, None] - q.log()
        expected = (q * (log_p + log_ratio)).nan_to_num().sum(0) * cell
        draws = torch.stack([elbo(model, x, n_samples=500, generator=seeded(s)).elbo for s in range(20)])
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() < 5 * error).all()
    assert error.max() < 0.1
    assert (expected.max() - expected.min()) > 1


@pytest.mark.equation(13)
def test_gradient_of_the_elbo_is_that_of_finite_differences():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE(2, (5,), 4).double()
    x = torch.rand(3, 4, generator=seeded(1), dtype=torch.float64)

    def objective():
        return elbo(model, x, n_samples=3, generator=seeded(2)).elbo.mean()

    parameters = list(model.parameters())
    gradients = torch.autograd.grad(objective(), parameters)
    step, rng = 1e-6, seeded(3)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            direction = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
            parameter += step * direction
            above = objective()
            parameter -= 2 * step * direction
            slope = (above - objective()) / (2 * step)
            parameter += step * direction
            assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("function", [elbo, log_marginal])
def test_randomness_comes_from_the_generator_alone(small, function):
    model, x = small(2)
    before = torch.get_rng_state()
    first, again, other = (function(model, x, n_samples=3, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    first, again, other = (getattr(value, "elbo", value) for value in (first, again, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# log p(x)


def test_log_marginal_is_exact_from_one_sample_at_the_true_posterior(linear_gaussian):
    """p(x|z) p(z) / q(z|x) is p(x) for every z: no average hides a lost constant."""
    values = log_marginal(linear_gaussian.model, linear_gaussian.x, n_samples=1, generator=seeded(0))
    torch.testing.assert_close(values, linear_gaussian.log_evidence(linear_gaussian.x))


def test_log_marginal_of_one_sample_is_one_draw_of_the_bound(small):
    model, x = small(2)
    mu, logvar = model.encode(x)
    q = Normal(mu, (logvar / 2).exp())
    z = mu + q.scale * torch.randn(1, *mu.shape, generator=seeded(4), dtype=torch.float64)[0]
    expected = (
        Bernoulli(logits=model.decode(z)).log_prob(x).sum(-1)
        + Normal(torch.zeros_like(z), 1.0).log_prob(z).sum(-1)
        - q.log_prob(z).sum(-1)
    )
    torch.testing.assert_close(log_marginal(model, x, n_samples=1, generator=seeded(4)), expected)


@torch.no_grad()
def test_log_marginal_rises_from_the_elbo_to_the_evidence(linear_gaussian):
    gap = loosened(linear_gaussian)
    x = linear_gaussian.x
    evidence = linear_gaussian.log_evidence(x)
    shortfalls, errors = [], []
    for n_samples in (1, 10, 100, 1000):
        shortfall = evidence - log_marginal(linear_gaussian.model, x, n_samples=n_samples, generator=seeded(n_samples))
        shortfalls.append(shortfall.mean().item())
        errors.append(shortfall.std().item() / math.sqrt(len(x)))
    assert shortfalls[0] == pytest.approx(gap, abs=4 * errors[0])  # one sample: the ELBO, in expectation
    assert shortfalls[0] - shortfalls[1] > 4 * errors[0] > 0
    assert shortfalls[1] - shortfalls[2] > 0
    assert all(s > -4 * e for s, e in zip(shortfalls, errors, strict=True))  # never above the evidence, in expectation
    assert abs(shortfalls[-1]) < 0.02 * gap


@torch.no_grad()
@pytest.mark.parametrize("latent_dim", [1, 2])
def test_log_marginal_agrees_with_quadrature_over_z(small, latent_dim):
    model, x = small(latent_dim)
    z, cell = grid(latent_dim)
    log_joint = (
        Bernoulli(logits=model.decode(z)[:, None]).log_prob(x).sum(-1) + Normal(0.0, 1.0).log_prob(z).sum(-1)[:, None]
    )
    exact = log_joint.logsumexp(0) + math.log(cell)
    draws = torch.stack([log_marginal(model, x, n_samples=2000, generator=seeded(s)) for s in range(10)])
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - exact).abs() < 5 * error + 1e-3).all()
    assert error.max() < 0.02
    bound = elbo(model, x, n_samples=2000, generator=seeded(0)).elbo
    assert (bound < exact).all()


@torch.no_grad()
def test_log_marginal_in_pieces_is_log_marginal_at_once(monkeypatch):
    """Wide images make the work on the samples split up; the oracle holds all of them at once."""
    n_images, n_samples, data_dim = 96, 50, 4096
    model, x = VAE(1, (), data_dim), (torch.rand(n_images, data_dim, generator=seeded(0)) < 0.5).float()
    eps = torch.randn(n_samples, n_images, 1, generator=seeded(1))
    sizes = []

    def recorded(mu, logvar, *, generator):
        start = sum(sizes)
        sizes.append(len(mu))
        return mu + (logvar / 2).exp() * eps[start : start + len(mu)]

    monkeypatch.setattr(vaelib.bounds, "reparameterise", recorded)
    values = log_marginal(model, x, n_samples=n_samples)
    assert sum(sizes) == n_samples
    assert len(sizes) > 1
    assert sizes[0] != sizes[-1]

    mu, logvar = model.encode(x)
    q = Normal(mu, (logvar / 2).exp())
    z = mu + q.scale * eps
    weight, bias = model.decoder[0].weight[:, 0], model.decoder[0].bias
    log_weights = []
    for draw in z:
        logits = draw * weight + bias
        log_p = (x * logits).sum(-1) - torch.logaddexp(logits, torch.zeros(())).sum(-1)
        log_weights.append(log_p + (Normal(0.0, 1.0).log_prob(draw) - q.log_prob(draw)).sum(-1))
    expected = torch.stack(log_weights).double().logsumexp(0) - math.log(n_samples)
    torch.testing.assert_close(values.double(), expected, rtol=1e-5, atol=1e-2)


NO_NUMBER = "no wrong number is returned"


@pytest.mark.fault("log p(x) is asked for of images of shape {shape}, of a model of 5 pixels", kept=NO_NUMBER)
@pytest.mark.parametrize("function", [elbo, log_marginal])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 5), (2, 4)])
def test_images_of_the_wrong_shape_are_named(small, function, shape, sees):
    with pytest.raises(ValueError, match=r"\(B, 5\)") as caught:
        function(small(2)[0], torch.zeros(shape, dtype=torch.float64))
    sees(str(caught.value))


@pytest.mark.fault("log p(x) is asked for of a pixel of {value}, under a Bernoulli likelihood", kept=NO_NUMBER)
@pytest.mark.parametrize("function", [elbo, log_marginal])
@pytest.mark.parametrize("value", [255.0, -0.01, 1.01, math.nan, math.inf])
def test_pixels_outside_0_1_are_no_bernoulli_images(small, function, value, sees):
    model, x = small(2)
    x[:] = 0.5
    x[1, 2] = value
    with pytest.raises(ValueError, match=r"\[0, 1\].*gaussian") as caught:
        function(model, x)
    sees(str(caught.value))


@pytest.mark.parametrize("function", [elbo, log_marginal])
def test_gaussian_images_may_be_any_numbers(linear_gaussian, function):
    values = function(linear_gaussian.model, 255 * linear_gaussian.x)
    assert torch.isfinite(getattr(values, "elbo", values)).all()
    with pytest.raises(ValueError, match="finite"):
        function(linear_gaussian.model, torch.full_like(linear_gaussian.x, math.nan))


@pytest.mark.parametrize("function", [elbo, log_marginal])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8, torch.bool])
def test_images_of_another_precision_are_named(small, function, dtype):
    model, x = small(2)
    with pytest.raises(ValueError, match=rf"x must be torch\.float64 on cpu.*not {dtype}"):
        function(model, x.to(dtype))


@pytest.mark.parametrize("function", [elbo, log_marginal])
def test_no_images_give_no_numbers(small, function):
    model, x = small(2)
    values = function(model, x[:0])
    assert getattr(values, "elbo", values).shape == (0,)


@pytest.mark.fault("An ELBO is asked for of a code of shape {mu}, not (5, 2)", kept=NO_NUMBER)
@pytest.mark.parametrize("mu", [(5, 2), (5, 1), (1, 2), (2,)])
@pytest.mark.parametrize("logvar", [(5, 1), (1, 2), (2,)])
def test_a_code_of_another_shape_is_refused(small, mu, logvar, sees):
    """Each of these broadcasts to something, and to a wrong bound."""
    with pytest.raises(ValueError, match=r"code must have shape \(5, 2\)") as caught:
        elbo(*small(2), code=tuple(torch.zeros(shape, dtype=torch.float64) for shape in (mu, logvar)))
    if mu == logvar:
        sees(str(caught.value))


@pytest.mark.parametrize("function", [elbo, log_marginal])
def test_a_sample_count_below_one_is_named(small, function):
    with pytest.raises(ValueError, match="n_samples must be at least 1, not 0"):
        function(*small(2), n_samples=0)


@pytest.mark.parametrize("function", [elbo, log_marginal])
def test_a_deterministic_autoencoder_has_no_bound(function):
    # Two images: the codes of a batch of two could be mistaken for a mean and a variance.
    with pytest.raises(TypeError, match="Autoencoder"):
        function(Autoencoder(2, (), 5), torch.rand(2, 5))


@pytest.mark.parametrize("latent_dim", [1, 3, 10])
@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_every_size_gives_one_finite_number_per_image(latent_dim, hidden, likelihood):
    model, x = VAE(latent_dim, hidden, 6, likelihood), torch.rand(3, 6)
    for values in (*elbo(model, x), log_marginal(model, x, n_samples=5)):
        assert values.shape == (3,)
        assert torch.isfinite(values).all()


def grid(latent_dim):
    """Points z (G, K) that cover prior and posterior, and the volume that each stands for."""
    axis = torch.linspace(-9, 9, 1801 if latent_dim == 1 else 181, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * latent_dim).reshape(-1, latent_dim)
    return z, (axis[1] - axis[0]).item() ** latent_dim
