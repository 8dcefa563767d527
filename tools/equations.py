"""The table of equations: number → chapter anchor → function → test, read from the book, the package and the tests.

    python -m tools.equations            write the table into book/equations.md
    python -m tools.equations --check    only say whether it is up to date and complete

Sources are parsed, never imported. An anchor is a line `(eq-7)=` of a chapter; Algorithm 1 is the `prf:algorithm`
labeled `algorithm-1`. A function implements what the first paragraph of its docstring names ("eq. 15", "eqs. 13 and
14", "Algorithm 1"). A test belongs to the equations of its `@pytest.mark.equation(15)`; what has no number finds its
tests by their names (`BY_NAME`).
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tools.chapters import ROOT, BookError, read_notebook

NUMBERS = range(1, 21)
ALGORITHM = "Algorithm 1"
IMPORTANCE_WEIGHTED = (
    "importance-weighted bound"  # not in the paper: tested and broken on purpose, but no row of the table
)
TARGETS = (*NUMBERS, ALGORITHM)
# The others are steps of the derivation: what the book checks there is the identity itself.
IMPLEMENTED = (13, 14, 15, 16, 18, 19, 20, ALGORITHM)

BY_NAME = {"algorithm_1": ALGORITHM, "log_marginal": IMPORTANCE_WEIGHTED}

PAGE = Path("book") / "equations.md"
BEGIN, END = "% The table: written by `make equations`.", "% End of the table."

Target = int | str


class Place(NamedTuple):
    """Where something is: a file below the root, and a name in it."""

    file: Path
    name: str


class Row(NamedTuple):
    """One equation, or Algorithm 1, and what belongs to it."""

    target: Target
    anchors: list[Place]
    functions: list[Place]
    tests: list[Place]


def rows(root: Path = ROOT) -> list[Row]:
    """The whole table, equation by equation."""
    columns = anchors(root), functions(root), tests(root)
    return [Row(target, *(places.get(target, []) for places in columns)) for target in TARGETS]


def anchors(root: Path = ROOT) -> dict[Target, list[Place]]:
    """Chapters and the labels they give to equations."""
    found: dict[Target, list[Place]] = {}
    for path in sorted((root / "book").glob("*.ipynb")):
        for cell in read_notebook(path)["cells"]:
            if cell["cell_type"] != "markdown":
                continue
            for number in re.findall(r"^\(eq-(\d+)\)=$", cell["source"], re.MULTILINE):
                found.setdefault(int(number), []).append(Place(path.relative_to(root), f"eq-{number}"))
            if re.search(r"^:label: algorithm-1$", cell["source"], re.MULTILINE):
                found.setdefault(ALGORITHM, []).append(Place(path.relative_to(root), "algorithm-1"))
    return found


def functions(root: Path = ROOT) -> dict[Target, list[Place]]:
    """Public functions, methods and classes of vaelib under the equations that their docstrings open with."""
    found: dict[Target, list[Place]] = {}
    for path in sorted((root / "vaelib").glob("*.py")):
        for name, node in _definitions(ast.parse(path.read_text(encoding="utf-8"))):
            if any(part.startswith("_") for part in name.split(".")):
                continue
            first_paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
            for target in named_in(first_paragraph):
                found.setdefault(target, []).append(Place(path.relative_to(root), f"vaelib.{path.stem}.{name}"))
    return found


def tests(root: Path = ROOT) -> dict[Target, list[Place]]:
    """Tests under the equations that they are marked with or named after; names as pytest writes them."""
    found: dict[Target, list[Place]] = {}
    for path in sorted((root / "tests").glob("test_*.py")):
        for name, node in _definitions(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) or not name.split(".")[-1].startswith("test"):
                continue
            targets: list[Target] = [number for mark in node.decorator_list for number in _marked(mark)]
            targets += [target for word, target in BY_NAME.items() if word in name]
            for target in targets:
                found.setdefault(target, []).append(Place(path.relative_to(root), name.replace(".", "::")))
    return found


def named_in(text: str) -> list[Target]:
    """The equations a text names: "eq. 15", "eqs. 13 and 14", "eqs. 15, 16 and 18–19", "Algorithm 1"."""
    found: list[Target] = []
    for listed in re.findall(r"\beqs?\. ((?:\d+(?:, | and | or |–)?)+)", text):
        for first, last in re.findall(r"(\d+)(?:–(\d+))?", listed):
            found += range(int(first), int(last or first) + 1)
    if re.search(rf"\b{ALGORITHM}\b", text):
        found.append(ALGORITHM)
    return found


def problems(table: Iterable[Row]) -> list[str]:
    """What is missing: an anchor or a test for any equation, a function for an implemented one. Or is there twice."""
    found = []
    for row in table:
        what = row.target if row.target == ALGORITHM else f"equation ({row.target})"
        if not row.anchors:
            found.append(f"{what} has no anchor in any chapter")
        if len(row.anchors) > 1:
            found.append(f"{what} has several anchors: {', '.join(str(place.file) for place in row.anchors)}")
        if not row.tests:
            found.append(f"{what} has no test")
        if row.target in IMPLEMENTED and not row.functions:
            found.append(f"{what} is named in no docstring's first paragraph in vaelib")
    return found


def markdown(table: Iterable[Row]) -> str:
    """The table as MyST Markdown, ending in a newline."""
    lines = ["| Equation | Chapter | Function | Tests |", "|---|---|---|---|"]
    for row in table:
        chapters = _lines(f"{{doc}}`{place.file.stem} <{place.file.stem}>`" for place in row.anchors)
        names = _lines(f"`{place.name.removeprefix('vaelib.')}`" for place in row.functions) or "—"
        files = dict.fromkeys(place.file.name for place in row.tests)
        checks = _lines(
            f"`{file}`: " + _names(place for place in row.tests if place.file.name == file) for file in files
        )
        lines.append(f"| {_link(row)} | {chapters} | {names} | {checks} |")
    return "\n".join(lines) + "\n"


def page(root: Path = ROOT) -> str:
    """book/equations.md with its table as it should be.

    Raises
    ------
    BookError
        If the page does not hold the two comment lines that the table goes between.
    """
    text = (root / PAGE).read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise BookError(f"{PAGE} must hold each of these two lines once: {BEGIN!r} and {END!r}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{markdown(rows(root))}\n{END}{after}"


def _link(row: Row) -> str:
    if not row.anchors:
        return str(row.target)
    if row.target == ALGORITHM:
        return "{prf:ref}`algorithm-1`"
    return f"{{ref}}`({row.target}) <eq-{row.target}>`"


def _names(places: Iterable[Place]) -> str:
    """Tests by their names with spaces, which a narrow column can break."""
    return "; ".join(place.name.split("::")[-1].removeprefix("test_").replace("_", " ") for place in places)


def _lines(items: Iterable[str]) -> str:
    return "<br>".join(dict.fromkeys(items))


def _definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Functions and classes of a module, and the methods of its classes, under their dotted names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node, f"{prefix}{node.name}.")


def _marked(decorator: ast.expr) -> list[int]:
    """The numbers in `pytest.mark.equation(…)`; none for any other decorator."""
    if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) != "pytest.mark.equation":
        return []
    return [ast.literal_eval(argument) for argument in decorator.args]


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page; returns 1 where something is missing, or is out of date under `--check`."""
    parser = argparse.ArgumentParser(prog="python -m tools.equations", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if the page is out of date")
    options = parser.parse_args(arguments)
    missing = problems(rows())
    for line in missing:
        print(line, file=sys.stderr)
    text = page()
    if text != (ROOT / PAGE).read_text(encoding="utf-8"):
        if options.check:
            print(f"{PAGE} is out of date: make equations", file=sys.stderr)
            return 1
        (ROOT / PAGE).write_text(text, encoding="utf-8")
        print(f"{PAGE}: written")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
