"""What `make portability` counts, on records made by hand, and what it is asked."""

import csv
import io

import pytest

from tools.chapters import BookError
from tools.outcomes import outcomes
from tools.portability import FIELDS, Execution, page, parse, rows


def said(findings=None, verdicts=None, text="a sentence"):
    """A cell whose output says something, as `vaelib.report` leaves it."""
    kinds = {"findings": findings, "verdicts": verdicts}
    return {
        "outputs": [
            {
                "data": {"text/plain": text},
                "metadata": {"vaelib": {name: value for name, value in kinds.items() if value is not None}},
            }
        ]
    }


def record(findings, verdicts, stopped="", unfinished=()):
    return {
        "seconds": 1.0,
        "stopped": stopped,
        "findings": findings,
        "verdicts": verdicts,
        "unfinished": list(unfinished),
    }


def test_outcomes_are_those_of_all_cells():
    cells = [said({"gap": "larger"}), {"source": "text"}, said({"climb": None}), said(verdicts={"it learns": "held"})]
    found = outcomes({"cells": cells})
    assert found.findings == {"gap": "larger", "climb": None}
    assert found.verdicts == {"it learns": "held"}
    assert found.unfinished == []


@pytest.mark.parametrize("text", ["it lies nan nats below", "of {n:.1f} images", "the class None", "inf nats"])
def test_a_sentence_that_lacks_a_number_is_unfinished(text):
    assert outcomes({"cells": [said({"a": 1}, text=text)]}).unfinished == [text]


@pytest.mark.parametrize("text", ["none of them", "information", "nanometres", "$\\sigma_{1}$"])
def test_words_that_only_look_like_it_are_finished(text):
    assert outcomes({"cells": [said({"a": 1}, text=text)]}).unfinished == []


def test_two_findings_of_one_name_are_refused():
    with pytest.raises(BookError, match="says twice: gap"):
        outcomes({"cells": [said({"gap": 1}), said({"gap": 2})]})


def test_a_row_counts_what_is_unlike_the_books_page():
    book = Execution("mnist", "own", 1, 1, None)
    there = Execution("mnist", "AVX2", 1, 2, 10)
    records = {
        book.name: record({"a": True, "b": 3, "c": "larger"}, {"p": "held", "q": "held", "r": "too close to call"}),
        there.name: record(
            {"a": True, "b": 4, "d": None}, {"p": "did not hold", "q": "too close to call", "r": None}, "stopped"
        ),
    }
    same, other = rows([book, there], records, "code")
    assert tuple(same) == FIELDS
    assert (same["unlike the book's"], same["reversed"], same["stopped"]) == (0, 0, 0)
    # b has another outcome and c is not said; of the verdicts only p turned round.
    assert (other["unlike the book's"], other["reversed"], other["stopped"]) == (2, 1, 1)
    assert (other["findings"], other["do not apply"], other["verdicts"]) == (3, 1, 2)
    assert other["latent_dim"] == 10


def test_the_page_adds_the_rows_up():
    book, there = Execution("mnist", "own", 1, 1, None), Execution("mnist", "AVX2", 1, 1, None)
    records = {
        book.name: record({"a": 1, "b": 2}, {"p": "held"}),
        there.name: record({"a": 2, "b": 2}, {"p": "held"}),
    }
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    writer.writerows(rows([book, there], records, "code"))
    made = page(text.getvalue())
    assert "2 executions in all" in made
    assert "| mnist | 2 | 0 | 4 | 1 | 0 | 0 | 2 | 0 |" in made
    assert "| AVX2 | 1 | 0 | 2 | 1 | 0 | 0 | 1 | 0 |" in made


def test_the_books_own_executions_are_always_among_them():
    wanted, dry = parse(["CHAPTERS=mnist", "PATHS=AVX2", "SEEDS=2", "SIZES=2,10", "THREADS=1", "DRY_RUN=1"])
    assert dry
    # The chapter's own latent size is the book's, whoever names it.
    assert wanted == [
        Execution("mnist", "own", 1, 1, None),
        Execution("mnist", "AVX2", 1, 2, None),
        Execution("mnist", "AVX2", 1, 2, 10),
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("CHAPTERS=mnits", r"there is no 'mnits'; there are .*mnist"),
        ("PATHS=AVX9", r"there is no 'AVX9'; there are own"),
        ("SEEDS=one", r"SEEDS=one: give whole numbers"),
        ("SIZE=2", r"there is no SIZE; there are CHAPTERS"),
    ],
)
def test_a_slip_is_named(word, message):
    with pytest.raises(BookError, match=message):
        parse([word])
