"""What is said of runs at several latent sizes, where the answer is known: tables, findings, verdicts."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from vaelib import latent_sizes, results
from vaelib.report import sizes

SEEDS = pd.Index([1, 2, 3], name="seed")


def rows(seeds=SEEDS, **values):
    """Runs over seeds, each measure a value or one a seed."""
    blank = dict.fromkeys(latent_sizes.MEASURES, math.nan)
    return pd.DataFrame(blank | values, index=seeds, dtype=float)


def by_size(measure, values):
    return {k: rows(**{measure: value}) for k, value in values.items()}


def test_the_pages_own_run_takes_the_place_of_its_seed():
    recorded = rows(elbo=[-1, -2, -3])
    own = dict.fromkeys(latent_sizes.MEASURES, 7.0)
    assert sizes.with_own(recorded, 2, own)["elbo"].tolist() == [-1, 7, -3]
    assert sizes.with_own(recorded, 9, own)["elbo"].tolist() == [-1, -2, -3, 7]
    assert sizes.with_own(recorded, 2, None) is recorded
    assert sizes.with_own(rows(seeds=SEEDS[:0]), 5, own).index.tolist() == [5]


def test_recorded_runs_are_found_by_their_k(monkeypatch):
    monkeypatch.setattr(
        results, "recorded", lambda part, config: pd.DataFrame({"seed": [1], "elbo": [-float(config.latent_dim)]})
    )
    assert sizes.recorded(latent_sizes.CONFIG, 5)["elbo"].to_dict() == {1: -5}
    monkeypatch.setattr(results, "recorded", lambda part, config: pd.DataFrame(columns=["seed"]))
    assert sizes.recorded(replace(latent_sizes.CONFIG, epochs=3), 5).empty


def test_a_table_leaves_out_what_nobody_measured():
    table = sizes.table(by_size("rate", {1: [1.0, 2, 3], 2: 4.0}))
    assert table.index.tolist() == ["rate"]
    assert table.loc["rate"].to_dict() == {"K = 1": "2.0 ± 2.5", "K = 2": "4.0"}
    assert sizes.table(by_size("knn", {5: [0.5, 0.6, 0.7]})).loc["nearest codes vote right", "K = 5"] == "60.0% ± 24.8%"


def test_curves_have_bars_where_there_are_seeds():
    runs = by_size("rate", {1: [1.0, 2, 3]}) | {2: rows(seeds=SEEDS[:1], rate=5.0)}
    means, bars = sizes.curve(runs, "rate")
    assert means == [2, 5]
    assert bars == [pytest.approx(2.484, abs=1e-3), 0]  # Student's t with 2 degrees of freedom: 4.303 / sqrt(3)


def test_changes_are_paired_by_seed():
    runs = {2: rows(rate=[1, 2, 3]), 10: rows(seeds=SEEDS[1:], rate=[7, 9])}
    assert sizes.change(runs, "rate", 2, 10) == [5, 6]
    assert math.isnan(*sizes.change(runs, "rate", 2, 50))
    assert math.isnan(*sizes.change({2: rows(), 10: rows()}, "rate", 2, 10))


def test_findings_follow_the_numbers():
    best = sizes.best("best", by_size("elbo", {2: -150, 10: -120, 50: -125}), "elbo", "The ELBO")
    assert (best.outcome, best.text) == (
        10,
        "The ELBO is largest at $K = 10$, -120.0 on average; at $K = 50$ it is 5.0 lower.",
    )
    assert sizes.best("best", by_size("elbo", {2: -9, 10: -5}), "elbo", "It").text.endswith("-5.0 on average.")
    assert sizes.saturation(by_size("rate", {1: 3, 2: 6, 10: 13, 20: 13.5, 50: 13})).outcome == 10
    assert sizes.saturation(by_size("rate", {1: 3, 2: 3.5})).outcome == "never"
    some, all_active = (sizes.active(by_size("active", found)) for found in ({2: 2, 50: 14.2}, {2: 2, 10: 10}))
    assert some.text == "At $K = 50$ 14.2 units are active on average; of a code of 2 all are."
    assert all_active.outcome == "(10, 10)"
    assert sizes.active(by_size("active", {2: 0, 50: 1})).text.endswith("at no $K$ of this page are all.")
    votes = {k: rows(knn=knn, pca=0.88) for k, knn in {2: 0.5, 50: 0.95}.items()}
    assert sizes.votes(votes).outcome == "larger"
    assert sizes.votes({50: rows(knn=0.87, pca=0.88)}).outcome == "level"
    assert sizes.votes({50: rows()}).text == ""
    assert sizes.sharpness({1: 0.1, 50: 0.4}).text.endswith(
        "40% of the images' own variance of the Laplacian, against 10%."
    )
    assert sizes.sharpness({1: 0.4, 50: 0.1}).outcome == "smaller"
    assert sizes.sharpness({1: math.nan, 50: 0.1}).text == ""


def grid(**values):
    """Runs at K = 2, 10 and 50 by measures, each a value for each of the three."""
    return {
        k: rows(**{name: [each[i] - 0.01, each[i], each[i] + 0.01] for name, each in values.items()})
        for i, k in enumerate((2, 10, 50))
    }


def outcomes(runs):
    return [verdict.outcome for verdict in sizes.rules(runs)]


def test_verdicts_of_a_claim_that_holds_that_fails_and_of_no_runs():
    holds = grid(distortion=(150, 110, 105), knn=(0.7, 0.9, 0.9), active=(2, 10, 14), elbo=(-155, -122, -122.5))
    assert outcomes(holds) == ["held"] * 5
    fails = grid(distortion=(110, 120, 130), knn=(0.9, 0.8, 0.7), active=(2, 10, 40), elbo=(-120, -122, -130))
    assert outcomes(fails) == ["did not hold"] * 5
    assert outcomes({2: rows(), 10: rows(), 50: rows()}) == [None] * 5
    assert outcomes({7: rows(distortion=1.0)}) == [None] * 5
