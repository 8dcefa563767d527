"""What is said of recorded counts: on tables whose answer is known, on none, and on broken ones."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from vaelib import evidence
from vaelib.report import counts

RIGHT = dict.fromkeys(counts.RULES, 0.0)


@pytest.fixture
def recorded(monkeypatch):
    """Planted runs of three seeds that count what `found` says, and drawn boots that count what `two` says."""

    def plant(found=lambda truth, rule, seed: truth, two=2.0):
        def current(part, config):
            if part == "planted_dimension":
                truth = config["true_dim"]
                rows = [
                    {rule: found(truth, rule, seed) for rule in counts.RULES} | {"seed": seed} for seed in (1, 2, 3)
                ]
            elif (part, config) == ("boots_control", evidence.DRAWN_BOOTS):
                rows = [dict.fromkeys(counts.RULES, two) | {"seed": 1, "elbo": -9.0}]
            else:
                rows = []
            return pd.DataFrame(rows, columns=["seed", "elbo", *counts.RULES])

        monkeypatch.setattr(counts.results, "current", current)
        return counts.planted(6000, 40)

    return plant


def outcomes(rows, kl, latent_dim=20, twonn=2.1):
    rules = counts.rules("boots", latent_dim, {"kl": kl, "sum_fall": kl}, twonn, rows)
    return {verdict.claim: verdict.outcome for verdict in rules}


def test_rules_that_are_right_are_sure_and_let_two_be_found(recorded):
    rows = recorded()
    assert len(rows) == 24
    assert counts.miscounts(rows).to_dict("records") == [RIGHT] * 3
    assert counts.sure(rows) == list(counts.RULES)
    assert set(outcomes(rows, [2, 2, 2]).values()) == {"held"}


def test_a_third_dimension_refutes_two_only_where_the_rule_has_no_such_error(recorded):
    assert outcomes(recorded(), [3, 3, 4])["boots use two dimensions"] == "too close to call"  # its interval reaches 2
    assert outcomes(recorded(), [3, 3, 3])["boots use two dimensions"] == "did not hold"
    assert outcomes(recorded(two=3.0), [3, 3, 3])["boots use two dimensions"] == "too close to call"
    assert outcomes(recorded(two=3.0), [2, 2, 2])["boots use two dimensions"] == "too close to call"


def test_a_rule_that_always_says_two_is_not_sure(recorded):
    rows = recorded(lambda truth, rule, seed: 2.0 if rule == "sum_fall" else truth)
    assert counts.miscounts(rows)["sum_fall"].tolist() == [pytest.approx((1 + sum(range(7))) / 8)] * 3
    assert "sum_fall" not in counts.sure(rows)
    assert outcomes(rows, [2, 2, 2])["the column sums count a planted dimension"] == "did not hold"


def test_without_room_for_a_third_dimension_nothing_is_said_of_it(recorded):
    for latent_dim in (1, 2):
        found = outcomes(recorded(), [2, 2, 2], latent_dim, math.nan)
        assert found["boots use two dimensions"] is None
        assert found["fewer than half of the dimensions are in use"] is None
        assert not any("surface" in claim for claim in found)


def test_nothing_recorded_is_nothing_said(monkeypatch):
    monkeypatch.setattr(counts.results, "current", lambda part, config: pd.DataFrame(columns=["seed"]))
    rows = counts.planted(6000, 40)
    assert counts.sure(rows) == []
    assert counts.errors({(6000, 40): rows}).iloc[:, 0].tolist() == ["not recorded"] * len(counts.RULES)
    assert set(counts.table({"boots": counts.recorded(evidence.BOOTS)})["boots"]) == {"not recorded"}
    assert counts.change(rows, rows) == "undefined"
    found = outcomes(rows, [2, 2, 2])
    assert found["boots use two dimensions"] is None
    assert found["the nats count a planted dimension"] is None


def test_words_of_recorded_counts(recorded):
    recorded()
    runs = counts.recorded(evidence.DRAWN_BOOTS)
    assert runs["elbo"].tolist() == [-9.0]
    assert counts.recorded(replace(evidence.DRAWN_BOOTS, latent_dim=2)).empty
    table = counts.table({"one run": runs, "two": pd.concat([runs, runs])})
    assert table.loc["KL above 0.1 nats"].tolist() == ["2.00 (one run)", "2.00 (2.00 to 2.00)"]  # one run has no spread
    assert counts.spread([1.0, 2.0, 3.0]).startswith("2.00 (-0.48 to ")
    assert counts.listed(["kl", "sum", "twonn"]) == "KL above 0.1 nats, elbow of the column sums and TwoNN"
    assert (counts.listed(["kl"]), counts.listed([])) == ("KL above 0.1 nats", "none of them")
