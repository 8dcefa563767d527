"""The book as the tools see it: its pages, its chapters, their parameters, and where a chapter stopped.

Standard library only at import, so that a typing mistake in `make rerun` is answered at once.
"""

import ast
import errno
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEY = "vaelib"  # of what vaelib.report puts into an output's metadata
QUIET_KERNEL = ["--IPKernelApp.log_level=40"]  # or each kernel warns that its sockets are not encrypted

# Of cells that papermill adds to a chapter; a cell is numbered as in the chapter.
_ADDED = {"injected-parameters", "papermill-error-cell-tag"}
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


# What the user can do about an error of the operating system, by its number.
_WAYS_OUT = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room below"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Make it writable, below"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "Move away what is in its place, below"),
}


class BookError(Exception):
    """Something in the book or in a request about it is wrong; the message says what and what to do."""


def pages(root: Path = ROOT) -> list[Path]:
    """Every page that `_toc.yml` lists, in reading order, as files below `root`."""
    import yaml  # not part of the standard library: only here, see the module's docstring

    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found = []
    for name in [toc["root"], *_files(toc)]:
        candidates = [root / f"{name}{suffix}" for suffix in (".ipynb", ".md")]
        existing = [path for path in candidates if path.is_file()]
        if not existing:
            raise BookError(f"_toc.yml lists {name}, but there is neither {name}.ipynb nor {name}.md")
        found.append(existing[0])
    return found


def _files(node) -> list[str]:
    """The `file:` entries of a table of contents, depth first."""
    if isinstance(node, list):
        return [name for item in node for name in _files(item)]
    if isinstance(node, dict):
        own = [node["file"]] if "file" in node else []
        return own + [name for key in ("parts", "chapters", "sections") for name in _files(node.get(key))]
    return []


def chapters(root: Path = ROOT) -> list[Path]:
    """The pages that are notebooks, in reading order."""
    return [page for page in pages(root) if page.suffix == ".ipynb"]


def read_notebook(path: Path) -> dict:
    """A notebook as plain JSON, its cell sources joined to strings."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def parameters(path: Path) -> dict[str, object]:
    """Name and default of everything that a chapter's cell tagged `parameters` sets; empty without such a cell."""
    found = {}
    for cell in read_notebook(path)["cells"]:
        if "parameters" not in cell["metadata"].get("tags", []):
            continue
        for statement in ast.parse(cell["source"]).body:
            if isinstance(statement, ast.Assign):
                for target in statement.targets:
                    found[target.id] = ast.literal_eval(statement.value)
    return found


def run_with_papermill(source: Path, out: Path, values: Mapping, *, cwd: Path = ROOT, progress: bool = False) -> None:
    """Execute the notebook `source` with these parameters into `out`, without a time limit on cells.

    Raises papermill's PapermillExecutionError at a cell that raises, and RuntimeError where the kernel dies. One that
    dies before it answers is started once more: the ports that Jupyter picked for it may have been taken meanwhile.
    """
    import papermill

    # A kernel has nothing to save at its end, and a busy one would not hear that it is asked to end.
    given = {"cwd": cwd, "progress_bar": progress, "extra_arguments": QUIET_KERNEL, "shutdown_kernel": "immediate"}
    try:
        papermill.execute_notebook(source, out, values, **given)
    except RuntimeError as error:
        if "before replying" not in str(error):
            raise
        papermill.execute_notebook(source, out, values, **given)


@dataclass(frozen=True)
class Stop:
    """Where and why a chapter stopped: `index` among the cells that ran, `number` of `count` in the chapter, from 1."""

    chapter: str
    index: int
    number: int
    count: int
    source: str
    reason: str

    @property
    def head(self) -> str:
        """The first lines of the cell."""
        return "\n".join(self.source.strip().splitlines()[:6])

    def __str__(self) -> str:
        code = "\n".join(f"    | {line}" for line in self.head.splitlines())
        reason = "\n".join(f"    {line}" for line in self.reason.splitlines())
        return f"{self.chapter} stopped in cell {self.number} of {self.count}:\n{code}\n{reason}"


def find_stop(chapter: str, notebook: dict, *, current: int | None = None, reason: str = "") -> Stop | None:
    """Where an executed notebook stopped, or None where it ran to its end.

    A cell that raised carries an error; a cell at which the kernel died carries nothing at all, and neither do those
    after it, whatever the notebook's metadata say. `current` is the index of the cell known to be running then, or
    of one before the first code cell where not even that began.
    """
    cells = notebook["cells"]
    own = [not _ADDED & set(cell["metadata"].get("tags", [])) for cell in cells]

    def stop(index: int, reason: str) -> Stop:
        source = "".join(cells[index]["source"])
        return Stop(chapter, index, sum(own[: index + 1]), sum(own), source, _ANSI.sub("", reason).rstrip())

    for index, cell in enumerate(cells):
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        tags = cell["metadata"].get("tags", [])
        errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
        if errors and "raises-exception" not in tags:
            text = "\n".join(errors[0]["traceback"]) or f"{errors[0]['ename']}: {errors[0]['evalue']}"
            return stop(index, text)
        if (cell["execution_count"] is None) if current is None else index >= current:
            return stop(index, reason or "The cell did not run to its end: the kernel died.")
    return None


def why(error: Exception, folder: Path) -> str:
    """An error in one line, with the way out: that of a full disk names no file, and so `folder` is named."""
    way_out = _WAYS_OUT.get(error.errno) if isinstance(error, OSError) else None
    return f"{error}. {way_out} {folder}" if way_out else str(error)


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and rename it: it appears whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
