"""Counting rules and estimates of dimension on ideal cases, nulls and broken controls."""

import math

import pytest
import torch

from vaelib import dimensions, evidence, synthetic
from vaelib.dimensions import above, counts, elbow, near, of_points, sizes
from vaelib.models import VAE


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


# Rules


@pytest.mark.control("elbow", "ideal")
@pytest.mark.parametrize("used", [1, 2, 5, 18])
def test_elbow_of_a_step_is_where_the_step_is_whatever_the_order(rng, used):
    step = torch.cat([3 + 0.1 * torch.rand(used, generator=rng), 0.1 * torch.rand(20 - used, generator=rng)])
    assert elbow(step[torch.randperm(20, generator=rng)]) == used


@pytest.mark.control("elbow", "null", "broken")
def test_elbow_null_and_undefined():
    assert elbow(torch.tensor([1.0, 1, 1, 1, 0])) == 0  # one small value is the end of the line and not beyond an elbow
    assert elbow(torch.full((20,), 0.4)) == 0  # nothing falls
    assert math.isnan(elbow(torch.tensor([3.0, 0.1])))
    assert math.isnan(elbow(torch.tensor([3.0])))


def test_elbow_of_a_curve_is_its_point_farthest_below_the_chord():
    curve = torch.exp(-torch.linspace(0, 5, 101, dtype=torch.float64))
    # Where the slope is that of the chord: exp(-x) = (1 - exp(-5)) / 5.
    assert elbow(curve) == pytest.approx(-math.log((1 - math.exp(-5)) / 5) * 20, abs=1)


@pytest.mark.control("steepest", "ideal", "null", "broken")
def test_steepest_fall_ideal_null_and_undefined(rng):
    step = torch.cat([3 + 0.1 * torch.rand(19, generator=rng), 0.1 * torch.rand(1, generator=rng)])
    assert dimensions.steepest(step[torch.randperm(20, generator=rng)]) == 19  # where an elbow needs two beyond it
    assert dimensions.steepest(torch.tensor([6.0, 5, 1.6, 0.7, 0.3, 0.2])) == 2  # and the elbow is after the fourth
    assert elbow(torch.tensor([6.0, 5, 1.6, 0.7, 0.3, 0.2] + 14 * [0.1])) == 4
    assert dimensions.steepest(torch.ones(20)) == 0
    assert math.isnan(dimensions.steepest(torch.tensor([2.0, 1.0])))


def test_column_sums_miscount_where_norms_do_not(rng):
    """Four columns of one size, two of them with signs that cancel: the elbow of the sums sees two."""
    weight = torch.zeros(128, 20)
    weight[:, :4] = torch.tensor([1.0, 1, 1, 1])
    weight[::2, 2:4] = -1
    assert elbow(weight.norm(dim=0)) == 4
    assert elbow(weight.sum(0).abs()) == 2


@pytest.mark.control("above", "ideal", "null", "broken")
@pytest.mark.control("near", "ideal", "null", "broken")
def test_above_and_near_ideal_null_and_edges():
    values = torch.tensor([1.0, 0.2, 0.04, 0.02, 0.0])
    assert above(values, 0.1) == 2
    assert above(torch.zeros(5), 0.1) == 0
    assert near(values, 0.1) == 2  # 0.2 and 0.04 lie within a factor of three, 0.02 does not
    assert near(torch.tensor([1.0, 0.0]), 0.1) == 0


@pytest.mark.control("sizes", "ideal", "null", "broken")
@pytest.mark.control("counts", "ideal", "null", "broken")
def test_sizes_and_counts_of_a_model_with_two_dimensions_in_use(rng):
    """A linear model made by hand: two dimensions read the data and are read, three return the prior and are not."""
    model = VAE(5, (), 10)
    with torch.no_grad():
        for layer in (model.encoder[0], model.decoder[0]):
            layer.weight.zero_()
            layer.bias.zero_()
        model.encoder[0].weight[0, 0] = model.encoder[0].weight[1, 1] = 1
        model.encoder[0].bias[5:7] = math.log(0.01)  # log-variances of the two
        model.decoder[0].weight[:, :2] = torch.randn(10, 2, generator=rng)
    images = torch.rand(500, 10, generator=rng)
    measured = sizes(model, images)
    mu = images[:, :2]
    kl = 0.5 * (mu.square() + 0.01 - 1 - math.log(0.01)).mean(0)
    torch.testing.assert_close(measured["kl"][:2], kl)
    assert measured["kl"][2:].tolist() == [0, 0, 0]
    torch.testing.assert_close(measured["variance"][:2], mu.var(0, correction=0))
    found = counts(measured)
    assert (found["kl"], found["active"], found["norm_share"], found["norm"]) == (2, 2, 2, 2)
    assert (found["kl_near"], found["active_near"]) == (0, 0)
    # Broken: a decoder that reads nothing. The rules about messages still count two, the norms nothing.
    with torch.no_grad():
        model.decoder[0].weight.zero_()
    broken = counts(sizes(model, images))
    assert (broken["kl"], broken["norm_share"], broken["norm"]) == (2, 0, 0)


def test_counts_for_one_and_two_dimensions_have_no_elbow(rng):
    for k in (1, 2):
        found = counts(sizes(VAE(k, (4,), 6), torch.rand(30, 6, generator=rng)))
        assert math.isnan(found["norm"])
        assert math.isnan(found["sum"])
        assert 0 <= found["kl"] <= k


# Points alone


def flat(n, dim, data_dim, rng):
    """Uniform in a cube of `dim` dimensions, turned into `data_dim` of them."""
    basis = torch.linalg.qr(torch.randn(data_dim, dim, generator=rng)).Q
    return torch.rand(n, dim, generator=rng) @ basis.T


@pytest.mark.control("of_points", "ideal")
@pytest.mark.parametrize("dim", [1, 2, 4])
def test_points_in_a_flat_cube_have_its_dimension(rng, dim):
    found = of_points(flat(2000, dim, 12, rng))
    assert found["twonn"] == pytest.approx(dim, rel=0.12)
    assert found["mle"] == pytest.approx(dim, rel=0.12)
    assert found["pca"] == dim


def test_a_curved_sheet_needs_more_principal_components_than_it_has_dimensions():
    found = of_points(synthetic.drawn_boots(2000, seed=1)[0])
    assert found["twonn"] == pytest.approx(2, abs=0.3)
    assert found["mle"] == pytest.approx(2, abs=0.3)
    assert found["pca"] > 4


@pytest.mark.control("of_points", "null")
def test_noise_has_all_the_dimensions_there_are(rng):
    found = of_points(torch.randn(3000, 8, generator=rng))
    assert found["twonn"] > 6
    assert found["mle"] > 6
    assert found["pca"] == 8


def test_two_nearest_neighbours_agree_with_the_closed_form(rng):
    """1 / mean log(r2 / r1), the maximum-likelihood estimate that the fit of a line approximates."""
    points = flat(2000, 3, 5, rng)
    distances = torch.cdist(points, points).sort(1).values[:, 1:3]
    assert of_points(points)["twonn"] == pytest.approx(
        1 / (distances[:, 1] / distances[:, 0]).log().mean().item(), rel=0.05
    )


@pytest.mark.control("of_points", "broken")
def test_too_few_points_and_copies_have_no_dimension(rng):
    for points in (torch.rand(49, 3, generator=rng), torch.ones(500, 3), torch.rand(500, 1, generator=rng)):
        assert all(math.isnan(value) for value in of_points(points).values())
    points = flat(600, 2, 5, rng)
    assert of_points(points.repeat(2, 1)) == pytest.approx(of_points(points))  # copies have no distance


# What is recorded


def test_planted_runs_count_what_was_planted_and_repeat():
    setting = {"true_dim": 2, "points": 1000, "epochs": 20, "latent_dim": 6, "seed": 1}
    first = evidence.planted_dimension(setting)
    assert first == evidence.planted_dimension(setting)
    assert first["kl"] == pytest.approx(2, abs=1)
    assert first["twonn"] == pytest.approx(2, abs=0.4)
    assert set(dimensions.counts(sizes(VAE(6), torch.rand(9, 784)))) < set(first)


def test_planted_held_out_points_are_new_points_of_the_same_manifold():
    _, points, heldout = evidence.planted_run({"true_dim": 1, "points": 900, "epochs": 1, "latent_dim": 3, "seed": 2})
    between, within = torch.cdist(heldout.images, points.images).amin(1), torch.pdist(points.images).median()
    assert 0 < between.median() < 0.05 * within
