"""What makes a written site light: style sheets without rules that no page needs, explorers that come after the text.

`tools.finish` calls this.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from bs4 import BeautifulSoup, Tag

# A rule with nothing nested in it, and what may stand before its selectors. Commas and classes in brackets, as in
# :not(.a, .b), are left alone.
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
LEAD = re.compile(r"(?:\s|/\*.*?\*/|@[^;{}]*;)*", re.DOTALL)
COMMA = re.compile(r",(?![^(]*\))")
BRACKETS = re.compile(r"\([^()]*\)")
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
EMPTY = re.compile(r"@(?:media|supports|layer)[^{};]*\{\s*\}")

DATA = "_images"  # beside the pictures, of which reruns remove those that no page shows
CODE = "_static/explorer.js"
COMING = "This picture stands in for a live surface, which is on its way."
LOST = "This picture stands in for a live surface, whose files did not arrive."
FILL = """document.querySelectorAll('[data-from="{name}"]').forEach(place => place.textContent = {content});\n"""
# The explorer's files are asked for when the page is there, one after the other, by plain scripts: also from a disk.
LOADER = """
(() => {{
  const why = document.currentScript.closest(".latent-explorer").querySelector(".why");
  why.textContent = {coming};
  addEventListener("load", () => {files}.forEach(file => document.head.append(Object.assign(
    document.createElement("script"), {{ src: file, async: false, onerror: () => (why.textContent = {lost}) }}))));
}})();
"""


def used(styles: str, words: set[str]) -> str:
    """A style sheet without the selectors that ask for a class which is not among `words`."""

    def rule(found: re.Match) -> str:
        lead = LEAD.match(found[1])[0]
        kept = [each for each in COMMA.split(found[1][len(lead) :]) if set(CLASS.findall(_plain(each))) <= words]
        return f"{lead}{','.join(kept)}{{{found[2]}}}" if kept else lead

    styles = RULE.sub(rule, styles)
    while (left := EMPTY.sub("", styles)) != styles:
        styles = left
    return styles


def words(pages: Iterable[str], scripts: Iterable[str]) -> set[str]:
    """Every class of the pages, and every word of the scripts, which may set it."""
    classes = {name for page in pages for value in re.findall(r'class="([^"]*)"', page) for name in value.split()}
    return classes | {word for script in scripts for word in re.findall(r"[\w-]+", script)}


def explorers(soup: BeautifulSoup, site: Path, html: Path) -> None:
    """Take the data and the code of a page's explorer out of it; it starts when they have arrived."""
    found = soup.select(".latent-explorer:has(> .content)")
    files = [_data(explorer, site) for explorer in found]
    for explorer in found:
        code = explorer.find_all("script", recursive=False)[-1]
        (site / CODE).parent.mkdir(exist_ok=True)
        (site / CODE).write_text(code.string, encoding="utf-8")
        up = "../" * len(html.relative_to(site).parent.parts)
        wanted = [up + file for file in [*files, CODE]] if explorer is found[-1] else []
        code.string = LOADER.format(files=json.dumps(wanted), coming=json.dumps(COMING), lost=json.dumps(LOST))


def _data(explorer: Tag, site: Path) -> str:
    place = explorer.select_one(".content")
    content = place.string
    name = f"explorer-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    (site / DATA).mkdir(exist_ok=True)
    (site / DATA / f"{name}.js").write_text(FILL.format(name=name, content=json.dumps(content)), encoding="utf-8")
    place.string, place["data-from"] = "", name
    return f"{DATA}/{name}.js"


def _plain(selector: str) -> str:
    """A selector without what stands in brackets."""
    while (shorter := BRACKETS.sub("", selector)) != selector:
        selector = shorter
    return selector
