"""The project as a whole: its versions agree, its notebooks are clean, its code is linted, its imports flow one way."""

import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tools import notebooks
from tools.chapters import ROOT

CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = {
    Requirement(line).name: Requirement(line)
    for line in [*PROJECT["dependencies"], *itertools.chain.from_iterable(PROJECT["optional-dependencies"].values())]
}


def environment() -> list:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]


def locked() -> dict[str, list[str]]:
    """Every pin of the lock: name → versions (one, or one for each Python)."""
    pins = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            pins.setdefault(match[1], []).append(match[2])
    return pins


@pytest.mark.parametrize("name", DECLARED)
def test_lock_satisfies_what_is_declared(name):
    versions = locked()[name]
    assert all(DECLARED[name].specifier.contains(version) for version in versions), versions


def test_every_pin_of_the_lock_has_a_hash_and_no_index_is_named():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert len(blocks) > 100
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert not re.search(r"^\s*--(extra-|)index|^\s*--find-links|https?://", text, flags=re.M)


def test_environment_has_the_pins_of_the_project():
    pip = next(entry["pip"] for entry in environment() if isinstance(entry, dict))
    assert pip[-1] == "-e .[book,test]"
    named = [Requirement(line) for line in pip[:-1]]
    assert len(named) == 11
    for requirement in named:
        assert requirement.specifier == DECLARED[requirement.name].specifier, requirement.name


def test_environment_has_a_python_that_the_project_accepts():
    python = next(entry for entry in environment() if str(entry).startswith("python="))
    minimum = PROJECT["requires-python"].removeprefix(">=")
    assert tuple(map(int, python.removeprefix("python=").split("."))) >= tuple(map(int, minimum.split(".")))


def test_citation_has_the_version_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])


def test_first_page_says_how_to_cite_as_the_file_for_programs_does():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    page = " ".join((ROOT / "book" / "index.md").read_text(encoding="utf-8").split())
    [paper] = citation["references"]
    assert citation["message"].removesuffix(".") in page
    assert f"version = {{{citation['version']}}}" in page
    assert [f"{{{entry['title']}}}".replace("'On", "`On") in page for entry in (citation, paper)] == [True, True]
    assert f"author = {{{{{citation['authors'][0]['name']}}}}}" in page
    assert f"year = {{{paper['date-released'].year}}}" in page


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_committed_notebook_holds_no_outputs_but_the_marked(path):
    text = path.read_text(encoding="utf-8")
    assert notebooks.stripped(text) == text, f"run: make format (or python -m tools.notebooks {path.relative_to(ROOT)})"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_marked_cells_carry_the_output_they_are_compared_with(path):
    """nbval compares nothing, and says nothing, where a marked cell has no output in the file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code" and notebooks.marked(cell):
            assert cell["outputs"], cell["source"]


@pytest.mark.parametrize("command", [["check", "."], ["format", "--check", "."]], ids=["check", "format"])
def test_ruff(command):
    run = subprocess.run([sys.executable, "-m", "ruff", *command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_imports_flow_one_way():
    program = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.xdist_group("one")
def test_grouped_tests_stay_together(request, worker_id):
    """Some versions of pytest with pytest-xdist spread a group over all workers without a word; names tell."""
    assert worker_id == "master" or request.node.nodeid.endswith("@one")
