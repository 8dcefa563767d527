"""`python -m vaelib`: train the paper's runs ahead, record the runs behind verdicts, rerun a chapter over a grid."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vaelib.data import DataError, project_root, resolve_dataset
from vaelib.paper import EXPERIMENTS, experiment
from vaelib.runs import StoreError, get_or_train
from vaelib.training import TrainingError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 after an error, 128 and the signal's number when stopped."""
    parser = argparse.ArgumentParser(prog="python -m vaelib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the runs of the paper's experiments that are not stored yet")
    train.add_argument("names", nargs="*", metavar="experiment", help=f"of {', '.join(EXPERIMENTS)}; default: all")
    results = commands.add_parser("results", help="record the runs that the tables below results/ lack")
    results.add_argument("parts", nargs="*", metavar="part", help="a table; default: all")
    results.add_argument("--seeds", type=int, metavar="N", help="seeds 1 to N of each config; default: the part's own")
    commands.add_parser("sweep", help="rerun a chapter over a grid: CHAPTER=mnist LATENT_DIM='1 2 5' [--dry-run] ...")
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["sweep"]:  # whose words are read where chapters are known
        return _sweep(arguments[1:])
    options = parser.parse_args(arguments)
    try:
        with _stoppable():
            if options.command == "results":
                return _results(options.parts, options.seeds)
            return _train(options.names or list(EXPERIMENTS))
    except (DataError, StoreError, TrainingError, ValueError) as error:
        print(f"vaelib: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        number = signal.Signals(stop.args[0] if stop.args else signal.SIGINT)
        print(f"vaelib: stopped by {number.name}; the runs that were finished are stored", file=sys.stderr)
        return 128 + number


@contextmanager
def _stoppable() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM raise KeyboardInterrupt, once: what they interrupt clears up undisturbed by more."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is given signals
        return
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    before = [signal.signal(each, stop) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _train(names: list[str]) -> int:
    # All names first: an unknown one must not show after minutes of training.
    for name, wanted in [(name, experiment(name)) for name in names]:
        config = experiment(name, dataset=resolve_dataset(wanted.dataset))
        start = time.perf_counter()
        run = get_or_train(config)
        print(
            f"{name}: {config.dataset}, K = {config.latent_dim}, {config.epochs} epochs, seed {config.seed}: "
            f"held-out ELBO {run.heldout.elbo:.2f} nats per image ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
        if run.warning:
            print(f"vaelib: {name}: {run.warning}", file=sys.stderr)
    return 0


def _results(parts: list[str], seeds: int | None) -> int:
    from vaelib.results import record  # brings pandas with it: seconds that training need not wait for

    if seeds is not None and seeds < 1:
        raise ValueError(f"--seeds {seeds}: give a whole number of 1 or more")
    record(parts, seeds=seeds)
    return 0


def _sweep(words: list[str]) -> int:
    """Go on as `tools.sweep` of the checkout: chapters are not part of this package."""
    root = project_root()
    if not (root / "tools" / "sweep.py").is_file():
        print(f"vaelib: {root} has no chapters to rerun: call a sweep in a checkout of the book", file=sys.stderr)
        return 1
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    os.execv(sys.executable, [sys.executable, "-m", "tools.sweep", *words])
