"""One executed notebook as one HTML page that reads without Sphinx and without a network."""

import re
from html import escape
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

# Relative to reruns/, so that equations are drawn by the copy of MathJax that the book uses.
MATHJAX = "../book/static/mathjax/tex-svg-full.js"

STYLE = """
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 17px/1.55 system-ui, sans-serif; color: #222; }
pre { overflow-x: auto; padding: .6rem .8rem; background: #f5f5f5; font-size: .85rem; }
img, svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto; }
td, th { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }
mjx-container { overflow-x: auto; overflow-y: hidden; max-width: 100%; }
.jp-InputPrompt, .jp-OutputPrompt, .anchor-link { display: none; }
.admonition { border-left: 4px solid #c60; background: #fff4e8; padding: .1rem 1rem; }
"""

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style>
<script>MathJax = {{tex: {{inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]]}}}};</script>
<script defer src="{mathjax}"></script></head><body>
"""


def page(path: Path, *, title: str) -> str:
    """The notebook at `path` as HTML, with captions below the figures."""
    notebook = nbformat.read(path, 4)
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source)
        cells.append(cell)
        caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption")
        if caption:
            cells.append(nbformat.v4.new_markdown_cell(plain_markdown(caption)))
    notebook.cells = cells
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    style = STYLE + HtmlFormatter().get_style_defs(".highlight")
    return HEAD.format(title=escape(title), style=style, mathjax=MATHJAX) + body + "\n</body></html>\n"


def plain_markdown(text: str) -> str:
    """MyST's roles, directives and targets as what plain Markdown has for them."""
    text = re.sub(r"^\(([\w-]+)\)=\s*$", r'<a id="\1"></a>\n', text, flags=re.M)
    text = re.sub(r"\{math\}`([^`]+)`", r"$\1$", text)
    text = re.sub(r"\{[\w:-]+\}`([^`<]*?)\s*(?:<[^`>]*>)?`", r"\1", text)
    # A directive's fence becomes its title in bold; its options go, its text stays.
    text = re.sub(r"^(?:`{3,}|:{3,})\{([\w:-]+)\} *(.*)$", _title, text, flags=re.M)
    text = re.sub(r"^(?:`{3,}|:{3,})\s*$", "", text, flags=re.M) if "<!--directive-->" in text else text
    text = re.sub(r"(<!--directive-->)\n(?::[\w-]+:.*\n)+", r"\1\n", text)
    return text.replace("<!--directive-->", "")


def _title(match: re.Match) -> str:
    title = match[2] or match[1].rpartition(":")[2].replace("-", " ").capitalize()
    return f"**{title}**\n<!--directive-->"
