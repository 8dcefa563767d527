"""Formulas as MathML, written when the book is typeset: no script draws them, and none is needed to read them.

A Sphinx extension: it renders what Sphinx parsed as mathematics, by math-core. Browsers lay MathML out in the font
that `book/static/companion.css` names. TeX that is not understood is a warning, which the book's build makes an error.
"""

import re
from functools import cache

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

TAG = re.compile(r"\\tag\{([^{}]*)\}")
TERMINAL = re.compile(r"\x1b\[[0-9;]*m")


def setup(app: Sphinx) -> dict:
    """Let Sphinx know the renderer, and keep TeX out of the index of the search."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.connect("doctree-resolved", lambda app, doctree, name: set_aside(doctree))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def set_aside(doctree: nodes.document) -> None:
    """Move the TeX of each formula from the text, which the search indexes, into an attribute."""
    for kind in (nodes.math, nodes.math_block):
        for node in list(doctree.findall(kind)):
            node["tex"] = node.astext()
            node.clear()


@cache
def mathml(tex: str, *, display: bool = False) -> str:
    """A formula as a `math` element.

    Raises
    ------
    ValueError
        If something in it is not understood; the message says what.
    """
    try:
        formula = LatexToMathML().convert_with_local_state(tex, displaystyle=display)
    except LatexError as error:
        raise ValueError(TERMINAL.sub("", str(error)).strip()) from None
    # A fence of a chosen size is an ordinary letter in TeX; browsers would set it apart like an operator.
    return formula.replace("<mo minsize=", '<mo lspace="0" rspace="0" minsize=')


def _render(node: nodes.Node, tex: str, *, display: bool) -> str:
    try:
        return mathml(tex, display=display)
    except ValueError as error:
        logger.warning("a formula was not understood: %s", error, location=node, type="mathml")
        return ""


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    formula = _render(node, node.get("tex", node.astext()), display=False)
    translator.body.append(translator.starttag(node, "span", "", CLASS="math notranslate") + formula + "</span>")
    raise nodes.SkipNode


def _display(translator: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on lines of its own; its number stands beside the box that a long one scrolls in."""
    tex = node.get("tex", node.astext())
    numbers = TAG.findall(tex)
    if node.get("number"):
        numbers.append(get_node_equation_number(translator, node))
    formula = _render(node, TAG.sub("", tex).strip(), display=True)
    number = "".join(f'<span class="eqno">({translator.encode(each)})</span>' for each in numbers)
    start = translator.starttag(node, "div", "", CLASS="math notranslate")
    translator.body.append(f'{start}<div class="formula">{formula}</div>{number}</div>\n')
    raise nodes.SkipNode
