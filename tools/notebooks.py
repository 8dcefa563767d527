"""Keep outputs out of committed notebooks, except those of cells that are compared (NBVAL_CHECK_OUTPUT).

python -m tools.notebooks book/mnist.ipynb ...           strip
python -m tools.notebooks --check book/mnist.ipynb ...   only name those that need it
"""

import argparse
import sys
from pathlib import Path

import nbformat

MARK = "NBVAL_CHECK_OUTPUT"
# Kept: what a chapter is about. Everything else in a notebook's metadata depends on who saved it.
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def stripped(text: str) -> str:
    """The notebook `text` without outputs, but for those of marked cells, and without editors' metadata."""
    notebook = nbformat.reads(text, 4)
    notebook.metadata = nbformat.from_dict({**KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        for key in ("execution", "collapsed", "scrolled", "trusted", "papermill", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = [_bare(output) for output in cell.outputs] if marked(cell) else []
            # nbval refuses outputs of a cell that was never run; the count itself means nothing here.
            cell.execution_count = 1 if cell.outputs else None
    return nbformat.writes(notebook, 4) + "\n"


def marked(cell: dict) -> bool:
    """Whether a code cell's output is committed and compared."""
    tags = cell["metadata"].get("tags", [])
    comments = (line.strip().lstrip("#").strip() for line in cell["source"].splitlines() if line.strip()[:1] == "#")
    return MARK in comments or MARK.lower().replace("_", "-") in tags


def _bare(output: dict) -> dict:
    if "execution_count" in output:
        output["execution_count"] = None
    return output


def main(arguments: list[str] | None = None) -> int:
    """Strip or check; returns 1 where a notebook was or needs to be changed under `--check`."""
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if something needs changing")
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    status = 0
    for path in options.notebooks:
        text = path.read_text(encoding="utf-8")
        clean = stripped(text)
        if clean == text:
            continue
        if options.check:
            print(f"{path}: holds outputs or an editor's metadata; strip it: make format", file=sys.stderr)
            status = 1
        else:
            path.write_text(clean, encoding="utf-8")
            print(f"{path}: stripped")
    return status


if __name__ == "__main__":
    sys.exit(main())
