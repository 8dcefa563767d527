"""Trained models on disk, each under a name made from its content: the same config trains once.

A run is `<key>/` with `weights.safetensors`, `config.json`, `history.json` and, written last, `DONE`: the sha256 of the
other three. The key covers the config, the digests of training and held-out images, the code that training runs,
torch's version and the kind of device, so a run found by its key is the run that would be trained.
"""

import ast
import hashlib
import json
import os
import shutil
import sys
from functools import cache
from pathlib import Path

import torch
from filelock import AcquireReturnProxy, FileLock, Timeout
from safetensors.torch import load_file, save_file

from vaelib.bounds import ElboTerms
from vaelib.config import TrainConfig
from vaelib.data import ImageDataset, project_root
from vaelib.training import Epoch, TrainedRun, fit, initial_model, resolve_device

FILES = ("weights.safetensors", "config.json", "history.json")


def get_or_train(config: TrainConfig, *, device: str = "auto", progress: bool = True) -> TrainedRun:
    """The run of `config`: read from the store when it is there, trained by `fit` and stored when it is not.

    The store is `$VAELIB_RUNS`, or `runs/` in the project. A run that was damaged on disk is named on stderr and
    trained again. Raises what `load_dataset` and `fit` raise.
    """
    data, heldout = config.load("train"), config.load("test")
    folder = store() / run_key(config, data.digest, heldout.digest, resolve_device(device).type)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _turn(folder):  # two processes that want the same run train it once
        if folder.exists():
            try:
                return _load(folder, config, data)
            except (OSError, ValueError) as damage:
                print(f"vaelib: training again, because the run in {folder} is damaged: {damage}", file=sys.stderr)
                shutil.rmtree(folder)
        run = fit(config, data, heldout=heldout, device=device, progress=progress)
        _save(run, folder)
    return run


def _turn(folder: Path) -> AcquireReturnProxy:
    """A run's lock, held until its context ends; where another process has it, the terminal is told of the wait."""
    lock = FileLock(f"{folder}.lock")
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
    try:
        return _load(folder, config, data)
    except (OSError, ValueError):
        return None


def store() -> Path:
    """Where runs are kept: `$VAELIB_RUNS`, or `runs/` in the project."""
    return Path(os.environ.get("VAELIB_RUNS") or project_root() / "runs")


def run_key(config: TrainConfig, data_digest: str, heldout_digest: str, device: str = "cpu") -> str:
    """The name of a run: 16 hex digits of a sha256 over everything that decides its weights and its held-out ELBO."""
    parts = [config.to_json(), data_digest, heldout_digest, code_digest(), torch.__version__, device]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def code_digest() -> str:
    """sha256 over the syntax trees of `vaelib.training` and what it imports of vaelib, comments and docstrings apart.

    It changes with a formula and stays with a reworded docstring.
    """
    package = Path(__file__).parent
    trees: dict[str, ast.Module] = {}
    pending = ["training"]
    while pending:
        name = pending.pop()
        if name in trees:
            continue
        trees[name] = ast.parse((package / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(trees[name]):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if node.module.startswith("vaelib."):
                pending.append(node.module.removeprefix("vaelib."))
            elif node.module == "vaelib":  # from vaelib import synthetic
                pending += [alias.name for alias in node.names]
    text = "\n".join(f"{name} {ast.dump(without_docstrings(trees[name]))}" for name in sorted(trees))
    return hashlib.sha256(text.encode()).hexdigest()


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree itself, rid of the docstrings of the module, classes and functions in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


def _save(run: TrainedRun, folder: Path) -> None:
    """Write a run beside its place and rename it there: it appears whole or not at all."""
    record = {
        "history": run.history,
        "heldout": run.heldout,
        "data_digest": run.data_digest,
        "machine": run.machine,
        "torch": torch.__version__,
    }
    beside = folder.with_name(f".unfinished-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)  # of a process that was killed here; the caller holds the run's lock
    beside.mkdir()
    try:
        save_file({name: tensor.contiguous() for name, tensor in run.model.state_dict().items()}, beside / FILES[0])
        (beside / "config.json").write_text(run.config.to_json() + "\n")
        (beside / "history.json").write_text(json.dumps(record) + "\n")
        (beside / "DONE").write_text(json.dumps({name: _sha256(beside / name) for name in FILES}) + "\n")
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _load(folder: Path, config: TrainConfig, data: ImageDataset) -> TrainedRun:
    """Read a run back. Raises OSError or ValueError naming the file that is missing or changed."""
    written = json.loads((folder / "DONE").read_text())
    for name in FILES:
        if _sha256(folder / name) != written.get(name):
            raise ValueError(f"{folder / name} is not what was written")
    model = initial_model(config, data.images.shape[1])
    model.load_state_dict(load_file(folder / FILES[0]))
    record = json.loads((folder / "history.json").read_text())
    history = tuple(Epoch(*row) for row in record["history"])
    return TrainedRun(model, config, history, ElboTerms(*record["heldout"]), record["data_digest"], record["machine"])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
