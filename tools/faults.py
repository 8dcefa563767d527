"""The page of faults: what goes wrong, what the user sees of it, and what is kept, as the tests that inject it find.

    python -m tools.faults      inject every fault and write book/faults.md anew (`make faults`)

A test that injects a fault is marked with what goes wrong and what is kept, `@pytest.mark.fault("…", kept="…")`, and
gives what the user sees to its fixture `sees`. Names in braces stand for parameters of the test. Outside of this
module, the same fixture fails a test that sees something else than the page says.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tools.chapters import ROOT, BookError, write_whole

PAGE = ROOT / "book" / "faults.md"
WRITE = "--write-faults"  # pytest's option under which the page is not looked at
PROPERTY = "fault"  # of a test's report
REPORT = ("-o", "junit_family=xunit1")  # the kind of report that takes properties

# The page's parts, and the files whose tests they hold.
PARTS = {
    "Data": ("test_data",),
    "What is asked for": ("test_parameters", "test_config", "test_bounds", "test_densities"),
    "Training": ("test_training", "test_cli"),
    "Trained runs on disk": ("test_runs",),
    "The book": ("test_build",),
    "Reruns and sweeps": ("test_rerun", "test_sweep"),
    "Recorded tables": ("test_engine",),
}


class Row(NamedTuple):
    """One fault: the file of its test, what goes wrong, what the user sees, and what is kept."""

    file: str
    happens: str
    seen: str
    kept: str


def row(file: str, happens: str, kept: str, seen: str, values: Mapping[str, object], folder: Path) -> Row:
    """What a test in `file` found; `values` fill the braces, and what is below `folder` loses the way there."""
    happens, kept = (_filled(text, values) for text in (happens, kept))
    return Row(file, happens, plain(seen, folder), kept)


def _filled(text: str, values: Mapping[str, object]) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: str(values[name[1]]), text)


def plain(text: str, folder: Path) -> str:
    """`text` without what is another each time: where tests and the checkout are, digests, ports, colors."""
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)
    text = re.sub(re.escape(str(folder)) + r"/[^/\s]+", "…", text).replace(str(ROOT), "…")
    text = re.sub(r"\b(?=\d*[a-f])[0-9a-f]{12,}\b…?", "…", text)
    text = re.sub(r"(?<=/)[0-9]{16}\b", "…", text)  # the name of a run's folder can lack letters: one in 1,800 does
    text = re.sub(r"(127\.0\.0\.1):\d+", r"\1:…", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def line(found: Row) -> str:
    """A row of the page."""
    seen = "<br>".join(_code(each) for each in found.seen.splitlines() if each) or "nothing"
    return f"| {_escaped(found.happens)} | {seen} | {_escaped(found.kept)} |"


def _code(text: str) -> str:
    text = text.strip().replace("|", r"\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _escaped(text: str) -> str:
    """Words as Markdown that shows them as they are; an argument in quotes as code, whose quotes stay straight."""
    parts = re.split(r"([\w.]+='[^'|]*')", text)
    return "".join(f"`{part}`" if i % 2 else re.sub(r"([|*_$`<])", r"\\\1", part) for i, part in enumerate(parts))


HEAD = """\
(faults)=
# What goes wrong, and what is left

Each row is a fault that a test brings about for real: it cuts a file short, fills the disk as far as a process can see,
kills a process, answers as a mirror with something else. *What the user sees* are the words that the test then read
where a user would; an ellipsis stands for the way to a folder, or the number of a port. *What is kept* is what the same
test found to be as it was. `make faults` does all of it again and writes this page, and `make test` fails where a row
is no longer so.
"""


def page(rows: Iterable[Row]) -> str:
    """The page of the book, part by part.

    Raises
    ------
    BookError
        If a file belongs to no part, or two rows name one fault and differ.
    """
    rows, known = list(dict.fromkeys(rows)), [file for files in PARTS.values() for file in files]
    if strange := {row.file for row in rows} - set(known):
        raise BookError(f"tools.faults.PARTS has no place for tests in {', '.join(sorted(strange))}")
    for one, other in zip(ordered := sorted(rows, key=lambda row: row.happens), ordered[1:], strict=False):
        if one.happens == other.happens:
            raise BookError(f"two tests call their fault {one.happens!r} and find different things")
    tables = [HEAD]
    for part, files in PARTS.items():
        lines = [line(row) for file in files for row in rows if row.file == file]
        if lines:
            head = "| What goes wrong | What the user sees | What is kept |\n|---|---|---|"
            tables.append("\n".join([f"## {part}\n", head, *lines]) + "\n")
    return "\n".join(tables)


def marked(tests: Path) -> Iterator[str]:
    """What goes wrong in each marked test, its braces unfilled, read from the sources."""
    for path in sorted(tests.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                yield ast.literal_eval(node.args[0])


def problems(text: str, faults: Iterable[str]) -> list[str]:
    """Marked tests without a row on the page, and rows of the page without a test."""
    lines = [each for each in text.splitlines() if each.startswith("| ") and not each.startswith("| What ")]
    happens = [each[2:].partition(" | ")[0] for each in lines]
    patterns = {fault: _pattern(fault) for fault in faults}
    found = [f"no row of {PAGE.name} is of {fault!r}" for fault, of in patterns.items() if not any(map(of, happens))]
    return found + [f"no test is of {row!r}" for row in happens if not any(of(row) for of in patterns.values())]


def _pattern(fault: str) -> Callable[[str], object]:
    parts = [re.escape(_escaped(part)) for part in re.split(r"\{\w+\}", fault)]
    return re.compile(".+".join(parts)).fullmatch


def injected() -> list[Row]:
    """Run every marked test; what they found, in their order. Raises BookError where one fails or is left out."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "-m", "fault", WRITE, *REPORT, f"--junitxml={report}"]
        if subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT).returncode:
            raise BookError("a test of a fault failed, see above; the page stays as it is")
        return reported(report)


def reported(report: Path) -> list[Row]:
    """The faults in a report of pytest's. Raises BookError where a test was left out."""
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    if left_out := [case.get("name") for case in cases if case.find("skipped") is not None]:
        raise BookError(f"a page without these faults would not be whole: {', '.join(left_out)} cannot run here")
    values = [each.get("value") for case in cases for each in case.iter("property") if each.get("name") == PROPERTY]
    return [Row(*json.loads(value)) for value in values]


def main() -> int:
    """Write the page; returns the exit status."""
    try:
        rows = injected()
        write_whole(PAGE, page(rows))
    except BookError as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    print(f"{PAGE.relative_to(ROOT)}: {len(set(rows))} faults")
    return 0


if __name__ == "__main__":
    sys.exit(main())
