"""Write the outputs of the built book into the notebooks' compared cells (NBVAL_CHECK_OUTPUT), to be committed.

`make verify` executes the chapters again and compares these.
"""

import sys
from pathlib import Path

import nbformat
from jupyter_cache.cache.main import JupyterCacheBase

from tools.chapters import ROOT, BookError, chapters
from tools.execute import cached, open_cache
from tools.inputs import cache_folder, data_facts
from tools.notebooks import marked, stripped


def main() -> int:
    """Record every chapter's numbers; returns the exit status."""
    cache = open_cache(cache_folder(ROOT, data_facts()))
    try:
        for path in chapters(ROOT):
            print(f"{path.stem}: {record(cache, path)} compared cells")
    except BookError as error:
        print(f"numbers: {error}", file=sys.stderr)
        return 1
    return 0


def record(cache: JupyterCacheBase, path: Path) -> int:
    """Copy one chapter's outputs from the cache; returns the number of its compared cells.

    Raises
    ------
    BookError
        If the chapter was not executed as it is now, or a compared cell shows nothing that can be compared.
    """
    if not cached(cache, path):
        raise BookError(f"{path.stem} was not executed as it is now; run make book first")
    _, notebook = cache.merge_match_into_notebook(nbformat.read(path, 4))
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
