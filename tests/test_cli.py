"""`python -m vaelib`: what is printed, what is trained, and what it exits with."""

import dataclasses
import runpy
import sys

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
    assert [config.latent_dim for config in trained] == [2, 2, 20]  # boots_2d on drawn boots is fashion_mnist on them


def test_an_unknown_name_is_refused_before_anything_is_trained(trained, capsys):
    assert main(["train", "mnist", "mnits"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["vaelib: unknown experiment 'mnits': one of mnist, fashion_mnist, boots_2d, boots_20d"]
    assert trained == []
    assert not runs.store().exists()


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
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("vaelib: interrupted")


@pytest.mark.parametrize("arguments", [[], ["tarin"], ["train", "--epochs", "3"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m vaelib" in capsys.readouterr().err


def test_the_module_hands_its_status_on(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vaelib", "train", "nonsense"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("vaelib", run_name="__main__")
    assert caught.value.code == 1
    assert "nonsense" in capsys.readouterr().err
