"""`python -m vaelib`: train the paper's runs ahead of the book, and say where the data come from."""

import argparse
import sys
import time

from vaelib.data import DataError, resolve_dataset
from vaelib.paper import EXPERIMENTS, experiment
from vaelib.runs import get_or_train
from vaelib.training import TrainingError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vaelib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the runs of the paper's experiments that are not stored yet")
    train.add_argument("names", nargs="*", metavar="experiment", help=f"of {', '.join(EXPERIMENTS)}; default: all")
    options = parser.parse_args(arguments)
    try:
        return _train(options.names or list(EXPERIMENTS))
    except (DataError, TrainingError, ValueError) as error:
        print(f"vaelib: {error}", file=sys.stderr)
        return 1


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
    return 0
