"""What a site has besides its pages: the way in, a page for addresses that lead nowhere, a map for search engines.

An address is known where VAELIB_SITE names one, such as https://example.org/book/: then pages say where they are, and
there is a sitemap. Standard library and BeautifulSoup only.
"""

import os
import re
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup

from tools.chapters import BookError

NOT_FOUND = Path(__file__).with_name("not_found.html")
ENTRANCE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
{meta}
<meta http-equiv="refresh" content="0; url={first}">
</head>
<body><p><a href="{first}">{title}</a></p></body>
</html>
"""
# Of what describes a page to those who link to it. A picture's address is relative to its page where no other is known.
DESCRIBES = re.compile(r"description|og:.*")


def address() -> str:
    """Where the site is to be published, with a slash at its end; empty where that is not known.

    Raises
    ------
    BookError
        If VAELIB_SITE is not the address of a folder on the web.
    """
    given = os.environ.get("VAELIB_SITE", "").strip()
    parts = urlsplit(given)
    if given and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment):
        raise BookError(f"VAELIB_SITE={given} is no address of a site, such as https://example.org/book/")
    if "@" in parts.netloc:
        raise BookError("VAELIB_SITE holds a user's name, and would be on every page: leave it out")
    return f"{given.rstrip('/')}/" if given else ""


def write(html: Path, names: list[str], base: str = "") -> None:
    """Add to the written site `html`, whose pages, in reading order, are `names`; it will be found under `base`."""
    (html / "index.html").write_text(_entrance(html, names[0]), encoding="utf-8")
    (html / "404.html").write_text(_not_found(html, names, base), encoding="utf-8")
    if base:
        (html / "sitemap.xml").write_text(sitemap(names, base), encoding="utf-8")


def sitemap(names: list[str], base: str) -> str:
    """The pages as sitemaps.org has it."""
    places = "".join(f"<url><loc>{escape(base + name)}</loc></url>\n" for name in names)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{places}</urlset>\n"


def _entrance(html: Path, first: str) -> str:
    """A page that leads to the first, and is described as that is."""
    soup = _page(html / first)
    meta = soup.find_all("meta", attrs={"name": DESCRIBES}) + soup.find_all("meta", attrs={"property": DESCRIBES})
    folder = first.rpartition("/")[0]
    for tag in meta:
        if tag.get("property") == "og:image" and "://" not in tag["content"]:
            tag["content"] = os.path.normpath(f"{folder}/{tag['content']}")
    return ENTRANCE.format(title=escape(_title(soup)), meta="\n".join(map(str, meta)), first=escape(first))


def _not_found(html: Path, names: list[str], base: str) -> str:
    """A page that stands alone, since nobody knows from where it is shown, and lists all others."""
    listed = "\n".join(f'<li><a href="{name}">{escape(_title(_page(html / name)))}</a></li>' for name in names)
    text = NOT_FOUND.read_text(encoding="utf-8")
    return text.replace("{{ base }}", escape(base or "./")).replace("{{ pages }}", listed)


def _page(path: Path) -> BeautifulSoup:
    """The head of a written page, which is all that is looked at."""
    return BeautifulSoup(path.read_text(encoding="utf-8").partition("</head>")[0], "html.parser")


def _title(soup: BeautifulSoup) -> str:
    return soup.title.get_text().partition(" — ")[0]
