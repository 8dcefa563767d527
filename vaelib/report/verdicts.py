"""Verdicts: held, did not hold, too close to call, each by a rule that is printed beside it.

A rule looks at one number for each seed. It is written down with the claim, before the runs; where it was settled
later, the page says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from scipy.stats import t as student

from vaelib.report.findings import KEY, Finding, finding
from vaelib.report.provenance import conclusive
from vaelib.results import like
from vaelib.training import TrainedRun

HELD, DID_NOT_HOLD, TOO_CLOSE = "held", "did not hold", "too close to call"
CONFIDENCE = 0.95
NOT_MEASURED = "cannot be measured here"


@dataclass(frozen=True)
class Verdict:
    """One claim: what was measured, the rule, and what follows from it.

    `outcome` is HELD, DID_NOT_HOLD or TOO_CLOSE, or None where there are too few seeds for a verdict.
    """

    claim: str
    measured: str
    rule: str
    outcome: str | None


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of `values`, one a seed, and the ends of its 95% interval by Student's t; infinite for a single value."""
    values = [float(value) for value in values]
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return mean, -math.inf, math.inf
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = student.ppf((1 + CONFIDENCE) / 2, n - 1) * deviation / math.sqrt(n)
    return mean, mean - half, mean + half


def above(claim: str, values: Sequence[float], threshold: float, *, of: str, form: str = ".2f") -> Verdict:
    """Held where the 95% interval over seeds lies above `threshold`, not held where it lies below.

    `values`, one a seed, measure what `of` names (with its unit); `form` is how they are printed. Fewer than three
    seeds give no verdict: one run cannot show its own spread. A value that is not a number gives none either.
    """
    rule = f"the 95% interval of its mean over seeds lies above {threshold:{form}}"
    return _by_interval(claim, values, threshold, of, form, rule, upwards=True)


def below(claim: str, values: Sequence[float], threshold: float, *, of: str, form: str = ".2f") -> Verdict:
    """As `above`, for a claim that the mean lies below."""
    rule = f"the 95% interval of its mean over seeds lies below {threshold:{form}}"
    return _by_interval(claim, values, threshold, of, form, rule, upwards=False)


def near(claim: str, values: Sequence[float], target: float, *, within: float, of: str, form: str = ".2f") -> Verdict:
    """Held where the 95% interval over seeds lies within `within` of `target`, not held where all of it lies beyond.

    Otherwise as in `above`. For a measure that has an error of its own there is `equal`.
    """
    rule = (
        f"the 95% interval of its mean over seeds lies from {target - within:{form}} to {target + within:{form}}; it "
        f"did not hold if the interval lies outside"
    )
    return _around(claim, values, target, of, form, rule, held=within, beyond=within)


def equal(
    claim: str,
    values: Sequence[float],
    target: float,
    *,
    within: float,
    error: float,
    known: str,
    of: str,
    form: str = ".1f",
) -> Verdict:
    """Held where the 95% interval over seeds lies within `within` of `target`, by a measure that is itself as exact.

    `error` is how far off the measure has been where the truth is known, and `known` says where that was. Not held
    where the interval lies farther from `target` than `within` and than `error`; between the two it is too close to
    call, and so is what a measure with a larger `error` than `within` finds at the target. Otherwise as in `above`.
    """
    its = "" if math.isnan(error) else f" (it has {error:{form}})"
    rule = (
        f"the 95% interval of its mean over seeds lies within {within:{form}} of {target:g}, by a measure with no "
        f"larger error {known}{its}; it did not hold if the interval lies farther off than both"
    )
    if math.isnan(error):
        return Verdict(claim, NOT_MEASURED, rule, None)
    never = -math.inf
    held = within if error <= within else never
    return _around(claim, values, target, of, form, rule, held=held, beyond=max(within, error))


def every_seed(claim: str, successes: Sequence[bool], *, of: str, rule: str) -> Verdict:
    """Held where the `rule` is met for every seed, not held where it is met for none, else too close to call.

    `of` says what was measured, seed by seed.
    """
    outcome = HELD if all(successes) else TOO_CLOSE if any(successes) else DID_NOT_HOLD
    outcome = None if len(successes) < 3 else outcome
    return Verdict(claim, f"{of} ({_seeds(len(successes))})", f"{rule}, for every seed", outcome)


def agreement(part: str, run: TrainedRun | Mapping, measured: Mapping[str, float], *, of: str = "") -> Finding:
    """Whether what this page measured lies within the spread of the recorded runs of its config.

    `of` says what of, where a page has several.

    A measure agrees within 4 standard deviations, of a new run about the mean of the recorded ones, and within the
    table's six digits. `run` is what the part's measure is given.
    """
    rows = like(part, run)
    name, what = (f"agreement, {of}", f"*{of}*: ") if of else ("agreement", "")
    if len(rows) < 3:
        held = ("no run", "only one run", "only two runs")[len(rows)]
        return finding(name, None, {None: f"{what}`results/{part}.csv` holds {held} of this config to compare with."})
    allowed = 4 * rows[list(measured)].std() * math.sqrt(1 + 1 / len(rows)) + 1e-5 * rows[list(measured)].mean().abs()
    off = {
        measure: not abs(value - rows[measure].mean()) <= allowed[measure]
        for measure, value in measured.items()
        if not (math.isnan(value) and rows[measure].isna().all())
    }
    apart = [measure for measure, is_off in off.items() if is_off]
    return finding(
        name,
        not apart,
        {
            True: what + "What this page measured on its own run agrees with the {n} recorded runs of the same config, "
            "within their spread.",
            False: what + "What this page measured on its own run lies outside the spread of {n} recorded runs of the "
            "same config in: {apart}.",
        },
        n=len(rows),
        apart=", ".join(apart),
    )


def exact(claim: str, holds: bool, *, of: str, rule: str) -> Verdict:
    """A claim that a computation decides without any training: no seed, nothing too close."""
    return Verdict(claim, of, rule, HELD if holds else DID_NOT_HOLD)


def _by_interval(
    claim: str, values: Sequence[float], threshold: float, of: str, form: str, rule: str, *, upwards: bool
) -> Verdict:
    mean, low, high = interval(values)
    n = len(values)
    if math.isnan(mean):
        return Verdict(claim, NOT_MEASURED, rule, None)
    if n < 2:
        return Verdict(claim, f"{of}: {mean:{form}} ({_seeds(n)})", rule, None)
    measured = _in_words(of, values, form)
    if n < 3:
        return Verdict(claim, measured, rule, None)
    if low <= threshold <= high:
        return Verdict(claim, measured, rule, TOO_CLOSE)
    return Verdict(claim, measured, rule, HELD if (low > threshold) == upwards else DID_NOT_HOLD)


def _around(
    claim: str, values: Sequence[float], target: float, of: str, form: str, rule: str, *, held: float, beyond: float
) -> Verdict:
    """Held where the interval is no farther from `target` than `held`, not held where all of it is `beyond`."""
    n, (mean, low, high) = len(values), interval(values)
    if math.isnan(mean):
        return Verdict(claim, NOT_MEASURED, rule, None)
    if n < 3:
        return Verdict(claim, f"{of}: {mean:{form}} ({_seeds(n)})", rule, None)
    farthest, nearest = max(target - low, high - target), max(target - high, low - target)
    outcome = HELD if farthest <= held else DID_NOT_HOLD if nearest > beyond else TOO_CLOSE
    return Verdict(claim, _in_words(of, values, form), rule, outcome)


def _in_words(of: str, values: Sequence[float], form: str) -> str:
    mean, low, high = interval(values)
    return f"{of}: {mean:{form}}, {low:{form}} to {high:{form}} ({_seeds(len(values))})"


def _seeds(n: int) -> str:
    return f"{n} seed{'s' if n != 1 else ''}"


def _word(row: Verdict) -> str:
    if row.outcome is None:
        return "no verdict" if row.measured == NOT_MEASURED else "no verdict: too few seeds"
    return row.outcome


@dataclass(frozen=True)
class Verdicts:
    """A table of claims, measurements, rules and verdicts; without the last column on a page that may give none."""

    rows: tuple[Verdict, ...]
    given: bool

    def __repr__(self) -> str:
        return "\n".join(
            f"{row.claim}: {row.measured}; held if {row.rule}" + (f": {_word(row)}" if self.given else "")
            for row in self.rows
        )

    def _html(self) -> str:
        heads = ["Claim", "Measured", "Held if"] + ["Verdict"] * self.given
        body = "".join(
            "<tr>"
            + "".join(
                f"<td>{escape(text)}</td>" for text in (row.claim, row.measured, row.rule, _word(row))[: len(heads)]
            )
            + "</tr>"
            for row in self.rows
        )
        return (
            f'<table class="verdicts"><thead><tr>{"".join(f"<th>{head}</th>" for head in heads)}</tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:
        outcomes = {row.claim: row.outcome if self.given else None for row in self.rows}
        return {"text/html": self._html(), "text/plain": repr(self)}, {KEY: {"verdicts": outcomes}}


def verdicts(*rows: Verdict, dataset: str, smoke: bool) -> Verdicts:
    """What a chapter found; the last column is there only where the page may give verdicts (`conclusive`)."""
    return Verdicts(rows, given=conclusive(dataset, smoke=smoke))


def summary(table: Verdicts) -> str:
    """What a table of verdicts comes to, as sentences for `reading`: the claims, by their outcomes."""
    if not table.given:
        return "No verdict is given on this page: its data, or their number, are not the paper's."
    words = dict.fromkeys([HELD, DID_NOT_HOLD, TOO_CLOSE, *map(_word, table.rows)])
    claims = {word: [row.claim for row in table.rows if _word(row) == word] for word in words}
    return " ".join(
        f"{word.capitalize().replace(': ', ', ')}: {'; '.join(some)}." for word, some in claims.items() if some
    )
