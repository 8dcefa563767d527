"""What is known of each rerun: what it was made from, how long it took, the held-out ELBO of its run.

One small file a rerun, `reruns/.records/<name>.json`, written after its notebook and page: a rerun that has a record
is whole. Standard library only at import, as in `tools.rerun`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape, unescape
from pathlib import Path

from tools.chapters import write_whole
from tools.inputs import environment_digest, facts_apart

# The small print of `vaelib.report.provenance`.
RUN = re.compile(r"(?P<data>[^\n]+) \(data [0-9a-f]{8}\)[^\n]* held-out ELBO (?P<elbo>-?\d+\.\d) nats")

TITLE = re.compile(r"<title>([^<]*)</title>")


@dataclass(frozen=True)
class Record:
    """A rerun of `chapter` with `values`: a digest of what it was made from, its seconds, its run's data and ELBO."""

    chapter: str
    values: dict[str, object]
    made_from: str
    seconds: float
    data: str | None
    elbo: float | None


def made_from(root: Path, chapter: str, values: Mapping, environment: str | None = None) -> str:
    """A digest of what a rerun depends on: the chapter, its values, and the `environment` (of today, unless given)."""
    if environment is None:
        environment = environment_digest(root, facts_apart(root, *own_data(values)))
    text = (root / "book" / f"{chapter}.ipynb").read_bytes()
    return hashlib.sha256(f"{environment}\0{json.dumps(values)}\0".encode() + text).hexdigest()


def own_data(values: Mapping) -> tuple[str, ...]:
    """The file of images that a rerun reads besides the paper's data, if any."""
    dataset = str(values.get("dataset", ""))
    return (dataset,) if dataset.endswith(".npz") else ()


def write(reruns: Path, name: str, record: Record) -> None:
    """Keep a record; it appears whole or not at all."""
    path = _path(reruns, name)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps(asdict(record)) + "\n")


def forget(reruns: Path, name: str) -> None:
    """Before a notebook or page is replaced: from here until its new record it is not whole."""
    _path(reruns, name).unlink(missing_ok=True)


def read(reruns: Path, name: str) -> Record | None:
    """The record of a rerun whose notebook and page are there; None where one is missing or damaged."""
    if not all((reruns / f"{name}{suffix}").is_file() for suffix in (".ipynb", ".html")):
        return None
    return _read(_path(reruns, name))


def read_all(reruns: Path) -> list[Record]:
    """Every record, whether or not its notebook is still there: they tell how long reruns take."""
    return [record for path in sorted(reruns.glob(".records/*.json")) if (record := _read(path))]


def _read(path: Path) -> Record | None:
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _path(reruns: Path, name: str) -> Path:
    return reruns / ".records" / f"{name}.json"


def titles(reruns: Path) -> dict[str, str]:
    """The title of each rerun's page by its name, sorted as people count."""
    found = {}
    for page in sorted(reruns.glob("*.html"), key=lambda page: _counted(page.stem)):
        if page.stem != "index":
            with page.open(encoding="utf-8") as file:
                head = TITLE.search(file.read(5000))
            found[page.stem] = unescape(head[1]).partition(" — ")[0] if head else page.stem
    return found


def _counted(name: str) -> list:
    """A name as a key that puts K10 after K2."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def listed(titles: Mapping[str, str], folder: str = "") -> str:
    """Links to the pages of reruns in `folder`, with their titles, as an HTML list."""
    lines = [f'<li><a href="{folder}{escape(name)}.html">{escape(title)}</a></li>' for name, title in titles.items()]
    return f"<ul>\n{''.join(lines)}\n</ul>" if lines else "There is none beside this page yet."


def without_times(notebook: Mapping) -> Mapping:
    """The executed notebook itself, rid of when its cells ran and of random names: the same run, the same bytes."""
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
    notebook.metadata.pop("papermill", None)
    return notebook


def data_and_elbo(notebook: Mapping) -> tuple[str | None, float | None]:
    """The data of the page's first run and its held-out ELBO, in nats; None and None where a page names no run."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if found := RUN.search("".join(output.get("data", {}).get("text/plain", ""))):
                return found["data"], float(found["elbo"])
    return None, None
