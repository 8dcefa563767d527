"""Every measure is set on an ideal case, a null and a broken one, by tests that carry the marker `control`."""

import ast
import inspect

import pytest

from tools.chapters import ROOT
from vaelib import dimensions, embeddings, factors, latent_sizes, measures, pictures, robustness

KINDS = {"ideal", "null", "broken"}
MODULES = measures, dimensions, factors, pictures, robustness, latent_sizes, embeddings
# Public functions of these modules that are no measures, and what pins them.
OTHERS = {
    "posterior": "the encoder, in batches",
    "neighbour_votes": "the votes that `knn_accuracy` counts, beside brute force",
    "confusions": "read off `confusion_table`, beside scikit-learn's",
    "confusion_table": "beside scikit-learn's",
    "rotated": "codes in other axes",
    "laplacian_variance": "what `relative_sharpness` compares, beside scipy's",
    "boot_heights": "read off drawn boots, whose heights are known",
    "brightness": "read off an even patch",
    "turned": "`correlation_ratios` over angles",
    "as_numbered": "`different_axes` with a sign",
    "own_axis": "which axis, not how much",
    "among_turned": "the scores of axes and their ranks, by name",
    "known_scores": "MIG, SAP and DCI, by name",
    "figures": "what is recorded, by name",
    "layout": "what is recorded, by name",
    "repair": "what is recorded, by name",
    "erased": "damages images",
    "linear_rebuild": "rebuilds images, beside what lies on the components",
    "step_lengths": "what `fastest_tenth` reads",
    "pairs_of_classes": "draws pairs",
    "error": "`normalised_error` of what a model rebuilds",
    "minimise": "trains",
    "corrupted": "adds noise",
    "expected": "the mean of that noise",
    "elbo_loss": "a loss",
    "reconstruction_loss": "a loss",
    "shipped_loss": "a loss",
    "train_model": "trains",
    "column": "a name",
    "clean_errors": "what is recorded, by name",
    "clean_errors_of_longer_runs": "what is recorded, by name",
    "points_with_outliers": "draws points",
    "best_logvar": "the variance that a loss takes, beside a search",
    "outlier_loss": "a loss",
    "outlier_setting": "a config",
    "outlier_errors": "what is recorded, by name",
    "outlier_config": "a config",
    "at_size": "what is recorded, by name",
    "settings": "a config",
    "few": "draws images",
    "fitted": "fits a plane",
    "scores": "votes, trustworthiness and continuity of a plane, by name",
    "compared": "what is recorded, by name",
    "points": "what is recorded, by name",
}


def public(module) -> set[str]:
    own = inspect.getmembers(module, inspect.isfunction)
    return {
        name
        for name, function in own
        if function.__module__ == module.__name__ and not name.startswith(("_", "check_"))
    }


FUNCTIONS = set().union(*map(public, MODULES))
MEASURES = sorted(FUNCTIONS - set(OTHERS))


def controls(text: str) -> dict[str, dict[str, str]]:
    """By measure and kind the test that is marked with it; a marker that asks for nothing known is refused."""
    found = {}
    for test in ast.parse(text).body:
        for mark in getattr(test, "decorator_list", []):
            if ast.unparse(mark).startswith("pytest.mark.control("):
                measure, *kinds = map(ast.literal_eval, mark.args)
                assert test.name.startswith("test_") and kinds and set(kinds) <= KINDS, ast.unparse(mark)
                assert measure in text.replace(ast.unparse(mark).replace("'", '"'), ""), f"{test.name}: no {measure}"
                found.setdefault(measure, {}).update(dict.fromkeys(kinds, test.name))
    return found


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, str]]:
    """Measure, kind, test: all markers of the tests."""
    found = {}
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        for measure, tests in controls(path.read_text("utf-8")).items():
            found.setdefault(measure, {}).update(tests)
    return found


@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_has_an_ideal_a_null_and_a_broken_control(table, measure):
    lacking = KINDS - set(table.get(measure, {}))
    assert not lacking, f"no test is marked with @pytest.mark.control({measure!r}, ...) for {sorted(lacking)}"


def test_every_marker_is_of_a_measure(table):
    assert set(table) == set(MEASURES)


def test_what_is_called_no_measure_is_there():
    assert set(OTHERS) <= FUNCTIONS


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.control('knn_accuracy', 'perfect')\ndef test_a():\n    knn_accuracy()",
        "@pytest.mark.control('knn_accuracy')\ndef test_a():\n    knn_accuracy()",
        "@pytest.mark.control('knn_accuracy', 'ideal')\ndef a():\n    knn_accuracy()",
        '@pytest.mark.control("knn_accuracy", "ideal")\ndef test_a():\n    assert True',
    ],
)
def test_a_marker_that_marks_nothing_is_noticed(text):
    with pytest.raises(AssertionError):
        controls(text)


def test_a_marker_is_found_with_its_test():
    text = "@pytest.mark.control('knn_accuracy', 'ideal', 'null')\ndef test_a():\n    knn_accuracy()"
    assert controls(text) == {"knn_accuracy": {"ideal": "test_a", "null": "test_a"}}
