"""Recorded runs: small tables below `results/`, one row a run, behind verdicts over more seeds than a page trains.

A row holds the config, the seed, the digests of code and data, versions, the machine, the seconds it took and its
measures. A row that other code or other data made is stale: it is never shown as current.
"""

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from vaelib.config import TrainConfig
from vaelib.data import project_root
from vaelib.evidence import PARTS
from vaelib.runs import code_digest
from vaelib.training import TrainedRun

KEYS = ("config", "seed", "code", "data", "torch", "machine", "seconds")


def folder() -> Path:
    """Where the tables are."""
    return project_root() / "results"


def read(part: str) -> pd.DataFrame:
    """All rows of a table, one a run, current or not; empty where nothing was recorded."""
    path = folder() / f"{part}.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=list(KEYS))


def part_digest(part: str) -> str:
    """16 hex digits over the code that makes a row of `part`: what training runs, and the function that measures."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(PARTS[part].measure)))
    return hashlib.sha256(f"{code_digest()} {ast.dump(tree)}".encode()).hexdigest()[:16]


def current(part: str, config: TrainConfig) -> pd.DataFrame:
    """The rows of `config` that today's code made, whatever their seed, in order of seed."""
    rows = read(part)
    mine = (rows["config"] == without_seed(config)) & (rows["code"] == part_digest(part))
    return rows[mine].sort_values("seed")


def over_seeds(part: str, run: TrainedRun, measured: Mapping[str, float]) -> dict[str, list[float]]:
    """Each of the `measured` numbers of `run`, among those of the recorded runs that differ from it only in their seed.

    Lists in order of seed, the run's own value in its place. Alone where nothing was recorded for its config.
    """
    rows = current(part, run.config)
    rows = rows[(rows["data"] == run.data_digest) & (rows["seed"] != run.config.seed)]
    own = pd.DataFrame([{"seed": run.config.seed, **measured}])
    both = pd.concat([rows[["seed", *measured]], own] if len(rows) else [own]).sort_values("seed")
    return {name: [float(value) for value in both[name]] for name in measured}


def without_seed(config: TrainConfig) -> str:
    """The config as text, all but its seed: equal for runs that differ in nothing else."""
    fields = json.loads(config.to_json())
    del fields["seed"]
    return json.dumps(fields, sort_keys=True)
