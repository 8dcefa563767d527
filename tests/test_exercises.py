"""The exercises that end each chapter: what they are made of. That their solutions run is seen in test_chapters.py."""

import ast
import re
import shlex

import pytest

from tools import rerun, sweep
from tools.chapters import chapters, parameters, read_notebook

# Without parameters a page cannot be rerun: the ledger of claims has no exercises.
CHAPTERS = {path.stem: path for path in chapters() if parameters(path)}
HEADING = re.compile(r"### Exercise (\d): (.+) \((easy|medium|hard)\)\n\n")
LEVELS = ("easy", "medium", "hard")
COMMAND = re.compile(r"`make (rerun|sweep) ([^`]+)`")
PROVE = re.compile(r"\b(Prove|prove|Derive|derive)\b")


def cells_from(path):
    """The cells from the heading of the exercises to the end of the chapter."""
    cells = read_notebook(path)["cells"]
    places = [i for i, cell in enumerate(cells) if cell["source"].startswith("## Exercises\n")]
    assert len(places) == 1
    return cells[places[0] :]


def exercises(path):
    """Each exercise with the cells of its solution."""
    found = []
    for cell in cells_from(path)[1:]:
        if cell["cell_type"] == "markdown" and cell["source"].startswith("#"):
            found.append((cell["source"], []))
        else:
            found[-1][1].append(cell)
    return found


each_chapter = pytest.mark.parametrize("path", CHAPTERS.values(), ids=CHAPTERS)


@each_chapter
def test_chapter_ends_in_three_to_five_numbered_exercises_of_rising_difficulty(path):
    headings = [HEADING.match(text) for text, _ in exercises(path)]
    assert all(headings)
    assert [int(heading[1]) for heading in headings] == list(range(1, len(headings) + 1))
    assert 3 <= len(headings) <= 5
    levels = [LEVELS.index(heading[3]) for heading in headings]
    assert levels == sorted(levels)
    assert len(set(levels)) > 1


@each_chapter
def test_exercises_go_from_rerunning_to_proving(path):
    texts = [text for text, _ in exercises(path)]
    assert any(COMMAND.search(text) for text in texts)
    assert any(PROVE.search(text) for text in texts)


@each_chapter
def test_solutions_are_folded_and_complete(path):
    for number, (_, cells) in enumerate(exercises(path), start=1):
        prose, *code = cells
        assert prose["cell_type"] == "markdown"
        opening = f'<details class="solution">\n<summary>Solution {number}</summary>\n\n'
        assert prose["source"].startswith(opening)
        assert prose["source"].endswith("\n\n</details>")
        assert (prose["source"].count("<details"), prose["source"].count("</details>")) == (1, 1)
        assert code, "a solution that computes nothing"
        for cell in code:
            assert cell["cell_type"] == "code"
            assert cell["metadata"]["tags"] == ["hide-cell"]
            label = cell["metadata"]["mystnb"]
            assert label["code_prompt_show"] == label["code_prompt_hide"]
            assert label["code_prompt_show"].startswith(f"Solution {number}, computed")
            assert len(cell["source"].splitlines()) <= 15


@each_chapter
def test_solutions_print_numbers_and_state_no_finding(path):
    """What a page says of its run in words is said by findings, which other tools count: none of them is here."""
    for _, cells in exercises(path):
        for cell in cells[1:]:
            names = {node.id for node in ast.walk(ast.parse(cell["source"])) if isinstance(node, ast.Name)}
            assert not names & {"report", "rules", "plotting", "display"}
            assert "print" in names


@each_chapter
def test_commands_of_exercises_are_accepted(path):
    for text, _ in exercises(path):
        for tool, words in COMMAND.findall(text):
            words = shlex.split(words)
            if tool == "rerun":
                chapter, changed = rerun.parse(words)
            else:
                asked = sweep.parse(words)
                chapter, changed = asked.chapter, len(asked.runs) > 1
            assert chapter == path.stem
            assert changed


@each_chapter
def test_nothing_is_folded_before_the_exercises(path):
    """What a page says is open; only set-up and solutions are not."""
    before = read_notebook(path)["cells"][: -len(cells_from(path))]
    assert not [cell for cell in before if "hide-cell" in cell["metadata"].get("tags", [])]
    assert not [cell for cell in before if "<details" in cell["source"]]
