"""What is done to written pages, on a small one with everything that is changed."""

import json

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from tools import finish
from tools.finish import ICONS, STYLES

FONT_AWESOME = 'const icons={bars:[448,512,["navicon"],"f0c9","M0 96C0"],"x-mark":[10,20,[],"f00d","M1 1"]};'
RULES = (
    "@font-face{font-family:Font Awesome 6 Free;src:url(a.woff2)}.fa-bars:before{content:'x'}.fad,.fas{color:red}"
    "@media print{.fa-xmark{a:b}.kept{c:d}}.svg-inline--fa{height:1em}.fade{e:f}"
)
PAGE = """<html data-theme="auto"><head><title>Page — Book</title>
<meta name="viewport" content="a"><meta name="viewport" content="a">
<script data-cfasync="false">old()</script>
<script src="../_static/scripts/fontawesome.js?digest=1"></script><script src="../searchindex.js"></script>
<script src="../_static/kept.js"></script></head><body>
<div id="pst-primary-sidebar"><a>Book</a><nav class="bd-links"><a class="reference" href="#">Title</a>
<a class="reference" href="other.html#top">Other</a><a class="reference" href="elsewhere.html">Find</a></nav></div>
<button class="search-button-field" aria-label="Search">Search
  <span class="search-button__kbd-shortcut">Ctrl K</span></button>
<button><i class="theme-switch fa-solid fa-bars fa-lg" data-mode="light" title="Light"></i></button>
<article><section id="top"><h1>Title<a class="headerlink" href="#top">#</a></h1>
<p><em>Section 2.1 of the paper.</em></p><p><strong>Claim.</strong> {claim}</p>
<details class="hide"><summary aria-label="Toggle hidden content">code</summary>
<div class="highlight"><pre><span></span><span class="c1"># \
NBVAL_CHECK_OUTPUT</span>
<span class="n">x</span><span class="o">+</span><span class="mi">1</span></pre></div></details>
<div class="cell_output"><div class="output text_html"></div></div>
<div class="cell_output"><div class="output text_html"><script>draw()</script></div></div>
<div class="toctree-wrapper"><p class="caption" role="heading" aria-level="2">Part</p></div>
<table><tr><th></th><th>a</th></tr><tr><th>b</th><td>1</td></tr></table>
<img src="../_images/a.png" alt="a"><img src="../_images/a.png" alt="b">
<div role="list" class="citation-list"><div class="citation" role="doc-biblioentry">
<span role="doc-backlink">1</span></div></div>
<section id="below"><h2>Below</h2><p>Words below.</p></section></section></article></body></html>"""

NOISE = Image.effect_noise((30, 20), 80).convert("RGB")


@pytest.fixture(params=[1, 2])
def site(tmp_path, request):
    """A site of one page, the page of the search and the theme's files, after one job or two at the same time."""
    static = tmp_path / "_static"
    for path in (static / ICONS, static / STYLES, static / f"{ICONS}.map", tmp_path / "book" / "page.html"):
        path.parent.mkdir(parents=True, exist_ok=True)
    (static / ICONS).write_text(FONT_AWESOME)
    (static / f"{ICONS}.map").write_text("{}")
    (static / STYLES).write_text(RULES)
    (static / "vendor").mkdir()
    (static / "vendor" / "fa-solid.woff2").write_text("font")
    (static / "macros.html").write_text("{% a %}")
    (tmp_path / "_images").mkdir()
    NOISE.save(tmp_path / "_images" / "a.png")
    (tmp_path / "book" / "page.html").write_text(PAGE.replace("{claim}", "It holds. " * 30), encoding="utf-8")
    search = PAGE.replace("<article>", '<article><div id="search-results"></div>')
    (tmp_path / "book" / "other.html").write_text(
        "<html><head><title>Other</title></head><body><article><section id='top'><p><em>§§4.1–4.2 &amp; more</em></p>"
        "<figure id='fig-drawn'><img src='../_images/a.png' alt='x'></figure>"
        "<figure id='fig-2-mnist'><img src='../_images/b.png' alt='y'></figure></section></article></body></html>",
        encoding="utf-8",
    )
    (tmp_path / "search.html").write_text(search.replace("../", ""), encoding="utf-8")
    finish.finish(tmp_path, jobs=request.param)
    return tmp_path


@pytest.fixture
def page(site):
    return BeautifulSoup((site / "book" / "page.html").read_text(encoding="utf-8"), "html.parser")


def test_page_loads_what_it_uses(site, page):
    assert [tag["src"] for tag in page.find_all("script", src=True)] == ["../_static/kept.js"]
    assert len(page.find_all("meta", attrs={"name": "viewport"})) == 1
    search = BeautifulSoup((site / "search.html").read_text(encoding="utf-8"), "html.parser")
    wanted = ["searchindex.js", "_static/kept.js", "excerpts.js", "_static/search.js"]
    assert [tag["src"] for tag in search.find_all("script", src=True)] == wanted
    left = {path.name for path in (site / "_static").rglob("*") if path.is_file()}
    assert left == {"pydata-sphinx-theme.css", "macros.html"}
    assert (site / "_static" / "macros.html").read_text() == "{% a %}"


def test_titles_in_the_contents_have_the_papers_sections_behind_them(page):
    assert [link.get_text() for link in page.select(".bd-links a")] == ["Title §2.1", "Other §4.1–4.2", "Find"]
    assert [label.get_text() for label in page.select(".paper-section")] == ["§2.1", "§4.1–4.2"]


def described(path):
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return {tag["property"]: tag["content"] for tag in soup.find_all("meta", property=True)}


def test_picture_of_a_page_is_one_of_the_papers_or_the_first_or_the_books(site, tmp_path):
    facts = described(site / "book" / "other.html")
    assert (facts["og:image"], facts["og:image:alt"]) == ("../_images/b.png", "y")
    assert described(site / "book" / "page.html")["og:image"] == f"../{finish.PICTURE}"
    assert "og:url" not in facts


@pytest.mark.parametrize(("n_lines", "folds"), [(15, False), (16, True)])
def test_long_code_can_be_folded_and_is_open_at_first(n_lines, folds):
    lines = "\n".join(f"line {i}" for i in range(n_lines))
    soup = BeautifulSoup(f'<div class="cell"><div class="cell_input"><pre>{lines}\n</pre></div></div>', "html.parser")
    finish.folds(soup)
    assert len(soup.select(".cell > details[open] > summary + .cell_input pre")) == len(soup.select("summary")) == folds
    assert soup.pre.get_text() == f"{lines}\n"
    finish.folds(soup)
    assert len(soup.select("details")) == folds


def test_where_the_site_is_known_pages_and_pictures_have_their_address():
    soup = BeautifulSoup(PAGE.replace("{claim}", ""), "html.parser")
    finish.describe(soup, "book/page.html", "https://example.org/b/")
    found = {tag["property"]: tag["content"] for tag in soup.find_all("meta", property=True)}
    assert found["og:url"] == "https://example.org/b/book/page.html"
    assert found["og:image"] == f"https://example.org/b/{finish.PICTURE}"


def test_style_sheet_loses_the_icon_font_and_nothing_else(site):
    left = "@media print{.kept{c:d}}.svg-inline--fa{height:1em}.fade{e:f}"
    assert finish.without_icon_font(RULES) == left
    # Without a script that names them, classes that no page has are gone as well.
    assert (site / "_static" / STYLES).read_text() == ".svg-inline--fa{height:1em}"


def test_icon_is_drawn_and_an_unknown_one_is_named(page):
    [svg] = page.find_all("svg")
    assert svg["viewbox" if "viewbox" in svg.attrs else "viewBox"] == "0 0 448 512"
    assert svg.path["d"] == "M0 96C0"
    assert (svg["aria-hidden"], svg["data-mode"], "title" in svg.attrs) == ("true", "light", False)
    assert "theme-switch" in svg["class"]
    with pytest.raises(ValueError, match="'gone'"):
        finish._Icons(FONT_AWESOME).draw(BeautifulSoup('<i class="fa-solid fa-gone"></i>', "html.parser"))


def test_colors_are_known_before_the_page_is_drawn(page):
    assert "data-theme" not in page.html.attrs
    assert "prefers-color-scheme" in page.find("script", attrs={"data-cfasync": True}).string


def test_names_and_landmarks(page):
    assert page.find(id="pst-primary-sidebar")["role"] == "navigation"
    assert "aria-label" not in page.summary.attrs
    assert "aria-label" not in page.find("button").attrs
    assert page.find(class_="caption")["aria-level"] == "3"
    assert page.find(class_="citation")["role"] == "listitem"
    assert not page.select("[role=doc-backlink]")
    assert page.table.parent["class"] == ["wide"]
    assert [cell.name for cell in page.table.find_all(["td", "th"])] == ["td", "th", "th", "td"]


def test_cells_lose_marks_and_empty_bars_and_keep_scripts(page):
    assert page.pre.get_text() == "x+1"
    assert [span["class"] for span in page.pre.find_all("span", class_=True)] == [["o"], ["mi"]]
    assert [output.script.string for output in page.select(".cell_output")] == ["draw()"]


def test_pictures_say_their_size_and_keep_their_pixels(site, page):
    first, second = page.find_all("img")
    assert [(image["width"], image["height"], image.get("loading")) for image in (first, second)] == [
        ("30", "20", None),
        ("30", "20", "lazy"),
    ]
    assert not first.get("style")
    assert first.parent["href"] == "../_images/a.webp"
    assert [path.name for path in (site / "_images").iterdir()] == ["a.webp"]
    with Image.open(site / "_images" / "a.webp") as picture:
        assert picture.convert("RGB").tobytes() == NOISE.tobytes()


def test_description_is_the_first_paragraph_cut_at_a_word(page):
    content = page.find("meta", attrs={"name": "description"})["content"]
    assert content.startswith("Claim. It holds. It holds.")
    assert content.endswith(" …")
    assert len(content) <= finish.DESCRIPTION + 2
    assert page.find("meta", attrs={"property": "og:title"})["content"] == "Page"


def test_excerpts_hold_each_section_without_its_subsections(site):
    text = (site / "excerpts.js").read_text(encoding="utf-8")
    sections = json.loads(text.removeprefix("const EXCERPTS = ").removesuffix(";\n"))
    assert list(sections) == ["book/other", "book/page"]
    top, below = sections["book/page"]
    assert top[0] == "#top"
    assert "Claim." in top[1]
    assert not [word for word in ("Words below", "#", "draw()", "code") if word in top[1]]
    assert below == ["#below", "Below Words below."]
