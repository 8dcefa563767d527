"""The whole book as one PDF with bookmarks: the pages of the built site, one after the other, printed by Chromium.

    python -m tools.pdf             write _build/on-variational-autoencoders.pdf
    python -m tools.pdf --check     only say whether there is a Chromium

What a page folds away is left out, and so is what only a screen can show: of the explorer its picture stays. Links
between the pages lead within the PDF. It is printed twice: the table of contents has to know the numbers of pages.
"""

import logging
import posixpath
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup, Comment, Tag
from playwright.sync_api import Page
from pypdf import PdfReader, PdfWriter
from pypdf.generic import Destination, Fit

from tools.browser import chromium, program, visit
from tools.chapters import ROOT, BookError, pages

BOOK = "on-variational-autoencoders.pdf"
DROPPED = "script, details:not([open]), .headerlink, .latent-explorer > .live, .latent-explorer .why"
WIDTH_OF_PAGE = 0.82  # the letters of a page on a screen, made this much smaller for paper
# The number of a page: Chromium gives a footer no style at all.
FOOTER = (
    '<p style="width: 100%; text-align: center; font: 8pt sans-serif; color: #555"><span class="pageNumber"></span></p>'
)
CONTENTS = "<!-- contents -->"
MARGINS = {"top": "16mm", "bottom": "18mm", "left": "17mm", "right": "17mm"}
SHELL = """<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<title>{title}</title>
{styles}
<style>
article {{ break-before: page; }}
article:first-of-type {{ break-before: auto; }}
.bd-main .bd-content .bd-article-container {{ max-width: none; padding: 0; }}
.bd-article {{ padding: 0 !important; }}
.bd-article :is(h1, h2, h3, h4) {{ break-after: avoid; margin-top: 1.5rem; }}
.bd-article h1 {{ display: block !important; margin-top: 0; }} /* the theme prints titles elsewhere */
.colophon {{ color: #555; font-size: .85em; }}
.book-contents {{ columns: 2; column-gap: 2.5rem; margin-top: 2.5rem; break-after: page; font-size: .85em; }}
.book-contents a {{ display: flex; gap: .4rem; margin-left: 1.5rem; color: inherit; text-decoration: none; }}
.book-contents a.chapter {{ margin: .8rem 0 0; font-weight: 600; break-after: avoid; }}
.book-contents a::after {{ flex: 1; order: 1; border-bottom: 1px dotted #999; margin-bottom: .35rem; content: ""; }}
.book-contents b {{ order: 2; font-weight: inherit; min-width: 2.2em; text-align: right; }}
</style>
</head>
<body><div class="bd-container"><div class="bd-container__inner bd-page-width"><main class="bd-main">
<div class="bd-content"><div class="bd-article-container">
{articles}
</div></div></main></div></div></body>
</html>
"""


class Heading(NamedTuple):
    """A title of a chapter, or of a section of one, and where it is."""

    text: str
    place: str
    chapter: bool


def assembled(site: Path, names: list[str], up: str) -> tuple[str, list[Heading]]:
    """The named pages of a written site as one, whose files are found under `up`, and its headings.

    After the title stands `CONTENTS` for a table of contents.
    """
    soups = {name: BeautifulSoup((site / name).read_text(encoding="utf-8"), "html.parser") for name in names}
    first = soups[names[0]]
    for name, soup in soups.items():
        for tag in soup.select(DROPPED):
            tag.decompose()
        _lead_within(soup, name, names, up)
    articles = [soup.find("article") for soup in soups.values()]
    for name, article in zip(names, articles, strict=True):
        if not article or not article.find("h1"):
            raise BookError(f"{name} has no text to print")
        article["id"] = _place(name)
    for listed in articles[0].select("section section:has(.toctree-wrapper)"):  # the contents have it, with numbers
        listed.decompose()
    articles += _references(first)
    title = articles[0].find("h1")
    title.insert_after(Comment(CONTENTS[4:-3]))
    if footer := first.select_one(".extra_footer"):
        for link in footer.select(".cite"):
            link.decompose()
        title.insert_after(first.new_tag("p", attrs={"class": "colophon"}, string=_words(footer)))
    tags = [tag for article in articles for tag in article.select("section > h1, section > h2")]
    for tag in tags:  # a section may begin on the page before its heading
        tag["id"] = tag.parent.attrs.pop("id")
    headings = [Heading(_words(tag), tag["id"], tag.name == "h1") for tag in tags]
    text = SHELL.format(
        title=escape(headings[0].text),
        styles="\n".join(map(str, first.select("link[rel=stylesheet]"))),
        articles="\n".join(map(str, articles)),
    )
    return text, headings


def contents(headings: list[Heading], numbers: Mapping[str, int]) -> str:
    """The table of contents; numbers of pages may be unknown yet."""
    rows = (
        f'<a href="#{escape(place)}"{" class=chapter" * chapter}>{escape(text)}<b>{numbers.get(place, "")}</b></a>'
        for text, place, chapter in headings
    )
    return '<nav class="book-contents">\n' + "\n".join(rows) + "\n</nav>"


def _references(first: BeautifulSoup) -> list[Tag]:
    """The list of references, taken out of the first page as a chapter of its own."""
    section = first.select_one("article section section:has(.citation-list)")
    if not section:
        return []
    section.find("h2").name = "h1"
    article = first.new_tag("article", attrs={"class": "bd-article", "id": "references"})
    article.append(section.extract())
    return [article]


def _words(tag: Tag) -> str:
    return " ".join(tag.get_text().split())


def _lead_within(soup: BeautifulSoup, name: str, names: list[str], up: str) -> None:
    """Give a page's places names that no other page has, and lead its links there; files are found from outside."""
    for tag in soup.find_all(id=True):
        tag["id"] = _place(name, tag["id"])
    for tag in soup.find_all(True):
        for attribute in ("aria-labelledby", "aria-describedby", "for"):
            tag.attrs.pop(attribute, None)
    for tag in soup.find_all(src=True):
        tag.attrs.pop("loading", None)
        if not tag["src"].startswith("data:"):
            tag["src"] = _from_outside(name, tag["src"], up)
    for tag in soup.select("link[rel=stylesheet]"):
        tag["href"] = _from_outside(name, tag["href"], up)
    for link in soup.select("a[href]"):
        _lead(link, name, names)


def _lead(link: Tag, name: str, names: list[str]) -> None:
    if ":" in link["href"].partition("#")[0]:  # another site
        return
    address, _, anchor = link["href"].partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), address)) if address else name
    if target in names:
        link["href"] = f"#{_place(target, anchor)}"
    else:  # a picture or another file of the site
        link.unwrap()


def _place(name: str, anchor: str = "") -> str:
    page = posixpath.splitext(name)[0].replace("/", ".")
    return f"{page}.{anchor}" if anchor else page


def _from_outside(name: str, address: str, up: str) -> str:
    return posixpath.join(up, posixpath.normpath(posixpath.join(posixpath.dirname(name), address)))


def write(root: Path) -> Path:
    """Print the built book; returns where the PDF is. Raises BookError without Chromium, a site, or a part of it."""
    build = root / "_build"
    names = [page.relative_to(root).with_suffix(".html").as_posix() for page in pages(root)]
    if missing := [name for name in names if not (build / "html" / name).is_file()]:
        raise BookError(f"the built book lacks {', '.join(missing)}: make book")
    program()
    work = build / "pdf"
    work.mkdir(exist_ok=True)
    text, headings = assembled(build / "html", names, "../html")
    with chromium() as browser:
        page = browser.new_page(color_scheme="light")
        numbers: dict[str, int] = {}
        for _ in range(2):
            (work / "book.html").write_text(text.replace(CONTENTS, contents(headings, numbers)), encoding="utf-8")
            _print(page, work / "book.html", work / "printed.pdf")
            places = _places(work / "printed.pdf", headings)
            numbers = {place: number + 1 for place, (number, _) in places.items()}
    _bookmarked(work / "printed.pdf", work / BOOK, headings, places)
    return (work / BOOK).replace(build / BOOK)


def _print(page: Page, source: Path, pdf: Path) -> None:
    if wrong := visit(page, source.as_uri()):
        raise BookError(f"the book could not be printed: {'; '.join(wrong[:5])}")
    page.pdf(
        path=pdf,
        format="A4",
        margin=MARGINS,
        scale=WIDTH_OF_PAGE,
        print_background=True,
        display_header_footer=True,
        header_template="<p></p>",
        footer_template=FOOTER,
        tagged=True,
    )


def _places(pdf: Path, headings: list[Heading]) -> dict[str, tuple[int, Destination]]:
    """Page, from 0, and place on it of each heading: Chromium notes that of all that links lead to."""
    reader = PdfReader(pdf)
    known = {name.removeprefix("/"): place for name, place in reader.named_destinations.items()}
    if lost := [heading.text for heading in headings if heading.place not in known]:
        raise BookError(f"the printed book has no place for {', '.join(lost)}")
    return {
        heading.place: (reader.get_destination_page_number(known[heading.place]), known[heading.place])
        for heading in headings
    }


def _bookmarked(printed: Path, pdf: Path, headings: list[Heading], places: Mapping) -> None:
    """Chromium's own bookmarks repeat the words of headings at the top of pages and lose blanks: these do not."""
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns that Chromium counts a PDF's objects in another way
    writer = PdfWriter(clone_from=printed)
    chapter = None
    for heading in headings:
        number, place = places[heading.place]
        at = Fit.xyz(left=place.left, top=place.top)
        parent = None if heading.chapter else chapter
        item = writer.add_outline_item(title=heading.text, page_number=number, parent=parent, fit=at, is_open=False)
        chapter = item if heading.chapter else chapter
    writer.page_mode = "/UseOutlines"
    writer.add_metadata({"/Creator": "", "/Title": headings[0].text})
    writer.write(pdf)


def main(arguments: list[str]) -> int:
    """Write the PDF, or with --check only look for a Chromium; returns the exit status."""
    try:
        if "--check" in arguments:
            program()
        else:
            path = write(ROOT)
            print(f"The book as a PDF: {path.as_uri()} ({path.stat().st_size / 1e6:.1f} MB)")
    except BookError as error:
        print(f"pdf: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
