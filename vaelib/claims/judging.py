"""A ledger of claims: each is judged by code, and its verdict is one of five words or that it is not measured yet.

A claim of the paper comes down to one statement or a few that a chapter or a computation gives a verdict on: held, did
not hold, too close to call. The word for the claim follows from these by `word`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from vaelib import results
from vaelib.config import TrainConfig
from vaelib.report.verdicts import DID_NOT_HOLD, HELD, NOT_MEASURED, Verdict

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly", "not reproduced"
TOO_CLOSE_TO_CALL, UNTESTABLE, NOT_YET = "too close to call", "cannot be tested", "not measured yet"
WORDS = (REPRODUCED, PARTLY, NOT_REPRODUCED, TOO_CLOSE_TO_CALL, UNTESTABLE, NOT_YET)


class Unrecorded(Exception):
    """Nothing current is recorded of what a claim is judged by; the message says which table lacks it."""


@dataclass(frozen=True)
class Claim:
    """A checkable statement of the paper.

    Attributes
    ----------
    id : str
        Lower-case words with hyphens, unique in the ledger.
    section : str
        Of the paper, such as "4.1.1".
    statement, test : str
        What the paper says, in our words, and what is done about it. Markdown.
    shown : str
        The label of the figure, equation or section of this book where it can be seen.
    judge : function without arguments that returns a verdict for each statement that the claim comes down to
        It computes, or reads `rows`. None for a claim that cannot be tested; then `reason` says why, in a sentence: the
        one judgment of this ledger that a person typed.
    """

    id: str
    section: str
    statement: str
    test: str
    shown: str
    judge: Callable[[], Sequence[Verdict]] | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.judge is None) != bool(self.reason):
            raise ValueError(f"claim {self.id!r} needs a judge, or else a reason why it cannot be tested, and not both")


@dataclass(frozen=True)
class Entry:
    """A claim with its parts' verdicts, the word that follows, and why there are no parts where there are none."""

    claim: Claim
    parts: tuple[Verdict, ...]
    word: str
    why: str = ""


def judged(claim: Claim) -> Entry:
    """The entry of one claim, as of today's code and recorded rows."""
    if claim.judge is None:
        return Entry(claim, (), UNTESTABLE, claim.reason)
    try:
        parts = tuple(claim.judge())
    except Unrecorded as lack:
        return Entry(claim, (), NOT_YET, str(lack))
    return Entry(claim, parts, word(NOT_MEASURED if part.measured == NOT_MEASURED else part.outcome for part in parts))


def word(outcomes: Iterable[str | None]) -> str:
    """The word for a claim, from the outcomes of its parts.

    reproduced: all held. partly: some held, and others did not or are too close to call. not reproduced: none held, and
    one at least did not hold. too close to call: all are. Where a part has too few runs for a verdict (None) the claim
    is not measured yet, and where one is undefined on all that was measured (`NOT_MEASURED`) it cannot be tested.
    """
    outcomes = list(outcomes)
    if not outcomes:
        raise ValueError("a claim without parts has no verdict")
    if None in outcomes:
        return NOT_YET
    if NOT_MEASURED in outcomes:
        return UNTESTABLE
    if HELD in outcomes:
        return REPRODUCED if set(outcomes) == {HELD} else PARTLY
    return NOT_REPRODUCED if DID_NOT_HOLD in outcomes else TOO_CLOSE_TO_CALL


# Reading what is recorded


def rows(part: str, config: results.Config) -> pd.DataFrame:
    """The current rows of a config, by seed. Raises Unrecorded where there are none.

    Raises ValueError where they were made from different data: such rows are no seeds of one experiment.
    """
    if part not in results.PARTS or (found := results.current(part, config)).empty:
        raise Unrecorded(f"`results/{part}.csv` has no current rows for it")
    if found["data"].nunique() > 1:
        raise ValueError(f"results/{part}.csv holds rows of one config from {found['data'].nunique()} sets of data")
    return found.set_index("seed")


def numbers(part: str, config: results.Config) -> dict[str, list[float]]:
    """The current measures of a config, by name, one value a seed. Raises what `rows` raises."""
    return rows(part, config).to_dict("list")


def difference(part: str, a: TrainConfig, b: TrainConfig, name: str) -> list[float]:
    """A measure of `a` less that of `b`, for the seeds that both were recorded with. Raises what `rows` raises."""
    return (rows(part, a)[name] - rows(part, b)[name]).dropna().tolist() or [math.nan]
