"""What Sphinx reads: text, static files and executed chapters in a folder of their own.

myst-nb sets a figure where a cell's metadata names and captions it. The chapters put both into the output's metadata,
because they follow the run; here they are brought to the cell.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools import paper_map
from tools.chapters import KEY, Stop

RERUNS = "<!-- reruns -->"  # in a chapter's text: the place of the list of reruns
FOLDED = {"parameters", "injected-parameters"}  # of cells whose code a page shows behind a click, like other set-up


def stage(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Let `folder` hold the files of `contents` and no other; a file that is there already keeps its time."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in contents:
            path.unlink()
    for name, content in contents.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def texts(root: Path) -> dict[str, bytes]:
    """What is in `book/` and no notebook: pages in Markdown, references, static files. The map gets its tables."""
    files = [path for path in (root / "book").rglob("*") if path.is_file() and path.suffix != ".ipynb"]
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    if text := found.get(paper_map.PAGE.as_posix()):
        found[paper_map.PAGE.as_posix()] = paper_map.filled(text.decode(), root).encode()
    return found


def page(notebook: NotebookNode, stop: Stop | None = None, *, reruns: str = "") -> bytes:
    """An executed chapter for myst-nb: its cells announce its figures; after a stop, the reason stands for the rest.

    `reruns` (Markdown) stands where the text marks a place for the list of reruns.
    """
    cells = notebook.cells if stop is None else notebook.cells[: stop.index]
    shown = [part for cell in cells for part in _parts(cell)]
    for part in shown:
        if part.cell_type == "markdown" and RERUNS in part.source:
            part.source = part.source.replace(RERUNS, reruns)
    if stop is not None:
        shown.append(nbformat.v4.new_markdown_cell(_notice(stop), id="stop"))
    return nbformat.writes(nbformat.from_dict({**notebook, "cells": shown})).encode()


def figures(cell: Mapping) -> list[dict]:
    """Name, caption and alternative text of the figures among a cell's outputs."""
    found = (output.get("metadata", {}).get(KEY, {}).get("figure") for output in cell.get("outputs", []))
    return [figure for figure in found if figure]


def _parts(cell: NotebookNode) -> list[NotebookNode]:
    """A cell as one that shows its code and others that show only outputs, so that none shows more than one figure."""
    if cell.cell_type != "code":
        return [nbformat.from_dict(cell)]
    groups: list[list[NotebookNode]] = [[]]
    for output in cell.outputs:
        alone = figures({"outputs": [output, *groups[-1][-1:]]})
        groups.append([output]) if alone and groups[-1] else groups[-1].append(output)
    parts = []
    for number, outputs in enumerate(groups):
        part = nbformat.from_dict({**cell, "outputs": outputs, "metadata": dict(cell.metadata)})
        tags = list(cell.metadata.get("tags", []))
        if number:
            part.id, tags = f"{cell.id}-{number}", [*tags, "remove-input"]
        if FOLDED & set(tags):
            tags.append("hide-input")
        if any("findings" in output.get("metadata", {}).get(KEY, {}) for output in outputs):
            tags.append("reading")
        for figure in figures(part):
            placed = {"figure": {key: figure[key] for key in ("name", "caption")}, "image": {"alt": figure["alt"]}}
            part.metadata["mystnb"] = {**part.metadata.get("mystnb", {}), **placed}
        part.metadata["tags"] = tags
        parts.append(part)
    return parts


def _notice(stop: Stop) -> str:
    """Why a page ends here, as an admonition."""
    longest = max(map(len, re.findall("`+", stop.head + stop.reason)), default=0)
    inner, outer = "`" * max(3, longest + 1), "`" * max(4, longest + 2)
    return (
        f"{outer}{{admonition}} This page stops here\n:class: error\n\n"
        f"Cell {stop.number} of {stop.count} did not run to its end, so that what follows is missing.\n\n"
        f"{inner}python\n{stop.head}\n{inner}\n\n{inner}text\n{stop.reason}\n{inner}\n{outer}\n"
    )
