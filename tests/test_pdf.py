"""The book as one PDF: how pages become one, on a small site, and the real one, read by another library."""

import io
import re
from collections import Counter

import pypdfium2
import pytest
from bs4 import BeautifulSoup

from tools import pdf
from tools.browser import chromium, visit
from tools.chapters import ROOT, BookError, pages

NAMES = ["book/index.html", "book/one.html"]
HEAD = '<title>{} — Book</title><link rel="stylesheet" href="../_static/a.css"><script src="../a.js"></script>'
FIRST = """<article><section id="top"><h1>Book {{x}}<a class="headerlink" href="#top">#</a></h1>
<p><a href="one.html">one</a> <a href="one.html#part">part</a> <a href="#top">top</a>
<a href="https://example.org/">out</a> <a href="../search.html">search</a> <a href="../_sources/a.ipynb">file</a>
<a href="#saleh">Saleh</a></p>
<section id="chapters"><h2>Chapters</h2><div class="toctree-wrapper">One</div></section>
<section id="sources"><h2>References</h2><div class="citation-list"><p id="saleh">Saleh (2019)</p></div></section>
</section></article><div class="extra_footer">MIT license. <a class="cite" href="#cite">Cite this</a></div>"""
SECOND = """<article><section id="one"><h1>One &amp; all</h1><section id="part"><h2>A <em>part</em></h2>
<details><summary>code</summary><pre>folded()</pre></details><details open><summary>s</summary><p>shown</p></details>
<a class="picture" href="../_images/a.png"><img src="../_images/a.png" alt="a" loading="lazy"></a>
<div class="latent-explorer"><div class="still"><img src="data:,x" alt="still"><p class="why">scripts</p></div>
<div class="live" hidden>live</div><p class="about">about</p></div>
<a href="index.html#top">back</a></section></section></article>"""


@pytest.fixture
def site(tmp_path):
    for name, body, title in zip(NAMES, (FIRST, SECOND), ("Book {x}", "One"), strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        text = f"<html><head>{HEAD.format(title)}</head><body>{body}</body></html>"
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def one_page(site):
    text, headings = pdf.assembled(site, NAMES, "../html")
    return BeautifulSoup(text, "html.parser"), headings


def test_headings_are_in_order_and_know_their_places(one_page):
    page, headings = one_page
    assert headings == [
        ("Book {{x}}", "book.index.top", True),
        ("One & all", "book.one.one", True),
        ("A part", "book.one.part", False),
        ("References", "book.index.sources", True),
    ]
    assert [page.find(id=heading.place).name for heading in headings] == ["h1", "h1", "h2", "h1"]


def test_references_end_the_book_and_its_chapters_are_listed_once(one_page):
    page, _ = one_page
    *_, last = page.select("article")
    assert last.get_text(" ").split() == ["References", "Saleh", "(2019)"]
    assert page.get_text().count("Saleh (2019)") == 1
    assert not page.find(string="Chapters") and not page.select(".toctree-wrapper, .cite")


def test_links_lead_within_and_files_are_found_from_outside(one_page):
    page, _ = one_page
    leads = {link.get_text(): link["href"] for link in page.select("article a")}
    assert leads == {
        "one": "#book.one",
        "part": "#book.one.part",
        "top": "#book.index.top",
        "out": "https://example.org/",
        "Saleh": "#book.index.saleh",
        "back": "#book.index.top",
    }
    assert all(page.find(id=lead[1:]) for lead in leads.values() if lead[0] == "#")
    assert "file" in page.find("article").get_text()
    assert [link["href"] for link in page.find_all("link")] == ["../html/_static/a.css"]
    assert [image["src"] for image in page.find_all("img")] == ["../html/_images/a.png", "data:,x"]
    assert not page.find_all(loading=True)


def test_what_is_folded_or_for_the_screen_is_left_out(one_page):
    page, _ = one_page
    assert not page.find_all("script")
    words = page.get_text()
    assert not [word for word in ("folded()", "live", "scripts", "#") if word in page.main.get_text()]
    assert all(word in words for word in ("shown", "about", "MIT license."))


def test_contents_list_what_is_there_with_numbers_once_they_are_known(one_page):
    _, headings = one_page
    rows = BeautifulSoup(pdf.contents(headings, {"book.one.part": 12}), "html.parser").select("a")
    assert [(row["href"], row.b.get_text()) for row in rows] == [
        ("#book.index.top", ""),
        ("#book.one.one", ""),
        ("#book.one.part", "12"),
        ("#book.index.sources", ""),
    ]
    assert [row.get("class") for row in rows] == [["chapter"], ["chapter"], None, ["chapter"]]


def test_a_page_without_text_is_named(site):
    (site / NAMES[1]).write_text("<html><head><title>x</title></head></html>", encoding="utf-8")
    with pytest.raises(BookError, match=r"book/one\.html has no text"):
        pdf.assembled(site, NAMES, ".")


def test_without_a_book_or_a_browser_it_says_what_is_missing(book, monkeypatch, capsys):
    monkeypatch.setattr(pdf, "ROOT", book)
    assert pdf.main([]) == 1
    assert "the built book lacks book/index.html" in capsys.readouterr().err
    monkeypatch.setenv("CHROMIUM", "/no/such/program")
    assert pdf.main(["--check"]) == 1
    assert "Chromium is needed, and CHROMIUM=/no/such/program is no program" in capsys.readouterr().err


# --- the real book, printed


SITE = ROOT / "_build" / "html"
BLEED = 0.5  # points that a letter's box may be larger than its ink
EQUATIONS = range(1, 21)


@pytest.fixture(scope="module")
def printed():
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no book to print: make book")
    with pypdfium2.PdfDocument(pdf.write(ROOT)) as document:
        yield document


def titles():
    soups = [BeautifulSoup((SITE / name).read_text(encoding="utf-8"), "html.parser") for name in PAGES]
    for soup in soups:
        for link in soup.select(".headerlink"):
            link.decompose()
    return [" ".join(soup.h1.get_text().split()) for soup in soups]


PAGES = [page.relative_to(ROOT).with_suffix(".html").as_posix() for page in pages()]


@pytest.mark.browser
def test_bookmarks_and_contents_lead_to_every_chapter(printed):
    bookmarks = [(mark.level, mark.get_title(), mark.get_dest().get_index()) for mark in printed.get_toc()]
    chapters = [(title, number) for level, title, number in bookmarks if level == 0]
    assert [title for title, _ in chapters] == [*titles(), "References"]
    assert len(bookmarks) > 5 * len(chapters)
    contents = " ".join(printed[number].get_textpage().get_text_range() for number in range(chapters[1][1])).split()
    for level, title, number in bookmarks:
        first = printed[number].get_textpage().get_text_range().split()
        assert all(word in first for word in title.split()[:2] if word.isascii()), (title, number + 1)
        if level == 0:
            assert str(number + 1) in contents, (title, number + 1)


@pytest.mark.browser
def test_no_letter_lies_outside_its_page(printed):
    outside = []
    for number in range(len(printed)):
        page = printed[number]
        width, height = page.get_size()
        text = page.get_textpage()
        assert text.count_chars(), f"page {number + 1} is empty"
        for index in range(text.count_chars()):
            left, bottom, right, top = text.get_charbox(index)
            if right > left and (left < -BLEED or bottom < -BLEED or right > width + BLEED or top > height + BLEED):
                outside.append((number + 1, text.get_text_range(index, 1)))
    assert outside == []


@pytest.mark.browser
def test_every_equation_has_its_number_at_the_right_margin(printed):
    found = Counter()
    for number in range(len(printed)):
        page = printed[number]
        text = page.get_textpage()
        width = page.get_size()[0]
        strip = text.get_text_bounded(left=0.85 * width, right=width)
        found.update(int(each) for each in re.findall(r"^\((\d+)\)\s*$", strip, re.MULTILINE))
    assert {each: found[each] for each in EQUATIONS} == dict.fromkeys(EQUATIONS, 1)


@pytest.mark.browser
def test_nothing_is_cut_in_the_printed_book(printed):
    """Boxes that scroll on a screen would hide on paper what they do not show."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 810, "height": 1100})  # A4 between the margins, at the scale
        assert visit(page, (ROOT / "_build" / "pdf" / "book.html").as_uri()) == []
        page.emulate_media(media="print")
        cut = """() => [...document.querySelectorAll('article :is(pre, .formula, .wide, figure, img, table)')]
          .filter(box => box.scrollWidth > box.clientWidth + 1 || box.getBoundingClientRect().right > innerWidth + 1)
          .map(box => `${box.tagName} ${box.textContent.trim().slice(0, 60)}`)"""
        assert page.evaluate(cut) == []


def brightness(content: bytes) -> float:
    """Mean gray of the first page of a PDF, from 0 to 255."""
    with pypdfium2.PdfDocument(io.BytesIO(content)) as document:
        histogram = document[0].render(scale=0.5).to_pil().convert("L").histogram()
    return sum(gray * count for gray, count in enumerate(histogram)) / sum(histogram)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["book/derivation.html", "book/mnist.html"])
def test_a_page_printed_from_dark_mode_is_the_light_page(name):
    printed = {}
    with chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme)
            visit(page, f"{SITE.as_uri()}/{name}")
            printed[scheme] = brightness(page.pdf(format="A4", print_background=True))
            assert page.evaluate("document.documentElement.dataset.theme") == scheme  # as it was
    assert printed["light"] > 200
    assert abs(printed["dark"] - printed["light"]) < 1
