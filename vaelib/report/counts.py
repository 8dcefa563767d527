"""What the chapter on manifold dimension says of recorded runs: tables, words, and the rules of its verdicts.

A count or an estimate goes by the name it has in `dimensions`: "kl", "sum", "twonn" ...
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from vaelib import dimensions, evidence, results
from vaelib.config import TrainConfig
from vaelib.report.findings import UNDEFINED, compare
from vaelib.report.findings import listed as sentence_list
from vaelib.report.verdicts import Verdict, below, equal, exact, interval

RULES = {
    "kl": f"KL above {dimensions.KL_IN_USE} nats",
    "active": "active units",
    "norm_share": "share of the norms",
    "norm": "elbow of the norms",
    "sum": "elbow of the column sums",
    "sum_fall": "steepest fall of the column sums",
    "twonn": "TwoNN",
    "mle": "maximum likelihood",
    "pca": "principal components",
}
COLUMNS = ["seed", "elbo", *RULES, "kl_near", "sum_untrained", "sum_fall_untrained"]
TRUTHS = range(1, 9)
ENOUGH = 0.5  # of a dimension: a mean this near to a whole number rounds to it


def planted(points: int, epochs: int) -> pd.DataFrame:
    """The recorded runs on planted manifolds, K = 20, a row a run; "truth" is the dimension that was planted."""
    size = {"points": points, "epochs": epochs, "latent_dim": 20}
    tables = [results.current("planted_dimension", size | {"true_dim": d}).assign(truth=d) for d in TRUTHS]
    return _columns(pd.concat(tables), "truth")


def recorded(config: TrainConfig) -> pd.DataFrame:
    """The recorded runs of a config, whichever of the parts on boots holds them, a row a seed."""
    parts = ("boots_dimension", "boots_length", "boots_control")
    return _columns(pd.concat([results.current(part, config) for part in parts]))


def _columns(rows: pd.DataFrame, *more: str) -> pd.DataFrame:
    """Columns with these names whether or not anything was recorded."""
    return rows.reindex(columns=[*COLUMNS, *more])


def miscounts(rows: pd.DataFrame) -> pd.DataFrame:
    """By how many dimensions each rule is off, a row a seed: the mean over all that were planted."""
    off = rows[list(RULES)].sub(rows["truth"], axis=0).abs()
    return off.groupby(rows["seed"]).mean()


def errors(cells: Mapping[tuple[int, int], pd.DataFrame]) -> pd.DataFrame:
    """The miscounts as a page shows them: a row a rule, a column for each number of points and epochs."""
    table = {
        f"{points:,} points, {epochs} epochs": [spread(miscounts(rows)[rule]) for rule in RULES]
        for (points, epochs), rows in cells.items()
    }
    return pd.DataFrame(table, index=list(RULES.values()))


def sure(rows: pd.DataFrame) -> list[str]:
    """The rules whose miscount lies below half a dimension with its whole interval."""
    off = miscounts(rows)
    return [rule for rule in RULES if len(off) and interval(off[rule])[2] < ENOUGH]


def known_two(rows: pd.DataFrame, *, drawn_too: bool = True) -> pd.DataFrame:
    """By how many dimensions each rule is off where two is the truth, run by run: planted `rows`, and drawn boots."""
    two = rows[rows["truth"] == 2]
    if drawn_too:
        two = pd.concat([two, recorded(evidence.DRAWN_BOOTS)])
    return (two[list(RULES)] - 2).abs()


def spread(values: Sequence[float]) -> str:
    """Mean and 95% interval in words."""
    values = [value for value in values if not math.isnan(value)]
    if len(values) < 2:
        return f"{values[0]:.2f} (one run)" if values else "not recorded"
    return "{:.2f} ({:.2f} to {:.2f})".format(*interval(values))


def table(groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Mean counts of recorded models with their intervals: a row a rule, a column for each named group of runs."""
    rows = {name: RULES[name] for name in ("kl", "active", "norm", "sum", "sum_fall")}
    rows |= {"kl_near": "near the threshold of the KL"}
    rows |= {f"{name}_untrained": f"{RULES[name]}, untrained" for name in ("sum", "sum_fall")}
    columns = {title: [spread(runs[name]) for name in rows] for title, runs in groups.items()}
    return pd.DataFrame(columns, index=list(rows.values()))


def change(before: pd.DataFrame, after: pd.DataFrame, name: str = "kl") -> str:
    """`compare` of two mean counts, the later with the earlier, within half a dimension; "undefined" below 3 runs."""
    if min(len(before), len(after)) < 3:
        return UNDEFINED
    return compare(after[name].mean(), before[name].mean(), within=ENOUGH)


def listed(names: Iterable[str]) -> str:
    """The words for some rules, as a sentence lists them."""
    return sentence_list([RULES[name] for name in names] or ["none of them"])


def rules(
    shown: str,
    latent_dim: int,
    seeds: Mapping[str, Sequence[float]],
    twonn: float,
    rows: pd.DataFrame,
) -> tuple[Verdict, ...]:
    """The verdicts on §4.2.2 for the images called `shown`; `seeds` are counts over seeds, `rows` the planted runs.

    With one or two latent dimensions nothing is said of a third. `twonn` is of the images; where it could not be
    estimated, nothing is said of it.
    """
    off, worst = miscounts(rows), known_two(rows).max()
    room = {rule: seeds[rule] if latent_dim > 2 else [math.nan] for rule in ("kl", "sum_fall")}
    near = {"within": ENOUGH, "known": "where two is the truth, after 40 epochs"}
    allowed = max(ENOUGH, worst["twonn"])
    planted_claims = tuple(
        below(
            f"{what} count a planted dimension",
            off[rule].tolist() or [math.nan],
            ENOUGH,
            of="dimensions off, mean over 1 to 8",
        )
        for rule, what in (("kl", "the nats"), ("sum_fall", "the column sums"))
    )
    surface = exact(
        f"{shown} lie on a surface (TwoNN)",
        abs(twonn - 2) <= allowed,
        of=f"TwoNN: {twonn:.1f}",
        rule=f"TwoNN lies within {allowed:.1f} of 2, half a dimension or its largest error where two is the truth",
    )
    return (
        *planted_claims,
        below(
            "fewer than half of the dimensions are in use",
            room["kl"],
            latent_dim / 2,
            of=f"in use of {latent_dim}",
            form=".1f",
        ),
        equal(f"{shown} use two dimensions", room["kl"], 2, error=worst["kl"], of="in use", **near),
        equal(
            "the column sums count two dimensions",
            room["sum_fall"],
            2,
            error=worst["sum_fall"],
            of="before the steepest fall",
            **near,
        ),
        *(() if math.isnan(twonn) else (surface,)),
    )
