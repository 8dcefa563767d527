"""What the chapter on robustness says of recorded runs: errors by model, K, noise and seed, and the verdicts' rules.

Models and variances go by the names of `robustness.MODELS` and `robustness.CONTROL`. An error is `normalised_error`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
from torch import Tensor

from vaelib import results, robustness
from vaelib.config import TrainConfig
from vaelib.report.counts import spread
from vaelib.report.findings import listed
from vaelib.report.verdicts import Verdict, above, below, interval, near

NAMES = {"vae": "VAE", "autoencoder": "autoencoder", "shipped": "as shipped"}
CONTROL_NAMES = {
    "vae_entry": "VAE, a variance per entry",
    "vae_common": "VAE, one variance",
    "autoencoder_entry": "autoencoder, a variance per entry",
    "autoencoder_common": "autoencoder, one variance",
}
POINTS = "the corrupted points"
ALIKE = 0.05  # two errors that differ by less, relative to the clean data, are alike


# Images


def images(config: TrainConfig) -> dict[int, pd.DataFrame]:
    """The recorded errors of the recipe of `config`, by latent size: a row a seed, a column as `robustness.column`."""
    return {
        k: _by_seed(results.recorded("robustness_images", replace(config, latent_dim=k)), _columns())
        for k in robustness.LATENT_SIZES
    }


def longer(config: TrainConfig) -> pd.DataFrame:
    """The recorded errors of `robustness.LONGER`; none where the recipe of `config` is not the book's."""
    if replace(robustness.CONFIG, latent_dim=config.latent_dim, seed=config.seed) != config:
        return pd.DataFrame(columns=_columns(), dtype=float)
    return _by_seed(results.recorded("robustness_longer", robustness.LONGER), _columns())


def seeds(tables: Mapping[int, pd.DataFrame]) -> str:
    """Of how many seeds there are errors, in words: "5", or "3 to 5" where latent sizes differ in it."""
    least, most = min(map(len, tables.values())), max(map(len, tables.values()))
    return str(least) if least == most else f"{least} to {most}"


def _columns() -> list[str]:
    return [robustness.column(name, *cell) for name in robustness.MODELS for cell in robustness.CELLS]


def _by_seed(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return rows.set_index("seed").reindex(columns=columns).astype(float)


def over_sizes(tables: Mapping[int, pd.DataFrame], noise: str, share: float) -> tuple[dict, dict]:
    """For `plotting.curves`: mean error of each model over the latent sizes, and half its 95% interval, by name."""
    mean, half = {}, {}
    for model, name in NAMES.items():
        its = [table[robustness.column(model, noise, share)].dropna() for table in tables.values()]
        spans = [interval(values) if len(values) > 1 else (math.nan,) * 3 for values in its]
        mean[name], half[name] = [m for m, *_ in spans], [high - m for m, _, high in spans]
    return mean, half


def levels(train: Tensor, test: Tensor, noise: str, share: float, *, seed: int) -> dict[str, float]:
    """Errors on clean images `test` (N, D) to compare with: of the mean image, and of exactly what noise leaves."""
    mean = robustness.corrupted(train, noise, share, seed=seed).mean(0).expand_as(test)
    left = {"noise averaged out": robustness.expected(test, noise, share)} if share else {}
    return {
        name: robustness.normalised_error(test, pictures) for name, pictures in ({"mean image": mean} | left).items()
    }


def noisy(table: pd.DataFrame, model: str) -> pd.Series:
    """The error of a model by seed, averaged over all kinds and shares of noise that were recorded."""
    cells = [robustness.column(model, *cell) for cell in robustness.CELLS if cell[1]]
    return table[cells].dropna(axis=1, how="all").mean(axis=1)


def table(tables: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Mean errors of the three models at the smallest and the largest latent size, in words with their intervals."""
    return pd.DataFrame(
        {
            f"K = {k}, {words}": {name: spread(of(tables[k], model)) for model, name in NAMES.items()}
            for k in (min(tables), max(tables))
            for words, of in (("without noise", lambda rows, model: rows[f"{model}_clean"]), ("with noise", noisy))
        }
    )


def beside_longer(rows: pd.DataFrame, long: pd.DataFrame) -> pd.DataFrame:
    """Mean errors of the book's recipe and of `longer` runs, at one latent size, in the cells that both have."""
    cells = {_in_words(*cell): cell for cell in robustness.LONGER_CELLS}
    return pd.DataFrame(
        {
            f"{recipe}, {words}": {
                NAMES[model]: spread(its[robustness.column(model, *cell)]) for model in robustness.LONGER_MODELS
            }
            for words, cell in cells.items()
            for recipe, its in (("this recipe", rows), ("four times the images", long))
        }
    )


def _in_words(kind: str, share: float) -> str:
    return f"{share:.0%} {kind}" if share else "without noise"


def rise(table: pd.DataFrame, model: str) -> pd.Series:
    """By how much noise in the training images raises a model's error, by seed."""
    return noisy(table, model) - table[f"{model}_clean"]


def rules_on_images(tables: Mapping[int, pd.DataFrame], long: pd.DataFrame) -> tuple[Verdict, ...]:
    """The verdicts on §4.1.4: autoencoder and VAE at the smallest and the largest latent size, and why."""
    small, large = min(tables), max(tables)
    ratio = {
        (model, k): noisy(tables[k], model) / noisy(tables[k], "vae")
        for model in ("shipped", "autoencoder")
        for k in (small, large)
    }
    of = "error with noise, {} over the VAE"
    shown = {"shipped": "the autoencoder as shipped", "autoencoder": "the deterministic autoencoder"}
    comparable = tuple(
        near(
            f"at K = {small} {shown[model]} and the VAE do comparably",
            _values(ratio[model, small]),
            1,
            within=ALIKE,
            of=of.format(shown[model]),
        )
        for model in shown
    )
    outperforms = tuple(
        below(
            f"at K = {large} {shown[model]} outperforms the VAE",
            _values(ratio[model, large]),
            1,
            of=of.format(shown[model]),
        )
        for model in shown
    )
    return (
        *comparable,
        *outperforms,
        below(
            f"at K = {large} {shown['autoencoder']} is ahead with four times the images and steps as well",
            _values(noisy(long, "autoencoder") / noisy(long, "vae")),
            1,
            of=f"error with {_in_words(*robustness.LONGER_CELLS[1])}, {shown['autoencoder']} over the VAE",
        ),
        below(
            f"at K = {large} {shown['autoencoder']} is ahead without any noise as well",
            _values(tables[large]["autoencoder_clean"] / tables[large]["vae_clean"]),
            1,
            of="error without noise, the deterministic autoencoder over the VAE",
        ),
        above(
            f"at K = {large} the VAE is the more robust, as in Figure 6",
            _values(rise(tables[large], "autoencoder") - rise(tables[large], "vae")),
            0,
            of=f"rise of the error by noise, that of {shown['autoencoder']} less that of the VAE",
            form=".3f",
        ),
    )


# Outliers


def outliers() -> pd.DataFrame:
    """The recorded errors on points with outliers: a row for each seed, dimension and share, by "seed", "true_dim" …"""
    return _recorded("robustness_outliers", robustness.OUTLIER_SHARES)


def without_outliers_longer() -> pd.DataFrame:
    """The same for the runs without outliers that were trained for `robustness.LONG_EPOCHS`."""
    return _recorded("robustness_outliers_longer", (0.0,), epochs=robustness.LONG_EPOCHS)


def _recorded(part: str, shares: Sequence[float], **setting: int) -> pd.DataFrame:
    columns = ["seed", "true_dim", "share", "seen", *CONTROL_NAMES]
    tables = [
        results.current(part, robustness.outlier_setting(d, share, **setting)).assign(true_dim=d, share=share)
        for d in robustness.TRUE_DIMS
        for share in shares
    ]
    return pd.concat([table.reindex(columns=columns) for table in tables]).astype(float)


def heat_maps(rows: pd.DataFrame) -> dict[str, list[list[float]]]:
    """For `plotting.heat_maps`: mean errors of the four models over shares (up) and true dimensions (across)."""

    def cell(name: str, true_dim: int, share: float) -> float:
        return rows[(rows["true_dim"] == true_dim) & (rows["share"] == share)][name].mean()

    return {
        shown.replace(", ", ",\n"): [
            [cell(name, d, share) for d in robustness.TRUE_DIMS] for share in robustness.OUTLIER_SHARES
        ]
        for name, shown in {**CONTROL_NAMES, "seen": POINTS}.items()
    }


def ahead(rows: pd.DataFrame) -> str:
    """In which cells with outliers the VAE errs less than a plain autoencoder with the whole interval, in words."""
    cells = rows[rows["share"] > 0].groupby(["true_dim", "share"])
    less = {at: interval(cell["autoencoder_common"] - cell["vae_entry"])[1] > 0 for at, cell in cells}
    behind = {d: [f"{share:.0%}" for at, share in less if at == d and not less[at, share]] for d, _ in less}
    others = "; ".join(f"dimension {d:g} with {listed(shares)} of outliers" for d, shares in behind.items() if shares)
    where = f"in {sum(less.values())} of {len(less)} cells with outliers"
    return f"{where}, and not in {others}" if others else where


def with_outliers(rows: pd.DataFrame) -> pd.DataFrame:
    """Errors by seed, averaged over the dimensions and over all shares but 0; of seeds with all of them only."""
    return _means(rows[rows["share"] > 0], len(robustness.TRUE_DIMS) * (len(robustness.OUTLIER_SHARES) - 1))


def _means(rows: pd.DataFrame, cells: int) -> pd.DataFrame:
    """Mean errors by seed, of the seeds that have all of so many cells."""
    by_seed = rows.groupby("seed")
    return by_seed[["seen", *CONTROL_NAMES]].mean()[by_seed.size() == cells]


def outlier_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean errors of the four models and of the corrupted points, without outliers and over all shares of them."""
    none, some = _means(rows[rows["share"] == 0], len(robustness.TRUE_DIMS)), with_outliers(rows)
    return pd.DataFrame(
        {
            title: {name: spread(errors[column]) for column, name in (*CONTROL_NAMES.items(), ("seen", POINTS))}
            for title, errors in (("no outliers", none), ("mean over all shares of outliers", some))
        }
    )


def without_outliers(rows: pd.DataFrame) -> pd.Series:
    """By seed, the largest difference over the dimensions between the VAE's and the autoencoder's error at share 0.

    Of seeds with all of the dimensions only.
    """
    none = rows[rows["share"] == 0]
    apart = (none["vae_entry"] - none["autoencoder_common"]).abs().groupby(none["seed"])
    return apart.max()[apart.size() == len(robustness.TRUE_DIMS)]


def rules_on_outliers(rows: pd.DataFrame, longer: pd.DataFrame) -> tuple[Verdict, ...]:
    """The verdicts on Figure 6 and on what §3.1 credits: each part of the model alone, and both.

    `longer`: of `without_outliers_longer`.
    """
    error = with_outliers(rows)
    means = "mean over dimensions and shares above 0"

    def less(claim: str, one: str, other: str) -> Verdict:
        difference = error[other] - error[one]
        of = f"error of {CONTROL_NAMES[other]}, less that of {CONTROL_NAMES[one]}, {means}"
        return above(claim, _values(difference), 0, of=of, form=".3f")

    def alike(claim: str, rows: pd.DataFrame) -> Verdict:
        of = "difference of the two errors, the largest of all dimensions"
        return below(claim, _values(without_outliers(rows)), ALIKE, of=of, form=".3f")

    return (
        less("the VAE resists outliers better than an autoencoder (Figure 6)", "vae_entry", "autoencoder_common"),
        alike("without outliers they are alike", rows),
        alike("without outliers, after four times the steps, they are alike", longer),
        less("the KL and its noise alone resist outliers", "vae_common", "autoencoder_common"),
        less("a variance per entry alone resists outliers", "autoencoder_entry", "autoencoder_common"),
        less(
            "it is the KL that resists (§3.1): alone it does more than a variance per entry alone",
            "vae_common",
            "autoencoder_entry",
        ),
        less("to a variance per entry the KL adds something", "vae_entry", "autoencoder_entry"),
    )


def _values(series: pd.Series) -> list[float]:
    """Values for a verdict, one a seed; not a number where nothing was recorded."""
    return series.dropna().tolist() or [math.nan]
