"""The map of the paper: section, equation, figure → where it is in the book, read from the book's sources.

A chapter is about the sections that its opening line names (`*Section 4.1 of the paper.*`); `tools.staging` puts the
tables where book/map.md marks their places. Typed here is only what the book cannot know: how the paper is divided.

    python -m tools.paper_map       print the tables, and what is missing
"""

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tools import equations
from tools.chapters import ROOT, chapters, read_notebook

PAGE = Path("book") / "map.md"
ALGORITHM, ALGORITHM_IN, ALGORITHM_LINK = equations.ALGORITHM, "2.5", "{prf:ref}`algorithm-1`"
SECTIONS = {
    "1": "Introduction",
    "2": "Method",
    "2.1": "Setting",
    "2.2": "Goals",
    "2.3": "Inference as Optimization",
    "2.4": "SGD Variational Estimator",
    "2.5": "The Reparameterization Trick",
    "2.6": "Variants",
    "2.6.1": "Autoencoders",
    "2.6.2": "Priors",
    "3": "Strengths and Weaknesses",
    "3.1": "Strengths",
    "3.2": "Weaknesses",
    "4": "Examples",
    "4.1": "MNIST",
    "4.1.1": "Dimension Reduction",
    "4.1.2": "Manifold Learning",
    "4.1.3": "Generative Modelling",
    "4.1.4": "Robustness",
    "4.2": "Fashion-MNIST",
    "4.2.1": "Disentanglement",
    "4.2.2": "Manifold Dimension",
}
# The sections in which the paper prints its numbered things. It has no tables.
EQUATIONS = {**dict.fromkeys(range(1, 13), "2.3"), **dict.fromkeys(range(13, 19), "2.4"), 19: "2.5", 20: "4.1"}
FIGURES = {1: "2.4", 2: "4.1.1", 3: "4.1.1", 4: "4.1.2", 5: "4.1.3", 6: "4.1.4", 7: "4.2.1", 8: "4.2.2"}

ABSENT = "not in this book"
NUMBER = r"\d(?:\.\d)*"
RANGE = rf"{NUMBER}(?:–{NUMBER})?"
NAMED = re.compile(rf"(?:§§?|\b[Ss]ections? )({RANGE}(?:(?:, | and ){RANGE})*)")
OPENING = re.compile(r"^\*([^*]+)\*$", re.MULTILINE)
ERRATUM = re.compile(r"^\(erratum-(\d+)\)=\n### [^\n]*\n\n\*([^*]+)\*", re.MULTILINE)


class Place(NamedTuple):
    """A heading of a chapter, by the chapter's file below the root; no words stand for the chapter as a whole."""

    file: Path
    heading: str = ""


class Sources(NamedTuple):
    """What the book's files say."""

    titles: dict[Path, str]
    openings: dict[Path, list[str]]  # the sections that a chapter is about
    mentions: dict[str, list[Place]]  # of a section, below a heading
    labels: dict[str, Place]
    errata: dict[str, list[int]]  # on "§2.3", "(8)", "Figure 7", "Algorithm 1"
    claims: dict[str, list[str]]  # by section: the labels under which they are shown


def named(text: str) -> list[str]:
    """The sections that a text names: "§2.4", "§§2.1–2.3", "Sections 3.1 and 4"; ranges are filled in."""
    found: list[str] = []
    for listed in NAMED.findall(text):
        for first, last in re.findall(rf"({NUMBER})(?:–({NUMBER}))?", listed):
            if not last:
                found.append(first)
                continue
            parent, start = first.rpartition(".")[::2]
            found += [f"{parent}.{number}" for number in range(int(start), int(last.rpartition(".")[2]) + 1)]
    return list(dict.fromkeys(found))


def opening(text: str) -> str:
    """The words of a chapter's opening line, the first that is all in italics and names a section; or nothing."""
    return next((line for line in OPENING.findall(text) if named(line)), "")


def label(line: str) -> str:
    """An opening line's sections in short, such as "§2.1–2.3" or "§3.1, 4"; nothing where it names none."""
    listed = [part for group in NAMED.findall(line) for part in re.findall(RANGE, group)]
    return "§" + ", ".join(dict.fromkeys(listed)) if listed else ""


def slug(heading: str) -> str:
    """The anchor that MyST gives to a heading."""
    return re.sub(r"[^\w\u4e00-\u9fff\- ]", "", heading.lower().replace("$", "")).strip().replace(" ", "-")


def read(root: Path = ROOT) -> Sources:
    """Read the book."""
    found = Sources({}, {}, {}, {}, _errata(root), _claims(root))
    for path in chapters(root):
        place = Place(path.relative_to(root))
        for cell in read_notebook(path)["cells"]:
            if cell["cell_type"] == "code":
                found.labels.update(dict.fromkeys(re.findall(r'name="([\w-]+)"', cell["source"]), place))
            else:
                place = _text(cell["source"], place, found)
    return found


def _text(text: str, place: Place, found: Sources) -> Place:
    """Enter what a cell of text says, below the heading that it comes under; returns the last heading."""
    line = opening(text)
    if line:
        found.openings.setdefault(place.file, named(line))
    for row in text.splitlines():
        if heading := re.match(r"(#+) (.+)", row):
            place = place._replace(heading=heading[2] if len(heading[1]) > 1 else "")
            found.titles.setdefault(place.file, heading[2])
        if anchor := re.fullmatch(r"\(([\w-]+)\)=|:label: ([\w-]+)", row):
            found.labels[anchor[1] or anchor[2]] = place
        for section in named(row) if row != f"*{line}*" else []:
            found.mentions.setdefault(section, []).append(place)
    return place


def _errata(root: Path) -> dict[str, list[int]]:
    path = root / "book" / "errata.md"
    found: dict[str, list[int]] = {}
    for number, where in ERRATUM.findall(path.read_text(encoding="utf-8") if path.is_file() else ""):
        things = [f"§{section}" for section in named(where)]
        things += [f"({each})" for each in re.findall(r"[Ee]quation \((\d+)\)", where)]
        for listed in re.findall(r"Figures? (\d(?:(?:, | and )\d)*)", where):
            things += [f"Figure {each}" for each in re.findall(r"\d", listed)]
        things += [ALGORITHM] * (ALGORITHM in where)
        for thing in things:
            found.setdefault(thing, []).append(int(number))
    return found


def _claims(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted((root / "vaelib" / "claims").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Claim":
                _, section, _, _, shown, *_ = map(ast.unparse, node.args)
                found.setdefault(ast.literal_eval(section), []).append(ast.literal_eval(shown))
    return found


def figure_labels(book: Sources, number: int) -> list[str]:
    """The labels of a figure of the paper; it may be drawn for several data sets."""
    return [name for name in book.labels if re.fullmatch(rf"fig-{number}(-[a-z]+)?", name)]


def section_of(book: Sources, name: str, number: int) -> str:
    """Where a figure belongs: in the paper's section or, drawn for other data in another chapter, in that chapter's."""
    own, sections = FIGURES[number], book.openings.get(book.labels[name].file, [])
    return own if not sections or any(f"{own}.".startswith(f"{each}.") for each in sections) else sections[0]


def places(book: Sources, section: str) -> dict[Path, list[str]]:
    """The chapters that a section is treated in and, as Markdown, what of them belongs to it."""
    found: dict[Path, list[str]] = {file: [] for file, sections in book.openings.items() if section in sections}
    for label in book.claims.get(section, []):
        if label in book.labels:
            found.setdefault(book.labels[label].file, [])
    for place in dict.fromkeys(book.mentions.get(section, [])):
        found.setdefault(place.file, []).extend([_link(place)] if place.heading else [])
    for numbers in _runs(number for number, where in EQUATIONS.items() if where == section):
        if (label := f"eq-{numbers[0]}") in book.labels:
            found.setdefault(book.labels[label].file, []).append("–".join(dict.fromkeys(map(_equation, numbers))))
    if section == ALGORITHM_IN and "algorithm-1" in book.labels:
        found.setdefault(book.labels["algorithm-1"].file, []).append(ALGORITHM_LINK)
    for number in FIGURES:
        for name in figure_labels(book, number):
            if section_of(book, name, number) == section:
                found.setdefault(book.labels[name].file, []).append(f"{{ref}}`Figure {number} <{name}>`")
    if not found and "." in section:  # a part of what a chapter is about
        return {file: [] for file in places(book, section.rpartition(".")[0])}
    return found


def sections_table(book: Sources) -> str:
    """Section → chapters and what of them belongs to it, errata, claims."""
    rows = []
    for section, title in SECTIONS.items():
        here = [
            f"[{book.titles[file]}]({file.name})" + f": {', '.join(parts)}" * bool(parts)
            for file, parts in places(book, section).items()
        ]
        things = [f"§{section}", *(f"({n})" for n, where in EQUATIONS.items() if where == section)]
        things += [f"Figure {n}" for n, where in FIGURES.items() if where == section]
        things += [ALGORITHM] * (section == ALGORITHM_IN)
        if "." not in section and f"{section}.1" in SECTIONS:
            here.append("and its parts below" if here else "its parts below")
        claims = len(book.claims.get(section, []))
        rows.append(
            [
                f"§{section} {title}",
                "<br>".join(here) or ABSENT,
                _errata_links(book, things),
                f"{{ref}}`{claims} <claims>`" if claims else "",
            ]
        )
    return _table(["In the paper", "Here", "Errata", "Claims"], rows)


def equations_table(book: Sources) -> str:
    """Equation and algorithm → the heading that it stands under, errata."""
    rows = []
    for target in equations.TARGETS:
        name = "algorithm-1" if target == ALGORITHM else f"eq-{target}"
        place = book.labels.get(name)
        what, link, section = f"({target})", f"{{ref}}`({target}) <{name}>`", EQUATIONS.get(target)
        if target == ALGORITHM:
            what, link, section = ALGORITHM, ALGORITHM_LINK, ALGORITHM_IN
        here = f"{book.titles[place.file]}: {_link(place)}" if place else ABSENT
        rows.append([link if place else what, f"§{section}", here, _errata_links(book, [what])])
    return _table(["Equation", "In the paper", "Here", "Errata"], rows)


def figures_table(book: Sources) -> str:
    """Figure → chapters, errata."""
    rows = []
    for number, section in FIGURES.items():
        here = [f"{{ref}}`{book.titles[book.labels[name].file]} <{name}>`" for name in figure_labels(book, number)]
        rows.append(
            [f"Figure {number}", f"§{section}", "<br>".join(here) or ABSENT, _errata_links(book, [f"Figure {number}"])]
        )
    return _table(["Figure", "In the paper", "Here", "Errata"], rows)


TABLES = {"sections": sections_table, "equations": equations_table, "figures": figures_table}


def filled(text: str, root: Path = ROOT) -> str:
    """The page's text with each table in its place, which is a line such as `<!-- map: figures -->`."""
    book = read(root)
    return re.sub(r"^<!-- map: (\w+) -->$", lambda mark: TABLES[mark[1]](book), text, flags=re.MULTILINE)


def absent(book: Sources) -> list[str]:
    """The numbered things of the paper that are nowhere in the book."""
    names = [f"equation ({number})" for number in EQUATIONS if f"eq-{number}" not in book.labels]
    names += [ALGORITHM] * ("algorithm-1" not in book.labels)
    return names + [f"Figure {number}" for number in FIGURES if not figure_labels(book, number)]


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of successive numbers."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def _equation(number: int) -> str:
    return f"{{ref}}`({number}) <eq-{number}>`"


def _link(place: Place) -> str:
    return f"[{place.heading}]({place.file.name}#{slug(place.heading)})"


def _errata_links(book: Sources, things: list[str]) -> str:
    numbers = sorted({number for thing in things for number in book.errata.get(thing, [])})
    return ", ".join(f"{{ref}}`{number} <erratum-{number}>`" for number in numbers)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


if __name__ == "__main__":
    book = read()
    print("\n\n".join(table(book) for table in TABLES.values()))
    sys.exit("\n".join(f"{name} is {ABSENT}" for name in absent(book)))
