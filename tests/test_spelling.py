"""What readers read is spelled in one way, the American one, and rightly: `codespell` knows both lists of words."""

import io
import re
import subprocess
import sys
import tokenize

import pytest

from tools.chapters import ROOT, read_notebook

PAGES = [*(ROOT / "book").glob("*.md"), *(ROOT / "book").glob("*.ipynb"), ROOT / "README.md", ROOT / "_config.yml"]
EXPLORER = [path for path in (ROOT / "vaelib" / "explorer").iterdir() if path.suffix in (".js", ".html")]
CODE = [path for folder in ("vaelib", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
# Names in code, formulas, addresses and places: `reparameterise` is one of ours.
NO_PROSE = re.compile(r"(```.*?```|`[^`]*`|\$[^$]*\$|https?://\S+|#[\w-]+|\w*_\w*|\w+\.\w+|\b\w+\()", re.DOTALL)
# A title of the paper, a part of a pattern, and a plural.
QUOTED = {"tools/paper_map.py": ["Modelling", "quation"], "vaelib/factors.py": ["informations"]}


def prose(path):
    """Text that is read as language: all of a page but its code, and the comments and sentences of Python."""
    if path.suffix == ".ipynb":
        cells = read_notebook(path)["cells"]
        markdown = [NO_PROSE.sub(" ", source(cell)) for cell in cells if cell["cell_type"] == "markdown"]
        return "\n".join([*markdown, *(sentences(source(cell)) for cell in cells if cell["cell_type"] == "code")])
    text = path.read_text(encoding="utf-8")
    return sentences(text) if path.suffix == ".py" else NO_PROSE.sub(" ", text)


def source(cell):
    return "".join(cell["source"])


def sentences(code):
    """Comments, and strings with a blank in them."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    return "\n".join(NO_PROSE.sub(" ", each.string) for each in tokens if each.type in kinds and " " in each.string)


def misspelled(folder, texts):
    """The words of each text that are spelled otherwise; texts without any are left out."""
    for number, text in enumerate(texts.values()):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,en-GB_to_en-US", str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    found = re.findall(r"(\d+)\.txt:\d+: (\S+) ==>", said.stdout)
    assert bool(found) == bool(said.returncode) and not said.stderr, said.stdout + said.stderr
    names, words = list(texts), {}
    for number, word in found:
        words.setdefault(names[int(number)], []).append(word)
    return words


def test_one_spelling(tmp_path):
    texts = {path.relative_to(ROOT).as_posix(): prose(path) for path in [*PAGES, *EXPLORER, *CODE]}
    assert misspelled(tmp_path, texts) == QUOTED


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('x = "The colour of the centre is teh same."', ["colour", "centre", "teh"]),
        ("centre = reparameterise(mu)  # to favour none", ["favour"]),
        ('"""Normalised by `reparameterise`; see reparameterise(mu) and a_colour."""', ["Normalised"]),
        ('"""The color is normalized."""', []),
    ],
)
def test_wrong_words_are_found_and_names_are_left(tmp_path, code, words):
    assert misspelled(tmp_path, {"code": sentences(code)}) == ({"code": words} if words else {})
