"""The ledger as readers see it: a table for the book, lines for a terminal, a picture and a sentence that sum it up."""

import textwrap
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from io import BytesIO

from matplotlib.figure import Figure

from vaelib import plotting
from vaelib.claims.judging import NOT_YET, WORDS, Entry
from vaelib.report.findings import KEY
from vaelib.report.verdicts import Verdict

SECTIONS = {  # of the paper, by how their numbers begin
    "2": "Method (§2)",
    "3": "Strengths and weaknesses (§3)",
    "4.1": "MNIST (§4.1)",
    "4.2": "Fashion-MNIST (§4.2)",
}
SIGNS = dict(zip(WORDS, "✓~✗?–…", strict=True))
UNDECIDED = "no verdict"  # of a part


@dataclass(frozen=True)
class Ledger:
    """Entries in the paper's order; numbered from 1."""

    entries: tuple[Entry, ...]

    def groups(self) -> dict[str, list[tuple[int, Entry]]]:
        """The numbered entries by `SECTIONS`. Raises ValueError for a claim of a section that is not among these."""
        found: dict[str, list[tuple[int, Entry]]] = {title: [] for title in SECTIONS.values()}
        for number, entry in enumerate(self.entries, start=1):
            place = f"{entry.claim.section}."
            title = next((title for start, title in SECTIONS.items() if place.startswith(f"{start}.")), None)
            if title is None:
                raise ValueError(f"claim {entry.claim.id!r}: §{entry.claim.section} is in none of {list(SECTIONS)}")
            found[title].append((number, entry))
        return found

    def counts(self) -> dict[str, int]:
        """How many claims each word was given to; "not measured yet" only where there are any."""
        counted = {word: sum(entry.word == word for entry in self.entries) for word in WORDS}
        return {word: n for word, n in counted.items() if n or word != NOT_YET}

    def summary(self) -> str:
        """One sentence: how many claims there are, and how many were given each word."""
        *most, last = [f"{n} {'that ' * word.startswith('cannot')}{word}" for word, n in self.counts().items()]
        return f"Of {len(self.entries)} claims: {', '.join(most)} and {last}."

    def picture(self) -> Figure:
        """A numbered tile for each claim, by section, in the color and with the sign of its verdict."""
        tiles = {title: [entry.word for _, entry in some] for title, some in self.groups().items() if some}
        return plotting.tiles(tiles, {word: (SIGNS[word], n) for word, n in self.counts().items()})

    def overview(self) -> "Overview":
        """Picture and sentence together, for a page that has no cell of its own to compute them."""
        return Overview(self)

    def __repr__(self) -> str:
        lines = []
        for title, some in self.groups().items():
            lines += ["", title]
            for number, entry in some:
                lines += [
                    "",
                    *_wrapped(f"{number}. {entry.claim.statement} (§{entry.claim.section}, {entry.claim.id})", 2),
                ]
                lines += _wrapped(f"{SIGNS[entry.word]} {entry.word}", 4)
                lines += [line for part in entry.parts for line in _wrapped(f"- {_plain(part)}", 6)]
                lines += _wrapped(entry.why, 6) if entry.why else []
        return "\n".join([*lines, "", self.summary()]).strip()

    def _markdown(self) -> str:
        parts = []
        for title, some in self.groups().items():
            rows = [_row(number, entry) for number, entry in some]
            head = ["| Claim | Measured | Verdict |", "|---|---|---|"]
            parts.append("\n".join([f"**{title}**", "", "::::{container} ledger", "", *head, *rows, "", "::::"]))
        return "\n\n".join(parts)

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:
        words = {entry.claim.id: entry.word for entry in self.entries}
        return {"text/markdown": self._markdown(), "text/plain": repr(self)}, {KEY: {"claims": words}}


@dataclass(frozen=True)
class Overview:
    """The picture of a ledger above its sentence, as HTML, to be glued into another page."""

    ledger: Ledger

    def __repr__(self) -> str:
        return self.ledger.summary()

    def _repr_html_(self) -> str:
        with BytesIO() as content:
            self.ledger.picture().savefig(content, format="png", dpi=200)
            image = b64encode(content.getvalue()).decode()
        groups = (f"{title} {len(some)}" for title, some in self.ledger.groups().items() if some)
        alt = f"A numbered tile for each claim, with the sign and color of its verdict: {', '.join(groups)}."
        return (
            f'<figure class="ledger"><img src="data:image/png;base64,{image}" alt="{escape(alt)}" width="480">'
            f"<figcaption>{escape(self.ledger.summary())}</figcaption></figure>"
        )


def _plain(part: Verdict) -> str:
    return f"{part.outcome or UNDECIDED}: {part.claim}. {_begun(part.measured)}. Held if {part.rule}."


def _begun(text: str) -> str:
    """With a capital letter, where it begins with one that is no symbol."""
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2))


def _row(number: int, entry: Entry) -> str:
    claim = entry.claim
    what = f"**{number}.** {claim.statement} (§{claim.section}, `{claim.id}`)<br>*{claim.test}* {_link(claim.shown)}"
    parts = [
        f"**{(part.outcome or UNDECIDED).capitalize()}**: {part.claim}. {_begun(part.measured)}. "
        f"<small>Held if {part.rule}.</small>"
        for part in entry.parts
    ]
    cells = (what, "<br><br>".join(parts) or entry.why, f"**{SIGNS[entry.word]} {entry.word}**")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _link(label: str) -> str:
    kinds = {"fig-": "Figure", "eq-": "Equation", "erratum-": "Erratum", "chapter-": "Chapter", "shows-": "Shown here"}
    return f"{{ref}}`{next(word for start, word in kinds.items() if label.startswith(start))} <{label}>`"
