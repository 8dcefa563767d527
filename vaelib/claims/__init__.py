"""The paper's claims, each judged by code: from recorded tables, by the chapters' rules, or by computing both sides.

`LEDGER` lists them in the paper's order; `ledger()` judges them.
"""

from vaelib.claims import examples, identities, robustness, strengths, theory, variants
from vaelib.claims.examples import only_here
from vaelib.claims.judging import NOT_YET, WORDS, Claim, Entry, Unrecorded, judged, word
from vaelib.claims.page import Ledger


def _place(claim: Claim) -> list[int]:
    return [int(number) for number in claim.section.split(".")]


PARTS = theory, identities, variants, strengths, robustness, examples
LEDGER = tuple(sorted((claim for part in PARTS for claim in part.CLAIMS), key=_place))


def ledger() -> Ledger:
    """All claims, judged by today's code and by the rows of `results/` that it made; some seconds."""
    return Ledger(tuple(map(judged, LEDGER)))


__all__ = [
    "LEDGER",
    "NOT_YET",
    "WORDS",
    "Claim",
    "Entry",
    "Ledger",
    "Unrecorded",
    "judged",
    "ledger",
    "only_here",
    "word",
]
