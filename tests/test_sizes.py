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
    assert table.loc["rate"].to_dict() == {"K = 1": "2.0 ± 2.5", "K = 2": "4.0 ± 0.0"}
    assert sizes.table({2: rows(seeds=SEEDS[:1], rate=4.0)}).loc["rate", "K = 2"] == "4.0"
    assert sizes.table(by_size("pca", {5: 0.5})).loc["nearest PCA codes vote right", "K = 5"] == "50.0%"
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
    assert sizes.saturation(by_size("rate", {1: 3, 2: 6, 10: 13, 20: 13.5, 50: 13})).outcome == 10
    assert sizes.saturation(by_size("rate", {1: 3, 2: 6, 10: 6.5, 50: 13})).outcome == 2  # and not 50, after a gap
    assert sizes.saturation(by_size("rate", {1: 3, 2: 3.5})).outcome == "never"
    some = sizes.active(by_size("active", {1: 1, 2: 2, 10: [10, 10, 9], 50: [12, 14, 16]}))
    assert some.outcome == "(14, 2)"
    assert some.text == (
        "At $K = 50$, 14.0 units are active on average, 12 to 16 in single runs; up to $K = 2$ all are, in every run."
    )
    assert sizes.active(by_size("active", {2: 2, 10: 10})).outcome == "(10, 10)"
    assert "at the smallest size, $K = 2$, there are runs" in sizes.active(by_size("active", {2: 0, 50: 50})).text
    one = sizes.active({50: rows(seeds=SEEDS[:1], active=14)})
    assert one.text.startswith("At $K = 50$, 14.0 units are active; ")
    votes = {k: rows(knn=knn, pca=0.88) for k, knn in {2: 0.5, 50: 0.95}.items()}
    assert sizes.votes(votes).outcome == "larger"
    assert sizes.votes({50: rows(knn=0.87, pca=0.88)}).outcome == "level"
    assert sizes.votes({50: rows()}).text == ""
    assert sizes.sharpness({1: 0.1, 50: 0.4}).text.endswith(
        "40% of the images' own variance of the Laplacian, against 10%."
    )
    assert sizes.sharpness({1: 0.4, 50: 0.1}).outcome == "smaller"
    assert sizes.sharpness({1: math.nan, 50: 0.1}).text == ""


def test_the_best_size_is_told_from_the_next_where_seeds_tell_them_apart():
    runs = by_size("elbo", {2: -150, 10: -120, 20: [-121, -120.5, -119.5], 50: -125})
    level = sizes.best("best", runs, "elbo", "The ELBO")
    assert level.outcome == "(10, False)"
    assert level.text == (
        "The ELBO is largest at $K = 10$, -120.0 on average; at $K = 20$, which comes next, it is 0.3 lower "
        "(-1.6 to 2.2), no difference that these seeds establish; at $K = 50$ it is 5.0 lower."
    )
    apart = sizes.best("best", by_size("elbo", {2: -9, 10: [-5, -4.9, -5.1]}), "elbo", "It")
    assert apart.outcome == "(10, True)"
    assert apart.text.endswith("at $K = 2$, which comes next, it is 4.0 lower (3.8 to 4.2).")
    one = sizes.best("best", {k: rows(seeds=SEEDS[:1], elbo=-k) for k in (2, 3)}, "elbo", "It")
    assert one.text == "It is largest at $K = 2$, -2.0; at $K = 3$, which comes next, it is 1.0 lower."
    alone = sizes.best("best", by_size("elbo", {2: -9}), "elbo", "It")
    assert alone.text == "It is largest at $K = 2$, -9.0 on average."


def test_the_number_of_runs_in_words():
    assert sizes.among({2: rows(), 10: rows()}) == "3 runs"
    assert sizes.among({2: rows(seeds=SEEDS[:1])}) == "1 run"
    assert sizes.among({2: rows(), 10: rows(seeds=SEEDS[:1])}) == "1 to 3 runs"


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
