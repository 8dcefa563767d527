"""The workflow that publishes the book calls what there is, and may do no more than it has to. It is never run here."""

import re

import pytest
import yaml

from tools.chapters import ROOT

PATH = ROOT / ".github" / "workflows" / "book.yml"
WORKFLOW = yaml.safe_load(PATH.read_text(encoding="utf-8"))
JOBS = WORKFLOW["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("action", [step["uses"] for step in STEPS if "uses" in step])
def test_actions_are_those_of_the_host_and_pinned_by_major_version(action):
    assert re.fullmatch(r"actions/[a-z-]+@v\d+", action)


def test_make_and_tools_that_are_called_exist():
    called = "\n".join(step.get("run", "") for step in STEPS)
    assert {"test", "lint", "book", "test-browser", "pdf"} <= set(re.findall(r"make ([a-z-]+)", called)) <= TARGETS
    for module in re.findall(r"python -m ([\w.]+)", called):
        assert ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file(), module


def test_only_what_publishes_may_write_and_only_after_the_tests():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job} == {
        "deploy": {"pages": "write", "id-token": "write"},
        "release": {"contents": "write"},
    }
    for name in ("deploy", "release"):
        assert JOBS[name]["needs"] == ["test", "build"]
        assert "refs/" in JOBS[name]["if"]


def test_what_others_can_name_is_in_no_command():
    """A branch, tag or title inside `${{ }}` would be run by the shell."""
    assert [step["run"] for step in STEPS if "${{" in step.get("run", "")] == []


def test_what_is_released_is_what_is_built():
    from tools.pdf import BOOK

    [packed] = [step["run"] for step in STEPS if "zip " in step.get("run", "")]
    assert f"_build/{BOOK}" in packed
