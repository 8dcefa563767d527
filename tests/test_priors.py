"""Priors against quadrature and scipy, their KL against closed forms, the divergences against cases worked by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Normal, kl_divergence

import vaelib
from vaelib.bounds import elbo, log_marginal
from vaelib.config import TrainConfig
from vaelib.densities import reparameterise
from vaelib.measures import cluster_purity, hoyer_sparsity, laplacian_variance, two_sample_accuracy
from vaelib.models import VAE, Autoencoder
from vaelib.objectives import regularised_step
from vaelib.plotting import code_panels, histograms
from vaelib.priors import (
    EqualGaussians,
    SpikeAndSlab,
    StandardNormal,
    inclusive_kl,
    kl_estimate,
    make_prior,
    mmd,
    squared_mmd,
)
from vaelib.report import provenance
from vaelib.runs import get_or_train
from vaelib.synthetic import pinwheel
from vaelib.training import fit, initial_model, train_step


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def two_dimensional():
    return [make_prior(name, 2) for name in ("standard-normal", "clustered", "sparse")]


# Densities and samples


@pytest.mark.parametrize("prior", two_dimensional(), ids=lambda prior: type(prior).__name__)
def test_density_integrates_to_one_and_has_the_moments_of_its_samples(prior):
    # The spike is 0.05 wide: steps of 0.02 resolve it, and the trapezium rule is then exact to many digits.
    axis = torch.arange(-6, 6.001, 0.02, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    p = prior.log_prob(grid).exp().reshape(len(axis), len(axis)).numpy()

    def integral(values):
        return integrate.trapezoid(integrate.trapezoid(values, axis), axis)

    assert integral(p) == pytest.approx(1, abs=1e-6)
    x, y = (side.reshape(p.shape) for side in grid.T)
    z = prior.sample(100_000, generator=seeded(0)).double()
    statistics = {
        "second moment": lambda x, y: x**2,
        "mixed fourth moment": lambda x, y: x**2 * y**2,
        "share near the origin": lambda x, y: (-(x**2 + y**2) / 0.3).exp(),
    }
    for name, statistic in statistics.items():
        drawn = statistic(*z.T)
        error = drawn.std() / math.sqrt(len(z))
        assert abs(drawn.mean() - integral(statistic(x, y).numpy() * p)) < 4 * error, name
    assert z.mean(0).abs().max() < 4 * z.std(0).max() / math.sqrt(len(z))


def test_clustered_is_four_gaussians_of_variance_003():
    prior = make_prior("clustered", 2)
    assert set(prior.means) == {(0, 1), (0, -1), (1, 0), (-1, 0)}
    z = torch.randn(50, 2, generator=seeded(1), dtype=torch.float64)
    by_hand = np.mean([stats.multivariate_normal(m, 0.03 * np.eye(2)).pdf(z) for m in prior.means], axis=0)
    np.testing.assert_allclose(prior.log_prob(z).exp().numpy(), by_hand, rtol=1e-9)
    assert len(make_prior("clustered", 5).means) == 10
    assert make_prior("clustered", 1).sample(6, generator=seeded(0)).shape == (6, 1)


def test_sparse_is_a_product_of_two_part_mixtures():
    z = 0.3 * torch.randn(7, 4, 3, generator=seeded(2), dtype=torch.float64)
    by_hand = np.log(0.8 * stats.norm(0, 0.05).pdf(z) + 0.2 * stats.norm(0, 1).pdf(z)).sum(-1)
    np.testing.assert_allclose(make_prior("sparse", 3).log_prob(z).numpy(), by_hand, rtol=1e-9)


def test_samples_come_from_the_generator_alone():
    for prior in two_dimensional():
        first, again, other = (prior.sample(5, generator=seeded(s)) for s in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_unknown_priors_are_named():
    with pytest.raises(ValueError, match=r"standard-normal.*clustered.*sparse.*'laplace'"):
        VAE(2, (3,), 4, prior="laplace")
    with pytest.raises(ValueError, match=r"lacks log_prob"):
        VAE(2, (3,), 4, prior=object())


# KL by sampling


def test_kl_of_a_standard_normal_object_agrees_with_eq_18():
    """One component at zero with variance 1 is N(0, I), but not known to be it: the estimate must find eq. 18."""
    mu, logvar = (torch.randn(6, 3, generator=seeded(s), dtype=torch.float64) for s in (3, 4))
    exact = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1)
    z = reparameterise(mu.expand(20_000, 6, 3), logvar, generator=seeded(5))
    disguised = EqualGaussians(((0.0, 0.0, 0.0),), 1.0)
    terms = Normal(mu, (logvar / 2).exp()).log_prob(z).sum(-1) - Normal(0.0, 1.0).log_prob(z).sum(-1)
    error = terms.std(0) / math.sqrt(len(z))
    for prior in (disguised, StandardNormal(3)):
        assert ((kl_estimate(prior, z, mu, logvar) - exact).abs() < 4 * error).all()


def test_elbo_uses_its_own_draws_for_the_kl_and_the_closed_form_where_there_is_one():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain, disguised = VAE(2, (5,), 6).double(), VAE(2, (5,), 6, prior=EqualGaussians(((0.0, 0.0),), 1.0)).double()
    disguised.load_state_dict(plain.state_dict())
    x = torch.rand(4, 6, generator=seeded(1), dtype=torch.float64)
    exact, estimate = (elbo(m, x, n_samples=20_000, generator=seeded(2)) for m in (plain, disguised))
    assert torch.equal(exact.log_likelihood, estimate.log_likelihood)  # the same z
    torch.testing.assert_close(estimate.kl, exact.kl, atol=0.02, rtol=0)
    assert not torch.equal(estimate.kl, exact.kl)
    assert torch.equal(exact.kl, elbo(plain, x, n_samples=1, generator=seeded(9)).kl)
    torch.testing.assert_close(estimate.elbo, estimate.log_likelihood - estimate.kl)


@pytest.mark.parametrize("name", ["clustered", "sparse"])
def test_bound_lies_below_log_p_by_quadrature_and_the_importance_weights_agree_with_it(name):
    """log p(x) of a linear decoder, integrated over a grid of z, under each prior."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = VAE(2, (), 3, "gaussian", prior=name).double()
    x = torch.randn(3, 3, generator=seeded(2), dtype=torch.float64)
    axis = torch.arange(-6, 6.001, 0.02, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mean, logvar = model.decode(grid)
        log_p = [Normal(mean, (logvar / 2).exp()).log_prob(row).sum(-1) + model.prior.log_prob(grid) for row in x]
        exact = torch.stack([values.logsumexp(0) + 2 * math.log(0.02) for values in log_p])
        bound = elbo(model, x, n_samples=5000, generator=seeded(3)).elbo
        p = torch.stack([log_marginal(model, x, n_samples=50_000, generator=seeded(s)) for s in range(20)]).exp()
    assert (bound < exact - 0.1).all()
    error = p.std(0) / math.sqrt(len(p))
    assert ((p.mean(0) - exact.exp()).abs() < 4 * error).all()
    assert (error < 0.05 * exact.exp()).all()  # or agreement would mean little


# The two divergences


def test_inclusive_kl_of_one_posterior_is_a_kl_of_gaussians():
    """Ideal: every image has the same q, so the aggregate is a Gaussian and the KL is known. Null: q is the prior."""
    mu, logvar = torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[0.3, -0.4]]).double()
    expected = kl_divergence(Normal(0.0, 1.0), Normal(mu, (logvar / 2).exp())).sum()
    rows = [
        inclusive_kl(StandardNormal(2), mu.expand(1500, 2), logvar.expand(1500, 2), generator=seeded(s))
        for s in range(5)
    ]
    assert torch.stack(rows).mean() == pytest.approx(expected.item(), abs=0.08)
    same = inclusive_kl(StandardNormal(2), torch.zeros(50, 2), torch.zeros(50, 2), generator=seeded(0))
    assert same == pytest.approx(0, abs=1e-5)


def test_inclusive_kl_is_large_where_a_cluster_is_missed():
    prior = make_prior("clustered", 2)
    centres = torch.tensor(prior.means).repeat(25, 1)
    logvar = torch.full_like(centres, math.log(prior.variance))
    assert inclusive_kl(prior, centres, logvar, generator=seeded(0)) == pytest.approx(0, abs=1e-4)
    assert inclusive_kl(prior, centres[:1].expand(100, 2), logvar, generator=seeded(0)) > 5


def test_squared_mmd_by_hand():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [2.0]])

    def kernel(d):
        return sum(c / (c + d**2) for c in (0.2, 0.4, 1, 2, 4, 10))

    by_hand = kernel(1) + kernel(0) - 2 * (kernel(2) + kernel(1)) / 2
    assert squared_mmd(a, b).item() == pytest.approx(by_hand, rel=1e-5)
    both = squared_mmd(a.expand(2, 3), b.expand(2, 3))
    assert both.item() == pytest.approx(3 * by_hand, rel=1e-5)
    with pytest.raises(ValueError, match=r"one shape"):
        squared_mmd(a, torch.zeros(3, 1))


def test_mmd_is_unbiased_at_the_prior_and_large_away_from_it():
    prior = make_prior("sparse", 3)
    at_prior = torch.stack([squared_mmd(*prior.sample(200, generator=seeded(s)).split(100)) for s in range(200)])
    assert abs(at_prior.mean()) < 4 * at_prior.std() / math.sqrt(len(at_prior))
    zeros = torch.zeros(100, 3)
    assert mmd(prior, zeros, zeros, generator=seeded(0)) > 1  # unit Gaussians where spikes are asked for


def test_gradients_of_both_divergences_reach_the_codes():
    for divergence in (inclusive_kl, mmd):
        mu, logvar = torch.full((20, 2), 2.0, requires_grad=True), torch.zeros(20, 2, requires_grad=True)
        divergence(make_prior("clustered", 2), mu, logvar, generator=seeded(0)).backward()
        assert mu.grad.sum() > 0  # downhill is towards the prior
        assert logvar.grad.abs().sum() > 0


# Training the variants


def test_a_weight_of_one_and_no_divergence_is_algorithm_1(tiny_npz):
    models = [initial_model(tiny_npz, 16) for _ in range(2)]
    x = torch.rand(9, 16, generator=seeded(0))
    for model, step in zip(models, (train_step, regularised_step), strict=True):
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        extra = {"beta": 1.0, "divergence": None, "weight": 0.0} if step is regularised_step else {}
        step(model, optimiser, x, seeded(1), **extra)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("divergence", "function"), [("inclusive-kl", inclusive_kl), ("mmd", mmd)])
def test_the_regularised_step_descends_the_three_terms(divergence, function):
    config = TrainConfig("x", 2, hidden=(4,), prior="clustered")
    ours, by_hand = initial_model(config, 5).double(), initial_model(config, 5).double()
    x = torch.rand(8, 5, generator=seeded(0), dtype=torch.float64)
    totals = regularised_step(
        ours, torch.optim.SGD(ours.parameters(), lr=0.1), x, seeded(1), beta=0.3, divergence=divergence, weight=2.0
    )
    draws = seeded(1)
    terms = elbo(by_hand, x, generator=draws)
    loss = -terms.log_likelihood.mean() + 0.3 * terms.kl.mean()
    loss = loss + 2 * function(by_hand.prior, *by_hand.encode(x), generator=draws)
    for p, g, q in zip(
        by_hand.parameters(), torch.autograd.grad(loss, list(by_hand.parameters())), ours.parameters(), strict=True
    ):
        torch.testing.assert_close(q, p - 0.1 * g)
    assert totals.tolist() == pytest.approx([term.sum().item() for term in terms])


def test_an_autoencoder_trains_on_its_one_code_and_claims_no_elbo(make_dataset):
    images = torch.rand(30, 6, generator=seeded(0))
    data = make_dataset(images)
    config = TrainConfig("made", 2, epochs=1, hidden=(5,), batch_size=30, schedule="constant", model="autoencoder")
    model = initial_model(config, 6)
    assert isinstance(model, Autoencoder)
    p = torch.sigmoid(model.decode(model.encode(images)))
    by_hand = (images * p.log() + (1 - images) * (1 - p).log()).sum(1).mean().item()
    run = fit(config, data, heldout=data, progress=False, device="cpu")
    assert run.history[0].log_likelihood == pytest.approx(by_hand, rel=1e-5)
    assert (run.history[0].kl, run.history[0].elbo, run.heldout.kl, run.heldout.elbo) == (None,) * 4
    assert by_hand < run.heldout.log_likelihood < 0  # one step uphill, measured after it
    longer = fit(dataclasses.replace(config, epochs=200), data, heldout=data, progress=False, device="cpu")
    assert longer.heldout.log_likelihood > run.heldout.log_likelihood + 0.1
    assert "held-out log p(x|z)" in repr(provenance(longer))
    assert "ELBO" not in repr(provenance(longer))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "autoencoder"},
        {"prior": "clustered", "beta": 0.5},
        {"prior": "sparse", "divergence": "mmd", "divergence_weight": 10},
    ],
)
def test_variants_are_stored_and_found_again(tiny_npz, changes):
    config = dataclasses.replace(tiny_npz, **changes)
    first, again = (get_or_train(config, device="cpu", progress=False) for _ in range(2))
    assert TrainConfig.from_json(config.to_json()) == config
    assert first.heldout == again.heldout
    assert first.history == again.history
    assert type(again.model) is type(first.model)
    assert getattr(again.model, "prior", None) == getattr(first.model, "prior", None)
    assert torch.equal(first.model.latent_weight, again.model.latent_weight)
    assert not torch.equal(first.model.latent_weight, get_or_train(tiny_npz, progress=False).model.latent_weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gan"}, r"model must be .*'gan'"),
        ({"prior": "laplace"}, r"prior must be .*'laplace'"),
        ({"divergence": "mmd"}, r"goes with a weight above 0.*'mmd' with 0"),
        ({"divergence_weight": 2}, r"no divergence with a weight of 0.*None with 2"),
        ({"divergence": "wasserstein", "divergence_weight": 1}, r"divergence must be .*'wasserstein'"),
        ({"beta": -1}, r"beta must be a number from 0 to 1e\+06, not -1"),
        ({"model": "autoencoder", "prior": "sparse"}, r"an autoencoder has no prior"),
        ({"model": "autoencoder", "beta": 0}, r"an autoencoder has no prior"),
    ],
)
def test_configs_that_mean_nothing_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig("digits", **changes)


def test_provenance_says_what_is_not_the_plain_vae(tiny_npz):
    plain = vaelib.fit(tiny_npz, progress=False, device="cpu")
    assert not any(word in repr(provenance(plain)) for word in ("prior", "β", "autoencoder"))
    config = dataclasses.replace(tiny_npz, prior="clustered", beta=0, divergence="inclusive-kl", divergence_weight=2)
    line = repr(provenance(fit(config, progress=False, device="cpu")))
    assert all(part in line for part in ("clustered prior", "β = 0", "2 × inclusive-kl", "held-out ELBO"))


# The pinwheel


def test_pinwheel_arms_are_quarter_turns_of_one_bent_gaussian():
    points, arms = pinwheel(5000, seed=3)
    assert points.shape == (20_000, 2)
    assert arms.bincount().tolist() == [5000] * 4
    turned = points.double().clone()
    straight = torch.empty_like(turned)
    for arm in range(4):
        x, y = turned[arms == arm].T
        # The arm's own frame: undo the turn by arm quarter-circles, clockwise as it was made.
        c, s = math.cos(arm * math.pi / 2), math.sin(arm * math.pi / 2)
        straight[arms == arm] = torch.stack([c * x - s * y, s * x + c * y], 1)
    radius = straight.norm(dim=1)
    # |(along, across)| is kept by every turn: E r² = 1 + 0.3² + 0.1².
    assert radius.square().mean().item() == pytest.approx(1.10, abs=0.02)
    # Small pieces of an arm lie at -rate·exp(along): a point at radius 1 is turned by 0.25·e.
    at_one = straight[(radius - 1).abs() < 0.02]
    assert torch.atan2(at_one[:, 1], at_one[:, 0]).median().item() == pytest.approx(-0.25 * math.e, abs=0.03)
    assert torch.equal(pinwheel(10, seed=1)[0], pinwheel(10, seed=1)[0])
    with pytest.raises(ValueError, match=r"n_per_arm is 0"):
        pinwheel(0, seed=1)


def test_spike_weight_is_the_share_of_coordinates_in_the_spike():
    z = SpikeAndSlab(4, spike_weight=0.3, spike_std=1e-4).sample(20_000, generator=seeded(0))
    assert (z.abs() < 1e-3).double().mean().item() == pytest.approx(0.3, abs=0.01)


# How codes and pictures are measured in the chapters on variants and on strengths and weaknesses


@pytest.mark.control("cluster_purity", "ideal", "null", "broken")
def test_cluster_purity_ideal_null_and_broken():
    labels = torch.arange(4).repeat(100)
    ideal = 10 * torch.nn.functional.one_hot(labels).float() + 0.1 * torch.randn(400, 4, generator=seeded(0))
    assert cluster_purity(ideal, labels, 4) == 1
    assert cluster_purity(ideal, labels[torch.randperm(400, generator=seeded(1))], 4) < 0.4
    assert cluster_purity(ideal, labels, 2) == pytest.approx(0.5)  # two classes to each of two clusters, at best
    assert cluster_purity(torch.randn(400, 4, generator=seeded(2)), labels, 4) < 0.4


@pytest.mark.control("hoyer_sparsity", "ideal", "null", "broken")
def test_hoyer_ideal_null_and_broken():
    assert hoyer_sparsity(torch.eye(20).repeat(3, 1)) == pytest.approx(1)
    assert hoyer_sparsity(torch.randint(2, (5000, 20), generator=seeded(0)) * 2.0 - 1) == pytest.approx(0, abs=1e-3)
    # E|z| = √(2/π) for N(0, 1); for K = 20 norm and direction are independent: mean ‖z‖₁/‖z‖₂ = K√(2/π) / E χ₂₀.
    ratio = 20 * math.sqrt(2 / math.pi) / stats.chi(20).mean()
    gaussian = torch.randn(20_000, 20, generator=seeded(1))
    assert hoyer_sparsity(gaussian) == pytest.approx((math.sqrt(20) - ratio) / (math.sqrt(20) - 1), abs=2e-3)
    # A dimension that is merely small is no sparsity: scales are taken out.
    assert hoyer_sparsity(gaussian * torch.linspace(0.01, 5, 20)) == pytest.approx(hoyer_sparsity(gaussian), abs=1e-5)
    assert hoyer_sparsity(SpikeAndSlab(20).sample(5000, generator=seeded(2))) > 0.6


def test_laplacian_variance_ideal_null_and_noise():
    ramp = torch.arange(8.0).repeat(6, 1)  # a straight ramp has no second difference
    assert laplacian_variance(ramp.reshape(1, 48), (6, 8)).tolist() == [0]
    board = ((torch.arange(6)[:, None] + torch.arange(8)) % 2).float()  # each inner pixel gives +4 or -4
    assert laplacian_variance(board.reshape(1, 48), (6, 8)).item() == pytest.approx(16)
    noise = torch.randn(400, 900, generator=seeded(0))
    assert laplacian_variance(noise, (30, 30)).mean().item() == pytest.approx(20, rel=0.02)  # 4 · 1² + 4²
    blurred = torch.nn.functional.avg_pool2d(noise.reshape(400, 1, 30, 30), 3, 1, 1).flatten(1)
    assert (laplacian_variance(blurred, (30, 30)) < laplacian_variance(noise, (30, 30))).all()


@pytest.mark.control("two_sample_accuracy", "ideal", "null", "broken")
def test_two_sample_accuracy_ideal_null_and_broken():
    a, b = torch.randn(2, 1000, 3, generator=seeded(0))
    assert two_sample_accuracy(a, b) == pytest.approx(0.5, abs=0.05)
    assert two_sample_accuracy(a, b + 100) == 1
    assert 0.6 < two_sample_accuracy(a, b + 1) < 0.95
    assert two_sample_accuracy(a, a.clone()) == 0  # broken: the nearest of each point is its copy in the other sample
    with pytest.raises(ValueError, match=r"one shape"):
        two_sample_accuracy(a, b[:5])


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_figures_of_codes_show_every_point(latent_dim):
    z, labels = np.random.default_rng(0).normal(size=(30, latent_dim)), np.arange(30) % 4
    axis = np.linspace(-2, 2, 9)
    height = np.exp(-(axis**2) - axis[:, None] ** 2)
    figure = code_panels({"a": (z, labels), "b": (z[:5], labels[:5])}, x=axis, density=height)
    assert [len(ax.collections[0].get_offsets()) for ax in figure.axes] == [30, 5]
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
    drawn = histograms({"codes": z}, axis, density=("prior", np.ones(9)), xlabel="z")
    assert [text.get_text() for text in drawn.axes[0].get_legend().get_texts()] == ["prior", "codes"]


def test_five_panels_take_two_rows_and_leave_no_empty_one():
    z, labels = np.zeros((4, 2)), np.arange(4)
    figure = code_panels(dict.fromkeys("abcde", (z, labels)))
    assert [ax.get_title() for ax in figure.axes] == list("abcde")
    assert len({round(ax.get_position().y0, 2) for ax in figure.axes}) == 2


# Shapes and sizes that do not belong together


@pytest.mark.parametrize("prior", two_dimensional(), ids=lambda prior: type(prior).__name__)
def test_a_prior_of_another_size_is_refused(prior):
    for shape in ((5, 3), (5, 1), (), (2, 3)):
        with pytest.raises(ValueError, match=r"z must have shape \(\.\.\., 2\) for this prior"):
            prior.log_prob(torch.zeros(shape))
    assert prior.log_prob(torch.zeros(0, 2)).shape == (0,)
    with pytest.raises(ValueError, match=r"prior must be one of 3 dimensions.* has 2"):
        VAE(3, (4,), 5, prior=prior)
    assert VAE(2, (4,), 5, prior=prior).prior is prior


@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, True, "2"])
def test_a_prior_has_a_whole_number_of_dimensions(latent_dim):
    for name in ("standard-normal", "clustered", "sparse"):
        with pytest.raises(ValueError, match="latent_dim must be an integer of at least 1"):
            make_prior(name, latent_dim)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EqualGaussians((), 1.0), "means must be"),
        (lambda: EqualGaussians(((),), 1.0), "means must be"),
        (lambda: EqualGaussians(((1.0,), (1.0, 2.0)), 1.0), "means must be"),
        (lambda: EqualGaussians(((1.0,),), 0.0), "variance must be"),
        (lambda: EqualGaussians(((1.0,),), math.nan), "variance must be"),
        (lambda: SpikeAndSlab(2, spike_weight=1.0), "spike_weight"),
        (lambda: SpikeAndSlab(2, spike_std=0.0), "spike_std"),
    ],
)
def test_a_prior_that_is_no_density_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shapes", [((4, 2), (4, 1)), ((4, 2), (1, 2)), ((4, 2), (2,)), ((2,), (2,))])
def test_divergences_and_the_kl_take_one_shape(shapes):
    prior, (mu, logvar) = StandardNormal(2), (torch.zeros(shape) for shape in shapes)
    for divergence in (inclusive_kl, mmd):
        with pytest.raises(ValueError, match=r"one shape \(B, K\)"):
            divergence(prior, mu, logvar)
    with pytest.raises(ValueError, match=r"one shape \(B, K\)"):
        kl_estimate(prior, torch.zeros(3, 4, 2), mu, logvar)


@pytest.mark.parametrize("shape", [(4, 2), (3, 1, 2), (3, 4, 1), (4, 3, 2)])
def test_a_kl_estimate_takes_draws_for_every_image(shape):
    with pytest.raises(ValueError, match=r"draws \(S, B, K\)"):
        kl_estimate(StandardNormal(2), torch.zeros(shape), torch.zeros(4, 2), torch.zeros(4, 2))
