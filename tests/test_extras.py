"""What a site has besides its pages, on a site of two."""

import xml.etree.ElementTree as ElementTree

import pytest
from bs4 import BeautifulSoup

from tools import extras
from tools.chapters import BookError

NAMES = ["book/index.html", "book/part/two.html"]
PAGE = """<html><head><title>{} — Book</title><meta name="description" content="A &quot;book&quot;">
<meta property="og:image" content="../_images/a.png"><meta name="viewport" content="x"></head><body></body></html>"""


@pytest.fixture
def site(tmp_path):
    for name, title in zip(NAMES, ("Start &amp; end", "Two"), strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PAGE.format(title), encoding="utf-8")
    return tmp_path


def read(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_the_way_in_is_described_as_the_first_page_is(site):
    extras.write(site, NAMES)
    page = read(site / "index.html")
    assert page.title.get_text() == "Start & end"
    assert page.find("meta", attrs={"http-equiv": "refresh"})["content"] == "0; url=book/index.html"
    assert page.find("a")["href"] == "book/index.html"
    assert page.find("meta", attrs={"name": "description"})["content"] == 'A "book"'
    assert page.find("meta", property="og:image")["content"] == "_images/a.png"
    assert not page.find("meta", attrs={"name": "viewport"})


def test_the_page_for_lost_readers_lists_all_others_and_loads_nothing(site):
    extras.write(site, NAMES)
    page = read(site / "404.html")
    assert [(link["href"], link.get_text()) for link in page.select("li a")] == [
        ("book/index.html", "Start & end"),
        ("book/part/two.html", "Two"),
    ]
    assert page.base["href"] == "./"
    assert not page.find_all(src=True)
    assert "{{" not in str(page)
    extras.write(site, NAMES, "https://example.org/book/")
    assert read(site / "404.html").base["href"] == "https://example.org/book/"


def test_there_is_a_sitemap_only_where_an_address_is_known(site):
    extras.write(site, NAMES)
    assert not (site / "sitemap.xml").exists()
    extras.write(site, NAMES, "https://example.org/a&b/")
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    places = [place.text for place in ElementTree.parse(site / "sitemap.xml").iter(f"{space}loc")]
    assert places == ["https://example.org/a&b/book/index.html", "https://example.org/a&b/book/part/two.html"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("https://example.org", "https://example.org/"),
        (" https://a.example.org/book/ ", "https://a.example.org/book/"),
    ],
)
def test_address_ends_in_a_slash(monkeypatch, given, expected):
    monkeypatch.setenv("VAELIB_SITE", given)
    assert extras.address() == expected


@pytest.mark.parametrize("given", ["example.org", "file:///tmp/", "https://", "https://example.org/?a=b"])
def test_what_is_no_address_is_refused(monkeypatch, given):
    monkeypatch.setenv("VAELIB_SITE", given)
    with pytest.raises(BookError, match="is no address of a site"):
        extras.address()


def test_an_address_with_a_password_is_refused_and_not_repeated(monkeypatch):
    monkeypatch.setenv("VAELIB_SITE", "https://me:secret@example.org/")
    with pytest.raises(BookError, match="user's name") as refused:
        extras.address()
    assert "secret" not in str(refused.value)
