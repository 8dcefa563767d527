"""Write the outputs of the built book into the notebooks' compared cells (NBVAL_CHECK_OUTPUT), to be committed.

`make verify` executes the chapters again and compares these.
"""

import sys
from pathlib import Path

import nbformat

from tools.chapters import ROOT, BookError, chapters
from tools.executed import Executed
from tools.inputs import data_facts, environment_digest
from tools.notebooks import marked, stripped


def main() -> int:
    """Record every chapter's numbers; returns the exit status."""
    kept = Executed(ROOT / "_build" / "executed", environment_digest(ROOT, data_facts()))
    try:
        for path in chapters(ROOT):
            print(f"{path.stem}: {record(kept, path)} compared cells")
    except BookError as error:
        print(f"numbers: {error}", file=sys.stderr)
        return 1
    return 0


def record(kept: Executed, path: Path) -> int:
    """Copy one chapter's outputs from where they are kept; returns the number of its compared cells.

    Raises
    ------
    BookError
        If the chapter was not executed as it is now, or a compared cell shows nothing that can be compared.
    """
    notebook = kept.read(path)
    if notebook is None:
        raise BookError(f"{path.stem} was not executed as it is now; run make book first")
    compared = [cell for cell in notebook.cells if cell.cell_type == "code" and marked(cell)]
    for cell in compared:
        if not any("text" in output or "text/plain" in output.get("data", {}) for output in cell.outputs):
            raise BookError(f"{path.stem}: a compared cell prints nothing:\n{cell.source}")
        if any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {})):
            raise BookError(
                f"{path.stem}: a compared cell shows a picture; print its numbers in another cell\n{cell.source}"
            )
    path.write_text(stripped(nbformat.writes(notebook)), encoding="utf-8")
    return len(compared)


if __name__ == "__main__":
    sys.exit(main())
