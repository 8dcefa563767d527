"""Typeset staged pages as HTML. The one place that calls jupyter-book.

    python -m tools.typeset ROOT [--with-stops]

Also an extension of Sphinx, for the sake of `setup`.
"""

import os
import shutil
import sys
from pathlib import Path

from jupyter_book.sphinx import build_sphinx
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.console import nocolor

from tools import extras
from tools.chapters import BookError, pages

# What refers to a place that a page would have had, had it not stopped before.
MISSING = ["ref", "myst.xref_missing"]


def setup(app: Sphinx) -> dict:
    """Let pages be written side by side. They are read one by one: what sphinx-proof knows of them cannot be merged."""

    def write_on_all_cores(app: Sphinx, _env: BuildEnvironment) -> None:
        app.parallel = os.cpu_count() or 1

    app.connect("env-updated", write_on_all_cores)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def typeset(root: Path, *, with_stops: bool = False) -> None:
    """Build the pages below `_build/work/html` from `_build/work/source`, with every warning an error.

    Parsed pages are kept between builds, the HTML is written afresh, so no file of an earlier book stays in it.
    With stops, references may lead nowhere: then they are plain text.

    Raises
    ------
    BookError
        If Sphinx warned or failed; what it said is on standard error.
    """
    work = root / "_build" / "work"
    unfinished = work / "UNFINISHED"
    html = work / "html"
    # Sphinx warns about a page when it parses it, and keeps what it parsed: after a build that did not end well,
    # parse everything again, or its warnings would be gone the next time.
    shutil.rmtree(html, ignore_errors=True)
    if unfinished.exists():
        shutil.rmtree(work / "doctrees", ignore_errors=True)
    unfinished.touch()
    sphinx(
        root,
        source=work / "source",
        html=html,
        doctrees=work / "doctrees",
        toc=root / "_toc.yml",
        strict=not with_stops,
        checkout=root.as_posix(),
        html_baseurl=extras.address(),
        **({"suppress_warnings": MISSING} if with_stops else {"nitpicky": True}),
    )
    names = [page.relative_to(root).with_suffix(".html").as_posix() for page in pages(root)]
    extras.write(html, names, extras.address())
    if not with_stops:
        unfinished.unlink()


def sphinx(root: Path, *, source: Path, html: Path, doctrees: Path, toc: Path, strict: bool, **settings) -> None:
    """Typeset `source` by the book's `_config.yml` and further Sphinx `settings`. Raises BookError where it fails."""
    if not sys.stderr.isatty():
        nocolor()
    status = build_sphinx(
        source,
        html,
        noconfig=True,
        path_config=root / "_config.yml",
        confoverrides={"external_toc_path": toc.as_posix(), "latex_individualpages": False, **settings},
        doctreedir=doctrees,
        quiet=True,
        warningiserror=strict,
        keep_going=True,
    )
    if status != 0:
        raise BookError("the pages were not typeset: Sphinx's warnings above are errors here")


if __name__ == "__main__":
    try:
        typeset(Path(sys.argv[1]), with_stops="--with-stops" in sys.argv)
    except BookError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
