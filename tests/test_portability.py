"""What `make portability` counts, on records made by hand, and what it is asked."""

import signal
import subprocess
import sys
import time

import pytest

from tools.chapters import ROOT, BookError
from tools.notebooks import MARK
from tools.outcomes import outcomes
from tools.portability import FIELDS, PATHS, SUMMED, Execution, page, parse, rows, standard


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


def executed(findings, verdicts, text="a sentence", printed="1.00"):
    """A chapter that says this, with one compared cell."""
    cells = [said(findings, verdicts, text), {"source": f"# {MARK}", "outputs": [{"text": printed}]}]
    ran = {"cell_type": "code", "execution_count": 1, "metadata": {}}
    cells = [ran | {"source": "1"} | cell for cell in cells]
    for cell in cells:
        cell["outputs"] = [{"output_type": "display_data"} | output for output in cell["outputs"]]
    return {"cells": cells, "metadata": {"papermill": {"duration": 1.23}}}


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


def test_a_row_counts_what_is_unlike_the_books_page(capsys):
    book = executed({"a": True, "b": 3, "c": "larger"}, {"p": "held", "q": "held", "r": "too close to call"})
    there = executed({"a": True, "b": 4, "d": None}, {"p": "did not hold", "q": "too close to call", "r": None})
    there["cells"][1]["outputs"][0]["text"] = "1.01"
    stopped = executed({"a": True}, {}, text="it lies nan nats below")
    stopped["cells"][1]["execution_count"] = None
    runs = {
        Execution("mnist", "own", 1, 1, None): book,
        Execution("mnist", "AVX2", 1, 2, None): there,
        Execution("mnist", "AVX2", 1, 2, 10): there,
        Execution("mnist", "AVX2", 1, 3, None): stopped,
    }
    same, other, larger, broken = rows({"mnist": book}, runs)
    assert tuple(same) == FIELDS
    assert [same[name] for name in SUMMED] == [0, 3, 0, 0, 0, 3, 0, 0]
    # b has another outcome and c is not said; of the verdicts only p turned round; 1.01 is not 1.00.
    assert [other[name] for name in SUMMED] == [0, 3, 2, 1, 0, 2, 1, 1]
    # At another latent size claims and compared numbers are other ones.
    assert [larger[name] for name in SUMMED] == [0, 3, 2, 1, 0, 2, 0, 0]
    assert (same["latent_dim"], larger["latent_dim"], same["seconds"]) == ("book's", 10, 1.2)
    assert (broken["stops"], broken["unfinished"]) == (1, 1)
    faults = capsys.readouterr().err
    assert "mnist-AVX2-t1-seed2: p" in faults
    assert "mnist-AVX2-t1-seed2: 1.00" in faults
    assert "mnist-AVX2-t1-seed3: mnist stopped in cell 2 of 2" in faults
    assert "mnist-AVX2-t1-seed3: it lies nan nats below" in faults


def test_the_page_adds_the_rows_up():
    book, other = executed({"a": 1, "b": 2}, {"p": "held"}), executed({"a": 2, "b": 2}, {"p": "held"})
    runs = {Execution("mnist", "own", 1, 1, None): book, Execution("mnist", "AVX2", 1, 1, None): other}
    made = page(list(rows({"mnist": book}, runs)), "2026-01-01", "a processor")
    assert "2 executions, the last of them on 2026-01-01, on a processor." in made
    assert "| mnist | 2 | 0 | 4 | 1 | 0 | 0 | 2 | 0 | 0 |" in made
    assert "| AVX2 | 1 | 0 | 2 | 1 | 0 | 0 | 1 | 0 | 0 |" in made


def test_the_standard_grid_has_every_value_of_every_axis_once():
    grid = standard()
    assert len(set(grid)) == len(grid)
    mnist = [each for each in grid if each.chapter == "mnist"]
    assert {(each.path, each.threads, each.seed) for each in mnist if each.latent_dim is None} == {
        *((path, 1, seed) for path in PATHS for seed in (1, 2, 3)),
    }
    assert {each.latent_dim for each in mnist} == {None, 1, 3, 10}


def test_words_ask_for_every_combination():
    # The chapter's own latent size is the book's, whoever names it.
    assert parse({"CHAPTERS": "mnist", "PATHS": "AVX2", "SEEDS": "2", "SIZES": "2,10", "THREADS": "2"}) == [
        Execution("mnist", "AVX2", 2, 2, None),
        Execution("mnist", "AVX2", 2, 2, 10),
    ]


# Six executions that only say that they began and wait; the first may fail.
GRID = """
import sys
from pathlib import Path
from tools import portability

folder, fails = Path(sys.argv[1]), sys.argv[2] == "fails"

class Kept(portability.Kept):
    def __init__(self, _): self.folder = folder
    def book(self, chapter): return {}
    def path(self, each): return self.folder / f"{each.name}.ipynb"

def command(source, out, values):
    end = "sys.exit(1)" if fails and values["seed"] == 1 else "time.sleep(60)"
    said = f"print({values['seed']}, file=open({str(folder / 'began')!r}, 'a'))"
    return [sys.executable, "-c", f"import sys, time; {said}; {end}"]

portability.Kept, portability._command = Kept, command
sys.exit(portability.main(["CHAPTERS=mnist", "PATHS=own", "SEEDS=1,2,3,4,5,6"]))
"""


def grid(folder, how):
    return subprocess.Popen(
        [sys.executable, "-c", GRID, folder, how],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_grid_begins_no_more_and_ends_what_runs(tmp_path, number):
    began, start = tmp_path / "began", time.monotonic()
    with grid(tmp_path, "waits") as process:
        while not began.is_file() or len(began.read_text().split()) < 2:
            assert time.monotonic() < start + 60, "nothing began"
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said == "\nInterrupted. What ran so far is kept.\n"
    assert sorted(began.read_text().split()) == ["1", "2"]
    assert list(tmp_path.glob("*.ipynb")) == []


def test_one_that_cannot_be_executed_ends_the_others(tmp_path):
    with grid(tmp_path, "fails") as process:
        said = process.communicate(timeout=50)[1]
    assert process.returncode == 2
    assert "portability: mnist-own-t1-seed1 could not be executed" in said
    # The worker that is free may have begun one more before it heard; it is ended as well.
    assert len((tmp_path / "began").read_text().split()) <= 3


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
        parse(dict([word.split("=")]))
