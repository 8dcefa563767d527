"""Jobs side by side, in real processes: what a death, a kill and a lost worker cost, and what `make results` keeps."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import psutil
import pytest
from small_book import SIGNALS, wait_for

from tools import engine
from tools.chapters import ROOT, BookError

# A light module in place of vaelib: processes that import torch would take all of the time.
JOBS = """
import os
import sys
import time
from pathlib import Path

started = []


def double(x):
    started.append(x)
    return 2 * x, len(started), os.environ.get("OMP_NUM_THREADS"), sys.stderr.isatty()


def die(times, path):
    with open(path, "a") as log:
        log.write("x")
    if len(Path(path).read_text()) <= times:
        os.kill(os.getpid(), 9)
    return len(Path(path).read_text())


def fail(x):
    raise ValueError(f"{x} is too much")


def side_by_side(path, name):
    Path(path, name).touch()
    time.sleep(0.2)
    there = len(list(Path(path).iterdir()))
    Path(path, name).unlink()
    return there
"""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A module of jobs that processes can import as well."""
    (tmp_path / "some_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_jobs", raising=False)
    import some_jobs

    return some_jobs


def ended(jobs, workers=2, here=engine.Processes):
    with engine.pool(engine.Place(workers, ""), here) as pool:
        return {name: (result, fault) for name, result, fault in engine.finished(pool, jobs)}


def test_processes_stay_and_have_one_thread(jobs):
    found = ended({x: engine.Job(jobs.double, (x,)) for x in range(6)}, workers=1)
    assert [result for result, _ in found.values()] == [(2 * x, x + 1, "1", False) for x in range(6)]
    assert jobs.started == []


def test_an_error_is_that_of_its_job(jobs):
    found = ended({"good": engine.Job(jobs.double, (1,)), "bad": engine.Job(jobs.fail, (7,))})
    assert found["good"][0][0] == 2
    result, fault = found["bad"]
    assert result is None
    assert (fault.said, fault.died) == ("ValueError: 7 is too much", False)
    assert "in fail" in str(fault.error.__cause__)


def test_a_death_costs_its_own_job_alone_and_three_are_enough(jobs, tmp_path):
    logs = {times: tmp_path / f"dies-{times}" for times in (1, 2, 9)}
    found = ended(
        {x: engine.Job(jobs.double, (x,)) for x in range(5)}
        | {f"dies {times}": engine.Job(jobs.die, (times, str(path))) for times, path in logs.items()}
    )
    assert [found[x][0][0] for x in range(5)] == [0, 2, 4, 6, 8]
    assert found["dies 1"] == (2, None) and found["dies 2"] == (3, None)
    assert found["dies 9"] == (None, engine.Fault("its process died 3 times", died=True))
    assert len(logs[9].read_text()) == engine.ATTEMPTS


def test_jobs_of_one_turn_are_not_side_by_side(jobs, tmp_path):
    shared = tmp_path / "one"
    shared.mkdir()
    alone = ended({n: engine.Job(jobs.side_by_side, (str(shared), f"{n}"), "one") for n in range(4)}, 3)
    assert [result for result, _ in alone.values()] == [1, 1, 1, 1]
    together = ended({n: engine.Job(jobs.side_by_side, (str(shared), f"{n}")) for n in range(6)}, 3)
    assert max(result for result, _ in together.values()) > 1  # so that the test above can fail


def test_a_job_whose_turn_is_taken_lets_the_next_one_pass():
    order = []
    gate = threading.Event()

    def wait_then(name):
        order.append(name)
        gate.wait(10) if name == "first" else gate.set()

    turns = {"first": "one", "second": "one", "third": None}
    ended({name: engine.Job(wait_then, (name,), turn) for name, turn in turns.items()}, 2, ThreadPoolExecutor)
    assert order == ["first", "third", "second"]


def test_more_workers_are_seen_while_nothing_ends(monkeypatch):
    monkeypatch.setattr(engine, "LOOK", 0.05)
    room, done = [1], threading.Event()

    def first():
        room[0] = 2
        return done.wait(10)

    with ThreadPoolExecutor(2) as threads:
        where = engine.Pool(threads, lambda: room[0])
        jobs = {1: engine.Job(first, ()), 2: engine.Job(done.set, ())}
        found = {name: result for name, result, _ in engine.finished(where, jobs)}
    assert found == {2: None, 1: True}


def test_an_interruption_ends_what_the_jobs_began_and_nothing_else():
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleep) as own:
        before = len(psutil.Process().children())
        with pytest.raises(KeyboardInterrupt), engine.pool(engine.Place(1, ""), ThreadPoolExecutor) as found:
            job = found.executor.submit(subprocess.run, sleep)
            wait_for(lambda: len(psutil.Process().children()) > before)
            raise KeyboardInterrupt
        assert job.result().returncode == -signal.SIGTERM
        assert own.poll() is None
        own.kill()


@pytest.mark.parametrize(
    ("workers", "scheduler", "found"),
    [("3", "", (3, "")), ("", "", (os.cpu_count(), "")), ("", "tcp://a:1", (os.cpu_count(), "tcp://a:1"))],
)
def test_a_place_is_what_was_asked_for(workers, scheduler, found):
    assert engine.place(workers, scheduler) == found


@pytest.mark.parametrize("workers", ["0", "-1", "two", "1.5"])
def test_no_workers_are_refused(workers):
    with pytest.raises(BookError, match=f"WORKERS={workers}: give a whole number of 1 or more"):
        engine.place(workers, "")


SLEEPER = """
import sys, time
from tools import engine
from tools.processes import interruptible

if __name__ == "__main__":
    interruptible()
    try:
        with engine.pool(engine.Place(2, ""), engine.Processes) as pool:
            for name, *_ in engine.finished(pool, {n: engine.Job(time.sleep, (n,)) for n in (0, 60, 61, 62)}):
                print(name, flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_workers_end_with_the_process_that_began_them(tmp_path, number):
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "sleeper.py")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "0\n"
    wait_for(lambda: len(workers_of(process.pid)) == 2)
    time.sleep(1)  # both have begun to sleep
    workers = psutil.Process(process.pid).children()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (out, err if number != signal.SIGKILL else "") == ("", "")  # killed, Python's own tracker says what it frees
    assert process.returncode == (-number if number == signal.SIGKILL else 130)
    wait_for(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers), 30)


def workers_of(pid):
    return [each for each in psutil.Process(pid).children() if "spawn_main" in " ".join(each.cmdline())]


# --- rows of recorded tables

# Parts of our own in place of the book's, also in the processes that import this.
PARTS = """
import os
import time
from pathlib import Path

from vaelib import measures, results
from vaelib.config import TrainConfig
from vaelib.evidence import Part

here = Path(__file__).parent


def width(run):
    print("said by a measure")
    return {"elbo": run.heldout.elbo, "active": measures.active_units(measures.posterior(run.model, images(run)).mu)}


def images(run):
    return run.config.load("test").images


def thrown(config):
    with open(here / f"log-{config['faces']}-{config['seed']}", "a") as log:
        log.write("x")
    if config["faces"] == 6 and config["seed"] == 2 and (here / "dies").exists():
        os.kill(os.getpid(), 9)
    if config["faces"] == 20 and config["seed"] == 1 and (here / "dies once").exists():
        (here / "dies once").unlink()
        os.kill(os.getpid(), 9)
    while config["seed"] == 3 and (here / "waits").exists():
        time.sleep(0.1)
    return {"thrown": config["faces"] * 10 + config["seed"] / 3}


NET = TrainConfig("digits", epochs=2, limit=200, hidden=(16,), batch_size=64)
results.PARTS = {
    "nets": Part((NET,), width, 2),
    "the_same_nets": Part((NET,), width, 2),
    "dice": Part(({"faces": 6}, {"faces": 20}), thrown, 3),
}
results.folder = lambda: here / "results"
"""
RECORDING = """
import sys

import own_parts
from tools.results import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def recording(tmp_path):
    """Begins `python -m vaelib results` on parts of our own, in a folder with a blank in its name."""
    folder = tmp_path / "own parts"
    folder.mkdir()
    (folder / "own_parts.py").write_text(PARTS)
    (folder / "recording.py").write_text(RECORDING)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}

    def begin(*words):
        command = [sys.executable, str(folder / "recording.py"), *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, cwd=folder, **pipes)

    begin.folder, begin.environment = folder, environment
    return begin


def recorded(folder):
    """The tables of a folder, line by line, without the seconds."""
    tables = {}
    for path in sorted((folder / "results").glob("*.csv")):
        table = pd.read_csv(path, dtype=str)
        tables[path.stem] = table.drop(columns="seconds").to_dict("records")
    return tables


def ended_recording(process):
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


@pytest.mark.slow
@pytest.mark.fault(
    "The process that makes a row of a table always dies, that of another once",
    kept="all other rows, and the one that died once; the other is given up after three times",
)
def test_rows_are_made_in_processes_and_one_that_always_dies_is_given_up(recording, sees):
    (recording.folder / "dies").touch()
    (recording.folder / "dies once").touch()
    status, out, err = ended_recording(recording("--workers", "2"))
    assert status == 1, err
    assert out.count("FAILED") == 1
    [place] = [n for n, line in enumerate(out.splitlines()) if "FAILED" in line]
    lines = out.splitlines()[place : place + 2]
    assert lines[0].startswith("dice, faces 6, seed 2: FAILED (")
    sees("\n".join([lines[0].partition(" (")[0], lines[1]]))
    assert err.splitlines()[-1] == "  dice, faces 6, seed 2"
    assert len((recording.folder / "log-6-2").read_text()) == engine.ATTEMPTS
    assert len((recording.folder / "log-20-1").read_text()) == 2
    tables = recorded(recording.folder)
    assert [(row["config"], row["seed"]) for row in tables["dice"]] == [
        *(('{"faces": 20}', seed) for seed in "123"),
        *(('{"faces": 6}', seed) for seed in "13"),
    ]
    for one, other in zip(tables["nets"], tables["the_same_nets"], strict=True):
        assert one["machine"].endswith(" 1 thread")
        assert one["elbo"] == other["elbo"]
    assert len(list((Path(os.environ["VAELIB_RUNS"])).glob("*/DONE"))) == 2
    (recording.folder / "dies").unlink()
    assert ended_recording(recording())[0] == 0
    whole = recorded(recording.folder)
    shutil.rmtree(recording.folder / "results")
    one_by_one = [sys.executable, "-c", "import own_parts, torch; torch.set_num_threads(1); own_parts.results.record()"]
    subprocess.run(one_by_one, env=recording.environment, cwd=recording.folder, check=True, capture_output=True)
    assert recorded(recording.folder) == whole


@pytest.mark.fault(
    "make results is ended by {signal}", kept="the rows that were finished; the same command makes the others"
)
@pytest.mark.parametrize("number", SIGNALS)
def test_recording_that_is_ended_keeps_what_was_finished(recording, number, sees):
    (recording.folder / "waits").touch()
    process = recording("dice", "--workers", "2")
    table = recording.folder / "results" / "dice.csv"
    wait_for(lambda: (recording.folder / "log-6-3").exists() and len(table.read_text().splitlines()) == 5, 300)
    workers = workers_of(process.pid)
    process.send_signal(number)
    status, out, err = ended_recording(process)
    assert "FAILED" not in out and "Traceback" not in err
    if number != signal.SIGKILL:
        assert status == 130
        assert err.splitlines()[-1].startswith("Interrupted.")
    sees("" if number == signal.SIGKILL else err.splitlines()[-1], signal=number.name)
    wait_for(lambda: not any(each.is_running() and each.status() != "zombie" for each in workers), 30)
    assert [row["seed"] for row in recorded(recording.folder)["dice"]] == ["1", "2", "1", "2"]
    assert [path.name for path in table.parent.iterdir()] == ["dice.csv"]
    (recording.folder / "waits").unlink()
    status, out, err = ended_recording(recording("dice", "--workers", "1"))
    assert status == 0, err
    assert out.splitlines()[0] == "dice: 4 of 6 runs are recorded"
    assert len(recorded(recording.folder)["dice"]) == 6


@pytest.mark.slow
@pytest.mark.fault("A worker of a cluster is killed while it makes a row", kept="all: its row goes to another worker")
def test_a_cluster_makes_the_same_tables_and_may_lose_a_worker(recording, cluster, monkeypatch, sees):
    monkeypatch.setenv("PYTHONPATH", recording.environment["PYTHONPATH"])
    scheduler, worker = cluster
    _, address = scheduler()
    (recording.folder / "waits").touch()
    workers = [worker(address, "--preload", "own_parts") for _ in range(2)]
    process = recording("--scheduler", address)
    wait_for(lambda: all((recording.folder / f"log-{faces}-3").exists() for faces in (6, 20)), 300)
    workers[0].kill()
    (recording.folder / "waits").unlink()
    status, out, err = ended_recording(process)
    assert status == 0, err
    assert "FAILED" not in out
    assert sorted(len(path.read_text()) for path in recording.folder.glob("log-*-3")) == [1, 2]
    sees("\n".join(line for line in err.splitlines() if not line.startswith("Waiting for workers")))
    there = recorded(recording.folder)
    shutil.rmtree(recording.folder / "results")
    monkeypatch.setenv("VAELIB_RUNS", str(recording.folder / "other runs"))
    recording.environment["VAELIB_RUNS"] = os.environ["VAELIB_RUNS"]
    assert ended_recording(recording())[0] == 0
    assert recorded(recording.folder) == there


@pytest.mark.slow
@pytest.mark.fault("The scheduler of a cluster is lost while rows are made", kept="the rows that were finished")
def test_a_scheduler_that_is_lost_is_one_line(recording, cluster, monkeypatch, sees):
    monkeypatch.setenv("PYTHONPATH", recording.environment["PYTHONPATH"])
    scheduler, worker = cluster
    lost, address = scheduler()
    (recording.folder / "waits").touch()
    worker(address, "--preload", "own_parts")
    process = recording("dice", "--scheduler", address)
    table = recording.folder / "results" / "dice.csv"
    wait_for(lambda: table.exists() and len(table.read_text().splitlines()) == 5, 300)
    lost.kill()
    status, out, err = ended_recording(process)
    assert status == 2, out
    assert err.splitlines()[-1].startswith("results: the scheduler is gone. What was done is kept")
    assert "Traceback" not in err
    sees(err.splitlines()[-1])
    assert len(recorded(recording.folder)["dice"]) == 4
