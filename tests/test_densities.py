"""Eqs. 15–19 against sums written out, torch.distributions, quadrature and finite differences."""

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal, kl_divergence

from vaelib.densities import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    kl_per_dimension,
    kl_to_standard_normal,
    reparameterise,
)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def normal(*shape, rng, scale=1.0):
    return scale * torch.randn(*shape, generator=rng, dtype=torch.float64)


# Eq. 15


@pytest.mark.equation(15)
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_bernoulli_is_the_log_probability_of_binary_images(rng, batch):
    logits = normal(*batch, 7, rng=rng, scale=3)
    x = (torch.rand(*batch, 7, generator=rng) < 0.5).double()
    expected = Independent(Bernoulli(logits=logits), 1).log_prob(x)
    torch.testing.assert_close(bernoulli_log_likelihood(x, logits), expected)


@pytest.mark.equation(15)
def test_bernoulli_of_gray_pixels_is_the_sum_of_eq_15_term_by_term(rng):
    x, logits = torch.rand(3, 5, generator=rng, dtype=torch.float64), normal(3, 5, rng=rng, scale=2)
    for row, value in enumerate(bernoulli_log_likelihood(x, logits).tolist()):
        total = 0.0
        for pixel, logit in zip(x[row].tolist(), logits[row].tolist(), strict=True):
            p = 1 / (1 + math.exp(-logit))
            total += pixel * math.log(p) + (1 - pixel) * math.log(1 - p)
        assert value == pytest.approx(total, rel=1e-12)


@pytest.mark.equation(15)
def test_bernoulli_sums_to_one_over_all_binary_images(rng):
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5)), dtype=torch.float64)
    total = bernoulli_log_likelihood(images, normal(5, rng=rng)).exp().sum()
    assert total.item() == pytest.approx(1, rel=1e-12)


def test_bernoulli_is_no_density_of_gray_pixels():
    # ∫₀¹ p^x (1-p)^(1-x) dx = (2p - 1) / logit(p): one only where p is 0 or 1.
    logit = torch.tensor([1.5], dtype=torch.float64)
    p = 1 / (1 + math.exp(-1.5))
    x = torch.linspace(0, 1, 2001, dtype=torch.float64)
    integral = torch.trapezoid(bernoulli_log_likelihood(x[:, None], logit).exp(), x).item()
    assert integral == pytest.approx((2 * p - 1) / 1.5, rel=1e-6)
    assert integral < 0.95


@pytest.mark.equation(15)
def test_bernoulli_is_exact_where_the_probability_rounds_to_zero_or_one():
    x, logits = torch.tensor([[1.0], [0.0], [1.0], [0.0]]), torch.tensor([[-200.0], [200.0], [200.0], [-200.0]])
    assert bernoulli_log_likelihood(x, logits).tolist() == [-200, -200, 0, 0]


@pytest.mark.equation(15)
def test_bernoulli_is_maximal_at_the_right_probability_and_its_slope_is_x_minus_p():
    x = torch.tensor([0.8], dtype=torch.float64)
    logit = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    bernoulli_log_likelihood(x, logit).backward()
    assert logit.grad.item() == pytest.approx(0.8 - 1 / (1 + math.exp(-0.3)), rel=1e-12)
    # logit(0.8) = log 4: the ideal; no opinion; the right opinion turned round.
    ideal, null, broken = (
        bernoulli_log_likelihood(x, torch.tensor([v])).item() for v in (math.log(4), 0.0, -math.log(4))
    )
    assert ideal > null > broken
    assert null == pytest.approx(-math.log(2), rel=1e-6)


# Eq. 16


@pytest.mark.equation(16)
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_gaussian_is_the_log_density_of_torch(rng, batch):
    x, mean, logvar = (normal(*batch, 6, rng=rng, scale=2) for _ in range(3))
    expected = Independent(Normal(mean, torch.exp(logvar / 2)), 1).log_prob(x)
    torch.testing.assert_close(gaussian_log_likelihood(x, mean, logvar), expected)


@pytest.mark.equation(16)
def test_gaussian_is_eq_16_with_its_matrix_written_out(rng):
    x, mean, logvar = (normal(4, rng=rng) for _ in range(3))
    covariance = torch.diag(logvar.exp())
    expected = (
        -4 / 2 * math.log(2 * math.pi)
        - 0.5 * covariance.logdet()
        - 0.5 * (x - mean) @ covariance.inverse() @ (x - mean)
    )
    torch.testing.assert_close(gaussian_log_likelihood(x, mean, logvar), expected)
    torch.testing.assert_close(
        gaussian_log_likelihood(x, mean, logvar), MultivariateNormal(mean, covariance).log_prob(x)
    )


@pytest.mark.equation(16)
def test_gaussian_integrates_to_one_in_two_dimensions():
    axis = torch.linspace(-12, 12, 601, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    mean, logvar = torch.tensor([0.7, -1.0], dtype=torch.float64), torch.tensor([0.9, -1.2], dtype=torch.float64)
    density = gaussian_log_likelihood(grid, mean, logvar).exp()
    assert torch.trapezoid(torch.trapezoid(density, axis), axis).item() == pytest.approx(1, rel=1e-9)
    # Its second moment is exp(logvar): a variance, not a standard deviation.
    second = torch.trapezoid(torch.trapezoid(density * (grid[..., 0] - 0.7) ** 2, axis), axis)
    assert second.item() == pytest.approx(math.exp(0.9), rel=1e-9)


@pytest.mark.equation(16)
def test_gaussian_slopes_are_those_of_finite_differences(rng):
    inputs = [normal(3, rng=rng).requires_grad_() for _ in range(3)]
    assert torch.autograd.gradcheck(gaussian_log_likelihood, inputs)


# Eqs. 17 and 18


@pytest.mark.equation(18)
@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_kl_is_that_of_torch(rng, batch):
    mu, logvar = normal(*batch, 4, rng=rng, scale=2), normal(*batch, 4, rng=rng, scale=2)
    q = Normal(mu, torch.exp(logvar / 2))
    expected = kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu)))
    torch.testing.assert_close(kl_per_dimension(mu, logvar), expected)
    torch.testing.assert_close(kl_to_standard_normal(mu, logvar), expected.sum(-1))


@pytest.mark.equation(18)
def test_kl_is_minus_the_sum_of_eq_18_term_by_term(rng):
    mu, logvar = normal(3, 4, rng=rng), normal(3, 4, rng=rng)
    for row, value in enumerate(kl_to_standard_normal(mu, logvar).tolist()):
        total = 0.0
        for m, v in zip(mu[row].tolist(), logvar[row].exp().tolist(), strict=True):
            total += 1 + math.log(v) - m**2 - v
        assert value == pytest.approx(-0.5 * total, rel=1e-12)


@pytest.mark.equation(17)
@pytest.mark.parametrize(("mu", "logvar"), [(0.0, 1.0), (1.3, -0.7), (-2.0, 0.0), (0.4, 1.5)])
def test_kl_is_the_integral_of_eq_17_in_one_dimension(mu, logvar):
    z = torch.linspace(-40, 40, 80_001, dtype=torch.float64)
    mu, logvar = (torch.tensor([v], dtype=torch.float64) for v in (mu, logvar))
    log_q, log_p = Normal(mu, torch.exp(logvar / 2)).log_prob(z), Normal(0.0, 1.0).log_prob(z)
    minus_kl = torch.trapezoid(log_q.exp() * (log_p - log_q), z).item()
    assert kl_to_standard_normal(mu, logvar).item() == pytest.approx(-minus_kl, rel=1e-9)


@pytest.mark.equation(17)
def test_kl_is_the_integral_of_eq_17_in_two_dimensions():
    mu, logvar = torch.tensor([0.8, -0.5], dtype=torch.float64), torch.tensor([-0.6, 0.7], dtype=torch.float64)
    axis = torch.linspace(-15, 15, 901, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    log_q = Normal(mu, torch.exp(logvar / 2)).log_prob(grid).sum(-1)
    log_p = Normal(0.0, 1.0).log_prob(grid).sum(-1)
    minus_kl = torch.trapezoid(torch.trapezoid(log_q.exp() * (log_p - log_q), axis), axis).item()
    assert kl_to_standard_normal(mu, logvar).item() == pytest.approx(-minus_kl, rel=1e-9)


@pytest.mark.equation(17)
def test_kl_is_the_mean_log_ratio_of_samples(rng):
    mu, logvar, n = torch.tensor([0.6, -1.1, 0.2]), torch.tensor([-1.0, 0.5, 0.1]), 100_000
    q, p = Normal(mu, torch.exp(logvar / 2)), Normal(torch.zeros(3), torch.ones(3))
    z = mu + torch.exp(logvar / 2) * torch.randn(n, 3, generator=rng)
    ratios = (q.log_prob(z) - p.log_prob(z)).sum(-1)
    error = ratios.std().item() / math.sqrt(n)
    assert kl_to_standard_normal(mu, logvar).item() == pytest.approx(ratios.mean().item(), abs=4 * error)
    assert error < 0.01


@pytest.mark.equation(18)
def test_kl_is_zero_at_the_prior_and_positive_everywhere_else():
    steps = torch.tensor([-3.0, -0.5, -1e-2, 0.0, 1e-2, 0.5, 3.0], dtype=torch.float64)
    mu, logvar = torch.meshgrid(steps, steps, indexing="ij")
    kl = kl_to_standard_normal(mu[..., None], logvar[..., None])
    at_prior = (mu == 0) & (logvar == 0)
    assert kl[at_prior].tolist() == [0]
    assert (kl[~at_prior] > 0).all()


@pytest.mark.equation(18)
def test_kl_keeps_its_digits_in_single_precision_next_to_the_prior():
    # ½(e^l - 1 - l) = l²/4 + l³/12 + …; written with exp and a subtraction, all digits would be lost here.
    for value in (1e-3, -1e-3):
        kl = kl_to_standard_normal(torch.tensor([0.0]), torch.tensor([value])).item()
        assert kl == pytest.approx(value**2 / 4, rel=1e-2)


# Eq. 19


@pytest.mark.equation(19)
def test_reparameterized_sample_is_mean_plus_scaled_noise():
    mu, variance, eps = torch.tensor([1.0, -2.0]), torch.tensor([9.0, 0.25]), torch.tensor([0.5, -4.0])
    z = reparameterise(mu, variance.log(), eps=eps)
    torch.testing.assert_close(z, torch.tensor([1 + 3 * 0.5, -2 - 0.5 * 4]))


@pytest.mark.equation(19)
def test_reparameterized_noise_broadcasts():
    mu, eps = torch.zeros(4, 2), torch.arange(12.0).reshape(6, 1, 2)
    torch.testing.assert_close(reparameterise(mu, torch.zeros(4, 2), eps=eps), eps.expand(6, 4, 2))


@pytest.mark.equation(19)
def test_drawn_samples_have_the_moments_of_the_posterior(rng):
    n, mu, variance = 100_000, torch.tensor([1.5, -0.5]), torch.tensor([9.0, 0.04])
    z = reparameterise(mu.expand(n, 2), variance.log().expand(n, 2), generator=rng)
    standard = (z - mu) / variance.sqrt()
    # Standard errors of the moments of N(0, 1) from n draws: √(1/n), √(2/n), √(15/n), √(96/n).
    for power, expected, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        moments = (standard**power).mean(0)
        torch.testing.assert_close(moments, torch.full((2,), float(expected)), rtol=0, atol=4.5 * math.sqrt(spread / n))
    assert abs(standard.prod(-1).mean().item()) < 4.5 / math.sqrt(n)  # one draw per entry, not one per row


@pytest.mark.equation(19)
def test_gradients_through_the_sample_are_those_of_finite_differences(rng):
    mu, logvar, eps = (
        normal(3, 2, rng=rng).requires_grad_(),
        normal(3, 2, rng=rng).requires_grad_(),
        normal(3, 2, rng=rng),
    )
    assert torch.autograd.gradcheck(lambda m, v: reparameterise(m, v, eps=eps).sin(), (mu, logvar))


@pytest.mark.equation(19)
def test_gradients_of_an_expectation_are_estimated_without_bias(rng):
    # E[z²] = mu² + σ²: its slopes are 2 mu and, in log σ², σ².
    n, mean, variance = 100_000, 0.7, 2.5
    mu, logvar = torch.full((n,), mean, requires_grad=True), torch.full((n,), math.log(variance), requires_grad=True)
    reparameterise(mu, logvar, generator=rng).square().sum().backward()
    for gradient, expected in ((mu.grad, 2 * mean), (logvar.grad, variance)):
        assert gradient.mean().item() == pytest.approx(expected, abs=4.5 * gradient.std().item() / math.sqrt(n))


@pytest.mark.equation(19)
def test_randomness_comes_from_the_generator_alone():
    mu = torch.zeros(50, 3, dtype=torch.float64)
    before = torch.get_rng_state()
    first, again, other = (reparameterise(mu, mu, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.dtype == torch.float64
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.fault("A KL divergence is asked for of mu and logvar of {shapes}", kept="no wrong number is returned")
@pytest.mark.parametrize("function", [kl_to_standard_normal, kl_per_dimension])
@pytest.mark.parametrize("shapes", [((4, 3), (4, 1)), ((4, 1), (4, 3)), ((4, 3), (1, 3)), ((4, 3), (3,)), ((), ())])
def test_the_kl_takes_one_shape(function, shapes, sees):
    """Each of these broadcasts, and the sum would be over the wrong number of dimensions or images."""
    with pytest.raises(ValueError, match=r"one shape \(\.\.\., K\)") as caught:
        function(*(torch.zeros(shape) for shape in shapes))
    sees(str(caught.value), shapes=" and ".join(map(str, shapes)))
    assert function(torch.zeros(0, 3), torch.zeros(0, 3)).shape[0] == 0


@pytest.mark.parametrize("shapes", [((4, 3), (4, 1)), ((4, 1), (4, 3)), ((4, 3), ()), ((), ())])
def test_likelihoods_take_one_number_of_pixels(shapes):
    x, other = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"last axes .* must be there and agree"):
        bernoulli_log_likelihood(x, other)
    with pytest.raises(ValueError, match=r"last axes .* must be there and agree"):
        gaussian_log_likelihood(x, other, x)
    with pytest.raises(ValueError, match=r"last axes .* must be there and agree"):
        gaussian_log_likelihood(x, x, other)


def test_noise_is_drawn_for_every_number_of_z():
    """One row of mu and many of logvar, or the other way round: no two rows share their noise."""
    for mu, logvar in ((torch.zeros(1, 3), torch.zeros(50, 3)), (torch.zeros(50, 3), torch.zeros(3))):
        z = reparameterise(mu, logvar, generator=torch.Generator().manual_seed(0))
        assert z.shape == (50, 3)
        assert len(z.unique(dim=0)) == 50
