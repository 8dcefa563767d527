"""Check the published site: every page, figure, equation and link is there, and nothing comes from the network.

Run as `python -m tools.check_site`; prints one line per fault.
"""

import sys
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup

from tools.chapters import ROOT, BookError, pages, read_notebook
from tools.staging import figures

EQUATIONS = range(1, 21)
# What a page loads by itself; a link that a reader may follow is not among them.
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
LOADED_LINKS = {"stylesheet", "preload", "icon", "prefetch", "preconnect", "dns-prefetch", "modulepreload"}


def main() -> int:
    """Check the site of this tree; returns the exit status."""
    try:
        found = site_faults(ROOT)
    except BookError as error:
        found = [str(error)]
    for line in found:
        print(f"  {line}", file=sys.stderr)
    print(f"The site: {len(pages(ROOT))} pages, {len(found)} faults.")
    return 1 if found else 0


def site_faults(root: Path, equations: range = EQUATIONS) -> list[str]:
    """What is missing or wrong in `_build/html`, one line each."""
    site = root / "_build" / "html"
    found, soups = [], {}
    for page in pages(root):
        html = site / page.relative_to(root).with_suffix(".html")
        if not html.is_file():
            found.append(f"{page.stem}: the page is missing")
            continue
        soups[html] = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")
        found += [f"{page.stem}: {fault}" for fault in [*_loads(soups[html]), *_text(soups[html])]]
        found += [f"{page.stem}: {fault}" for fault in _images(soups[html], html)]
        if page.suffix == ".ipynb":
            shown = site / "_sources" / page.relative_to(root)  # what the page was made from
            found += [f"{page.stem}: {fault}" for fault in _figures(soups[html], read_notebook(shown))]
    for html, soup in soups.items():
        found += [f"{html.stem}: {fault}" for fault in _links(soup, html, soups)]
    for number in equations:
        places = [html.stem for html, soup in soups.items() if soup.find(class_="math", id=f"eq-{number}")]
        if len(places) != 1:
            found.append(f"equation ({number}) is on {len(places)} pages {places}, not on one")
    for style in site.rglob("*.css"):
        if "url(http" in style.read_text(encoding="utf-8").replace("'", "").replace('"', ""):
            found.append(f"{style.name}: loads something from the network")
    return found


def _loads(soup: BeautifulSoup) -> list[str]:
    """Scripts, styles, fonts and pictures from elsewhere."""
    addresses = [tag.get(attribute, "") for name, attribute in LOADED.items() for tag in soup.find_all(name)]
    addresses += [tag.get("href", "") for tag in soup.find_all("link") if LOADED_LINKS & set(tag.get("rel", []))]
    return [f"loads {address}" for address in addresses if address.startswith(("http:", "https:", "//"))]


def _text(soup: BeautifulSoup) -> list[str]:
    """Marks of a reference or directive that was not understood."""
    found = [f"a problem in the text: {tag.get_text()[:80]}" for tag in soup.select(".problematic, .system-message")]
    prose = soup.find("article")
    for tag in prose.find_all(["p", "li", "td", "figcaption"]) if prose else []:
        text = tag.get_text()
        found += [
            f"markup left as text: {text[:80]}" for mark in ("{ref}`", "{cite", "{prf:", "{numref}") if mark in text
        ]
    return found


def _images(soup: BeautifulSoup, html: Path) -> list[str]:
    """Pictures without a file or without a text that stands for them."""
    found = []
    for image in (soup.find("article") or soup).find_all("img"):
        source, alt = image.get("src", ""), image.get("alt", "").strip()
        if not source.startswith("data:") and not (html.parent / unquote(source)).is_file():
            found.append(f"there is no picture {source}")
        # Sphinx puts the file's name where no alternative text is given.
        if not alt or alt == source or alt.endswith((".png", ".svg", ".jpeg")):
            found.append(f"a picture has no alternative text: {source}")
    return found


def _figures(soup: BeautifulSoup, notebook: dict) -> list[str]:
    """Figures that the chapter's cells announce, themselves or in their outputs, and the page does not show."""
    found = []
    for cell in notebook["cells"]:
        known = cell["metadata"].get("mystnb", {})
        wanted = [{**known["figure"], "alt": known.get("image", {}).get("alt", "")}] if "figure" in known else []
        for name, alt in dict.fromkeys((each.get("name", ""), each["alt"]) for each in [*wanted, *figures(cell)]):
            figure = soup.find("figure", id=name) if name else None
            if not figure or not figure.find("img"):
                found.append(f"figure {name!r} is announced and is not on the page")
            elif not figure.find("figcaption"):
                found.append(f"figure {name!r} has no caption")
            elif not alt:
                found.append(f"figure {name!r} has no alternative text")
    return found


def _links(soup: BeautifulSoup, html: Path, soups: dict[Path, BeautifulSoup]) -> list[str]:
    """Links within the site that lead nowhere."""
    found = []
    for link in (soup.find("article") or soup).find_all("a", href=True):
        address, _, anchor = link["href"].partition("#")
        if ":" in address or address.startswith("//"):
            continue
        target = (html.parent / unquote(address)).resolve() if address else html
        if not target.is_file():
            found.append(f"a link leads to {link['href']}, which is not there")
        elif anchor and target in soups and not soups[target].find(id=unquote(anchor)):
            found.append(f"a link leads to {link['href']}, a place that is not there")
    return found


if __name__ == "__main__":
    sys.exit(main())
