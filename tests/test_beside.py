"""The VAE's plane beside others: rows, table, picture, findings and a rule, on planted numbers and on real digits."""

import math
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from vaelib import embeddings, results
from vaelib.embeddings import METHODS
from vaelib.report import agreement, beside
from vaelib.report.verdicts import DID_NOT_HOLD, HELD

N = 150


def planted(setting, votes, seeds=5):
    """Recorded rows of a method, its share of right votes a little apart from seed to seed."""
    rows = [
        {"seed": seed, "votes": votes + 0.001 * seed * (-1) ** seed, "votes_fitted": votes, "trust": 0.8}
        | {"continuity": math.nan, "fit_seconds": 2.0, "embed_ms": 30.0, "embeds": 1, "generates": 0}
        for seed in range(1, seeds + 1)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def recorded(monkeypatch):
    """Plant rows: `recorded({"PCA": 0.5, ...})`, a share of right votes by method, or a function that makes rows."""
    monkeypatch.setattr(embeddings, "IMAGES", N)
    monkeypatch.setattr(beside, "SHOWN", N)

    def plant(votes, seeds=5):
        def like(part, setting):
            if part == "compared_points":
                values = {f"{axis}{i}": float(i) for i in range(beside.SHOWN) for axis in "xy"}
                return pd.DataFrame([{"seed": 1} | values])
            method = setting["method"]
            if callable(votes):
                return votes(method)
            return planted(setting, votes[method], seeds) if method in votes else pd.DataFrame(columns=["seed"])

        for module in (results, sys.modules[agreement.__module__]):
            monkeypatch.setattr(module, "like", like)

    return plant


def alone(votes, seeds=5):
    rows = {method: planted(None, share, seeds).set_index("seed") for method, share in votes.items()}
    return beside.Planes(None, {}, {}, rows, {})


@pytest.mark.parametrize(
    ("own", "outcome"),
    [
        (0.9, "('PCA, UMAP', 'none', 'none')"),
        (0.7, "('PCA', 'UMAP', 'none')"),
        (0.5, "('none', 'UMAP', 'PCA')"),
        (0.1, "('none', 'PCA, UMAP', 'none')"),
    ],
)
def test_the_vae_is_ahead_behind_or_level(own, outcome):
    found = beside.stands(alone({"VAE": own, "PCA": 0.5, "UMAP": 0.8}), "votes", "right votes")
    assert found.outcome == outcome
    assert "right votes" in found.text


def test_the_others_are_listed_by_how_the_vae_stands():
    found = beside.stands(alone({"VAE": 0.5, "PCA": 0.4, "LDA": 0.3, "UMAP": 0.5, "t-SNE": 0.6}), "votes", "votes")
    assert found.text == "By votes the VAE is ahead of PCA and LDA, behind t-SNE, too close to call beside UMAP."


def test_two_seeds_and_what_was_not_measured_give_no_finding():
    votes = {"VAE": 0.9, "PCA": 0.5}
    assert beside.stands(alone(votes, seeds=2), "votes", "right votes").text == ""
    assert beside.stands(alone(votes), "continuity", "continuity").outcome is None


def test_the_pages_own_scores_take_the_place_of_their_seed_but_not_its_seconds(recorded):
    recorded(dict.fromkeys(METHODS, 0.6))
    found = beside.planes("digits", 2, smoke=False)
    assert set(found.fitted) == set(embeddings.FAST)
    for method, rows in found.rows.items():
        assert rows.index.tolist() == [1, 2, 3, 4, 5]
        assert rows["fit_seconds"].tolist() == [2.0] * 5
        if method in found.measured:
            assert rows.loc[2, "votes"] == found.measured[method]["votes"]
    assert beside.agrees(found).outcome is False  # digits are not what was planted
    table = beside.table(found)
    assert table.index.tolist() == list(METHODS)
    assert table.loc["UMAP", "seconds to fit"].startswith("2")
    assert table.loc["UMAP", "right votes, new images"].startswith("59.9")
    assert "over 5 seeds" in str(beside.read(found))


def test_agreement_with_what_was_recorded(recorded):
    recorded({})
    own = beside.planes("digits", 1, smoke=False)
    off = dict.fromkeys(own.measured, 0.0)

    def rows(method):
        at = {name: own.measured[method][name] + off[method] for name in beside.QUALITY}
        return pd.DataFrame([{name: value + step for name, value in at.items()} for step in (-0.01, 0, 0.01)])

    recorded(rows)
    assert beside.agrees(own).outcome is True
    assert "VAE, PCA, LDA" in beside.agrees(own).text
    off["PCA"] = 0.2
    assert beside.agrees(own).outcome is False
    assert beside.agrees(own).text.endswith("of PCA.")


def test_a_page_without_recorded_runs_shows_what_it_fitted(recorded):
    recorded({})
    found = beside.planes("digits", 1, smoke=True)
    table = beside.table(found)
    assert table.index.tolist() == list(embeddings.FAST)
    assert set(table["seconds to fit"]) == {"–"}
    assert table["makes new images"].tolist() == ["yes", "yes", "no"]
    assert beside.read(found).findings == {
        "planes agree": None,
        **{f"beside others, {score}": None for score in ("votes", "trust", "continuity")},
    }
    assert "holds no runs" in str(beside.read(found))


@pytest.mark.parametrize(
    ("images", "labelled", "methods"),
    [(2, True, ["VAE", "PCA"]), (12, True, ["VAE", "PCA", "LDA"]), (60, False, ["VAE", "PCA"])],
)
def test_few_images_of_ones_own(tmp_path, images, labelled, methods):
    digits = load_digits()
    labels = {"labels": digits.target[:images]} if labelled else {}
    np.savez(tmp_path / "few.npz", images=digits.images[:images] / 16, **labels)
    found = beside.planes(str(tmp_path / "few.npz"), 1, smoke=True)
    assert beside.table(found).index.tolist() == methods
    assert len(beside.figure(found, name="fig-a", of="mine").figure.axes) == len(methods)


def test_images_that_are_all_alike_have_no_classes_to_tell(tmp_path):
    np.savez(tmp_path / "alike.npz", images=np.full((60, 4, 4), 0.5), labels=np.arange(60) % 3)
    assert list(beside.planes(str(tmp_path / "alike.npz"), 1, smoke=True).fitted) == ["VAE", "PCA"]


def test_the_picture_has_a_panel_for_each_plane_of_the_same_seed(recorded):
    recorded(dict.fromkeys(METHODS, 0.6))
    own = beside.planes("digits", 1, smoke=False)
    titles = [ax.get_title() for ax in beside.figure(own, name="fig-a", of="digits").figure.axes]
    assert titles == list(METHODS)
    other = beside.figure(beside.planes("digits", 2, smoke=False), name="fig-a", of="digits")
    assert [ax.get_title() for ax in other.figure.axes] == list(embeddings.FAST)
    assert f"{N} images of digits" in other.caption


def test_most_methods_make_no_images_or_most_do():
    assert beside.lacking({"PCA": 1.0, "LDA": 0.0, "UMAP": 0.0}).outcome == HELD
    assert beside.lacking({"PCA": 1.0, "LDA": 1.0, "UMAP": 0.0}).outcome == DID_NOT_HOLD
    assert "LDA, UMAP" in beside.lacking({"PCA": 1.0, "LDA": 0.0, "UMAP": 0.0}).measured
