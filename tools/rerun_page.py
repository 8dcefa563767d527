"""The page of a rerun, made like the book's: by the same Sphinx, in the same theme, with references that lead into it.

Each rerun is typeset by itself, beside an index of all, because two reruns of a chapter hold the same labels.
"""

import re
import shutil
from collections.abc import Mapping
from html import escape
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools import rerun_record, staging
from tools.chapters import write_whole
from tools.typeset import MISSING, sphinx

BOOK = "../_build/html/"  # seen from reruns/
TOC = "format: jb-book\nroot: index\n"  # without the rerun, so that the index is the same beside each
LIST = '<ul class="reruns"></ul>'  # in the index as it is typeset; others may be published before it is
REFERENCES = "## References\n\n```{bibliography}\n:filter: docname in docnames\n```"


def typeset(root: Path, folder: Path, name: str, chapter: str, notebook: NotebookNode, values: Mapping) -> Path:
    """Typeset an executed chapter as `name`.html, beside an index.html; returns the folder where they are.

    `folder` is an empty one in `reruns/`, and `values` are the parameters that were asked for. Raises BookError where
    Sphinx fails.
    """
    source, html = folder / "source", folder / "html"
    inventory = root / "_build" / "html" / "objects.inv"
    built = inventory.is_file()
    text = next(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = next(line for line in text.splitlines() if line.startswith("# "))
    title = _plain(" · ".join([heading.removeprefix("# "), *map(_words, values, values.values())]))
    opened = text.replace(heading, f"# {title}\n\n{_note(heading, name, chapter, values, built)}", 1)
    staged = staging.texts(root) | {
        "index.md": _index(built).encode(),
        f"{name}.ipynb": staging.page(
            _with_text(notebook, text, opened), reruns=rerun_record.listed(rerun_record.titles(root / "reruns"))
        ),
    }
    staging.stage(source, staged)
    toc = folder / "_toc.yml"
    toc.write_text(TOC, encoding="utf-8")
    sphinx(
        root,
        source=source,
        html=html,
        doctrees=folder / "doctrees",
        toc=toc,
        strict=False,
        suppress_warnings=MISSING,
        external_toc_exclude_missing=False,
        exclude_patterns=["book"],  # whose pages are staged beside it
        intersphinx_mapping={"book": (BOOK, inventory.as_posix())} if built else {},
        html_copy_source=False,
        html_use_index=False,
        # No search: it would know of this page alone.
        html_sidebars={"**": ["navbar-logo.html", "sbt-sidebar-nav.html"]},
        html_theme_options={"disable_search": True, "show_prev_next": False, "use_download_button": False},
    )
    return html


def publish(html: Path, reruns: Path, name: str) -> None:
    """Rename a typeset rerun into its place, what its page loads first; remove pictures that no page shows.

    The caller holds the lock on `reruns`: the index lists what is there.
    """
    for path in sorted(html.rglob("*")):
        place = path.relative_to(html)
        if path.is_file() and (place.parts[0] in ("_images", "_static") or place.as_posix() == f"{name}.html"):
            (reruns / place).parent.mkdir(parents=True, exist_ok=True)
            path.replace(reruns / place)
    if (html / "index.html").is_file():
        index = (html / "index.html").read_text(encoding="utf-8")
        titles = dict(sorted(rerun_record.titles(reruns).items()))
        write_whole(reruns / "index.html", index.replace(LIST, rerun_record.listed(titles)))
    pages = [page.read_text(encoding="utf-8") for page in reruns.glob("*.html")]
    shown = {image for page in pages for image in re.findall(r'_images/([^"]+)"', page)}
    for image in (reruns / "_images").glob("*"):
        if image.name not in shown:
            image.unlink()


def copy(reruns: Path, folder: Path) -> None:
    """The published reruns as a part of a site, `folder` being one of its own; links into the book stay in the site."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in reruns.glob("*.html")}
    for name, page in pages.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(page.replace(BOOK, "../"), encoding="utf-8")
        notebook = reruns / Path(name).with_suffix(".ipynb").name
        if notebook.is_file():
            shutil.copy(notebook, folder)
    for part in ("_images", "_static"):
        if pages and (reruns / part).is_dir():
            shutil.copytree(reruns / part, folder / part)


def _words(name: str, value: object) -> str:
    """One parameter as a title has it."""
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if isinstance(value, str):
        return Path(value).name
    return {"latent_dim": f"K = {value}", "epochs": f"{value} epochs"}.get(name, f"{name} {value}")


def _plain(text: str) -> str:
    """Words as Markdown that shows them as they are."""
    return re.sub(r"([\\`*_{}\[\]<>$])", r"\\\1", text)


def _note(heading: str, name: str, chapter: str, values: Mapping, built: bool) -> str:
    """What a page is and where it leads, in one sentence or two."""
    asked = ", ".join(f"`{key} = {value!r}`" for key, value in values.items()) or "the book's own parameters"
    title = heading.removeprefix("# ")
    link = f'<a href="{BOOK}book/{chapter}.html">{escape(title)}</a>' if built else f"*{_plain(title)}*"
    missing = "" if built else " The book has not been built here, so references to its other pages are plain text."
    return (
        f"A rerun of the chapter {link} with {asked}, as a notebook: "
        f'<a href="{escape(name)}.ipynb">{escape(name)}.ipynb</a>.{missing}'
    )


def _with_text(notebook: NotebookNode, old: str, new: str) -> NotebookNode:
    """A copy of `notebook` with another first text, and with the references that it cites."""
    copy = nbformat.from_dict(notebook)
    copy.metadata["orphan"] = True  # Sphinx misses no list that leads to it
    next(cell for cell in copy.cells if cell.source == old).source = new
    if "{cite" in nbformat.writes(notebook):
        copy.cells.append(nbformat.v4.new_markdown_cell(REFERENCES, id="references"))
    return copy


def _index(built: bool) -> str:
    """The page that lists all reruns."""
    book = f'<a href="{BOOK}index.html">the book</a>' if built else "the book"
    return f"# Reruns\n\nChapters of {book}, run again with other parameters (`make rerun`).\n\n{LIST}\n"
