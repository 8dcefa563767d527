"""Symbols of chapters lead to the page of notation, on small pages of both."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from tools import symbols

NOTATION = r"""
Sizes
=====

A number :math:`N`.

.. list-table::
   :header-rows: 1

   * - Symbol
     - Meaning
   * - :math:`K`
     - latent :math:`Q`
   * - :math:`\mathbf{x}`, :math:`x_j`
     - an image
   * - :math:`\mathbf{X}'`
     - a batch
   * - :math:`p_\theta(\mathbf{x}\vert\mathbf{z})`
     - the likelihood
   * - :math:`f`
     - an activation
   * - :math:`K` again
     - twice
"""
CHAPTER = r"""
Of :math:`K`
============

Here :math:`K = 2`, and :math:`K` is a size; so is :math:`K`, and :math:`p_\theta(\mathbf{x} | \mathbf{z})` none.
Any function :math:`f` and any :math:`N`.

.. list-table::

   * - :math:`x_j`

`see` :math:`\mathbf{x}`
"""


@pytest.fixture
def book():
    """An application that knows both pages and resolves them."""
    pages = {symbols.NOTATION: publish_doctree(NOTATION), "book/chapter": publish_doctree(CHAPTER)}
    app = SimpleNamespace(
        env=SimpleNamespace(
            found_docs=set(pages),
            get_doctree=lambda name: publish_doctree(NOTATION),
            doc2path=lambda name: f"{name}{'.md' if name == symbols.NOTATION else '.ipynb'}",
        ),
        builder=SimpleNamespace(format="html", get_relative_uri=lambda start, to: "notation.html"),
    )
    for name, doctree in pages.items():
        symbols._resolve(app, doctree, name)
    return pages


def test_first_use_in_running_text_is_a_link(book):
    links = [link for link in book["book/chapter"].findall(nodes.reference) if "symbol" in link["classes"]]
    assert [(link.astext(), link["refuri"]) for link in links] == [
        ("K", "notation.html#symbol-K"),
        (r"p_\theta(\mathbf{x} | \mathbf{z})", "notation.html#symbol-p-theta-of-mathbf-x-mathbf-z"),
        (r"\mathbf{x}", "notation.html#symbol-mathbf-x"),
    ]
    assert {link["reftitle"] for link in links} == {"Notation"}
    paragraph = links[0].parent
    assert isinstance(paragraph, nodes.paragraph)
    assert [formula.astext() for formula in paragraph.findall(nodes.math)][:3] == ["K = 2", "K", "K"]


def test_every_symbol_of_the_first_column_has_an_anchor_of_its_own(book):
    anchors = [anchor for symbol in book[symbols.NOTATION].findall(nodes.math) for anchor in symbol["ids"]]
    assert anchors == [
        "symbol-K",
        "symbol-mathbf-x",
        "symbol-x-j",
        "symbol-mathbf-X-prime",
        "symbol-p-theta-of-mathbf-x-mathbf-z",
        "symbol-f",
    ]


def test_two_symbols_with_one_anchor_are_a_warning(monkeypatch):
    warned = []
    monkeypatch.setattr(symbols.logger, "warning", lambda *arguments, **_: warned.append(arguments))
    symbols._mark({tex: nodes.math(tex, tex) for tex in ("x_j", "x^j", "K")})
    assert [arguments[1:] for arguments in warned] == [("x_j", "x^j")]


def test_pages_of_a_book_without_notation_stay_as_they_are():
    doctree = publish_doctree(CHAPTER)
    symbols._resolve(SimpleNamespace(env=SimpleNamespace(found_docs={"chapter"})), doctree, "chapter")
    assert not [link for link in doctree.findall(nodes.reference) if "symbol" in link["classes"]]
