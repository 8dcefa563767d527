"""Sentences about this run: their words follow from its numbers.

A page stands on one run: its processor, seed, latent size and data. What its network found is therefore never plain
Markdown, but a `finding`: the outcome, computed by a rule that stands in the cell, and the sentence that the outcome
makes true. `reading` makes a paragraph of findings and plain sentences, `captioned` gives a figure its caption.
Outcomes travel with the page, in the metadata of the cell's output, so that two runs can be compared by finding.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure

KEY = "vaelib"  # of what is put into an output's metadata
UNDEFINED = "undefined"


@dataclass(frozen=True)
class Finding:
    """One sentence, or none: `text` is what the `outcome` makes true, empty where the question does not apply."""

    name: str
    outcome: bool | int | float | str | None
    text: str

    def __str__(self) -> str:
        return self.text


def finding(name: str, outcome: Any, texts: str | Mapping[Any, str], **values: Any) -> Finding:
    """What this run shows, in words that its outcome makes true.

    Parameters
    ----------
    name : str
        What is asked, in two or three words; unique on its page.
    outcome : bool, int, str or a tuple of these, or None
        What the run shows, by a rule that is computed where it stands; None where the question does not apply.
    texts : mapping of outcome to sentence, or a sentence
        What is said of each outcome; or one sentence, where its words are made from the outcome. Markdown. None and
        "undefined" (`compare`) need no text: then nothing is said.
    values
        Filled into the one text that is said, by `str.format`; without any, a text stays as it is.

    Raises
    ------
    ValueError
        If there is no text for the outcome.
    """
    outcome = outcome.item() if hasattr(outcome, "item") else outcome
    silent = outcome is None or outcome == UNDEFINED
    if not isinstance(texts, Mapping):
        text = "" if silent else texts
    elif outcome in texts:
        text = texts[outcome]
    elif silent:
        text = ""
    else:
        raise ValueError(f"finding {name!r}: nothing is said of the outcome {outcome!r}, only of {list(texts)}")
    text = text.format(**values) if values and text else text
    recorded = outcome if outcome is None or isinstance(outcome, bool | int | float | str) else str(outcome)
    return Finding(name, recorded, text)


def listed(words: Sequence[str]) -> str:
    """One word or more as a sentence lists them: "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def compare(a: float, b: float, *, within: float = 0.0) -> str:
    """ "larger" or "smaller", a against b; "level" where they differ by no more than `within`. NaN: "undefined"."""
    if math.isnan(a) or math.isnan(b):
        return UNDEFINED
    if abs(a - b) <= within:
        return "level"
    return "larger" if a > b else "smaller"


class Reading:
    """A paragraph of Markdown, with the outcomes of the findings in it."""

    def __init__(self, *parts: str | Finding) -> None:
        self.text = " ".join(part for part in map(str, parts) if part)
        self.findings = {part.name: part.outcome for part in parts if isinstance(part, Finding)}

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:
        return {"text/markdown": self.text, "text/plain": self.text}, {KEY: {"findings": self.findings}}


def reading(*parts: str | Finding) -> Reading:
    """Sentences and findings as a paragraph of the page. A blank line within a part begins a new paragraph."""
    return Reading(*parts)


class Captioned:
    """A figure, with its name, caption and alternative text in the output's metadata, where typesetting finds them."""

    def __init__(self, figure: Figure, name: str, caption: str, alt: str) -> None:
        self.figure, self.name, self.caption, self.alt = figure, name, caption, alt

    def __repr__(self) -> str:
        return f"{self.name}: {self.caption}"

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:
        with BytesIO() as content:
            self.figure.savefig(content, format="png", bbox_inches="tight")
            image = content.getvalue()
        shown = {"name": self.name, "caption": self.caption, "alt": self.alt}
        return {"image/png": image, "text/plain": repr(self)}, {KEY: {"figure": shown}}


def captioned(figure: Figure, *, name: str, caption: str, alt: str) -> Captioned:
    """A figure as the page shows it.

    Parameters
    ----------
    name : the target that text refers to, such as "fig-2-mnist"; unique in the book.
    caption, alt : Markdown below the figure, and plain words in its place; both follow this run's K and data.
    """
    for word, text in (("caption", caption), ("alternative text", alt)):
        if not text.strip():
            raise ValueError(f"figure {name!r} needs a {word}")
    return Captioned(figure, name, caption, alt)
