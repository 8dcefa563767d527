"""What a written page needs on a narrow screen: rows that can become cards, lines that break where a reader would.

`tools.finish` calls this for every page; the looks are in book/static/companion.css.
"""

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup, NavigableString, Tag

LONG = 24  # characters: cells with more are prose, which narrow columns cut to pieces
SHORT = 16  # characters: code with no more stays in one line, on every screen
LETTERS = 0.53  # of its size at least, a picture's letters can be read: 8 of their 15 pixels
WIDE = 1.2  # width over height; a map or a mosaic, about as high as wide, is better seen whole
FITS = 346  # pixels: who needs no more is shown whole on a phone, its letters a pixel smaller
# Where names of files and functions may break: behind these signs, but in no number.
BREAKS = re.compile(r"(?<=[/_=\\])(?=[^\W\d])|(?<=[A-Za-z]\.)(?=[A-Za-z])")
# What stays with the formula that it follows, or that follows it: a comma begins no line, and a bracket ends none.
AFTER, BEFORE = re.compile(r"^[^\s\w]+"), re.compile(r"[(\[“‘]+$")
KEPT = re.compile(r"(Figures?|Table|Algorithm|Exercise|equations?|§+) (?=[\d(])")


def narrow(soup: BeautifulSoup) -> None:
    """Change a page in place."""
    for table in soup.select("article table"):
        cards(table)
    for name in soup.select("article :not(pre) > code, article td:first-child, article th"):
        if name.name == "code" and len(name.get_text()) <= SHORT:
            name["class"] = [*name.get("class", []), "short"]
        else:
            breakable(name)
    for formula in soup.select("article span.math"):
        together(formula)
    for title in soup.select("article :is(h1, h2, h3, h4), .toc-entry, .bd-links a"):
        for text in _texts(title):
            text.replace_with(KEPT.sub("\\1\N{NO-BREAK SPACE}", text))


def cards(table: Tag) -> None:
    """Tell each cell of a table with prose or code what its column is called: its rows can be shown as cards.

    Cells that hold nothing are not told, and a card leaves them out.
    """
    heads = [" ".join(cell.get_text().split()) for cell in table.select("thead tr:last-child > *")]
    body = table.select("tbody tr")
    prose = any(len(cell.get_text()) > LONG or cell.code for row in body for cell in row.find_all("td"))
    if len(heads) < 3 or not prose:
        return
    table["class"] = [*table.get("class", []), "cards"]
    for row in body:
        for head, cell in zip(heads, row.find_all(["th", "td"], recursive=False), strict=False):
            if cell.find("img") or cell.get_text(strip=True):
                cell["data-head"] = head


def breakable(tag: Tag) -> None:
    """Let the names in a tag break at their parts."""
    for text in _texts(tag):
        parts = BREAKS.split(text)
        for part in parts[:-1]:
            text.insert_before(part, BeautifulSoup("<wbr/>", "html.parser").wbr)
        text.replace_with(parts[-1])


def together(formula: Tag) -> None:
    """Let no line break between a formula in the text and the signs beside it."""
    if "symbol" in formula.parent.get("class", []):  # the link to the page of notation
        formula = formula.parent
    sides = [(formula.previous_sibling, BEFORE), (formula.next_sibling, AFTER)]
    found = [type(text) is NavigableString and sign.search(text) for text, sign in sides]
    signs = [each[0] if each else "" for each in found]
    if not any(signs):
        return
    (before, _), (after, _) = sides
    formula.wrap(BeautifulSoup('<span class="together"></span>', "html.parser").span)
    if signs[0]:
        formula.insert_before(signs[0])
        before.replace_with(before.removesuffix(signs[0]))
    if signs[1]:
        formula.insert_after(signs[1])
        after.replace_with(after.removeprefix(signs[1]))


def least_width(width: int, height: int) -> int | None:
    """How many pixels of a screen a picture of this size needs to be read; None where a phone shows it whole."""
    least = round(width * LETTERS)
    return least if least > FITS and width > WIDE * height else None


def _texts(tag: Tag) -> Iterator[NavigableString]:
    return (text for text in list(tag.find_all(string=True)) if not text.find_parent("math"))
