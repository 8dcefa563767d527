"""What is measured of Figures 2–5: each number on an ideal case, a null and a broken one."""

import math
from dataclasses import replace

import pytest
import torch

import vaelib
from vaelib import pictures
from vaelib.training import TrainedRun, initial_model

SHAPE = (9, 7)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def strokes():
    """Twenty pictures of 9 × 7, each a line of ink on black."""
    images = torch.zeros(20, *SHAPE)
    images[:, :, 3] = 0.9
    return images.flatten(1)


# Erased strokes


def test_a_square_around_a_pixel_of_ink_is_erased(strokes):
    damaged, square = pictures.erased(strokes, SHAPE, side=3, seed=1)
    assert (damaged[square] == 0).all()
    assert torch.equal(damaged[~square], strokes[~square])
    whole = square.reshape(-1, *SHAPE)
    assert whole[:, :, [0, 1, 5, 6]].sum() == 0  # the line is in column 3, and so is each center
    assert set(whole.flatten(1).sum(1).tolist()) <= {6, 9}  # two rows at an edge, three elsewhere
    assert (strokes[square] > 0.5).reshape(-1).sum() > 0
    assert not torch.equal(square, pictures.erased(strokes, SHAPE, side=3, seed=2)[1])


def test_an_image_without_ink_has_no_stroke(strokes):
    strokes[3] = 0.4
    with pytest.raises(ValueError, match="image 3 has no pixel above"):
        pictures.erased(strokes, SHAPE, seed=1)


@pytest.mark.control("left_over", "ideal", "null", "broken")
def test_what_is_left_over_of_a_damage(strokes):
    damaged, square = pictures.erased(strokes, SHAPE, seed=1)
    half_way = (strokes + damaged) / 2
    for where in (None, square):
        assert pictures.left_over(strokes, strokes, damaged, where) == 0
        assert pictures.left_over(damaged, strokes, damaged, where) == 1
        assert pictures.left_over(half_way, strokes, damaged, where) == pytest.approx(0.25)
        assert math.isnan(pictures.left_over(damaged, strokes, strokes, where))
    elsewhere = torch.where(square, strokes, 1.0)  # repaired, and everything else spoiled
    assert pictures.left_over(elsewhere, strokes, damaged, square) == 0
    assert pictures.left_over(elsewhere, strokes, damaged) > 1


def test_principal_components_rebuild_what_lies_on_them():
    basis, _ = torch.linalg.qr(torch.randn(30, 3, generator=seeded()))
    images = 0.5 + 0.05 * torch.randn(50, 3, generator=seeded(1)) @ basis.T
    assert torch.allclose(pictures.linear_rebuild(images, images, 3), images, atol=1e-5)
    off = pictures.linear_rebuild(images, images, 1)
    assert pictures.left_over(off, images, images.mean(0).expand_as(images)) > 0.2
    assert pictures.linear_rebuild(images, 3 * images, 3).max() <= 1


# Neighbors and walks


@pytest.mark.control("neighbors_kept", "ideal", "null")
def test_neighbors_of_a_copy_are_kept_and_of_noise_are_not():
    images = torch.randn(300, 8, generator=seeded())
    assert pictures.neighbors_kept(images, 2 * images) == {"trust": 1.0, "continuity": 1.0}
    noise = pictures.neighbors_kept(images, torch.randn(300, 2, generator=seeded(1)))
    assert all(abs(value - 0.5) < 0.05 for value in noise.values())


@pytest.mark.control("neighbors_kept", "broken")
def test_trust_and_continuity_are_two_things():
    """Two points at once for each image lose no neighbor, and make false ones; a torn sheet does the opposite."""
    line = torch.linspace(0, 1, 300)[:, None]
    folded = (line - 0.5).abs()
    kept = pictures.neighbors_kept(line, folded)
    assert kept["trust"] < 0.8 < 0.95 < kept["continuity"]


class Planted(torch.nn.Module):
    def __init__(self, mean_image):
        super().__init__()
        self.mean_image = mean_image


@pytest.mark.control("fastest_tenth", "ideal", "null", "broken")
def test_an_even_walk_a_jump_and_a_standstill():
    weight = torch.randn(2, 12, generator=seeded())
    start, end = torch.randn(2, 5, 2, generator=seeded(1))
    even = pictures.step_lengths(Planted(lambda z: z @ weight), start, end)
    assert even.shape == (5, 100)
    assert torch.allclose(even.sum(1), ((end - start) @ weight).norm(dim=1), rtol=1e-4)
    assert pictures.fastest_tenth(even) == pytest.approx(0.1, abs=1e-3)
    sides = torch.tensor([[-1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    jump = pictures.step_lengths(Planted(lambda z: (z[:, :1] > 0.3).float()), *sides)
    assert pictures.fastest_tenth(jump) == 1
    assert math.isnan(pictures.fastest_tenth(pictures.step_lengths(Planted(torch.zeros_like), *sides)))


def test_pairs_have_different_labels():
    labels = torch.arange(60) % 3
    a, b = pictures.pairs_of_classes(labels, 20, seed=1)
    assert len(a) == len(b) == 20
    assert (labels[a] != labels[b]).all()
    assert len(pictures.pairs_of_classes(torch.zeros(60), 20, seed=1)[0]) == 0


# Labels and places


@pytest.mark.control("labels_off", "ideal", "null", "broken")
def test_labels_of_samples():
    labels = torch.arange(400) % 4
    images = torch.nn.functional.one_hot(labels, 6).float() + 0.01 * torch.randn(400, 6, generator=seeded())
    assert pictures.labels_off(images, images, labels) == 0
    assert pictures.labels_off(images[labels == 2], images, labels) == pytest.approx(0.75)
    assert pictures.labels_off(images[labels > 1], images, labels) == pytest.approx(0.5)


@pytest.mark.control("outside", "ideal", "null", "broken")
def test_codes_outside_and_inside():
    labels = torch.arange(1000) % 2
    codes = torch.randn(1000, 2, generator=seeded())
    assert abs(pictures.outside(codes, labels, (1,), (0,))) < 0.1
    ring = codes / codes.norm(dim=1, keepdim=True) * (1 + 2.0 * labels)[:, None]
    assert pictures.outside(ring, labels, (1,), (0,)) == pytest.approx(2)
    assert pictures.outside(ring, labels, (0,), (1,)) == pytest.approx(-2)
    assert math.isnan(pictures.outside(codes, labels, (5,), (0,)))


# What is recorded, of a trained network and an untrained one


def test_recorded_measures_tell_a_trained_network_from_an_untrained_one(monkeypatch):
    config = vaelib.TrainConfig("digits", epochs=60)
    trained = vaelib.runs.get_or_train(config, progress=False)
    null = replace(trained, model=initial_model(config, 64))
    assert isinstance(null, TrainedRun)
    good, bad = pictures.figures(trained), pictures.figures(null)
    assert good.keys() == bad.keys()
    assert good["trust"] > 0.85 > 0.75 > bad["trust"]
    assert good["trust_tsne"] == bad["trust_tsne"] > 0.95  # of the images alone
    assert good["labels_off"] < 0.4 < 0.6 < bad["labels_off"]
    assert bad["fastest"] < 0.11 < good["fastest"] < 0.3  # what changes hardly at all changes evenly
    repaired, not_repaired = pictures.repair(trained), pictures.repair(null)
    assert repaired["vae"] < not_repaired["vae"]
    assert {k: repaired[k] for k in ("ae", "pca", "mean")} == {k: not_repaired[k] for k in ("ae", "pca", "mean")}
    assert repaired["whole"] < 1 < not_repaired["whole"]
    assert abs(pictures.layout(null)["outside"]) < 0.05
