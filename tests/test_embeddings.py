"""Six planes of the same images: what each is, what it can do, and that its scores tell a good plane from noise."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from vaelib import embeddings
from vaelib.config import TrainConfig
from vaelib.embeddings import METHODS, Plane

N = 200
# UMAP is imported and compiled for half a minute.
EACH = [pytest.param(method, marks=[pytest.mark.slow] if method == "UMAP" else []) for method in METHODS]

pytestmark = pytest.mark.xdist_group("embeddings")  # or each worker would wait for the compiler


@pytest.fixture(autouse=True)
def threads():
    """UMAP's compiler sets the number of threads of the whole process: it is put back to the one of all tests."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def images():
    return embeddings.few("digits", N, 1)


@pytest.fixture(scope="session")
def plane(images):
    """The plane of a method, fitted once."""
    return cache(lambda method: embeddings.fitted(method, images[0], 1))


def shuffled(data):
    order = torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(0))
    return replace(data, labels=data.labels[order])


def test_few_images_are_drawn_by_the_seed(images):
    given, new = images
    assert len(given.images) == len(new.images) == N
    assert torch.equal(embeddings.few("digits", N, 1)[0].images, given.images)
    assert not torch.equal(embeddings.few("digits", N, 2)[0].images, given.images)
    whole = TrainConfig("digits").load("train")
    assert len(embeddings.few("digits", 10**6, 1)[0].images) == len(whole.images)
    row = (whole.images == given.images[0]).all(1).nonzero()[0].item()
    assert whole.labels[row] == given.labels[0]


@pytest.mark.parametrize("method", EACH)
def test_what_each_method_can_do(images, plane, method):
    fitted = plane(method)
    assert fitted.codes.shape == (N, 2)
    assert fitted.codes.isfinite().all()
    assert fitted.seconds > 0
    assert (fitted.embed is None) == (method == "t-SNE")
    if fitted.embed:
        assert fitted.embed(images[1].images[:7]).shape == (7, 2)
    assert (fitted.generate is not None) == (method in ("VAE", "PCA"))
    if fitted.generate:
        drawn = fitted.generate(9, torch.Generator().manual_seed(0))
        assert drawn.shape == (9, 64)
        assert drawn.std(0).max() > 0


@pytest.mark.parametrize("method", ["VAE", "PCA", "LDA", "autoencoder"])
def test_new_images_are_placed_as_fitted_ones_are(images, plane, method):
    torch.testing.assert_close(plane(method).embed(images[0].images), plane(method).codes, atol=1e-3, rtol=1e-3)


def test_principal_components_are_those_of_the_singular_vectors(images, plane):
    x = images[0].images.double().numpy()
    _, _, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(plane("PCA").codes.abs(), np.abs((x - x.mean(0)) @ axes[:2].T), atol=1e-3)


def test_what_pca_makes_has_the_mean_and_the_spread_of_its_codes(images, plane):
    drawn = plane("PCA").generate(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), images[0].images.mean(0), atol=0.03, rtol=0)
    codes = plane("PCA").embed(drawn)
    torch.testing.assert_close(codes.std(0), plane("PCA").codes.std(0), atol=0, rtol=0.05)


@pytest.mark.parametrize("method", EACH)
def test_labels_reach_lda_and_nothing_else_and_a_method_repeats_itself(images, plane, method):
    again = embeddings.fitted(method, shuffled(images[0]), 1)
    assert torch.equal(again.codes, plane(method).codes) == (method != "LDA")


def test_scores_tell_a_plane_of_classes_from_noise(images, plane):
    given, new = images
    good = embeddings.scores(plane("LDA"), given, new)
    assert good["votes"] > 0.3
    draw = torch.Generator().manual_seed(0)
    noise = Plane(torch.randn(N, 2, generator=draw), 1.0, lambda x: torch.randn(len(x), 2, generator=draw))
    null = embeddings.scores(noise, given, new)
    assert max(null["votes"], null["votes_fitted"]) < 0.2
    assert abs(null["trust"] - 0.5) < 0.06
    assert abs(null["continuity"] - 0.5) < 0.06
    copy = embeddings.scores(Plane(given.images, 1.0), given, new)
    assert min(copy["trust"], copy["continuity"]) > 0.9999  # images that are equally far apart may change places
    assert (copy["embeds"], copy["generates"], copy["fit_seconds"]) == (0, 0, 1)
    assert math.isnan(copy["votes"]) and math.isnan(copy["embed_ms"])
    assert good["embed_ms"] > 0


def test_without_labels_or_with_few_images_some_are_left_out(images):
    given, new = images
    unlabelled = replace(given, labels=torch.full_like(given.labels, -1))
    assert embeddings.fitted("LDA", unlabelled, 1) is None
    found = embeddings.scores(embeddings.fitted("PCA", unlabelled, 1), unlabelled, new)
    assert math.isnan(found["votes"]) and math.isnan(found["votes_fitted"])
    assert found["trust"] > 0.7
    some = replace(given, images=given.images[:20], labels=given.labels[:20])
    assert embeddings.fitted("t-SNE", some, 1) is None
    assert math.isnan(embeddings.scores(embeddings.fitted("PCA", some, 1), some, new)["trust"])


@pytest.mark.slow
def test_few_images_have_no_neighbors_of_neighbors(images):
    some = replace(images[0], images=images[0].images[:20], labels=images[0].labels[:20])
    assert embeddings.fitted("UMAP", some, 1) is None


def test_an_unknown_method_is_named(images):
    with pytest.raises(ValueError, match="unknown method 'ICA': one of VAE, PCA"):
        embeddings.fitted("ICA", images[0], 1)


def test_what_is_recorded_is_what_is_measured(images, plane):
    setting = embeddings.settings("digits", ["PCA"], N)[0] | {"seed": 1}
    expected = embeddings.scores(plane("PCA"), *images)
    timed = ("fit_seconds", "embed_ms")
    found = embeddings.compared(setting)
    assert {k: v for k, v in found.items() if k not in timed} == {k: v for k, v in expected.items() if k not in timed}
    points = embeddings.points(setting)
    assert list(points)[:3] == ["x0", "y0", "x1"] and len(points) == 2 * N
    codes = plane("PCA").codes
    assert points["y1"] == pytest.approx(((codes[1, 1] - codes[:, 1].mean()) / codes.std()).item(), abs=1e-3)
