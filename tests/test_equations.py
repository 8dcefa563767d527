"""The table of equations is what the book, the package and the tests say, and nothing is missing from it."""

import shutil

import pytest

from tools import equations
from tools.chapters import ROOT
from tools.equations import ALGORITHM, IMPLEMENTED, Row, named_in


def test_the_page_is_what_the_sources_give():
    on_disk = (ROOT / equations.PAGE).read_text(encoding="utf-8")
    assert on_disk == equations.page(), "book/equations.md is out of date: make equations"


def test_every_equation_has_a_chapter_and_a_test_and_the_implemented_ones_a_function():
    assert equations.problems(equations.rows()) == []


def test_every_equation_and_the_algorithm_have_a_row():
    assert [row.target for row in equations.rows()] == [*range(1, 21), ALGORITHM]
    assert set(IMPLEMENTED) <= {row.target for row in equations.rows()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log p(x|z), eq. 15 or 16. In nats.", [15, 16]),
        ("The bound (eqs. 13 and 14).", [13, 14]),
        ("Densities: eqs. 15, 16, 18 and 19.", [15, 16, 18, 19]),
        ("eqs. 1–4 and 7", [1, 2, 3, 4, 7]),
        ("One step of Algorithm 1 (eq. 14, one draw of z).", [14, ALGORITHM]),
        ("Seq. 3 and Algorithm 12 are something else, and so is 15.", []),
    ],
)
def test_docstrings_are_read_as_they_are_written(text, expected):
    assert named_in(text) == expected


@pytest.fixture
def small_project(tmp_path):
    """Package, book and tests of the project, in a folder where they can be spoilt."""
    for name in ("vaelib", "book", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "pattern", "old", "new", "complaint"),
    [
        ("book", "*.ipynb", "(eq-19)=", "(equation-19)=", "equation (19) has no anchor in any chapter"),
        ("book", "*.ipynb", ":label: algorithm-1", ":label: training", "Algorithm 1 has no anchor in any chapter"),
        ("tests", "test_*.py", "mark.equation(16)", "mark.skip", "equation (16) has no test"),
        ("tests", "test_*.py", "algorithm_1", "training", "Algorithm 1 has no test"),
        ("vaelib", "*.py", "eq. 19", "the trick", "equation (19) is named in no docstring's first paragraph in vaelib"),
    ],
)
def test_a_missing_piece_is_named(small_project, folder, pattern, old, new, complaint):
    before = equations.page(small_project)
    for path in (small_project / folder).glob(pattern):
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert complaint in equations.problems(equations.rows(small_project))
    assert equations.page(small_project) != before


def test_an_equation_with_two_anchors_is_named(small_project):
    path = small_project / "book" / "reparameterization.ipynb"
    shutil.copy(path, path.with_name("again.ipynb"))
    complaints = equations.problems(equations.rows(small_project))
    assert any(line.startswith("equation (19) has several anchors") for line in complaints)


def test_a_number_that_is_missing_leaves_its_row_empty():
    [problem_anchor, problem_test] = equations.problems([Row(7, [], [], [])])
    assert "(7) has no anchor" in problem_anchor
    assert "(7) has no test" in problem_test
