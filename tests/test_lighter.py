"""Style sheets without what no page needs, and explorers whose data come after the text."""

import base64
import re

import pytest
from bs4 import BeautifulSoup

from tools import lighter

WORDS = {"a", "b-c", "shown"}


@pytest.mark.parametrize(
    ("styles", "left"),
    [
        (".a{x:1}.gone{y:2}", ".a{x:1}"),
        (".a,.gone,p{x:1}", ".a,p{x:1}"),
        (".a .gone{x:1}.a.b-c>p{y:2}", ".a.b-c>p{y:2}"),
        ("@media print{.gone{x:1}}@media print{.gone{x:1}.a{y:2}}", "@media print{.a{y:2}}"),
        ("@supports (x:1){@media print{.gone{x:1}}}p{y:2}", "p{y:2}"),
        ("p:not(.gone,.also){x:1}:is(.gone,.a) p{y:2}", "p:not(.gone,.also){x:1}:is(.gone,.a) p{y:2}"),
        ('@charset "utf-8";/* .b; */ .gone{x:1}', '@charset "utf-8";/* .b; */ '),
        ("@font-face{src:url(a.woff2)}@keyframes k{0.5%{x:1}to{x:2}}", None),
        (":root{--x:.5}[class*=gone]{y:.2em}", None),
    ],
)
def test_styles_lose_what_asks_for_a_class_that_is_nowhere(styles, left):
    assert lighter.used(styles, WORDS) == (styles if left is None else left)


def test_classes_are_those_of_pages_and_whatever_a_script_may_set():
    found = lighter.words(['<p class="a b-c">no</p>', "<p>"], ["x.classList.add('shown')"])
    assert {"a", "b-c", "shown"} <= found
    assert "no" not in found


PAGE = """<article><div class="latent-explorer"><p class="why">Scripts are off.</p>
<script class="meta">{{}}</script><script class="content" type="text/plain">{content}</script>
<script>
start("a" < "b");
</script></div></article>"""


def test_data_and_code_of_an_explorer_arrive_after_the_page_and_are_shared(tmp_path):
    content = base64.b64encode(b"weights").decode()
    pages = {}
    for name in ("index.html", "book/mnist.html"):
        soup = BeautifulSoup(PAGE.format(content=content), "html.parser")
        lighter.explorers(soup, tmp_path, tmp_path / name)
        pages[name] = soup
    [data] = (tmp_path / "_images").iterdir()
    assert content in data.read_text()
    assert (tmp_path / "_static" / "explorer.js").read_text().strip() == 'start("a" < "b");'
    for name, up in (("index.html", ""), ("book/mnist.html", "../")):
        place = pages[name].select_one(".content")
        assert (place.get_text(), place["data-from"]) == ("", data.stem)
        loader = pages[name].find_all("script")[-1].string
        assert re.findall(r'"((?:\.\./)*_[^"]+)"', loader) == [f"{up}_images/{data.name}", f"{up}_static/explorer.js"]
        assert "{{" not in loader


def test_data_of_two_explorers_come_before_the_code(tmp_path):
    soup = BeautifulSoup(PAGE.format(content="one") + PAGE.format(content="two"), "html.parser")
    lighter.explorers(soup, tmp_path, tmp_path / "page.html")
    first, last = (script.string for script in soup.select("script:last-child"))
    assert "[].forEach" in first
    assert last.index("_images/") < last.rindex("_images/") < last.index("_static/")


def test_a_page_without_explorer_is_left_alone(tmp_path):
    soup = BeautifulSoup("<article><script>x()</script></article>", "html.parser")
    site = tmp_path / "site"
    lighter.explorers(soup, site, site / "page.html")
    assert str(soup) == "<article><script>x()</script></article>"
    assert not site.exists()
