"""What each peer writes down about its training. Needs nothing installed: the peers run in different environments."""

import argparse
import json
import os
import resource
import time
from pathlib import Path


def arguments() -> argparse.Namespace:
    """What the race asks of every peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights.pt and times.json")
    return parser.parse_args()


def since_start() -> float:
    """Seconds since the race started this process: imports, reading of data and all."""
    return time.time() - float(os.environ["RACE_STARTED"])


def write_times(out: Path, *, begun: float, epochs: list[float], trained: float) -> None:
    """Seconds since the start at which the first epoch began and the last one ended, and each epoch's own."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = {"begun": begun, "epochs": epochs, "trained": trained, "peak_mib": peak}
    (out / "times.json").write_text(json.dumps(times))
