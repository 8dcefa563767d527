"""`python -m vaelib`: train the paper's runs, record those behind the verdicts, judge claims, export a run, sweep."""

import argparse
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaelib.data import DataError, project_root, resolve_dataset
from vaelib.paper import EXPERIMENTS, experiment
from vaelib.runs import StoreError, get_or_train, read, store
from vaelib.training import TrainedRun, TrainingError, initial_model


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 after an error, 128 and the signal's number when stopped."""
    parser = argparse.ArgumentParser(prog="python -m vaelib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the runs of the paper's experiments that are not stored yet")
    train.add_argument("names", nargs="*", metavar="experiment", help=f"of {', '.join(EXPERIMENTS)}; default: all")
    commands.add_parser("results", help="record the runs that the tables below results/ lack: [part ...] [--help]")
    explore = commands.add_parser("explore", help="write a run as a page to explore, which needs no server")
    explore.add_argument("run", help=f"{', '.join(EXPERIMENTS)}; or the folder of a run, or its name in the store")
    explore.add_argument("-o", "--output", required=True, metavar="PAGE", help="the page to write, such as page.html")
    explore.add_argument("--dataset", help="of an experiment: other data, such as mine.npz")
    for name in ("latent-dim", "epochs", "seed"):
        explore.add_argument(f"--{name}", type=int, metavar="N", help="of an experiment: another one")
    commands.add_parser("claims", help="judge the paper's claims from the recorded runs and print the ledger")
    commands.add_parser("sweep", help="rerun a chapter over a grid: CHAPTER=mnist LATENT_DIM='1 2 5' [--dry-run] ...")
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] in (["results"], ["sweep"]):
        return _in_checkout(*arguments)
    options = parser.parse_args(arguments)
    try:
        with _stoppable():
            if options.command == "explore":
                changes = {name: getattr(options, name) for name in ("dataset", "latent_dim", "epochs", "seed")}
                return _explore(options.run, Path(options.output), changes)
            if options.command == "claims":
                return _claims()
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
    if threading.current_thread() is not threading.main_thread() or multiprocessing.parent_process() is not None:
        yield  # only the main thread is given signals, and the processes of a pool are its owner's to end
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


def _explore(name: str, page: Path, changes: dict[str, object]) -> int:
    from vaelib.explorer import export  # brings matplotlib with it

    if page.is_dir() or not page.parent.is_dir():
        raise ValueError(f"{page} cannot be written: give a file in a folder that exists")
    run = _wanted(name, {key: value for key, value in changes.items() if value is not None})
    try:
        explorer = export(run, page)
    except OSError as error:
        raise ValueError(f"{page} cannot be written: {error.strerror}") from error
    packed = explorer.packed
    print(
        f"{page}: {explorer.name}, {page.stat().st_size / 1e6:.1f} MB. Its {packed.meta['bits']}-bit weights "
        f"move pixels by at most {255 * packed.deviation.pixel:.2f}/255 and ELBOs by {packed.deviation.nats:.3f} nats."
    )
    return 0


def _wanted(name: str, changes: dict[str, object]) -> TrainedRun:
    """The run of an experiment, trained where it is not stored; or one from a folder."""
    from vaelib.explorer import check

    if name in EXPERIMENTS:
        dataset = resolve_dataset(changes.pop("dataset", EXPERIMENTS[name].dataset))
        config = experiment(name, dataset=dataset, **changes)
        heldout = config.load("test")
        check(initial_model(config, heldout.images.shape[1]), heldout)  # before minutes of training
        return get_or_train(config)
    if changes:
        raise ValueError(f"{', '.join(changes)} can be changed of {', '.join(EXPERIMENTS)}; {name!r} is a run as it is")
    folders = [folder for folder in (Path(name), store() / name) if folder.is_dir()]
    if not folders:
        raise ValueError(
            f"no run is called {name!r}: give one of {', '.join(EXPERIMENTS)}, a folder, or a name in {store()}"
        )
    return read(folders[0])


def _claims() -> int:
    from vaelib.claims import ledger  # as above, for pandas

    print(ledger())
    return 0


def _in_checkout(command: str, *words: str) -> int:
    """Go on as a tool of the checkout: neither chapters nor tables are part of this package."""
    root = project_root()
    if not (root / "tools" / f"{command}.py").is_file():
        print(f"vaelib: {root} has no chapters and tables: call {command} in a checkout of the book", file=sys.stderr)
        return 1
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    os.execv(sys.executable, [sys.executable, "-m", f"tools.{command}", *words])
