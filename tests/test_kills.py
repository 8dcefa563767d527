"""A sweep of a real chapter, of 7 latent sizes × 3 seeds, killed 50 times at random moments, ends as one left alone.

A smaller one ends the same on two workers of Dask, on one that is left of two, and after its scheduler was killed.

Twenty minutes or more on one core: `pytest -m kills -s` runs it. It prints what each kill hit.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from filelock import FileLock, Timeout
from small_book import wait_for

from tools.chapters import ROOT
from vaelib.training import Epoch

CHAPTER, DATASET = "mnist", "digits"  # real images, embedded in scikit-learn, and a real training
LATENT_SIZES, SEEDS, KILLS = (1, 2, 3, 5, 10, 20, 50), (0, 1, 2), 50
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
PATIENCE = 3600  # seconds: other work may have the machine meanwhile
LONGEST = 1.2  # a kill comes within so many times what a sweep takes until its first rerun is there

# What a sweep is at, seen from outside.
BEFORE, BEGINNING, TRAINING, CELLS, TYPESETTING, PUBLISHING = PHASES = (
    "between reruns, or before the first",
    "starting the kernel, importing",
    "training or storing a run",
    "executing cells",
    "typesetting the page",
    "renaming pages, notebook and record into their places",
)
AIMS = (None, None, None, TRAINING, TYPESETTING, PUBLISHING)  # moments of all, and of what is too short to be hit often


class Place:
    """A copy of the checkout, with an empty store of runs, where sweeps are begun, watched and killed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, tracked.stdout.split("\0")):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        (folder / "no-data").mkdir(exist_ok=True)  # by a fixture of all tests, too
        self.reruns, self.runs = self.root / "reruns", folder / "runs"
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        self.environment = {
            **os.environ, **nowhere, "VAELIB_DATA": str(folder / "no-data"), "VAELIB_RUNS": str(self.runs),
        }  # fmt: skip

    def begin(self, latent_sizes, seeds, *more: str) -> subprocess.Popen:
        grid = [f"LATENT_DIM={' '.join(map(str, latent_sizes))}", f"SEED={' '.join(map(str, seeds))}"]
        words = [f"CHAPTER={CHAPTER}", f"DATASET={DATASET}", "SMOKE=1", "WORKERS=1", *grid, *more]
        return subprocess.Popen(
            [sys.executable, "-m", "tools.sweep", *words], cwd=self.root, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """Whatever works in the copy: the sweep, its rerun, its kernel, and what these call."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(str(self.root)) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.AccessDenied, psutil.NoSuchProcess):
                pass
        return found

    def forget(self) -> None:
        shutil.rmtree(self.reruns)
        shutil.rmtree(self.runs)

    def finished(self) -> dict[str, tuple[int, bytes]]:
        """What has been done and need not be done again: reruns by their records, and runs, with when each was made."""
        done = [*self.reruns.glob(".records/*.json"), *self.runs.glob("[!.]*/DONE")]
        return {f"{path.parent.name}/{path.name}": (path.stat().st_mtime_ns, path.read_bytes()) for path in done}

    def there(self) -> int:
        return len(list(self.reruns.glob(".records/*.json")))

    def phase(self) -> str:
        # Those of reruns that were killed have no process that holds their lock.
        folders = [folder for folder in self.reruns.glob(".unfinished-*") if held(folder / "lock")]
        if not folders:
            return BEFORE
        if held(self.reruns / ".lock") and any((folder / "html").exists() for folder in folders):
            return PUBLISHING
        if any((folder / "source").exists() for folder in folders):
            return TYPESETTING
        if any(held(lock) for lock in self.runs.glob("*.lock")):
            return TRAINING
        try:
            notebooks = [path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("*.ipynb")]
        except FileNotFoundError:  # the folder goes when the rerun is done
            return BEFORE
        return CELLS if any('"execution_count": 1' in text for text in notebooks) else BEGINNING

    def half_published(self) -> set[str]:
        """The reruns of which a page or a notebook stands in its place without its record."""
        places = {path.stem for suffix in ("html", "ipynb") for path in self.reruns.glob(f"{CHAPTER}*.{suffix}")}
        return places - {path.stem for path in self.reruns.glob(".records/*.json")}

    def left(self) -> dict[str, object]:
        """All that a reader or a later rerun finds, by its place; but for seconds, which are never the same."""
        found = {}
        for path in [*self.reruns.rglob("*"), *self.runs.rglob("*")]:
            place = path.relative_to(self.root.parent)
            if path.name == "history.json":
                record = json.loads(path.read_text())
                epochs = [{**Epoch(*row)._asdict(), "seconds": 0} for row in record["history"]]
                found[str(place)] = {**record, "history": epochs}
            elif path.parent.name == ".records":
                found[str(place)] = {**json.loads(path.read_text()), "seconds": 0}
            elif (
                path.is_file()
                and path.name != "DONE"  # digests, one of them of the seconds in history.json
                and path.suffix != ".lock"
                and not any(part[0] == "." for part in place.parts)
            ):
                found[str(place)] = path.read_bytes()
        return found


def held(lock: Path) -> bool:
    """Whether a process has the lock; a file that is not there is not made."""
    try:
        with FileLock(lock, timeout=0) if lock.exists() else contextlib.nullcontext():
            return False
    except Timeout:
        return True
    except FileNotFoundError:  # its folder went meanwhile
        return False


def kill(place: Place, process: subprocess.Popen, number: signal.Signals) -> None:
    """SIGINT and SIGTERM are for the sweep, which ends the rest; SIGKILL is for all at once, as where power fails."""
    for each in place.processes() if number == signal.SIGKILL else [process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE)
    wait_for(lambda: not place.processes(), PATIENCE)  # nothing goes on by itself
    if number != signal.SIGKILL:
        assert process.returncode == 130, said
        assert "Traceback" not in said, said


def swept(place: Place, latent_sizes, seeds, *more: str) -> str:
    return ended(place, latent_sizes, seeds, place.begin(latent_sizes, seeds, *more))


def ended(place: Place, latent_sizes, seeds, process: subprocess.Popen) -> str:
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert place.there() == len(latent_sizes) * len(seeds)
    return said


def until(place: Place, process: subprocess.Popen, aim: str | None, longest: float, draw: random.Random) -> None:
    """Wait for the moment of a kill: any, or one soon after something has begun, if it begins in time."""
    start = time.monotonic()
    if aim is None:
        time.sleep(draw.uniform(1, longest))  # in its first second Python itself begins, and has nothing to lose
        return
    while place.phase() != aim and time.monotonic() < start + longest and process.poll() is None:
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.01 if aim == PUBLISHING else 1))


def killed(place: Place, latent_sizes, seeds, kills: int, longest: float, undisturbed: dict, seed: int = 0) -> Counter:
    """Begin a sweep, kill it, and begin it again, so many times; how often each kind of kill hit what.

    Where it comes to its end between kills, it has to be as `undisturbed`, and the next begins from nothing.
    """
    draw, hits, turn = random.Random(seed), Counter(), 0
    while turn < kills:
        before, halves, process = place.finished(), place.half_published(), place.begin(latent_sizes, seeds)
        until(place, process, draw.choice(AIMS), longest, draw)
        if process.poll() is not None:
            ended(place, latent_sizes, seeds, process)
            assert_left(place, undisturbed)
            print("came to its end", flush=True)
            place.forget()
            continue
        phase, number = place.phase(), SIGNALS[turn % len(SIGNALS)]
        kill(place, process, number)
        if place.half_published() - halves:
            phase = PUBLISHING
        hits[number.name, phase] += 1
        after = place.finished()
        turn += 1
        print(f"{turn}: {number.name}, {phase}; {len(before)} runs and reruns before, {len(after)} now", flush=True)
        assert {name: after.get(name) for name in before} == before  # nothing that was done is gone, or done again
    return hits


def assert_left(place: Place, undisturbed: dict) -> None:
    left = place.left()
    assert left.keys() == undisturbed.keys()
    assert [name for name in left if left[name] != undisturbed[name]] == []


def resumed_as_if_undisturbed(folder: Path, latent_sizes, seeds, kills: int) -> Counter:
    place = Place(folder)
    start = time.monotonic()
    process = place.begin(latent_sizes, seeds)
    wait_for(lambda: place.there() or process.poll() is not None, PATIENCE)
    first = time.monotonic() - start
    said, _ = process.communicate()
    assert process.returncode == 0, said
    undisturbed = place.left()
    print(f"\nundisturbed: {time.monotonic() - start:.0f} s, {first:.0f} s until the first rerun", flush=True)
    place.forget()
    hits = killed(place, latent_sizes, seeds, kills, LONGEST * first, undisturbed)
    before, count = place.finished(), place.there()
    said = swept(place, latent_sizes, seeds)
    assert f"{count} of them there, {len(latent_sizes) * len(seeds) - count} to run" in said
    after = place.finished()
    assert {name: after[name] for name in before} == before
    left = place.left()
    assert_left(place, undisturbed)
    assert len([name for name in left if name.endswith(".safetensors")]) >= len(latent_sizes) * len(seeds)
    assert not list(place.reruns.glob(".unfinished-*")) and not list(place.runs.glob(".unfinished-*"))
    print(f"{len(left)} files are as undisturbed, of {place.there()} reruns; {time.monotonic() - start:.0f} s")
    for (name, phase), times in sorted(hits.items()):
        print(f"{name}: {times} × {phase}")
    return hits


@pytest.mark.kills
def test_a_sweep_that_is_killed_50_times_ends_as_one_left_alone(tmp_path):
    hits = resumed_as_if_undisturbed(tmp_path, LATENT_SIZES, SEEDS, KILLS)
    assert hits.total() == KILLS
    assert {phase for _, phase in hits} >= {BEGINNING, TRAINING, CELLS, TYPESETTING, PUBLISHING}


# --- a cluster


def table(said: str) -> list[list[str]]:
    """The rows of a sweep's last table, without the seconds, which are never the same, and whether they were there."""
    [rows] = re.findall(r"^ .*seconds.*held-out ELBO *\n((?:.+\n)+)", said, flags=re.M)
    rows = re.findall(rf"^{CHAPTER}.*", rows, flags=re.M)
    return [re.sub(r"was there|\brerun\b|(?<![-.\d])\d+\.\d\b", "", row).split() for row in rows]


@pytest.mark.kills
def test_two_workers_of_dask_give_what_one_process_gives_and_lose_nothing_when_killed(tmp_path, cluster):
    place, grid, (scheduler, worker) = Place(tmp_path), ((1, 3), (0,)), cluster
    here = table(swept(place, *grid))
    undisturbed = place.left()
    assert len(here) == 2 and len({tuple(row) for row in here}) == 2

    process, address = scheduler()
    workers = [worker(address), worker(address)]
    place.forget()
    assert table(swept(place, *grid, "--scheduler", address)) == here
    assert place.left() == undisturbed
    print("\ntwo workers: the same table and the same files", flush=True)

    place.forget()
    sweeping = place.begin(*grid, "--scheduler", address)
    wait_for(lambda: len(list(place.reruns.glob(".unfinished-*/*.ipynb"))) == 2, PATIENCE)  # both are at work
    workers[0].kill()
    assert table(ended(place, *grid, sweeping)) == here
    assert place.left() == undisturbed
    print("one of two workers killed: the same", flush=True)

    place.forget()
    sweeping = place.begin(*grid, "--scheduler", address)
    wait_for(place.there, PATIENCE)
    process.kill()
    said, _ = sweeping.communicate(timeout=PATIENCE)
    assert sweeping.returncode == 2, said
    assert said.splitlines()[-1].startswith("sweep: the scheduler is gone. What was done is kept")
    wait_for(lambda: not place.processes(), PATIENCE)
    before, count = place.finished(), place.there()
    said = swept(place, *grid)
    assert f"{count} of them there, {2 - count} to run" in said
    after = place.finished()
    assert {name: after[name] for name in before} == before
    assert table(said) == here
    assert place.left() == undisturbed
    print(f"scheduler killed with {count} of 2 done: the same", flush=True)
