"""The symbols of a chapter lead to the page of notation: the first use of each does.

A Sphinx extension. The symbols are the formulas in the first column of that page's tables, where each gets an anchor;
in a chapter, the first formula in a paragraph that is one of them, and nothing more, becomes a link.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

NOTATION = "book/notation"
OTHERS = {"f"}  # letters that chapters use for other things too: in one, f is any function
logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict:
    """Before formulas are set aside by `tools.mathml`."""
    app.connect("doctree-resolved", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def anchor(tex: str) -> str:
    """A symbol's anchor on the page of notation: its letters and digits, and what tells it from others."""
    return "symbol-" + re.sub(r"[^A-Za-z0-9]+", "-", tex.replace("'", " prime").replace("(", " of ")).strip("-")


def listed(notation: nodes.document) -> dict[str, nodes.math]:
    """The symbols by their TeX; of one that is listed twice, the first."""
    found: dict[str, nodes.math] = {}
    for row in notation.findall(lambda node: isinstance(node, nodes.row) and isinstance(node.parent, nodes.tbody)):
        for symbol in row[0].findall(nodes.math):
            found.setdefault(_plain(symbol.astext()), symbol)
    return found


def first_uses(doctree: nodes.document, symbols: set[str]) -> dict[str, nodes.math]:
    """The first formula in running text that is a symbol, for each symbol that there is one of."""
    found: dict[str, nodes.math] = {}
    for formula in doctree.findall(nodes.math):
        tex = _plain(formula.astext())
        if tex in symbols and tex not in found and _in_text(formula):
            found[tex] = formula
    return found


def _resolve(app: Sphinx, doctree: nodes.document, name: str) -> None:
    if NOTATION not in app.env.found_docs or app.builder.format != "html":
        return
    if name == NOTATION:
        _mark(listed(doctree))
    elif app.env.doc2path(name).endswith(".ipynb"):
        symbols = set(listed(app.env.get_doctree(NOTATION))) - OTHERS
        page = app.builder.get_relative_uri(name, NOTATION)
        for tex, formula in first_uses(doctree, symbols).items():
            # Its title is the link's name where a formula is not read as text.
            named = {"refuri": f"{page}#{anchor(tex)}", "reftitle": "Notation"}
            link = nodes.reference("", "", internal=True, classes=["symbol"], **named)
            formula.replace_self(link)
            link += formula


def _mark(symbols: dict[str, nodes.math]) -> None:
    anchors = {}
    for tex, symbol in symbols.items():
        other = anchors.setdefault(anchor(tex), tex)
        if other != tex:
            logger.warning("the symbols %r and %r would have one anchor", other, tex, location=symbol)
        symbol["ids"].append(anchor(tex))


def _plain(tex: str) -> str:
    """TeX as it is compared: a bar is a bar, and blanks say nothing."""
    return " ".join(re.sub(r"\s*(?:\||\\vert(?![a-z])|\\mid(?![a-z]))\s*", "|", tex).split())


def _in_text(formula: nodes.math) -> bool:
    """Whether a formula stands in a paragraph, and not in a heading, a table, a caption or a link."""
    above = []
    node = formula.parent
    while node is not None:
        above.append(type(node))
        node = node.parent
    aside = {nodes.title, nodes.table, nodes.caption, nodes.reference, nodes.figure}
    return nodes.paragraph in above and not aside & set(above)
