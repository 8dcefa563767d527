"""What the theme leaves to do on a written page: lighter, with names and landmarks for those who do not see it.

A Sphinx extension: when all pages are written, each is changed in place. Icons are drawn into the page instead of by
Font Awesome's script, whose paths they take; what scrolls sideways gets a box of its own; pictures say their size, so
that nothing moves while they load.
"""

import json
import re
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

from bs4 import BeautifulSoup, NavigableString, Tag
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.parallel import ParallelTasks, SerialTasks, make_chunks, parallel_available

from tools import lighter, narrow, paper_map

ICONS = "scripts/fontawesome.js"
STYLES = "styles/pydata-sphinx-theme.css"
SEARCH = "search.html"
# What stands for a page that has no picture of its own.
PICTURE, PICTURE_SHOWS = "_static/figure-7.png", "Figure 7 of the paper, redrawn: the manifold of ankle boots"
# Scripts of the search: the theme loads them with every page, and only the page of the results needs them.
OF_SEARCH = ("searchtools.js", "language_data.js", "searchindex.js")
DESCRIPTION = 200  # characters
# The theme's own script knows the reader's choice only when the page is drawn; without any script a page is light.
MODE = """
const mode = localStorage.getItem("mode") || "auto", dark = matchMedia("(prefers-color-scheme: dark)").matches;
Object.assign(document.documentElement.dataset, {mode, theme: mode === "auto" ? (dark ? "dark" : "light") : mode});
"""
PLAIN = ".highlight pre :is(span.n, span.p, span.w)"
LONG = 15  # lines of code, above which a reader can fold it
SUMMARY = (
    '<summary><p class="collapsed admonition-title">code</p><p class="expanded admonition-title">code</p></summary>'
)
MARKER = "# NBVAL_CHECK_OUTPUT"  # of cells whose outputs are compared: nothing for a reader


def setup(app: Sphinx) -> dict:
    """Change the pages when they are all written."""

    def finished(app: Sphinx, failure: Exception | None) -> None:
        if failure is None:
            finish(Path(app.outdir), app.config.html_baseurl, jobs=app.parallel)

    app.connect("build-finished", finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def finish(site: Path, base: str = "", *, jobs: int = 1) -> None:
    """Change every page of a written site, and remove what no page uses any more. `base` is its address, if known.

    `jobs` processes do so at the same time.
    """
    static = site / "_static"
    icons = _Icons((static / ICONS).read_text(encoding="utf-8"))
    of_paper = paper_sections(site)
    _each(_as_webp, sorted((site / lighter.DATA).glob("*.png")), jobs)  # first: two pages may show the same
    # Below _static are the theme's templates.
    pages = [html for html in sorted(site.rglob("*.html")) if static not in html.parents]
    done = _each(lambda html: (html, *_finish_page(html, site, base, icons, of_paper)), pages, jobs)
    texts = {html.relative_to(site).with_suffix("").as_posix(): text for html, _, text in sorted(done) if text}
    (site / "excerpts.js").write_text(f"const EXCERPTS = {json.dumps(texts, ensure_ascii=False)};\n", encoding="utf-8")
    styles = static / STYLES
    styles.write_text(without_icon_font(styles.read_text(encoding="utf-8")), encoding="utf-8")
    for unused in {*static.rglob("*.map"), *(static / "vendor").rglob("fa-*"), *static.glob(f"{ICONS}*")}:
        unused.unlink()
    if (site / SEARCH).is_file():  # pages of reruns share their style sheets with others
        written = (page for _, page, _ in done)
        known = lighter.words(written, (script.read_text(encoding="utf-8") for script in static.rglob("*.js")))
        for sheet in static.rglob("*.css"):
            sheet.write_text(lighter.used(sheet.read_text(encoding="utf-8"), known), encoding="utf-8")


def _each(function: Callable, items: Sequence, jobs: int) -> list:
    """What a function gives for each item, in any order, from so many processes."""
    found: list = []
    tasks = ParallelTasks(jobs) if parallel_available and jobs > 1 else SerialTasks()
    for some in make_chunks(items, jobs):
        # ParallelTasks hands over the argument before the result, SerialTasks the result alone.
        tasks.add_task(lambda some: list(map(function, some)), some, lambda *given: found.extend(given[-1]))
    tasks.join()
    if len(found) < len(items):  # an error may be lost where one task fails while others are added
        raise RuntimeError(f"of {len(items)} pages or pictures {len(items) - len(found)} were not finished")
    return found


def _as_webp(png: Path) -> None:
    """The same pixels in about half the space."""
    with Image.open(png) as content:
        content.save(png.with_suffix(".webp"), lossless=True, method=2, quality=50)
    png.unlink()


def _finish_page(html: Path, site: Path, base: str, icons: "_Icons", of_paper: dict) -> tuple[str, list]:
    """Change one page; returns what is written and what of it the search shows."""
    soup = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")
    if not soup.title:
        return "", []
    for step in (scripts, names, references, tables, code, folds, narrow.narrow):
        step(soup)
    icons.draw(soup)
    contents(soup, html, of_paper)
    pictures(soup, html)
    lighter.explorers(soup, site, html)
    describe(soup, html.relative_to(site).as_posix(), base)
    if html.name == SEARCH:
        for script in ("excerpts.js", "_static/search.js"):
            soup.head.append(soup.new_tag("script", src=script, defer=""))
    html.write_text(written := str(soup), encoding="utf-8")
    article = soup.find("article") if html.name != SEARCH else None
    return written, sections(article) if article else []


class _Icons:
    """The icons of Font Awesome's own script, as SVG in the page."""

    def __init__(self, script: str) -> None:
        self.script = script

    def draw(self, soup: BeautifulSoup) -> None:
        """Put an SVG in the place of each icon, with its classes, as the script does; none can be heard or focused."""
        for icon in soup.select("i[class*='fa-'], span[class*='fa-']"):
            name = next(word for word in icon["class"] if word.startswith("fa-") and word not in ("fa-solid", "fa-lg"))
            width, height, path = self._shape(name.removeprefix("fa-"))
            kept = {key: value for key, value in icon.attrs.items() if key.startswith("data-")}
            names = ["svg-inline--fa", *icon["class"]]
            svg = soup.new_tag(
                "svg", attrs={"class": names, "aria-hidden": "true", "viewBox": f"0 0 {width} {height}", **kept}
            )
            svg.append(soup.new_tag("path", fill="currentColor", d=path))
            icon.replace_with(svg)

    def _shape(self, name: str) -> tuple[str, str, str]:
        found = re.search(rf'[{{,]"?{name}"?:\[(\d+),(\d+),\[[^]]*\],"\w+","([^"]+)"\]', self.script)
        if not found:
            raise ValueError(f"the theme uses an icon {name!r}, which {ICONS} does not hold")
        return found[1], found[2], found[3]


def without_icon_font(styles: str) -> str:
    """The theme's style sheet without Font Awesome's rules and fonts, which are a third of it."""
    styles = re.sub(r"@font-face\{[^{}]*Font Awesome[^{}]*\}", "", styles)
    return re.sub(r"(^|(?<=[{}/]))\.fa[bdrs]?(?=[-,:{])[^{}@]*\{[^{}]*\}", "", styles)


def scripts(soup: BeautifulSoup) -> None:
    """Leave out what a page loads and does not use, and what stands in its head twice."""
    for tag in soup.find_all("script", src=True):
        name = tag["src"].partition("?")[0].rpartition("/")[2]
        if name == Path(ICONS).name or (name in OF_SEARCH and not soup.find(id="search-results")):
            tag.decompose()
    for tag in soup.find_all("script", attrs={"data-cfasync": True}):
        tag.string = MODE
    soup.html.attrs.pop("data-theme", None)
    if not soup.find(id="pst-search-dialog"):  # what the button would open; a rerun's page has none
        for button in soup.select("button.search-button"):
            button.decompose()
    for twice in soup.find_all("meta", attrs={"name": "viewport"})[1:]:
        twice.decompose()


def names(soup: BeautifulSoup) -> None:
    """Landmarks for everything on a page; controls are called what is written on them."""
    if sidebar := soup.find(id="pst-primary-sidebar"):
        sidebar.attrs |= {"role": "navigation", "aria-label": "Book"}
    for tag in soup.select("button.search-button-field, details.hide > summary"):
        tag.attrs.pop("aria-label", None)
    for key in soup.select(".search-button__kbd-shortcut"):
        key["aria-hidden"] = "true"
    for caption in soup.select(".toctree-wrapper .caption[aria-level='2']"):  # below a heading of that level
        caption["aria-level"] = "3"


def folds(soup: BeautifulSoup) -> None:
    """Long code in a fold, like that of folded cells, which is open at first."""
    for shown in soup.select(".cell > .cell_input"):
        if len(shown.get_text().strip().splitlines()) > LONG:
            fold = shown.wrap(soup.new_tag("details", attrs={"class": "admonition hide above-input", "open": ""}))
            fold.insert(0, BeautifulSoup(SUMMARY, "html.parser").summary)


def references(soup: BeautifulSoup) -> None:
    """A list of references whose entries are the items of a list."""
    for listed in soup.select(".citation-list"):
        for entry in listed.select("[role=doc-biblioentry]"):
            entry["role"] = "listitem"
        for back in listed.select("[role=doc-backlink]"):
            del back["role"]


def tables(soup: BeautifulSoup) -> None:
    """A box around each table: it scrolls, and the table stays a table, whose empty corners head nothing."""
    for table in soup.select("article table"):
        table.wrap(soup.new_tag("div", attrs={"class": "wide"}))
        for head in table.find_all("th"):
            if not head.get_text(strip=True):
                head.name = "td"


def code(soup: BeautifulSoup) -> None:
    """Cells as a reader wants them: without the marks of other tools, and no bar where nothing is shown.

    Names, punctuation and blanks have the color of all code: without spans of their own, a page is a third smaller.
    """
    for plain in soup.select(PLAIN):
        plain.unwrap()
    for comment in soup.find_all("span", class_="c1", string=MARKER):
        if isinstance(comment.next_sibling, NavigableString):
            comment.next_sibling.replace_with(comment.next_sibling.removeprefix("\n"))
        comment.decompose()
    for output in soup.select(".cell_output > .output"):
        if not output.find(True) and not output.get_text(strip=True):
            output.decompose()
    for outputs in soup.select(".cell_output"):
        if not outputs.find(True):
            outputs.decompose()


def pictures(soup: BeautifulSoup, html: Path) -> None:
    """Width and height of each picture, and a link to it alone; all but the first wait until they are scrolled to."""
    for number, image in enumerate(soup.select("article img[src]:not([src^='data:'])")):
        path = html.parent / image["src"]
        if path.suffix == ".png" and path.with_suffix(".webp").is_file():
            path, image["src"] = path.with_suffix(".webp"), image["src"].removesuffix(".png") + ".webp"
        if path.is_file() and path.suffix != ".svg":
            with Image.open(path) as content:
                image["width"], image["height"] = map(str, content.size)
                if least := narrow.least_width(*content.size):
                    image["style"] = f"--least: {least}px"
        if number:
            image["loading"] = "lazy"
        if not image.find_parent("a"):
            image.wrap(soup.new_tag("a", attrs={"class": "picture", "href": image["src"]}))


def paper_sections(site: Path) -> dict[Path, str]:
    """The paper's sections that pages are about, such as "§4.1", by what their opening lines name."""
    found = {}
    for html in site.rglob("*.html"):
        lines = re.findall(r"<p><em>([^<]+)</em></p>", html.read_text(encoding="utf-8"))
        if lines and (label := paper_map.label(unescape(lines[0]))):
            found[html] = label
    return found


def contents(soup: BeautifulSoup, html: Path, of_paper: dict[Path, str]) -> None:
    """Behind each title in a table of contents, the sections of the paper that the chapter is about."""
    for link in soup.select(".bd-links a.reference, .toctree-wrapper a.reference"):
        target = (html.parent / link["href"].partition("#")[0]).resolve() if link["href"] != "#" else html
        if label := of_paper.get(target):
            link.append(" ")
            link.append(soup.new_tag("span", attrs={"class": "paper-section"}, string=label))


def describe(soup: BeautifulSoup, name: str, base: str = "") -> None:
    """A title, a description and a picture for those who link to a page, and its address where `base` is known.

    The description is the first paragraph that is not a note in italics; the picture is one that the paper has as well,
    or else the page's first.
    """
    paragraphs = soup.select("article section > p")
    text = next((_words(tag) for tag in paragraphs if not (tag.em and _words(tag.em) == _words(tag))), "")
    short = text if len(text) <= DESCRIPTION else text[:DESCRIPTION].rpartition(" ")[0] + " …"
    figures = soup.select("article figure[id^=fig-] img[src*='_images/']")
    of_paper = (image for image in figures if re.match(r"fig-\d", image.find_parent("figure")["id"]))
    image = next(of_paper, figures[0] if figures else None)
    folders = name.count("/")
    facts = {
        "og:title": soup.title.get_text().partition(" — ")[0],
        "og:type": "article",
        "og:image": urljoin(f"{base}{name}" if base else "", image["src"] if image else "../" * folders + PICTURE),
        "og:image:alt": image["alt"] if image else PICTURE_SHOWS,
        **({"description": short, "og:description": short} if short else {}),
        **({"og:url": f"{base}{name}"} if base else {}),
    }
    for key, value in facts.items():
        kind = "property" if key.startswith("og:") else "name"
        soup.head.append(soup.new_tag("meta", attrs={kind: key, "content": value}))


def sections(article: Tag) -> list[tuple[str, str]]:
    """The text of each section of a page, with its place, without what belongs to its subsections."""
    found = []
    for section in article.find_all("section", id=True):
        parts = [part for part in section.find_all(recursive=False) if part.name != "section"]
        for part in parts:
            for aside in part.select(".headerlink, summary, script, style"):
                aside.decompose()
        found.append((f"#{section['id']}", " ".join(filter(None, map(_words, parts)))))
    return found


def _words(tag: Tag) -> str:
    return " ".join(tag.get_text().split())
