"""What a page says: true of each outcome, silent where nothing can be said, and safe inside a page."""

import dataclasses
import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from vaelib import official, report, results
from vaelib.report import compare, conclusive, equal, finding, notice, provenance, reading, title, verdicts
from vaelib.training import fit

NASTY = '<script>alert("x")&.npz'


@pytest.fixture
def run(tiny_npz):
    return fit(dataclasses.replace(tiny_npz, latent_dim=3, seed=5), progress=False, device="cpu")


def bundle(shown):
    """What a page gets: the representations, and vaelib's part of the output's metadata."""
    data, metadata = shown._repr_mimebundle_()
    return data, metadata["vaelib"]


# Findings


@pytest.mark.parametrize(
    ("a", "b", "within", "word"),
    [
        (2.0, 1.0, 0.0, "larger"),
        (1.0, 2.0, 0.0, "smaller"),
        (1.0, 1.0, 0.0, "level"),
        (1.5, 1.0, 0.5, "level"),
        (1.51, 1.0, 0.5, "larger"),
        (math.nan, 1.0, 9.0, "undefined"),
        (1.0, math.nan, 9.0, "undefined"),
        (math.inf, 1.0, 9.0, "larger"),
    ],
)
def test_compare(a, b, within, word):
    assert compare(a, b, within=within) == word


def test_a_finding_says_what_its_outcome_makes_true():
    texts = {True: "It rises to {top:.1f}.", False: "It stays below {top:.1f}."}
    assert str(finding("rise", True, texts, top=2.25)) == "It rises to 2.2."
    assert str(finding("rise", np.bool_(False), texts, top=2.25)) == "It stays below 2.2."
    assert str(finding("rise", torch.tensor(True), texts, top=2.25)) == "It rises to 2.2."
    assert str(finding("which", ("a", "b"), "It takes {a} for {b}.", a="a", b="b")) == "It takes a for b."


def test_values_are_filled_into_the_text_that_is_said_only():
    texts = {True: "{ratio:.1f}", False: "There is none."}
    assert str(finding("ratio", False, texts, ratio=None)) == "There is none."
    assert str(finding("braces", True, {True: "$z_{1}$"})) == "$z_{1}$"  # without values a text stays as it is


@pytest.mark.parametrize("outcome", [None, "undefined"])
def test_where_a_question_does_not_apply_nothing_is_said(outcome):
    assert str(finding("none", outcome, {True: "yes", False: "no"}, x=1)) == ""
    assert str(finding("none", outcome, "The words of {x:.1f}.", x=None)) == ""
    assert str(finding("none", outcome, {outcome: "It cannot be asked."})) == "It cannot be asked."


def test_an_outcome_without_words_is_an_error():
    with pytest.raises(ValueError, match=r"'rise': nothing is said of the outcome 'level', only of \['larger'\]"):
        finding("rise", "level", {"larger": "It rises."})


def test_a_reading_is_a_paragraph_and_carries_its_outcomes():
    shown = reading("Plain.", finding("a", True, {True: "Found."}), "", finding("b", None, "Never."))
    data, told = bundle(shown)
    assert data == {"text/markdown": "Plain. Found.", "text/plain": "Plain. Found."}
    assert told == {"findings": {"a": True, "b": None}}
    assert repr(shown) == "Plain. Found."


def test_outcomes_can_be_written_as_json():
    outcomes = [np.float32(0.5), np.int64(3), np.bool_(True), torch.tensor(2), ("a", 1), "word", None, True]
    _, told = bundle(reading(*(finding(str(i), outcome, "Said.") for i, outcome in enumerate(outcomes))))
    assert json.loads(json.dumps(told))["findings"] == {
        "0": 0.5, "1": 3, "2": True, "3": 2, "4": "('a', 1)", "5": "word", "6": None, "7": True
    }  # fmt: skip


def test_a_captioned_figure_carries_its_words():
    figure = plt.figure()
    data, told = bundle(report.captioned(figure, name="fig-x", caption="**Figure.** X of MNIST.", alt="An x."))
    plt.close(figure)
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"] == "fig-x: **Figure.** X of MNIST."
    assert told == {"figure": {"name": "fig-x", "caption": "**Figure.** X of MNIST.", "alt": "An x."}}


@pytest.mark.parametrize("lacking", ["caption", "alt"])
def test_a_figure_without_words_is_refused(lacking):
    words = {"caption": "A caption.", "alt": "In words."} | {lacking: " "}
    with pytest.raises(ValueError, match="'fig-x' needs"):
        report.captioned(None, name="fig-x", **words)


# Which run a page shows


def test_names_as_a_page_writes_them(make_dataset):
    assert [title(name) for name in ("MNIST", "FashionMNIST", "/some/where/mine.npz")] == [
        "MNIST", "Fashion-MNIST", "mine.npz"
    ]  # fmt: skip
    assert [report.numbers(k) for k in (1, 2, 10, 20)] == ["one number", "two numbers", "ten numbers", "20 numbers"]
    assert [report.axes(dims) for dims in ((0,), (2, 6))] == ["$z_{1}$", "$z_{3}$ and $z_{7}$"]
    assert report.axes((0, 1, 2)) == "$z_{1}$, $z_{2}$ and $z_{3}$"
    data = make_dataset(torch.zeros(2, 4))
    assert report.class_name(data, 1) == "label 1"
    assert report.class_name(dataclasses.replace(data, class_names=("Coat", "Bag")), 1) == "Bag"


def test_provenance_names_data_sizes_seed_and_result(run):
    text = repr(provenance(run))
    for part in (
        "tiny.npz",
        run.data_digest[:8],
        "K = 3",
        "2 epochs",
        "seed 5",
        f"{run.heldout.elbo:.1f} nats",
    ):
        assert part in text
    assert "classes" not in text
    some = dataclasses.replace(run, config=dataclasses.replace(run.config, classes=(9, 1)))
    assert "classes 9, 1" in repr(provenance(some))


def test_provenance_carries_a_runs_warning(run):
    quiet, loud = (dataclasses.replace(run, warning=words) for words in ("", "worse than <the mean>"))
    assert "Warning" not in repr(provenance(quiet))
    assert repr(provenance(loud)).endswith(" · Warning: worse than <the mean>")
    assert "worse than &lt;the mean&gt;" in provenance(loud)._repr_html_()


def test_nothing_to_warn_of_is_nothing():
    quiet = notice("MNIST", asked="MNIST")
    assert not quiet
    assert (repr(quiet), quiet._repr_html_()) == ("", "")
    assert not notice("MNIST")


def test_a_stand_in_is_named_together_with_what_it_stands_for():
    banner = notice("digits", asked="MNIST")
    assert banner
    for text in (repr(banner), banner._repr_html_()):
        assert "MNIST could not be found or downloaded" in text
        assert "digits" in text
    assert "digits" in notice("digits", asked="digits").text
    assert "smoke" not in repr(banner)


def test_a_smoke_page_says_so_even_on_real_data():
    assert "smoke" in notice("MNIST", asked="MNIST", smoke=True).text
    both = notice("synthetic-boots", asked="FashionMNIST", smoke=True).text
    assert "smoke" in both
    assert "FashionMNIST could not be found" in both


def test_no_markup_of_a_name_reaches_the_page(run):
    config = dataclasses.replace(run.config, dataset=NASTY)
    nasty = dataclasses.replace(run, config=config)
    for thing in (
        provenance(nasty),
        notice(NASTY, asked=NASTY + "2"),
        notice("digits", asked=NASTY),
        report.opening(nasty, run.config),
        verdicts(report.exact(NASTY, True, of=NASTY, rule=NASTY), dataset="MNIST", smoke=False),
    ):
        html = thing._repr_html_() if hasattr(thing, "_repr_html_") else bundle(thing)[0]["text/html"]
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert "&amp;" in html
        assert "<script" in repr(thing)  # plain text is left as it is


def test_the_books_own_run_has_no_opening(run):
    opening = report.opening(run, run.config)
    assert (repr(opening), opening._repr_html_()) == ("", "")


def test_an_opening_says_what_differs_and_sets_the_two_elbos_side_by_side(run, trainings):
    book = dataclasses.replace(run.config, latent_dim=2, epochs=3, seed=1)
    assert repr(report.opening(run, book)) == (
        "This page differs from the book's own in: K = 3 (there 2), epochs 2 (there 3), seed 5 (there 1). Held-out "
        f"ELBO in nats per image: {run.heldout.elbo:.1f} here, the book's own run is not stored on this machine."
    )
    assert trainings == []  # no run is made to open a page
    there = results.get_or_train(book)
    assert f"here, {there.heldout.elbo:.1f} in the book's run on this machine." in repr(report.opening(run, book))
    fewer = dataclasses.replace(book, limit=20)
    results.get_or_train(fewer)
    assert repr(report.opening(run, fewer)).endswith("of different images, so they do not compare.")


@pytest.mark.usefixtures("offline")
def test_an_opening_does_without_the_books_data(run, monkeypatch):
    monkeypatch.setattr(official, "download", lambda name: pytest.fail(f"{name} would be downloaded for one line"))
    text = repr(report.opening(run, dataclasses.replace(run.config, dataset="MNIST"), asked="MNIST", smoke=True))
    assert "MNIST could not be found" in text
    assert "smoke run" in text
    assert "tiny.npz (there MNIST)" in text
    assert text.endswith("here, the book's own run is not stored on this machine.")


# Verdicts


def test_an_interval_is_that_of_students_t():
    values = [1.0, 2.0, 4.0, 7.0]
    mean, low, high = report.interval(values)
    assert mean == 3.5
    half = 3.182446 * np.std(values, ddof=1) / 2  # the table's quantile for three degrees of freedom
    assert (high - mean, mean - low) == pytest.approx((half, half))
    assert report.interval([3.0]) == (3.0, -math.inf, math.inf)
    assert math.isnan(report.interval([1.0, math.nan])[0])


@pytest.mark.parametrize(
    ("values", "above", "below"),
    [
        ([1.0, 1.1, 0.9], "held", "did not hold"),  # ideal
        ([0.1, -0.1, 0.0], "too close to call", "too close to call"),  # null
        ([-1.0, -1.1, -0.9], "did not hold", "held"),
        ([1.0, 1.0, 1.0], "held", "did not hold"),  # no spread at all
        ([0.0, 0.0, 0.0], "too close to call", "too close to call"),
        ([5.0, 5.1], None, None),
        ([5.0], None, None),
        ([5.0, 5.0, math.nan], None, None),  # broken
    ],
)
def test_a_verdict_follows_from_the_interval_over_seeds(values, above, below):
    assert report.above("it is", values, 0, of="gain").outcome == above
    assert report.below("it is", values, 0, of="gain").outcome == below


def test_a_verdict_shows_what_was_measured_and_its_rule():
    verdict = report.above("it is", [1.0, 1.1, 0.9], 0.5, of="gain in nats", form=".1f")
    assert verdict.measured == "gain in nats: 1.0, 0.8 to 1.2 (3 seeds)"
    assert verdict.rule == "the 95% interval of its mean over seeds lies above 0.5"
    assert report.above("it is", [1.0], 0.5, of="gain", form=".1f").measured == "gain: 1.0 (1 seed)"


@pytest.mark.parametrize(
    ("successes", "outcome"),
    [
        ([True] * 3, "held"),
        ([False] * 3, "did not hold"),
        ([True, True, False], "too close to call"),
        ([True] * 2, None),
        ([], None),
    ],
)
def test_every_seed_must_meet_the_rule(successes, outcome):
    assert report.every_seed("it is", successes, of="hits", rule="a hit").outcome == outcome


def test_what_a_computation_decides_has_two_outcomes():
    outcomes = [report.exact("it is", holds, of="x", rule="x").outcome for holds in (True, False)]
    assert outcomes == ["held", "did not hold"]


def three_rows():
    return (
        report.above("it clusters", [0.8, 0.81, 0.82], 0.5, of="purity"),
        report.below("it is 2-D", [7.0, 7.1, 6.9], 2, of="dimensions"),
        report.above("it wins", [0.1], 0, of="gain"),
    )


@pytest.mark.parametrize(
    ("dataset", "smoke", "expected"),
    [
        ("MNIST", False, True),
        ("FashionMNIST", False, True),
        ("MNIST", True, False),
        ("digits", False, False),
        ("synthetic-boots", False, False),
        ("mine.npz", False, False),
    ],
)
def test_verdicts_are_given_on_a_full_run_on_the_papers_data_only(dataset, smoke, expected):
    assert conclusive(dataset, smoke=smoke) is expected
    table = verdicts(*three_rows(), dataset=dataset, smoke=smoke)
    data, told = bundle(table)
    for text in (data["text/plain"], data["text/html"]):
        for part in ("it clusters", "0.81", "above 0.50", "dimensions: 7.00"):
            assert part in text
        assert ("did not hold" in text) is expected
        assert ("no verdict: too few seeds" in text) is expected
    assert ("<th>Verdict</th>" in data["text/html"]) is expected
    given = {"it clusters": "held", "it is 2-D": "did not hold", "it wins": None}
    assert told == {"verdicts": given if expected else dict.fromkeys(given)}


def test_a_summary_names_the_claims_by_their_outcomes():
    assert report.summary(verdicts(*three_rows(), dataset="MNIST", smoke=False)) == (
        "Held: it clusters. Did not hold: it is 2-D. No verdict, too few seeds: it wins."
    )
    assert "No verdict is given" in report.summary(verdicts(*three_rows(), dataset="MNIST", smoke=True))


@pytest.mark.parametrize(
    ("values", "error", "expected"),
    [
        ([2, 2, 2], 0.0, "held"),
        ([2, 2, 2], 1.0, "too close to call"),  # by a measure that says two where there are three
        ([3, 3, 3], 1.0, "too close to call"),
        ([3, 3, 3], 0.0, "did not hold"),
        ([4, 4, 3, 4, 4, 4], 1.0, "did not hold"),
        ([1, 2, 3], 0.0, "too close to call"),
        ([0, 0, 0], 1.0, "did not hold"),
        ([2, 2], 0.0, None),
        ([2, 2, float("nan")], 0.0, None),
        ([2, 2, 2], float("nan"), None),
    ],
)
def test_equal_is_judged_by_the_interval_and_by_the_error_of_the_measure(values, error, expected):
    verdict = equal("two", values, 2, within=0.5, error=error, known="on planted data", of="count")
    assert verdict.outcome == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 1], "held"),
        ([0.97, 1, 1.03], "too close to call"),  # the interval reaches out of the band
        ([0.99, 1, 1.01], "held"),
        ([2, 2.01, 2.02], "did not hold"),
        ([0.5, 0.51, 0.52], "did not hold"),
        ([1.05, 1.06, 1.04], "too close to call"),
        ([1, 1], None),
        ([float("nan")] * 3, None),
    ],
)
def test_near_is_judged_by_the_whole_interval(values, expected):
    verdict = report.near("alike", values, 1, within=0.05, of="ratio")
    assert verdict.outcome == expected
    assert "from 0.95 to 1.05" in verdict.rule


# Agreement with recorded runs


@pytest.fixture
def recorded(monkeypatch, run):
    """A table of five runs of the config of `run`, whose purity spreads about 0.5 by 0.1 and whose rank is always 2."""

    def put(n=5, **changes):
        row = {"config": results.without_seed(run.config), "code": "now", "data": run.data_digest}
        purity = 0.5 + 0.1 * torch.linspace(-1.26, 1.26, 5).double()[:n]
        rows = [row | {"seed": s, "purity": p, "rank": 2.0, "sharp": math.nan} for s, p in enumerate(purity.tolist())]
        monkeypatch.setattr(results, "read", lambda part: pd.DataFrame(rows).assign(**changes))

    monkeypatch.setattr(results, "part_digest", lambda part: "now")
    put()
    return put


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [
        ({"purity": 0.5}, True),
        ({"purity": 0.9}, True),
        ({"purity": 1.0}, False),
        ({"purity": 0.0}, False),
        ({"purity": math.nan}, False),
        ({"rank": 2.0}, True),
        ({"rank": 2.000001}, True),  # the table has six digits
        ({"rank": 3.0}, False),
        ({"sharp": math.nan}, True),
        ({"sharp": 1.0}, False),
    ],
)
def test_agreement_is_within_the_spread_of_the_recorded_runs(recorded, run, measured, outcome):
    found = report.agreement("part", run, measured)
    assert found.outcome is outcome
    assert "5 recorded runs" in found.text
    assert (next(iter(measured)) in found.text) is not outcome
    of_one = report.agreement("part", run, measured, of="Rank")
    assert (of_one.name, of_one.text, of_one.outcome) == ("agreement, Rank", f"*Rank*: {found.text}", outcome)


@pytest.mark.parametrize(
    ("n", "changes", "words"),
    [
        (2, {}, "only two runs"),
        (1, {}, "only one run"),
        (5, {"code": "before"}, "no run"),
        (5, {"data": "other images"}, "no run"),
        (5, {"config": "{}"}, "no run"),
    ],
)
def test_agreement_needs_three_current_runs_of_the_same_config_and_data(recorded, run, n, changes, words):
    recorded(n, **changes)
    found = report.agreement("part", run, {"purity": 0.5})
    assert found.outcome is None
    assert found.text == f"`results/part.csv` holds {words} of this config to compare with."
