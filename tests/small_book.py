"""A book of two chapters that need no torch, for tests of the tools that build, rerun and check."""

import base64
import shutil
import signal
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import notebooks
from tools.chapters import ROOT

# How a process may be ended. One that may not say a word is the hardest case; the others take as long.
SIGNALS = [
    signal.SIGKILL,
    pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
]
FACTS = {"python": "3", "MNIST": "a", "FashionMNIST": "b"}
INDEX = "# A book\n\nSee {ref}`(1) <eq-1>`.\n\n```{bibliography}\n:all:\n```\n"
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
# What vaelib.report shows, without torch: a sentence, and two figures that announce themselves.
SPEAKS = f"""\
said = "As in {{ref}}`(1) <eq-1>`, $K = %d$ {{cite:p}}`noether1918`." % latent_dim
display({{"text/markdown": said, "text/plain": said}}, metadata={{"vaelib": {{"findings": {{"size": 2}}}}}}, raw=True)
for name in ("square", "round"):
    shown = {{"name": "fig-" + name, "caption": "A " + name + " $K$.", "alt": "It is " + name}}
    display(Image({DOT!r}, format="png"), metadata={{"vaelib": {{"figure": shown}}}})
"""
PARAMETERS = "dataset = 'MNIST'\nlatent_dim = 2\nepochs = None\nseed = 1\nsmoke = False"


def write_chapter(root, name, *cells):
    notebook = new_notebook(metadata=notebooks.KERNEL)
    notebook.cells = [new_markdown_cell(f"(chapter-{name})=\n# {name}"), *cells]
    (root / "book" / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    return root / "book" / f"{name}.ipynb"


def make(root):
    """Two chapters, the second with parameters, below the settings of the real book."""
    for folder in ("book", "vaelib", "tools"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copytree(ROOT / "book" / "static", root / "book" / "static")
    (root / "book" / "references.bib").write_text(
        "@misc{noether1918, author={Noether, E.}, title={Invariants}, year={1918}}", encoding="utf-8"
    )
    (root / "requirements.txt").write_text("torch==0\n", encoding="utf-8")
    (root / "vaelib" / "__init__.py").touch()
    (root / "vaelib" / "bounds.py").write_text("bound = 1\n", encoding="utf-8")
    (root / "vaelib" / "data.py").write_text("def source_digest(name):\n    return name\n", encoding="utf-8")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n- caption: All\n  chapters:\n"
        "  - file: book/theory\n  - file: book/trial\n",
        encoding="utf-8",
    )
    (root / "book" / "index.md").write_text(INDEX, encoding="utf-8")
    write_chapter(root, "theory", new_markdown_cell("(eq-1)=\n$$ 1 + 1 = 2 \\tag{1} $$"), new_code_cell("1 + 1"))
    figure = {"figure": {"caption": "A *dot*.", "name": "fig-dot"}, "image": {"alt": "One red dot"}}
    write_chapter(
        root,
        "trial",
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell(f"from IPython.display import Image\nImage({DOT!r}, format='png')", metadata={"mystnb": figure}),
        new_code_cell(SPEAKS, metadata={"tags": ["hide-input"]}),
        new_code_cell("print(10 * latent_dim)"),
    )
    return root


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
