"""What `make bench` measures. Nothing of the book needs it."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.chapters import ROOT


class BenchmarkError(RuntimeError):
    """Something that is measured did not run to its end."""


def printed(what: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """What a command prints, in the checkout's folder. Raises BenchmarkError, with its last words, where it fails."""
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"{what} stopped with status {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def computed(what: str, code: str, *words: str, environment: Mapping[str, str]) -> Any:
    """What Python code prints as JSON in a process of its own, whose `words` are in sys.argv. Raises as `printed`."""
    return json.loads(printed(what, [sys.executable, "-c", code, *words], environment))
