"""The page of faults is what the tests that inject them say; a fault that it lacks or makes up is noticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import faults
from tools.chapters import ROOT, BookError
from tools.faults import HEAD, Row, line, page, plain, problems, reported

TEXT = faults.PAGE.read_text(encoding="utf-8")
MARKED = list(faults.marked(ROOT / "tests"))
TORN = Row("test_data", "A file is torn", "f.gz is damaged", "the file")


def test_every_marked_test_has_a_row_and_every_row_a_test():
    assert len(MARKED) > 30
    assert problems(TEXT, MARKED) == []
    assert TEXT.startswith(HEAD)


def test_what_the_page_lacks_or_makes_up_is_named():
    without = "\n".join(text for text in TEXT.splitlines() if not text.startswith("| A mirror sends without end"))
    assert problems(without, MARKED) == ["no row of faults.md is of 'A mirror sends without end'"]
    assert problems(f"{TEXT}{line(TORN)}\n", MARKED) == ["no test is of 'A file is torn'"]


def test_rows_are_in_parts_and_escaped():
    piped = Row("test_runs", "`a` | b", "x | y `z`\n\nsecond", "*all*")
    text = page([piped, TORN, TORN])
    assert text.index("## Data") < text.index("| A file is torn") < text.index("## Trained runs on disk")
    assert text.count("A file is torn") == 1
    assert r"| \`a\` \| b | `` x \| y `z` ``<br>`second` | \*all\* |" in text.splitlines()
    assert line(TORN._replace(seen="")) == "| A file is torn | nothing | the file |"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([TORN, TORN._replace(seen="something else")], "two tests call their fault 'A file is torn'"),
        ([TORN._replace(file="test_elsewhere")], "no place for tests in test_elsewhere"),
    ],
)
def test_a_page_that_would_mislead_is_refused(rows, message):
    with pytest.raises(BookError, match=message):
        page(rows)


def test_what_is_another_each_time_is_left_out():
    folder = Path("/tmp/pytest-7/popen-gw1")
    text = f"\x1b[31m{folder}/test_a0/runs/0a1b2c3d4e5f6a7b\x1b[0m or runs/2778164208646312, not /{10**15}a, "
    text += f"of {ROOT}/book at 127.0.0.1:8786, seed {10**23}  \n"
    assert plain(text, folder) == f"…/runs/… or runs/…, not /…, of …/book at 127.0.0.1:…, seed {10**23}"


TESTS = """
import pytest
from pathlib import Path
from tools import faults

faults.PAGE = Path("faults.md")

@pytest.mark.fault("A file is {how}", kept="the file")
@pytest.mark.parametrize(("how", "said"), [("torn", "f.gz is damaged"), ("gone", "not what the page says")])
def test_a_file(how, said, sees):
    sees(said)
"""


@pytest.mark.slow
def test_a_test_that_sees_something_else_than_the_page_fails(tmp_path):
    gone = Row("test_data", "A file is gone", "f.gz is gone", "the file")
    (tmp_path / "faults.md").write_text(page([TORN, gone]), encoding="utf-8")
    (tmp_path / "test_data.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]

    def run(*options):
        return subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True)

    checked = run()
    assert checked.returncode == 1
    assert "1 failed, 1 passed" in checked.stdout
    assert "book/faults.md says something else: make faults" in checked.stdout
    written = run(faults.WRITE, *faults.REPORT, "--junitxml=report.xml")
    assert written.returncode == 0, written.stdout
    assert reported(tmp_path / "report.xml") == [TORN, gone._replace(seen="not what the page says")]


def test_a_fault_that_cannot_be_injected_here_is_not_left_out_in_silence(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testcase name="test_a_disk"><skipped/></testcase></testsuites>')
    with pytest.raises(BookError, match="test_a_disk cannot run here"):
        reported(report)
