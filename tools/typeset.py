"""Typeset the executed book as HTML, with every warning an error. The one place that calls jupyter-book.

python -m tools.typeset CACHE [ROOT]
"""

import shutil
import sys
from pathlib import Path

from jupyter_book.sphinx import REDIRECT_TEXT, build_sphinx
from sphinx.util.console import nocolor

from tools.chapters import ROOT, BookError, pages


def typeset(cache: Path, root: Path = ROOT) -> None:
    """Build the pages below `_build/work/html` from the outputs in `cache`.

    Parsed pages are kept between builds, the HTML is written afresh, so no file of an earlier book stays in it.

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
    shutil.rmtree(work if unfinished.exists() else html, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    unfinished.touch()
    if not sys.stderr.isatty():
        nocolor()
    status = build_sphinx(
        root,
        html,
        noconfig=True,
        path_config=root / "_config.yml",
        confoverrides={
            "external_toc_path": (root / "_toc.yml").as_posix(),
            "latex_individualpages": False,
            "nitpicky": True,
            "nb_execution_cache_path": str(cache),
            "nb_execution_raise_on_error": True,
        },
        doctreedir=work / "doctrees",
        quiet=True,
        warningiserror=True,
        keep_going=True,
    )
    if status != 0:
        raise BookError("the pages were not typeset: Sphinx's warnings above are errors here")
    first = pages(root)[0].relative_to(root).with_suffix(".html").as_posix()
    (html / "index.html").write_text(REDIRECT_TEXT.format(first_page=first), encoding="utf-8")
    unfinished.unlink()


if __name__ == "__main__":
    try:
        typeset(*map(Path, sys.argv[1:]))
    except BookError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
