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


def peak_mib() -> float:
    """The most memory this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage counts what the parent held before it started this process
        [peak] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(peak) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_times(out: Path, *, begun: float, epochs: list[float], trained: float) -> None:
    """Seconds since the start at which the first epoch began and the last one ended, and each epoch's own."""
    times = {"begun": begun, "epochs": epochs, "trained": trained, "peak_mib": peak_mib()}
    (out / "times.json").write_text(json.dumps(times))
