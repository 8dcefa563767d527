"""What a chapter shows of the VAE's plane beside those of other methods: a picture, a table, findings, and a rule.

Some planes are fitted on the page; numbers of the others, and of other seeds, come from `results/compared.csv`. The
rules were written down before the runs that they judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from vaelib import embeddings, plotting, results
from vaelib.data import ImageDataset
from vaelib.embeddings import FAST, METHODS, SHOWN, Plane
from vaelib.paper import SMOKE
from vaelib.report.findings import Captioned, Finding, Reading, captioned, finding, listed, reading
from vaelib.report.verdicts import Verdict, agreement, exact, interval

# What is measured, its title and its form; the first four have one value, whatever the machine.
COLUMNS = {
    "votes": ("right votes, new images", ".1%"),
    "votes_fitted": ("fitted images", ".1%"),
    "trust": ("trustworthiness", ".3f"),
    "continuity": ("continuity", ".3f"),
    "fit_seconds": ("seconds to fit", ".2g"),
    "embed_ms": ("ms for a new image", ".2g"),
}
QUALITY = tuple(COLUMNS)[:4]
DRAWN = 250  # codes of each plane: more make the page heavier than they make the picture clearer


@dataclass(frozen=True)
class Planes:
    """The few images, the planes fitted on the page and their scores, and recorded rows, all by method.

    `rows` have an index of seeds, the page's own scores in its seed's place; `settings` are those of `embeddings`.
    """

    given: ImageDataset
    fitted: Mapping[str, Plane]
    measured: Mapping[str, Mapping[str, float]]
    rows: Mapping[str, pd.DataFrame]
    settings: Mapping[str, Mapping[str, object]]


def planes(dataset: str, seed: int, *, smoke: bool) -> Planes:
    """Fit the fast methods on images drawn by the seed, and read what is recorded of all: some seconds."""
    n = SMOKE["limit"] if smoke else embeddings.IMAGES
    given, new = embeddings.few(dataset, n, seed)
    alike = torch.equal(given.images, given.images[:1].expand_as(given.images))  # nothing for LDA to tell apart by
    fast = [method for method in FAST if not (alike and method == "LDA")]
    fitted = {method: plane for method in fast if (plane := embeddings.fitted(method, given, seed))}
    measured = {method: embeddings.scores(plane, given, new) for method, plane in fitted.items()}
    settings = {each["method"]: each | {"seed": seed} for each in embeddings.settings(dataset, METHODS, n)}
    rows = {method: _rows(setting, measured.get(method)) for method, setting in settings.items()}
    return Planes(given, fitted, measured, {m: each for m, each in rows.items() if len(each)}, settings)


def _rows(setting: Mapping[str, object], own: Mapping[str, float] | None) -> pd.DataFrame:
    """Recorded rows, the page's own in its seed's place; seconds are those of the recording machine or of none."""
    columns = ["seed", *COLUMNS, "embeds", "generates"]
    rows = results.like("compared", setting).reindex(columns=columns).set_index("seed").astype(float)
    if own:
        shown = {name: value for name, value in own.items() if name not in ("fit_seconds", "embed_ms")}
        rows.loc[setting["seed"], list(shown)] = list(shown.values())
    return rows.sort_index()


def figure(found: Planes, *, name: str, of: str) -> Captioned:
    """The codes of the first `DRAWN` images in each plane that is fitted here or recorded for this seed."""
    codes = {m: found.fitted[m].codes[:SHOWN] if m in found.fitted else _points(found.settings[m]) for m in METHODS}
    codes = {method: z[:DRAWN] for method, z in codes.items() if z is not None}
    n, labels = len(found.given.images), found.given.labels[:DRAWN]
    by_class = ", colored by label" if found.given.has_labels else ""
    return captioned(
        plotting.code_panels({method: (z, labels) for method, z in codes.items()}, shared=False),
        name=name,
        caption=f"**Figure.** Planes of the same {n:,} images of {of}, {len(labels):,} of them drawn{by_class}; the "
        "axes have no common unit.",
        alt=f"Scatter plots of {len(labels):,} images{by_class}, one for each method: {', '.join(codes)}.",
    )


def _points(setting: Mapping[str, object]) -> Tensor | None:
    rows = results.like("compared_points", setting)
    rows = rows[rows["seed"] == setting["seed"]]
    if rows.empty:
        return None
    return torch.tensor([[rows[f"{axis}{i}"].item() for axis in "xy"] for i in range(SHOWN)])


def table(found: Planes) -> pd.DataFrame:
    """A row a method: means over seeds ± half a 95% interval, median seconds, and what it can do with new images."""
    shown = {}
    for method, rows in found.rows.items():
        cells = {title: _cell(rows[column], form, column in QUALITY) for column, (title, form) in COLUMNS.items()}
        can = {"places new images": "embeds", "makes new images": "generates"}
        shown[method] = cells | {title: "yes" if rows[column].iloc[0] else "no" for title, column in can.items()}
    return pd.DataFrame.from_dict(shown, orient="index")


def _cell(values: pd.Series, form: str, quality: bool) -> str:
    values = values.dropna()
    if values.empty:
        return "–"
    if not quality:
        return f"{values.median():{form}}"
    mean, low, high = interval(values)
    return f"{mean:{form}}" + (f" ± {(high - low) / 2:{form}}" if len(values) > 2 else "")


def read(found: Planes) -> Reading:
    """The paragraph below the table: where the seconds are from, agreement, and how the VAE stands by each score."""
    recorded = max(map(len, found.rows.values()))
    return reading(
        f"Means over {recorded} seeds, each with images of its own, ± half a 95% interval. Seconds are medians, of "
        "processor time on the machine that recorded `results/compared.csv`. One method is *ahead* of another by a "
        "score where the whole 95% interval of their difference over seeds is on its side."
        if recorded > 1
        else "Only what is fitted on this page is shown: `results/compared.csv` holds no runs of these images.",
        agrees(found),
        stands(found, "votes", "right votes for new images"),
        stands(found, "trust", "trustworthiness"),
        stands(found, "continuity", "continuity"),
    )


def agrees(found: Planes) -> Finding:
    """Whether all that is fitted on the page lies within the spread of the recorded runs."""
    each = {
        method: agreement("compared", found.settings[method], {name: scores[name] for name in QUALITY})
        for method, scores in found.measured.items()
    }
    apart = [method for method, one in each.items() if one.outcome is False]
    return finding(
        "planes agree",
        None if any(one.outcome is None for one in each.values()) else not apart,
        {
            True: "What this page fitted anew ({fitted}) agrees with the recorded runs, within their spread.",
            False: "What this page fitted anew lies outside the spread of the recorded runs of {apart}.",
        },
        fitted=", ".join(each),
        apart=", ".join(apart),
    )


def stands(found: Planes, score: str, title: str) -> Finding:
    """Which methods the VAE is ahead of, behind, or too close to call: the 95% interval of the paired difference.

    Pairs are seeds, which share their images. Nothing is said of fewer than three.
    """
    own, sides = found.rows["VAE"][score], {"ahead": [], "behind": [], "close": []}
    for method, rows in found.rows.items():
        differences = (own - rows[score]).dropna()
        if method != "VAE" and len(differences) > 2:
            _, low, high = interval(differences)
            sides["ahead" if low > 0 else "behind" if high < 0 else "close"].append(method)
    words = {"ahead": "ahead of", "behind": "behind", "close": "too close to call beside"}
    standing = [f"{words[side]} {listed(methods)}" for side, methods in sides.items() if methods]
    return finding(
        f"beside others, {score}",
        tuple(", ".join(methods) or "none" for methods in sides.values()) if standing else None,
        "By {title} the VAE is {standing}.",
        title=title,
        standing=", ".join(standing),
    )


def lacking(generates: Mapping[str, float]) -> Verdict:
    """Whether most of the other methods have no way to make a new image, from `embeddings.scores` of each."""
    without = [method for method, can in generates.items() if can < 0.5]
    return exact(
        "many methods of dimension reduction lack a generative model",
        2 * len(without) > len(generates),
        of=f"{len(without)} of {len(generates)} other methods make no new images: {', '.join(without) or 'none'}",
        rule="more than half make none",
    )
