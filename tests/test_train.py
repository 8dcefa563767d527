"""The paper's runs, trained side by side for the book."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tools import engine, train
from tools.chapters import BookError
from vaelib import cli
from vaelib.paper import EXPERIMENTS


@pytest.fixture
def asked(monkeypatch):
    """The names that were to be trained, in threads of this process; those in `fails` fail."""
    names, fails = [], set()

    def main(arguments):
        command, name = arguments
        assert command == "train"
        names.append(name)
        if name == "boots_20d":
            raise MemoryError("no room")
        return 1 if name in fails else 0

    monkeypatch.setattr(engine, "Processes", ThreadPoolExecutor)
    monkeypatch.setattr(cli, "main", main)
    return names, fails


def test_every_run_is_trained_once(asked, monkeypatch):
    names, _ = asked
    monkeypatch.delitem(EXPERIMENTS, "boots_20d")
    train.train_all()
    assert sorted(names) == sorted(EXPERIMENTS)


def test_what_fails_is_named_when_the_others_have_ended(asked):
    names, fails = asked
    fails.add("mnist")
    with pytest.raises(BookError) as stop:
        train.train_all()
    assert str(stop.value) == ("training stopped: boots_20d: MemoryError: no room; mnist: a message above says why")
    assert sorted(names) == sorted(EXPERIMENTS)
