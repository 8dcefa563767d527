"""Executed chapters as plain files: `_build/executed/<chapter>-<16 hex>.ipynb`.

The name holds a digest of what the outputs depend on: the chapter's code cells, with their metadata, and the
environment (`tools.inputs.environment_digest`). What depends on nothing that changed is found again under its name.
"""

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.chapters import find_stop, write_whole

OURS = re.compile(r".+-[0-9a-f]{16}")
KEPT = 3  # files kept of each chapter, so that going back to the last version of the package costs nothing


@dataclass(frozen=True)
class Executed:
    """The executed chapters in `folder` that belong to one environment. One process at a time may write there."""

    folder: Path
    environment: str

    def path(self, chapter: str, notebook: NotebookNode) -> Path:
        """Where the outputs of a chapter with the code of `notebook` are or would be."""
        code = [(cell.source, cell.metadata) for cell in _code_cells(notebook)]
        digest = hashlib.sha256(json.dumps([self.environment, code], sort_keys=True).encode()).hexdigest()
        return self.folder / f"{chapter}-{digest[:16]}.ipynb"

    def holds(self, chapter: Path) -> bool:
        """Whether there is a file for a chapter as its code is now, damaged or not."""
        return self.path(chapter.stem, nbformat.read(chapter, 4)).is_file()

    def read(self, chapter: Path) -> NotebookNode | None:
        """A chapter as its text is now, with its outputs; None where it was not executed as its code is now.

        A file that is damaged is named on stderr and counts as missing.
        """
        notebook = nbformat.read(chapter, 4)
        path = self.path(chapter.stem, notebook)
        try:
            whole = _with_outputs(notebook, nbformat.read(path, 4), chapter.stem)
            path.touch()  # the newest are kept
            return whole
        except FileNotFoundError:
            return None
        except Exception as damage:  # what is torn fails in one of many ways
            reason = str(damage).partition("\n")[0][:200]
            print(f"  {path.name} is damaged, so {chapter.stem} is executed again: {reason}", file=sys.stderr)
            return None

    def write(self, chapter: str, notebook: NotebookNode) -> None:
        """Keep an executed chapter; it appears whole or not at all."""
        path = self.path(chapter, notebook)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, nbformat.writes(notebook))

    def prune(self) -> None:
        """Remove all but the newest files of each chapter, and what a killed build left."""
        by_chapter: dict[str, list[Path]] = {}
        for path in self.folder.glob("*.ipynb"):
            if OURS.fullmatch(path.stem):  # whatever else lies here is not ours to delete
                by_chapter.setdefault(path.stem.rpartition("-")[0], []).append(path)
        for paths in by_chapter.values():
            for old in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
                old.unlink()
        for unfinished in self.folder.glob(".*.ipynb.*"):
            unfinished.unlink()


def _code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _with_outputs(notebook: NotebookNode, executed: NotebookNode, name: str) -> NotebookNode:
    """`notebook` with the outputs of `executed`. Raises ValueError where these are not the outputs of its code."""
    pairs = list(zip(_code_cells(notebook), _code_cells(executed), strict=True))
    if any(cell.source != done.source for cell, done in pairs):
        raise ValueError("it holds other code")
    for cell, done in pairs:
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
    if stop := find_stop(name, notebook):
        raise ValueError(f"it ends in cell {stop.number}")
    return notebook
