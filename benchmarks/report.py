"""From the numbers in benchmarks/results to its tables and pictures."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axis import Axis
from matplotlib.figure import Figure

from benchmarks import BenchmarkError
from benchmarks.growth import IMAGES, Cost, slope
from vaelib.plotting import curves, panels

ROUND = [digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5)]
AXIS_LABELS = {"images": "images", "latent_dim": "K", "width": "width (1 = the paper's)", "batch_size": "batch"}


def write(results: Path, *, but: Sequence[str] = ()) -> None:
    """Draw and tabulate every part that was measured, `but` some. Each part says on which machine.

    Raises BenchmarkError for numbers of an earlier form.
    """
    sections = []
    tellers = {
        "race": tell_race,
        "paths": tell_paths,
        "busy": tell_busy,
        "step": tell_step,
        "growth": tell_growth,
        "many": tell_many,
        "book": tell_book,
        "gpu": tell_gpu,
    }
    for part, tell in tellers.items():
        file = results / f"{part}.json"
        if file.exists() and part not in but:
            measured = json.loads(file.read_text(encoding="utf-8"))
            try:
                text, figure = tell(measured)
            except KeyError as error:
                raise BenchmarkError(
                    f"{file.name} has another form than today's, without {error}: measure {part} as well, or remove it"
                ) from None
            if figure is not None:
                figure.savefig(results / f"{part}.png", dpi=110)
                text += f"\n![{part}]({part}.png)\n"
            where = ", ".join(f"{name} {value}" for name, value in measured["machine"].items())
            sections.append(f"{text}\nMeasured on: {where}.\n")
    head = (
        "# Measured\n\nWritten by `make bench`; the numbers are in the `.json` files. What they mean: `../README.md`.\n"
    )
    (results / "README.md").write_text("\n".join([head, *sections]), encoding="utf-8")


def tell_race(measured: dict) -> tuple[str, Figure]:
    """The peers side by side: medians over seeds, with the smallest and largest."""
    by_peer: dict[str, list[dict]] = {}
    for result in measured["results"]:
        by_peer.setdefault(result["peer"], []).append(result)
    limits = {kind: [bound[kind] for bound in measured["bounds"]] for kind in measured["bounds"][0]}
    epochs = {peer: [statistics.median(run["epochs"]) for run in runs] for peer, runs in by_peer.items()}
    rates = {peer: measured["n_train"] / statistics.median(seconds) for peer, seconds in epochs.items()}
    totals = {peer: statistics.median(run["trained"] for run in runs) for peer, runs in by_peer.items()}
    rows = {
        "epochs": lambda peer: str(len(by_peer[peer][0]["epochs"])),
        "seconds of an epoch": lambda peer: spread(epochs[peer]),
        "images per second": lambda peer: f"{rates[peer]:,.0f}",
        "ours trains as many images per second, times": lambda peer: f"{rates['ours'] / rates[peer]:.2f} ×",
        "seconds to the first epoch": lambda peer: spread([run["begun"] for run in by_peer[peer]]),
        "seconds to the end": lambda peer: spread([run["trained"] for run in by_peer[peer]], ".1f"),
        "seconds to the end, as a multiple of ours": lambda peer: f"{totals[peer] / totals['ours']:.1f} ×",
        "held-out loss (nats)": lambda peer: spread([run["heldout_loss"] for run in by_peer[peer]]),
        "mean held-out loss (nats)": lambda peer: (
            f"{statistics.mean(run['heldout_loss'] for run in by_peer[peer]):.2f}"
        ),
        "peak memory (MiB)": lambda peer: spread([run["peak_mib"] for run in by_peer[peer]], ".0f"),
    }
    share = {kind: statistics.median(seconds) / statistics.median(epochs["ours"]) for kind, seconds in limits.items()}
    text = (
        "## The race\n\nThe paper's MNIST model, K = 2; medians over the seeds, smallest and largest in brackets.\n\n"
        + table(["", *by_peer], [[name, *map(cell, by_peer)] for name, cell in rows.items()])
        + f"\nThe matrix products of one of our epochs alone take {spread(limits['as_trained'])} s, rounded as in our "
        f"training: ours runs at {share['as_trained']:.0%} of that limit. The same products in float32 take "
        f"{spread(limits['float32'])} s, {share['float32']:.0%} of our epoch.\n"
    )
    [ax] = panels(1, size=(6, 3.4))
    for peer, runs in by_peer.items():
        ax.scatter([run["trained"] for run in runs], [run["heldout_loss"] for run in runs], s=24, label=peer)
    aim = statistics.mean(run["heldout_loss"] for run in by_peer["plain"])
    ax.axhline(aim, color="0.6", linewidth=1, zorder=0, label="plain's mean")
    ax.set(xscale="log", xlabel="seconds from process start", ylabel="held-out loss (nats)")
    ticks(ax.xaxis, ROUND)
    ax.legend(fontsize="small", loc="upper center")
    return text, ax.figure


def tell_paths(measured: dict) -> tuple[str, None]:
    """A column for each instruction path: our epochs, beside each peer's, and the seconds to the end that follow."""
    found: dict[tuple[str, str], list[dict]] = {}
    for pace in measured["paces"]:
        found.setdefault((pace["peer"], pace["path"]), []).append(pace)
    peers, paths = ([*dict(zip(names, names, strict=True))] for names in zip(*found, strict=True))
    peers.remove("products")
    epochs = {key: [seconds for pace in paces for seconds in pace["epochs"]] for key, paces in found.items()}
    ends = {
        (peer, path): statistics.median(pace["begun"] for pace in paces)
        + measured["epochs"][peer] * statistics.median(epochs[peer, path])
        for (peer, path), paces in found.items()
        if peer in peers
    }
    rows = [[f"{peer}: seconds of an epoch", *(spread(epochs[peer, path]) for path in paths)] for peer in peers]
    for peer in peers:
        n = measured["epochs"][peer]
        rows.append([f"{peer}: seconds to the end of {n} epochs", *(f"{ends[peer, path]:.0f}" for path in paths)])
    for peer in (peer for peer in peers if peer != "ours"):
        faster = (statistics.median(epochs[peer, path]) / statistics.median(epochs["ours", path]) for path in paths)
        rows.append([f"ours trains as many images per second as {peer}, times", *(f"{each:.2f} ×" for each in faster)])
        times = (ends[peer, path] / ends["ours", path] for path in paths)
        rows.append([f"{peer}'s seconds to the end, as a multiple of ours", *(f"{each:.1f} ×" for each in times)])
    rows.append(
        ["the matrix products of our epoch alone: seconds", *(spread(epochs["products", path]) for path in paths)]
    )
    shares = (statistics.median(epochs["products", path]) / statistics.median(epochs["ours", path]) for path in paths)
    rows.append(["their share of our epoch", *(f"{share:.0%}" for share in shares)])
    about = (
        "The same on instruction paths that this processor can imitate. Medians, smallest and largest in brackets; "
        "seconds to the end are worked out from the start and the median epoch."
    )
    return f"## Instruction paths\n\n{about}\n\n{table(['', *paths], rows)}", None


def tell_busy(measured: dict) -> tuple[str, None]:
    """Epochs alone and beside a busy process, and the ratio of their medians; the first epoch apart."""
    found: dict[tuple[str, str], dict[int, list[list[float]]]] = {}
    for run in measured["runs"]:
        found.setdefault((run["experiment"], run["threads"]), {}).setdefault(run["busy"], []).append(run["epochs"])
    rows = []
    for (name, threads), runs in found.items():
        later = {busy: [each for epochs in several for each in epochs[1:]] for busy, several in runs.items()}
        first = {busy: statistics.median(epochs[0] for epochs in several) for busy, several in runs.items()}
        ratio = statistics.median(later[1]) / statistics.median(later[0])
        who = f"{name}, {'one thread' if threads else 'all threads'}"
        rows.append([who, spread(later[0]), spread(later[1]), f"{ratio:.2f} ×", f"{first[0]:.2f} and {first[1]:.2f}"])
    head = ["", "seconds of an epoch, alone", "beside one busy process", "ratio", "the first epoch, alone and beside"]
    pairs: dict[str, dict[str, list[float]]] = {}
    for pair in measured["seeds"]:
        ways = pairs.setdefault(pair["experiment"], {"after_another": [], "side_by_side": []})
        for way, seconds in ways.items():
            seconds += pair[way]
    compared = []
    for name, ways in pairs.items():
        ratio = statistics.median(ways["side_by_side"]) / statistics.median(ways["after_another"])
        compared.append([name, *map(spread, ways.values()), f"{ratio:.2f} ×"])
    columns = ["", "one after another, all threads", "one on each core, one thread", "ratio"]
    return (
        f"## Beside other work\n\nMedians, smallest and largest in brackets.\n\n{table(head, rows)}\n"
        f"Several seeds: seconds of an epoch of each, that is, side by side, of its share of the cores.\n\n"
        f"{table(columns, compared)}"
    ), None


def tell_step(measured: dict) -> tuple[str, None]:
    """Where the time of a step goes on each path, and the share of the limit at each batch and precision."""
    profiles = measured["profiles"]
    totals = [sum(profile["kinds"].values()) for profile in profiles]
    rows = [
        [kind, *(f"{p['kinds'][kind]:.2f} ({p['kinds'][kind] / t:.0%})" for p, t in zip(profiles, totals, strict=True))]
        for kind in profiles[0]["kinds"]
    ]
    rows.append(["recorded together", *(f"{total:.2f}" for total in totals)])
    for name, way in {"a whole step without the profiler": "ours", "the products alone": "products"}.items():
        rows.append([name, *(f"{profile[way]:.2f}" for profile in profiles)])
    head = ["milliseconds of a step", *(profile["path"] for profile in profiles)]
    shares = []
    for share in measured["shares"]:
        products, ours = share["products"], share["ours"]
        numbers = f"{products:.2f}", f"{ours:.2f}", f"{products / ours:.0%}"
        shares.append([str(share["batch_size"]), share["precision"], *numbers])
    columns = ["batch", "precision", "the products alone", "our step", "share"]
    return (
        f"## A step\n\nOf 256 images, on instruction paths that this processor can imitate. Under PyTorch's profiler, "
        f"which slows operations and leaves out the Python between them.\n\n"
        f"{table(head, rows)}\n"
        f"On the processor's own path, without the profiler: milliseconds of a step, and the products' share of them."
        f"\n\n"
        f"{table(columns, shares)}"
    ), None


def tell_growth(measured: dict) -> tuple[str, Figure]:
    """Log-log pictures, with the power of growth at the large end."""
    by_axis: dict[str, list[Cost]] = {}
    for cost in measured["costs"]:
        by_axis.setdefault(cost["axis"], []).append(Cost(**cost))
    seconds = [cost["seconds"] for cost in measured["costs"]]
    limits = (min(seconds) / 1.5, max(seconds) * 1.5)
    axes = panels(len(by_axis), size=(3.2, 3))
    for ax, (axis, costs) in zip(axes, by_axis.items(), strict=True):
        name = f"slope {slope(costs):.2f}"
        x, y = [cost.value for cost in costs], [cost.seconds for cost in costs]
        labels = {"xlabel": AXIS_LABELS[axis], "ylabel": "seconds of an epoch"}
        figure = curves(x, {name: y}, marker="o", xscale="log", yscale="log", ylim=limits, ax=ax, **labels)
        ticks(ax.xaxis, x)
        ticks(ax.yaxis, ROUND)
    rows = [
        [
            AXIS_LABELS[axis],
            ", ".join(f"{cost.value:g}" for cost in costs),
            ", ".join(f"{cost.seconds:.2f}" for cost in costs),
            f"{slope(costs):.2f}",
        ]
        for axis, costs in by_axis.items()
    ]
    about = f"On {IMAGES:,} images, except where the number of images varies; otherwise as in the race."
    return (
        f"## Growth\n\n{about}\n\n{table(['', 'values', 'seconds of an epoch', 'slope of the last three'], rows)}",
        figure,
    )


def tell_many(measured: dict) -> tuple[str, None]:
    """Rows an hour, by workers and by rows."""
    sizes: dict[tuple[int, int], list[dict]] = {}
    for each in measured["recordings"]:
        sizes.setdefault((each["workers"], each["rows"]), []).append(each)
    rows = [
        [
            str(workers),
            str(n),
            spread([each["seconds"] for each in found], ".1f"),
            spread([3600 * n / each["seconds"] for each in found], ".0f"),
            spread([each["rows_seconds"] / (workers * each["seconds"]) for each in found]),
        ]
        for (workers, n), found in sorted(sizes.items())
    ]
    about = (
        "`make results` with tiny rows; medians over rounds, smallest and largest in brackets. The last column is the "
        "share of the workers' time in which a row was trained or measured."
    )
    head = ["workers", "rows", "seconds from start to end", "rows an hour", "share"]
    return f"## Many rows\n\n{about}\n\n{table(head, rows)}", None


def tell_book(measured: dict) -> tuple[str, Figure | None]:
    """Commands and their stages, how long cores were idle, and what of the build waited for what."""
    rows = []
    for wait in measured["waits"]:
        rows.append([f"**{wait['command']}**", f"**{wait['seconds']:.1f}**"])
        rows += [[stage, f"{seconds:.1f}"] for stage, seconds in wait["stages"].items()]
        if "idle" in wait:
            rows.append(["each core idle for", ", ".join(f"{share:.0%}" for share in wait["idle"])])
    most = max((wait.get("spans", []) for wait in measured["waits"]), key=len)
    figure = drawn(most) if most else None
    return f"## The book\n\n{table(['', 'seconds'], rows)}", figure


def drawn(spans: Sequence[Sequence]) -> Figure:
    """What ran when, each (name, began, ended) a bar, from the first at the top."""
    [ax] = panels(1, size=(7, 0.28 * len(spans) + 0.6))
    for row, (name, began, ended) in enumerate(spans):
        ax.barh(row, ended - began, left=began, height=0.7, color="C0")
        ax.annotate(f"{name}, {ended - began:.0f} s", (ended, row), (4, 0), textcoords="offset points", va="center")
    ax.invert_yaxis()
    ax.set(yticks=[], xlabel="seconds from the start", xlim=(0, 1.35 * max(ended for _, _, ended in spans)))
    return ax.figure


def tell_gpu(measured: dict) -> tuple[str, None]:
    """Epochs by how they were launched, and the losses of both devices."""
    runs = measured["runs"]
    rows = [
        ["seconds of an epoch, operation by operation", spread([run["single"] for run in runs], ".3f")],
        ["of the epoch that is captured", spread([run["capturing"] for run in runs], ".3f")],
        ["of an epoch as one launch", spread([seconds for run in runs for seconds in run["one_launch"]], ".3f")],
        ["held-out loss (nats)", spread([run["heldout_loss"] for run in runs])],
        ["the same, trained on the processor", spread([run["on_cpu"] for run in runs])],
    ]
    about = "The paper's MNIST model, K = 2; medians over epochs and seeds, smallest and largest in brackets."
    return f"## On a GPU\n\n{about}\n\n{table(['', ''], rows)}", None


def ticks(axis: Axis, values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis at those of these values that it shows and nowhere else: 0.2, 50, 15k."""
    low, high = axis.get_view_interval()
    values = [value for value in values if low <= value <= high]
    axis.set_ticks(values, [f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}" for value in values])
    axis.set_ticks([], minor=True)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def spread(values: list[float], form: str = ".2f") -> str:
    """The median, with the smallest and the largest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
