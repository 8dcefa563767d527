"""Banners and provenance: said when they must be, silent when they need not, and safe inside a page."""

import dataclasses

import pytest

from vaelib.report import conclusive, equal, notice, provenance, verdicts
from vaelib.training import fit

NASTY = '<script>alert("x")</script>&.npz'


@pytest.fixture
def run(tiny_npz):
    return fit(dataclasses.replace(tiny_npz, latent_dim=3, seed=5), progress=False, device="cpu")


def test_provenance_names_data_sizes_seed_and_result(run):
    text = repr(provenance(run))
    for part in (
        run.config.dataset,
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
    shown = (
        provenance(dataclasses.replace(run, config=config)),
        notice(NASTY, asked=NASTY + "2"),
        notice("digits", asked=NASTY),
        verdicts((NASTY, NASTY, True), dataset="MNIST", smoke=False),
    )
    for thing in shown:
        html = thing._repr_html_()
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert "&amp;" in html
        assert "<script" in repr(thing)  # plain text is left as it is


@pytest.mark.parametrize(
    ("dataset", "smoke", "expected"),
    [
        ("MNIST", False, True),
        ("FashionMNIST", False, True),
        ("MNIST", True, False),
        ("digits", False, False),
        ("synthetic-boots", False, False),
        ("synthetic-boots", True, False),
    ],
)
def test_verdicts_are_given_on_a_full_run_on_the_papers_data_only(dataset, smoke, expected):
    assert conclusive(dataset, smoke=smoke) is expected
    table = verdicts(("it clusters", "0.8", True), ("it is 2-D", "7", False), dataset=dataset, smoke=smoke)
    for text in (repr(table), table._repr_html_()):
        assert "it clusters" in text
        assert "0.8" in text
        assert ("did not hold" in text) is expected
        assert ("held" in text) is expected
    assert ("Verdict" in table._repr_html_()) is expected


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
