"""Formulas as MathML: what they become, what is refused, and that the font has all their letters."""

import re

import pytest
from bs4 import BeautifulSoup
from fontTools import subset
from small_book import write_chapter

from tools.chapters import ROOT, chapters, read_notebook
from tools.math_font import FONT, LETTERS
from tools.mathml import TAG, mathml

INLINE, DISPLAY = re.compile(r"(?<![$\\])\$([^$]+)\$(?!\$)"), re.compile(r"\$\$(.+?)\$\$", re.DOTALL)


def book_formulas():
    """Every formula of the chapters' Markdown and of the pages in Markdown."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")]
    for path in chapters(ROOT):
        texts += [cell["source"] for cell in read_notebook(path)["cells"] if cell["cell_type"] == "markdown"]
    for text in texts:
        text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        yield from ((tex, True) for tex in DISPLAY.findall(text))
        yield from ((tex, False) for tex in INLINE.findall(DISPLAY.sub("", text)))


def elements(tex, **options):
    return BeautifulSoup(mathml(tex, **options), "html.parser").math


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"\mathbf{x}", "𝐱"),
        (r"\boldsymbol{\mu}", "𝝁"),
        (r"\mathcal{N}", "𝒩"),
        (r"\mathbb{R}^D", "ℝD"),
        (r"\operatorname{tr}(A)", "tr(A)"),
        (r"\text{score function}", "score\u00a0function"),
        (r"q \,\|\, p", "q‖p"),
    ],
)
def test_letters_are_what_the_commands_say(tex, text):
    shown = re.sub("[\ufe00\ufe01\u2061]", "", elements(tex).get_text())  # marks that nobody sees
    assert shown.replace(" ", "\u00a0") == text


def test_index_and_exponent_stand_where_they_belong():
    [both] = elements(r"\sigma_{\mathbf{z}}^2").find_all("msubsup")
    assert [part.get_text() for part in both.find_all(recursive=False)] == ["σ", "𝐳", "2"]


def test_aligned_lines_are_rows():
    math = elements(r"\begin{aligned} a &= b \\ &= c \end{aligned}", display=True)
    assert math["display"] == "block"
    assert [[cell.get_text() for cell in row.find_all("mtd")] for row in math.find_all("mtr")] == [
        ["a", "=b"],
        ["", "=c"],
    ]


@pytest.mark.parametrize("tex", [r"\fraction{1}{2}", r"\frac{1}", r"\left( x", r"a_b_c", r"x \tag{1}"])
def test_what_is_not_understood_is_refused(tex):
    with pytest.raises(ValueError, match="Error") as refused:
        mathml(tex)
    assert "\x1b" not in str(refused.value)


def test_font_has_every_letter_of_every_formula():
    has = set(subset.parse_unicodes(LETTERS.replace(" ", ",")))
    has |= {0x200B, 0xFE00, 0xFE01, 0xA0}  # these are not drawn
    formulas = list(book_formulas())
    assert len(formulas) > 500
    lacking = {}
    for tex, display in formulas:
        for letter in elements(TAG.sub("", tex).strip(), display=display).get_text():
            if ord(letter) not in has:
                lacking.setdefault(letter, tex)
    assert lacking == {}
    assert 50_000 < FONT.stat().st_size < 100_000


def test_page_shows_a_formula_beside_its_number_and_a_wrong_one_fails(book):
    from nbformat.v4 import new_markdown_cell
    from test_build import fill, typeset

    write_chapter(book, "theory", new_markdown_cell("(eq-1)=\n$$ 1 + 1 = \\mathbf{x} \\tag{1} $$\n\nand $y$."))
    fill(book)
    assert typeset(book).stderr == ""
    work = book / "_build" / "work" / "html"
    soup = BeautifulSoup((work / "book" / "theory.html").read_text(encoding="utf-8"), "html.parser")
    equation = soup.find("div", class_="math", id="eq-1")
    assert equation.find(class_="formula").math.get_text() == "1+1=𝐱"
    assert equation.find(class_="eqno").get_text() == "(1)"
    assert soup.find("span", class_="math").get_text() == "y"
    assert "mathbf" not in (work / "searchindex.js").read_text(encoding="utf-8")

    write_chapter(book, "theory", new_markdown_cell("(eq-1)=\n$$ \\fraction{1} $$"))
    failed = typeset(book)
    assert failed.returncode == 1
    assert "not understood" in failed.stderr
    assert r"\fraction" in failed.stderr
