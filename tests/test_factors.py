"""Scores of disentanglement on an ideal code, a null, and codes broken in one way each."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from vaelib import factors, synthetic
from vaelib.measures import rotated

N = 4000


@pytest.fixture(scope="module")
def uniform():
    """Two independent factors (N, 2), uniform on [0, 1], and a code of them that is N(0, I): each axis one factor."""
    truth = torch.rand(N, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return truth, torch.special.ndtri(truth)


@pytest.fixture(scope="module")
def noise():
    return torch.randn(N, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


SCORES = {
    "MIG": factors.mutual_information_gap,
    "SAP": factors.separated_predictability,
    "disentanglement": lambda codes, truth: factors.dci(codes, truth).disentanglement,
    "completeness": lambda codes, truth: factors.dci(codes, truth).completeness,
    "different axes": lambda codes, truth: factors.different_axes(factors.correlation_ratios(codes, truth)).item(),
    "one axis each": lambda codes, truth: factors.one_axis_each(factors.correlation_ratios(codes, truth)).item(),
}


@pytest.fixture(params=SCORES)
def score(request):
    return SCORES[request.param]


@pytest.mark.control("mutual_information_gap", "ideal")
@pytest.mark.control("separated_predictability", "ideal")
@pytest.mark.control("dci", "ideal")
@pytest.mark.control("different_axes", "ideal")
@pytest.mark.control("one_axis_each", "ideal")
@pytest.mark.control("correlation_ratios", "ideal")
def test_a_code_with_one_axis_for_each_factor_has_the_full_score(score, uniform):
    truth, code = uniform
    assert score(code, truth) > 0.85
    assert score(code.flip(1), truth) > 0.85  # the numbering of the axes does not matter
    assert score(code * torch.tensor([3.0, -0.1]), truth) > 0.85  # nor do scale and sign


@pytest.mark.control("mutual_information_gap", "null")
@pytest.mark.control("separated_predictability", "null")
@pytest.mark.control("dci", "null")
@pytest.mark.control("different_axes", "null")
@pytest.mark.control("one_axis_each", "null")
@pytest.mark.control("correlation_ratios", "null")
def test_a_code_that_knows_nothing_has_none(score, uniform, noise):
    assert score(noise, uniform[0]) == pytest.approx(0, abs=0.1)


@pytest.mark.control("mutual_information_gap", "broken")
@pytest.mark.control("separated_predictability", "broken")
@pytest.mark.control("dci", "broken")
@pytest.mark.control("different_axes", "broken")
@pytest.mark.control("one_axis_each", "broken")
@pytest.mark.control("correlation_ratios", "broken")
def test_axes_turned_half_way_have_none(score, uniform):
    truth, code = uniform
    assert score(rotated(code, 45.0), truth) == pytest.approx(0, abs=0.1)


def test_a_duplicated_code_is_noticed_by_what_asks_for_one_code_a_factor(uniform):
    """Each code still has one factor, so disentanglement stays; each factor now has two codes."""
    truth, code = uniform
    twice = torch.cat([code, code], 1)
    assert factors.mutual_information_gap(twice, truth) == pytest.approx(0, abs=1e-9)
    assert factors.separated_predictability(twice, truth) == pytest.approx(0, abs=1e-9)
    assert factors.dci(twice, truth).disentanglement > 0.9
    assert factors.dci(twice, truth).completeness < 0.6


def test_one_axis_for_both_factors_is_noticed_by_what_asks_for_one_factor_an_axis(noise):
    """The second factor repeats the first, and both lie along the first axis: complete, and not disentangled."""
    both = noise[:, :1].repeat(1, 2)
    strength = factors.correlation_ratios(noise, both)
    assert factors.one_axis_each(strength) > 0.9
    assert factors.different_axes(strength) == pytest.approx(0, abs=1e-9)
    assert factors.dci(noise, both).completeness > 0.9
    assert factors.dci(noise, both).disentanglement == pytest.approx(0, abs=0.05)
    assert factors.mutual_information_gap(noise, both) > 0.9  # it does not ask whose axis it is


def test_dci_informativeness_is_the_explained_variance_of_new_codes(uniform, noise):
    truth, code = uniform
    assert factors.dci(code, truth).informativeness > 0.99
    assert factors.dci(noise, truth).informativeness < 0.05
    half = factors.dci(code + noise, truth + 0).informativeness
    assert 0.3 < half < 0.7


def test_sap_is_the_difference_of_squared_correlations(noise):
    factor = noise @ torch.tensor([[0.8], [0.6]], dtype=torch.float64)
    r = np.corrcoef(np.c_[noise, factor].T)[2, :2] ** 2
    assert factors.separated_predictability(noise, factor) == pytest.approx(abs(r[0] - r[1]))


def test_mig_of_a_noisy_copy_is_the_gaussian_mutual_information(noise):
    """Cut into many bins, I(a; b) of a Gaussian pair tends to -½ log(1 - ρ²) and H to log(bins)."""
    rho, n = 0.8, 200_000
    a, e = torch.randn(2, n, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    other = torch.randn(n, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    b = rho * a + math.sqrt(1 - rho**2) * e
    expected = -0.5 * math.log(1 - rho**2) / math.log(20)
    assert factors.mutual_information_gap(torch.cat([a, other], 1), b) == pytest.approx(expected, rel=0.1)


def test_correlation_ratios_of_independent_codes_are_the_first_order_sobol_indices(noise):
    def function(z):
        return abs(z[0]) + 0.5 * z[1] + 0.3 * z[0] * z[1]

    n = 2**15
    expected = stats.sobol_indices(func=lambda z: function(z)[None], n=n, dists=[stats.norm()] * 2, rng=0).first_order
    z = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    ratios = factors.correlation_ratios(z, function(z.T)[:, None])[:, 0]
    assert ratios.tolist() == pytest.approx(expected.ravel().tolist(), abs=0.03)


def test_correlation_ratios_see_curves_and_are_the_squared_correlation_of_lines(noise):
    line = noise @ torch.tensor([[0.6, 1.0], [0.8, 0.0]], dtype=torch.float64)
    both = torch.cat([line, noise[:, :1].abs()], 1)
    ratios = factors.correlation_ratios(noise, both)
    assert ratios[:, 0].tolist() == pytest.approx([0.36, 0.64], abs=0.03)
    assert ratios[:, 2].tolist() == pytest.approx([1, 0], abs=0.1)  # no correlation would find it
    assert factors.correlation_ratios(noise, torch.ones(N, 1)).isnan().all()
    constant = factors.correlation_ratios(torch.zeros(N, 1), line)
    assert constant.tolist() == [pytest.approx([0, 0], abs=1e-9)]


def test_turned_axes_share_a_straight_factor_by_the_squared_cosine(noise):
    strength = factors.turned(noise, noise[:, :1], [0, 30, 90])
    assert strength.shape == (3, 2, 1)
    assert strength[:, 0, 0].tolist() == pytest.approx([1, 0.75, 0], abs=0.03)
    assert strength[:, 1, 0].tolist() == pytest.approx([0, 0.25, 1], abs=0.03)


def test_axes_as_numbered_have_a_sign_and_a_single_axis_has_no_number():
    own = torch.tensor([[0.9, 0.1], [0.0, 0.7]])
    assert factors.as_numbered(own).item() == pytest.approx(0.75)
    assert factors.as_numbered(own.flip(0)).item() == pytest.approx(-0.75)
    assert factors.different_axes(own.flip(0)).item() == pytest.approx(0.75)
    same = torch.tensor([[0.9, 0.9], [0.1, 0.1]])
    assert factors.different_axes(same).item() == pytest.approx(0)
    assert factors.one_axis_each(same).item() == pytest.approx(0.8)
    assert factors.different_axes(torch.rand(5, 1, 2)).tolist() == [0] * 5
    assert factors.one_axis_each(torch.rand(5, 1, 2)).tolist() == [0] * 5


def test_the_axis_of_a_factor_is_the_one_that_holds_it_by_a_margin():
    strength = torch.tensor([[0.9, 0.1, 0.50, math.nan], [0.0, 0.7, 0.45, math.nan]])
    assert factors.own_axis(strength) == (0, 1, None, None)
    assert factors.own_axis(strength, margin=0.04) == (0, 1, 0, None)
    assert factors.own_axis(torch.tensor([[0.9, 0.05]])) == (0, None)


def test_a_single_code_has_scores(uniform):
    truth, code = uniform
    assert factors.dci(code[:, :1], truth).completeness == 1
    assert factors.mutual_information_gap(code[:, :1], truth[:, :1]) > 0.9
    assert factors.separated_predictability(code[:, :1], truth[:, :1]) > 0.9


@pytest.mark.control("total_correlation", "ideal")
def test_independent_codes_have_no_total_correlation(noise):
    assert factors.total_correlation(noise) == pytest.approx(0, abs=0.003)
    wide = torch.randn(N, 20, generator=torch.Generator().manual_seed(5))
    assert factors.total_correlation(wide) == pytest.approx(20 * 19 / (4 * N), rel=0.3)  # its bias


@pytest.mark.control("total_correlation", "null")
def test_codes_that_are_shuffled_apart_lose_their_total_correlation(noise):
    mixed = noise @ torch.tensor([[1.0, 0.8], [0.0, 0.6]], dtype=torch.float64)
    draws = torch.Generator().manual_seed(6)
    apart = torch.stack([column[torch.randperm(N, generator=draws)] for column in mixed.T], 1)
    assert factors.total_correlation(mixed) > 0.4
    assert factors.total_correlation(apart) == pytest.approx(0, abs=0.003)


@pytest.mark.control("total_correlation", "broken")
def test_total_correlation_of_normal_codes_is_exact_and_no_stretching_changes_it(noise):
    rho = 0.8
    mixed = noise @ torch.tensor([[1.0, rho], [0.0, 0.6]], dtype=torch.float64)
    assert factors.total_correlation(mixed) == pytest.approx(-math.log(1 - rho**2) / 2, abs=0.03)
    stretched = torch.stack([mixed[:, 0].exp(), -(mixed[:, 1] ** 3)], 1)
    assert factors.total_correlation(stretched) == pytest.approx(factors.total_correlation(mixed), abs=1e-6)
    # Independent codes of different spread, turned: of a normal distribution, ½ log of the product of variances less
    # that of the eigenvalues.
    turned = rotated(noise * torch.tensor([3.0, 1.0]), 45.0)
    assert factors.total_correlation(turned) == pytest.approx(math.log(5 / 3), abs=0.03)


def test_total_correlation_is_a_lower_bound_and_sees_copies(noise):
    """With y = x², what is shared is infinite and its normal scores are uncorrelated."""
    assert factors.total_correlation(torch.stack([noise[:, 0], noise[:, 0] ** 2], 1)) < 0.01
    assert factors.total_correlation(noise[:, :1].repeat(1, 2)) > 10
    assert factors.total_correlation(noise[:, :1]) == pytest.approx(0, abs=1e-9)
    with_constant = torch.cat([noise, torch.ones(N, 1)], 1)
    assert factors.total_correlation(with_constant) == pytest.approx(factors.total_correlation(noise))
    assert factors.total_correlation(torch.ones(5, 2)) == 0


@pytest.mark.control("rank_among", "ideal", "null", "broken")
def test_rank_is_the_share_below_and_half_of_the_equal():
    others = torch.tensor([1.0, 2, 3, 4])
    assert factors.rank_among(torch.tensor(5.0), others) == 1
    assert factors.rank_among(torch.tensor(0.0), others) == 0
    assert factors.rank_among(torch.tensor(2.0), others) == 0.375
    assert factors.rank_among(torch.tensor(0.0), torch.zeros(4)) == 0.5
    assert math.isnan(factors.rank_among(torch.tensor(float("nan")), others))
    drawn = torch.rand(500, generator=torch.Generator().manual_seed(0))
    assert np.mean([factors.rank_among(v, drawn) for v in drawn]) == pytest.approx(0.5)


def test_boot_heights_are_those_of_drawn_boots():
    pictures, truth = synthetic.drawn_boots(500, seed=0)
    assert factors.correlation_ratios(factors.boot_heights(pictures), truth).diagonal().min() > 0.7


def test_brightness_is_that_of_an_even_patch_whatever_its_size():
    images = torch.zeros(2, 16)
    images[0, :3], images[1, :9] = 0.4, 0.4
    assert factors.brightness(images).tolist() == pytest.approx([0.4, 0.4])
    assert factors.brightness(torch.tensor([[0.2, 0.6, 0, 0]])).item() == pytest.approx(0.5)
    assert factors.brightness(torch.zeros(1, 16)).isnan().all()


def test_scores_of_the_first_angle_are_set_among_those_of_all(noise):
    best = factors.turned(noise, noise, range(0, 90, 5))
    scores = factors.among_turned(best)
    assert scores["apart"] == pytest.approx(1, abs=0.04)
    assert scores["apart_mean"] == pytest.approx(2 / math.pi, abs=0.02)  # |cos 2a|, over all angles
    assert scores["apart_low"] == pytest.approx(0, abs=0.03)
    assert scores["apart_rank"] > 0.9
    assert factors.among_turned(best.roll(9, 0))["apart_rank"] < 0.1  # begun at 45 degrees
    assert scores["one"] == pytest.approx(scores["apart"], abs=1e-6)
    assert scores["apart_turn"] == 0
    for places in (3, -3):  # 15 degrees either way
        assert factors.among_turned(best.roll(places, 0))["apart_turn"] == pytest.approx(15 / 90)
