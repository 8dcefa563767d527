"""`python -m vaelib`: what is printed, what is trained, and what it exits with."""

import dataclasses
import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vaelib import cli, runs
from vaelib.cli import main
from vaelib.paper import EXPERIMENTS


@pytest.fixture
def trained(monkeypatch, trainings):
    """Every experiment shrunk to a second's work; the configs that were trained."""
    for name, config in EXPERIMENTS.items():
        small = dataclasses.replace(config, epochs=1, limit=60, hidden=(8,), batch_size=30)
        monkeypatch.setitem(EXPERIMENTS, name, small)
    return trainings


@pytest.mark.usefixtures("offline")
def test_train_trains_once_and_says_what_came_of_it(trained, capsys):
    assert main(["train", "mnist"]) == 0
    out, err = capsys.readouterr()
    assert "mnist: digits, K = 2, 1 epochs, seed 1: held-out ELBO -" in out
    assert "'digits' STANDS IN FOR MNIST" in err  # no silent substitute
    assert [config.dataset for config in trained] == ["digits"]
    assert main(["train", "mnist"]) == 0
    assert len(trained) == 1


@pytest.mark.usefixtures("offline")
def test_train_without_names_trains_all(trained, capsys):
    assert main(["train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(EXPERIMENTS)
    assert [config.latent_dim for config in trained] == [2, 2, 2, 20]


@pytest.mark.fault("vaelib train is given a misspelt name", kept="the time: nothing is trained")
def test_an_unknown_name_is_refused_before_anything_is_trained(trained, capsys, sees):
    assert main(["train", "mnist", "mnits"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["vaelib: unknown experiment 'mnits': one of mnist, fashion_mnist, boots_2d, boots_20d"]
    assert trained == []
    assert not runs.store().exists()
    sees(err)


@pytest.mark.usefixtures("offline")
def test_a_training_that_diverges_is_one_line_and_a_status(trained, capsys, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "mnist", dataclasses.replace(EXPERIMENTS["mnist"], learning_rate=1e30))
    assert main(["train", "mnist"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("vaelib: the ")


def test_an_interrupted_training_is_one_line(trained, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "get_or_train", interrupted)
    assert main(["train", "boots_2d"]) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("vaelib: stopped by SIGINT")


@pytest.mark.usefixtures("offline")
def test_a_warning_of_a_run_is_printed(trained, capsys, monkeypatch):
    hasty = dataclasses.replace(EXPERIMENTS["mnist"], learning_rate=1e-9)
    monkeypatch.setitem(EXPERIMENTS, "mnist", hasty)
    assert main(["train", "mnist"]) == 0
    assert "vaelib: mnist: the held-out ELBO" in capsys.readouterr().err


def test_a_store_that_takes_nothing_is_one_line_and_a_status(trained, capsys, monkeypatch):
    monkeypatch.setattr(runs, "run_key", lambda *parts: "key")
    monkeypatch.setitem(EXPERIMENTS, "mnist", dataclasses.replace(EXPERIMENTS["mnist"], dataset="digits"))
    runs.store().write_text("a file in the way")
    assert main(["train", "mnist"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vaelib: the run cannot be stored in {runs.store() / 'key'}")
    assert trained == []


# Training is stopped by a signal of the operating system, in its third epoch.
SCRIPT = """
import dataclasses, os, sys
import torch
from vaelib import cli, paper, training

config = dataclasses.replace(paper.EXPERIMENTS["mnist"], dataset="digits", epochs=10**6, limit=64, hidden=(8,))
paper.EXPERIMENTS["mnist"] = config
torch.set_num_threads(1)
one_epoch, calls = training.one_epoch, []


def noted(*args, **options):
    calls.append(args)
    if len(calls) == 3:
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))  # an impatient reader
    return one_epoch(*args, **options)


training.one_epoch = noted
for number in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        os.environ["SIGNAL"] = number
        os.environ["VAELIB_RUNS"] += "/" + number
        sys.exit(cli.main(["train", "mnist"]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.fault("vaelib train is ended by {signal}, twice in a row", kept="no half of a run")
def test_a_signal_is_one_line_and_its_own_status_and_leaves_nothing(tmp_path, sees):
    numbers = signal.SIGINT, signal.SIGTERM
    command = [sys.executable, "-c", SCRIPT, *map(str, map(int, numbers))]
    root = Path(runs.__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=root)
    assert done.stdout.split() == ["130", "143"], done.stderr
    words = "the runs that were finished are stored"
    assert done.stderr.splitlines() == [f"vaelib: stopped by {number.name}; {words}" for number in numbers]
    left = [path.name for path in runs.store().rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == [] and not list(runs.store().rglob(".unfinished-*"))
    for number, line in zip(numbers, done.stderr.splitlines(), strict=True):
        sees(line, signal=number.name)


def test_signals_are_what_they_were_afterwards(trained, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    main(["train", "mnits"])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(main(["train", "mnits"])))  # which is given no signals
    thread.start()
    thread.join()
    assert statuses == [1]


def test_in_the_processes_of_a_pool_signals_are_left_to_its_owner(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with cli._stoppable():
        assert signal.getsignal(signal.SIGTERM) is not before
    monkeypatch.setattr(cli.multiprocessing, "parent_process", lambda: "a pool's owner")
    with cli._stoppable():
        assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("arguments", [[], ["tarin"], ["train", "--epochs", "3"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m vaelib" in capsys.readouterr().err


def test_a_sweep_goes_on_in_the_checkout(tmp_path, monkeypatch, capsys):
    command = [sys.executable, "-m", "vaelib", "sweep", "CHAPTER=mnist", "LATENT_DIM=1 0", "--dry-run"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    assert run.stderr == "sweep: LATENT_DIM=0: give a whole number of 1 or more\n"
    monkeypatch.setattr(cli, "project_root", lambda: tmp_path)
    for words in (["sweep", "CHAPTER=mnist"], ["results", "planes"]):
        assert main(words) == 1
        assert f"call {words[0]} in a checkout of the book" in capsys.readouterr().err


def test_the_module_hands_its_status_on(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vaelib", "train", "nonsense"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("vaelib", run_name="__main__")
    assert caught.value.code == 1
    assert "nonsense" in capsys.readouterr().err
