"""What the chapter on latent sizes says: its runs by K, their table, findings, and the rules of its verdicts.

A measure goes by the name it has in `latent_sizes.at_size`; `runs` are tables of them by K, a row a seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile

import pandas as pd

from vaelib import latent_sizes, results
from vaelib.config import TrainConfig
from vaelib.report.findings import Finding, compare, finding
from vaelib.report.verdicts import Verdict, above, below, interval

ROWS = {
    "rate": ("rate", ".1f"),
    "distortion": ("distortion", ".1f"),
    "elbo": ("ELBO", ".1f"),
    "log_p": ("log p(x)", ".1f"),
    "loose": ("log p(x) above the ELBO", ".1f"),
    "active": ("active units", ".1f"),
    "knn": ("nearest codes vote right", ".1%"),
    "pca": ("nearest PCA codes vote right", ".1%"),
}
SEEDLESS = ("pca",)  # the same for every seed

Runs = Mapping[int, pd.DataFrame]


def recorded(config: TrainConfig, latent_dim: int) -> pd.DataFrame:
    """The recorded runs of a config at another K, a row a seed; empty where there are none."""
    rows = results.recorded("latent_sizes", replace(config, latent_dim=latent_dim))
    return rows.reindex(columns=["seed", *latent_sizes.MEASURES]).set_index("seed")


def with_own(rows: pd.DataFrame, seed: int, measured: Mapping[str, float] | None) -> pd.DataFrame:
    """Recorded runs with the page's own of that seed in its place, where it measured one."""
    if measured is None:
        return rows
    own = pd.DataFrame([measured], index=pd.Index([seed], name="seed"), columns=list(latent_sizes.MEASURES))
    others = rows.drop(index=seed, errors="ignore")
    return pd.concat([others, own]).sort_index() if len(others) else own


def table(runs: Runs) -> pd.DataFrame:
    """A row a measure, a column a K: its mean ± half its 95% interval, if several; without what was not measured."""
    found = {}
    for name, (title, form) in ROWS.items():
        if not all(rows[name].isna().all() for rows in runs.values()):
            found[title] = [
                f"{mean:{form}} ± {half:{form}}" if len(rows) > 1 and name not in SEEDLESS else f"{mean:{form}}"
                for rows, mean, half in zip(runs.values(), *curve(runs, name), strict=True)
            ]
    return pd.DataFrame.from_dict(found, orient="index", columns=[f"K = {k}" for k in runs])


def among(runs: Runs) -> str:
    """How many runs each K has, in words."""
    least, most = (of(len(rows) for rows in runs.values()) for of in (min, max))
    return f"{least}{f' to {most}' * (least < most)} run{'s' * (most > 1)}"


def means(runs: Runs, name: str) -> dict[int, float]:
    """The mean of a measure by K."""
    return {k: rows[name].mean() for k, rows in runs.items()}


def curve(runs: Runs, name: str) -> tuple[list[float], list[float]]:
    """Over K, the mean of a measure and half the length of its 95% interval; 0 for a single run, which has none."""
    ends = [interval(rows[name]) for rows in runs.values()]
    return [mean for mean, _, _ in ends], [(high - low) / 2 if high < math.inf else 0.0 for _, low, high in ends]


def change(runs: Runs, name: str, first: int, last: int) -> list[float]:
    """By how much a measure grows from one K to another, seed by seed; NaN alone where no seed has both."""
    if not {first, last} <= set(runs):
        return [math.nan]
    return (runs[last][name] - runs[first][name]).dropna().tolist() or [math.nan]


def best(name: str, runs: Runs, measure: str, what: str) -> Finding:
    """At which K the mean of a measure is largest, whether seeds tell the next from it, how far the last is behind."""
    found = means(runs, measure)
    last = max(found)
    top, *others = sorted(found, key=found.get, reverse=True)
    text = f"{what} is largest at $K = {top}$, {found[top]:.1f}{_on_average(runs)}"
    apart = None
    if others:
        _, low, high = interval(change(runs, measure, others[0], top))
        apart = bool(low > 0)
        text += f"; at $K = {others[0]}$, which comes next, it is {found[top] - found[others[0]]:.1f} lower"
        if math.isfinite(high):
            text += f" ({low:.1f} to {high:.1f})" + ("" if apart else ", no difference that these seeds establish")
    if last not in (top, *others[:1]):
        text += f"; at $K = {last}$ it is {found[top] - found[last]:.1f} lower"
    return finding(name, (top, apart), text + ".")


def _on_average(runs: Runs) -> str:
    return " on average" if any(len(rows) > 1 for rows in runs.values()) else ""


def saturation(runs: Runs) -> Finding:
    """Up to which K the rate grows by more than a nat at every step from one K of the page to the next."""
    rate = means(runs, "rate")
    sizes = sorted(rate)
    grows = takewhile(lambda step: rate[step[1]] > rate[step[0]] + 1, pairwise(sizes))
    until = max((b for _, b in grows), default=None)
    return finding(
        "rate grows",
        until or "never",
        "At every step up to $K = {until}$ the rate grows by more than a nat; there it is {there:.1f} nats, and "
        "{end:.1f} at $K = {last}$."
        if until
        else "From $K = {first}$ to the next $K$ of this page the rate does not grow by more than a nat; at "
        "$K = {last}$ it is {end:.1f}.",
        until=until,
        there=rate.get(until),
        first=sizes[0],
        last=sizes[-1],
        end=rate[sizes[-1]],
    )


def active(runs: Runs) -> Finding:
    """How many units are active at the largest K, and up to which K all are, in every run."""
    last, first = max(runs), min(runs)
    counts = runs[last]["active"]
    full = max(takewhile(lambda k: (runs[k]["active"] == k).all(), sorted(runs)), default=0)
    return finding(
        "active",
        (round(counts.mean()), full),
        f"At $K = {last}$, {counts.mean():.1f} units are active"
        + (f" on average, {counts.min():.0f} to {counts.max():.0f} in single runs; " if len(counts) > 1 else "; ")
        + (
            f"up to $K = {full}$ all are, in every run."
            if full
            else f"at the smallest size, $K = {first}$, there are runs in which not all are."
        ),
    )


def votes(runs: Runs) -> Finding:
    """Whether nearest codes of the largest K vote better than principal components (level: within two hundredths)."""
    last = max(runs)
    vae, pca = (means(runs, name)[last] for name in ("knn", "pca"))
    return finding(
        "votes",
        compare(vae, pca, within=0.02),
        {
            "larger": "At $K = {k}$ the nearest codes vote right for {vae:.1%} of the images, those of PCA for "
            "{pca:.1%}, which is less.",
            "smaller": "At $K = {k}$ the nearest codes vote right for {vae:.1%} of the images, and those of PCA "
            "for more, {pca:.1%}.",
            "level": "At $K = {k}$ the nearest codes vote right for {vae:.1%} of the images and those of PCA for "
            "{pca:.1%}, the same to within two hundredths.",
        },
        k=last,
        vae=vae,
        pca=pca,
    )


def sharpness(shares: Mapping[int, float]) -> Finding:
    """Whether reconstructions are sharper at the largest K than at the smallest (level: within a twentieth)."""
    first, last = min(shares), max(shares)
    numbers = " {b:.0%} of the images' own variance of the Laplacian, against {a:.0%}."
    return finding(
        "sharpness",
        compare(shares[last], shares[first], within=0.05),
        {
            "larger": "At $K = {last}$ the reconstructions are sharper than at $K = {first}$:" + numbers,
            "smaller": "At $K = {last}$ the reconstructions are even less sharp than at $K = {first}$:" + numbers,
            "level": "At $K = {last}$ the reconstructions are about as sharp as at $K = {first}$:" + numbers,
        },
        first=first,
        last=last,
        a=shares[first],
        b=shares[last],
    )


def rules(runs: Runs) -> Sequence[Verdict]:
    """The verdicts: what more dimensions bring, and whether those to spare are pruned and cost nothing."""
    fewer = [-nats for nats in change(runs, "distortion", 2, 10)]
    none = [-nats for nats in change(runs, "distortion", 10, 50)]
    active = runs[50]["active"].dropna().tolist() if 50 in runs else []
    return (
        above("ten dimensions reconstruct better than two", fewer, 0, of="nats of distortion less", form=".1f"),
        above("fifty reconstruct better than ten", none, 0, of="nats of distortion less", form=".1f"),
        above("ten tell the classes apart better than two", change(runs, "knn", 2, 10), 0, of="votes right, the gain"),
        below("of fifty, more than half are pruned", active or [math.nan], 25, of="active units", form=".1f"),
        above(
            "forty dimensions to spare cost no more than a nat",
            change(runs, "elbo", 10, 50),
            -1,
            of="ELBO at 50 less that at 10, in nats",
            form=".1f",
        ),
    )
