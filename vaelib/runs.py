"""Trained models on disk, each under a name made from its content: the same config trains once.

A run is `<key>/` with `weights.safetensors`, `config.json`, `history.json` and, written last, `DONE`: the sha256 of the
other three. The key covers the config, the digests of training and held-out images, the code that training runs,
torch's version and the kind of device, so a run found by its key is the run that would be trained; what is read is
checked to be whole, and to be that run.
"""

import ast
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch
from filelock import AcquireReturnProxy, FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vaelib.bounds import ElboTerms
from vaelib.config import TrainConfig
from vaelib.data import ImageDataset, project_root
from vaelib.deciding import deciding
from vaelib.training import Epoch, TrainedRun, fit, initial_model, resolve_device

FILES = ("weights.safetensors", "config.json", "history.json")


class StoreError(OSError):
    """A run cannot be stored; the message names its folder and the way out."""


class DamagedRun(Exception):
    """A stored run is torn or altered, or is not the run that its place says."""


def get_or_train(config: TrainConfig, *, device: str = "auto", progress: bool = True) -> TrainedRun:
    """The run of `config`: read from the store when it is there, trained by `fit` and stored when it is not.

    The store is `$VAELIB_RUNS`, or `runs/` in the project. A run that was damaged on disk is named on stderr and
    trained again. Raises what `load_dataset` and `fit` raise, and StoreError where the store is full, read-only or
    occupied: before training, if it is so by then.
    """
    data, heldout = config.load("train"), config.load("test")
    folder = store() / run_key(config, data.digest, heldout.digest, resolve_device(device).type)
    with suppress(DamagedRun):  # a run appears whole, by a rename: reading it takes no lock, and no leave to write
        return _load(folder, config, data, heldout)
    with _turn(folder):  # two processes that want the same run train it once
        if folder.is_dir():
            try:
                return _load(folder, config, data, heldout)
            except DamagedRun as damage:
                print(f"vaelib: training again, because the run in {folder} is damaged: {damage}", file=sys.stderr)
        with _storing(folder):
            if folder.exists():  # a file is not ours to delete, and rmtree says so
                shutil.rmtree(folder)
            _check_room(folder, config, data)
        run = fit(config, data, heldout=heldout, device=device, progress=progress)
        with _storing(folder):
            _save(run, folder, heldout)
    return run


def _turn(folder: Path) -> AcquireReturnProxy:
    """A run's lock, held until its context ends; where another process has it, the terminal is told of the wait."""
    lock = FileLock(f"{folder}.lock")
    with _storing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            return lock.acquire(timeout=1)
        except Timeout:
            # Not sys.stderr: in a notebook that is the page.
            print(f"vaelib: waiting for another process, which has the run {folder}", file=sys.__stderr__, flush=True)
            return lock.acquire()


def stored(config: TrainConfig, *, device: str = "auto") -> TrainedRun | None:
    """The run of `config` if the store has it whole, else None. Raises what `load_dataset` raises."""
    data, heldout = config.load("train"), config.load("test")
    folder = store() / run_key(config, data.digest, heldout.digest, resolve_device(device).type)
    with suppress(DamagedRun):
        return _load(folder, config, data, heldout)
    return None


def read(folder: str | os.PathLike) -> TrainedRun:
    """The run that a folder of a store holds, whatever store it is in; its data are loaded as its config says.

    Raises ValueError, with the folder and the way out, where there is no run or not a whole one, and what
    `load_dataset` raises.
    """
    folder = Path(folder).resolve()
    try:
        config = TrainConfig.from_json((folder / "config.json").read_text())
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{folder} holds no run: its config.json cannot be read ({error})") from error
    try:
        return _load(folder, config, config.load("train"), config.load("test"))
    except DamagedRun as damage:
        raise ValueError(f"the run in {folder} cannot be used: {damage}. Train it again") from damage


def store() -> Path:
    """Where runs are kept: `$VAELIB_RUNS`, or `runs/` in the project."""
    return Path(os.environ.get("VAELIB_RUNS") or project_root() / "runs")


def run_key(config: TrainConfig, data_digest: str, heldout_digest: str, device: str = "cpu") -> str:
    """The name of a run: 16 hex digits of a sha256 over everything that decides its weights and its held-out ELBO."""
    parts = [config.to_json(), data_digest, heldout_digest, code_digest(), torch.__version__, device]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def code_digest() -> str:
    """sha256 over the syntax trees of `vaelib.training` and what it imports of vaelib, each as `deciding` leaves it.

    It changes with a formula and stays with a reworded docstring or one more check of the arguments.
    """
    package = Path(__file__).parent
    trees: dict[str, ast.AST] = {}
    pending = ["training"]
    while pending:
        name = pending.pop()
        if name in trees:
            continue
        trees[name] = deciding(ast.parse((package / f"{name}.py").read_text(encoding="utf-8")))
        for node in ast.walk(trees[name]):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if node.module.startswith("vaelib."):
                pending.append(node.module.removeprefix("vaelib."))
            elif node.module == "vaelib":  # from vaelib import synthetic
                pending += [alias.name for alias in node.names]
    text = "\n".join(f"{name} {ast.dump(trees[name])}" for name in sorted(trees))
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _storing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"the run cannot be stored in {folder}: {error}. Make room there, make it writable, move away what is in "
            f"its place, or set VAELIB_RUNS to another folder"
        ) from error


def _check_room(folder: Path, config: TrainConfig, data: ImageDataset) -> None:
    """Write as much as the run will take and delete it: what hinders it should be known before hours of training."""
    weights = initial_model(config, data.images.shape[1]).state_dict().values()
    size = sum(tensor.nbytes for tensor in weights) + 1000 * (config.epochs + len(FILES))
    with _beside(folder) as beside:
        (beside / FILES[0]).write_bytes(bytes(size))


def _save(run: TrainedRun, folder: Path, heldout: ImageDataset) -> None:
    """Write a run beside its place and rename it there: it appears whole or not at all."""
    record = {
        "key": folder.name,
        "history": run.history,
        "heldout": run.heldout,
        "data_digest": run.data_digest,
        "heldout_digest": heldout.digest,
        "machine": run.machine,
        "warning": run.warning,
        "torch": torch.__version__,
    }
    with _beside(folder) as beside:
        save_file({name: tensor.contiguous() for name, tensor in run.model.state_dict().items()}, beside / FILES[0])
        (beside / "config.json").write_text(run.config.to_json() + "\n")
        (beside / "history.json").write_text(json.dumps(record) + "\n")
        (beside / "DONE").write_text(json.dumps({name: _sha256(beside / name) for name in FILES}) + "\n")
        beside.rename(folder)


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """An empty folder beside a run's, gone afterwards; the caller holds the run's lock."""
    beside = folder.with_name(f".unfinished-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)  # of a process that was killed here
    beside.mkdir()
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _load(folder: Path, config: TrainConfig, data: ImageDataset, heldout: ImageDataset) -> TrainedRun:
    """Read a run back, and see that it is the one asked for. Raises DamagedRun, in one line, whatever is wrong."""
    try:
        return _read(folder, config, data, heldout)
    except MemoryError:
        raise
    except Exception as error:  # JSON, safetensors and torch each have their own for what a broken file can hold
        kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
        raise DamagedRun(kind + " ".join(str(error).split())) from error


def _read(folder: Path, config: TrainConfig, data: ImageDataset, heldout: ImageDataset) -> TrainedRun:
    written = json.loads((folder / "DONE").read_text())
    for name in FILES:
        if _sha256(folder / name) != written[name]:
            raise ValueError(f"{name} is not what was written")
    if TrainConfig.from_json((folder / "config.json").read_text()) != config:
        raise ValueError("config.json is another run's")
    record = json.loads((folder / "history.json").read_text())
    for name, expected in (("key", folder.name), ("data_digest", data.digest), ("heldout_digest", heldout.digest)):
        if record[name] != expected:
            raise ValueError(f"the {name} in history.json is another run's")
    history, measured = tuple(Epoch(*row) for row in record["history"]), ElboTerms(*record["heldout"])
    numbers = [number for row in (*history, measured) for number in row if number is not None]
    if len(history) != config.epochs or not all(map(math.isfinite, numbers)):
        raise ValueError("history.json does not hold a finite line for every epoch")
    model = initial_model(config, data.images.shape[1])
    weights = load_file(folder / FILES[0])
    kinds, its_kinds = ({name: (t.shape, t.dtype) for name, t in w.items()} for w in (model.state_dict(), weights))
    if its_kinds != kinds:
        raise ValueError(f"{FILES[0]} holds the weights of another model")
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise ValueError(f"{FILES[0]} holds weights that are no finite numbers")
    model.load_state_dict(weights)
    return TrainedRun(model, config, history, measured, record["data_digest"], record["machine"], record["warning"])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
