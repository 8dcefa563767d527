"""The map of the paper: complete, read from the sources, and honest about what is not in the book."""

import re
import shutil

import pytest

from tools import paper_map, staging
from tools.chapters import ROOT, pages
from tools.paper_map import ABSENT, EQUATIONS, FIGURES, SECTIONS, Place

BOOK = paper_map.read()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Section 4.1 of the paper.", ["4.1"]),
        ("The paper's §§2.1–2.3, equations (1)–(12).", ["2.1", "2.2", "2.3"]),
        ("Section 4.1.4 and Figure 6 of the paper, and a heading of its §3.1.", ["4.1.4", "3.1"]),
        ("Sections 3.1 and 4 of the paper.", ["3.1", "4"]),
        ("**Claim.** In section four, 2.3 nats; the intersection 4 is empty.", []),
    ],
)
def test_sections_are_read_as_they_are_written(text, expected):
    assert paper_map.named(text) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("The paper's §§2.1–2.3, equations (1)–(12).", "§2.1–2.3"),
        ("Section 4.1.4 and Figure 6 of the paper, and a heading of its §3.1.", "§4.1.4, 3.1"),
        ("A rerun of a chapter.", ""),
    ],
)
def test_label_is_short(line, expected):
    assert paper_map.label(line) == expected


def rows(table):
    return [re.split(r" \| ", line.strip("| ")) for line in table.splitlines()[2:]]


def test_every_section_equation_and_figure_has_a_row():
    assert [row[0].split()[0] for row in rows(paper_map.sections_table(BOOK))] == [f"§{each}" for each in SECTIONS]
    assert [row[0] for row in rows(paper_map.figures_table(BOOK))] == [f"Figure {number}" for number in range(1, 9)]
    numbers = [re.search(r"\((\d+)\)", row[0]) for row in rows(paper_map.equations_table(BOOK))]
    assert [found and int(found[1]) for found in numbers] == [*range(1, 21), None]
    assert (list(EQUATIONS), list(FIGURES)) == ([*range(1, 21)], [*range(1, 9)])


def test_nothing_numbered_is_absent_and_only_the_introduction_has_no_chapter():
    assert paper_map.absent(BOOK) == []
    without = [row[0] for row in rows(paper_map.sections_table(BOOK)) if ABSENT in row[1]]
    assert without == ["§1 Introduction"]
    assert ABSENT not in paper_map.equations_table(BOOK) + paper_map.figures_table(BOOK)


def test_sections_that_the_book_names_are_the_papers():
    named = {section for sections in BOOK.openings.values() for section in sections}
    errata = {thing.removeprefix("§") for thing in BOOK.errata if thing.startswith("§")}
    assert named | set(BOOK.mentions) | set(BOOK.claims) | errata <= set(SECTIONS)
    assert set(EQUATIONS.values()) | set(FIGURES.values()) | {paper_map.ALGORITHM_IN} <= set(SECTIONS)


def test_claims_are_counted_as_the_ledger_counts_them():
    from vaelib.claims import LEDGER

    assert sorted((claim.section, claim.shown) for claim in LEDGER) == sorted(
        (section, label) for section, labels in BOOK.claims.items() for label in labels
    )


def test_every_erratum_on_the_paper_is_on_the_map():
    text = (ROOT / "book" / "errata.md").read_text(encoding="utf-8")
    placed = {number for numbers in BOOK.errata.values() for number in numbers}
    for number, where in re.findall(r"\(erratum-(\d+)\)=\n### .*\n\n\*([^*]+)\*", text):
        on_the_rest = where.startswith(("References", "`", "The repository"))
        assert (int(number) in placed) != on_the_rest, (number, where)
    tables = paper_map.sections_table(BOOK)
    assert {int(number) for number in re.findall(r"<erratum-(\d+)>", tables)} == placed


def test_a_figure_of_other_data_belongs_to_the_section_of_its_chapter():
    assert paper_map.section_of(BOOK, "fig-2-mnist", 2) == "4.1.1"
    assert paper_map.section_of(BOOK, "fig-2-fashion", 2) == "4.2"
    assert paper_map.section_of(BOOK, "fig-6", 6) == "4.1.4"


def test_an_equation_is_placed_under_its_heading():
    assert BOOK.labels["eq-7"].heading == "Bayes' rule takes the divergence apart"
    assert BOOK.labels["algorithm-1"].heading == "Algorithm 1"
    assert BOOK.labels["chapter-mnist"] == Place(BOOK.labels["eq-20"].file)


@pytest.fixture
def spoilt(tmp_path):
    """The book and the ledger, where they can be changed."""
    for name in ("book", "vaelib"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("chapter", "old", "new", "missing"),
    [
        ("derivation", "(eq-7)=", "(equation-7)=", "equation (7)"),
        ("manifold_dimension", 'name=\\"fig-8\\"', 'name=\\"fig-sums\\"', "Figure 8"),
        ("reparameterization", ":label: algorithm-1", ":label: training", "Algorithm 1"),
    ],
)
def test_what_is_not_in_the_book_is_said_to_be_absent(spoilt, chapter, old, new, missing):
    path = spoilt / "book" / f"{chapter}.ipynb"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    book = paper_map.read(spoilt)
    assert paper_map.absent(book) == [missing]
    said = rows(paper_map.equations_table(book)) + rows(paper_map.figures_table(book))
    [row] = [row for row in said if ABSENT in row]
    assert missing.endswith(row[0])


def test_a_section_without_a_chapter_is_said_to_be_absent(spoilt):
    path = spoilt / "book" / "variants.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("Section 2.6 of the paper", "A chapter"), encoding="utf-8")
    without = [row[0] for row in rows(paper_map.sections_table(paper_map.read(spoilt))) if ABSENT in row[1]]
    assert without == ["§1 Introduction", "§2.6 Variants"]  # claims of its parts are still shown in that chapter


def test_the_page_is_in_the_book_and_is_staged_with_its_tables():
    assert ROOT / paper_map.PAGE in pages()
    text = staging.texts(ROOT)[paper_map.PAGE.as_posix()].decode()
    assert "<!-- map" not in text
    assert all(table(BOOK) in text for table in paper_map.TABLES.values())
