"""What narrow screens need of a page: cards, names that break, pictures wide enough to be read."""

import pytest
from bs4 import BeautifulSoup

from tools import narrow

HEAD = "<thead><tr><th>Claim</th><th>Measured</th><th>Verdict</th></tr></thead>"


def changed(article: str) -> BeautifulSoup:
    soup = BeautifulSoup(f"<article>{article}</article>", "html.parser")
    narrow.narrow(soup)
    return soup


def table(*cells: str, head: str = HEAD) -> BeautifulSoup:
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    return changed(f"<table class='a'>{head}<tbody><tr>{row}</tr></tbody></table>").table


@pytest.mark.parametrize("prose", ["words enough to fill a line or two", "<code>f</code>"])
def test_rows_with_prose_or_code_can_be_cards_that_leave_out_what_is_empty(prose):
    shown = table("1", prose, "<p></p>")
    assert shown["class"] == ["a", "cards"]
    assert [cell.get("data-head") for cell in shown.select("td")] == ["Claim", "Measured", None]


def test_columns_of_numbers_stay_columns_and_so_do_two_columns():
    assert table("22.75 (22.22 to 23.28)", "1", "2")["class"] == ["a"]
    two = "<thead><tr><th>a</th><th>b</th></tr></thead>"
    assert table("a", "words enough to fill a line or two", head=two)["class"] == ["a"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("results/portability.csv", ["results/", "portability.", "csv"]),
        ("vaelib.densities.kl_to_normal", ["vaelib.", "densities.", "kl_", "to_", "normal"]),
        ("at http://127.0.0.1: 9,408 bytes", ["at http://127.0.0.1: 9,408 bytes"]),
    ],
)
def test_long_code_breaks_at_its_parts_and_numbers_do_not(text, parts):
    code = changed(f"<p><code><span>{text}</span></code></p>").code
    assert list(code.strings) == parts
    assert len(code.find_all("wbr")) == len(parts) - 1
    assert code.get_text() == text
    assert "class" not in code.attrs


def test_short_code_stays_in_one_line_and_blocks_of_code_are_left_alone():
    soup = changed("<p><code class='b'>make book</code></p><pre><code>a_long_name.of_something</code></pre>")
    assert [code.get("class") for code in soup.select("code")] == [["b", "short"], None]
    assert not soup.find("wbr")


def test_numbers_of_figures_and_sections_stay_with_their_words():
    title = changed("<h2>New pictures (Figure 5) of equations (1)–(12), §2 and figure it out</h2>").h2
    assert title.get_text() == "New pictures (Figure\xa05) of equations\xa0(1)–(12), §2 and figure it out"


@pytest.mark.parametrize(
    ("size", "least"),
    [((1000, 400), 530), ((820, 600), 435), ((650, 340), None), ((800, 790), None), ((320, 90), None)],
)
def test_pictures_too_wide_for_a_phone_have_a_least_width(size, least):
    assert narrow.least_width(*size) == least


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("the pixels (MATH), where", ["(x),"]),
        ("for MATH, the same", ["x,"]),
        ("the MATH-th of <a class='symbol'>MATH</a>.", ["x-", "x."]),
        ("that MATH is", []),
    ],
)
def test_no_line_breaks_between_a_formula_and_the_signs_beside_it(text, kept):
    page = f"<article><p>{text}</p></article>".replace("MATH", '<span class="math"><math><mi>x</mi></math></span>')
    soup = BeautifulSoup(page, "html.parser")
    said = soup.get_text()
    narrow.narrow(soup)
    assert [part.get_text() for part in soup.select(".together")] == kept
    assert soup.get_text() == said
