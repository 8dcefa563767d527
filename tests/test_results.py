"""Recorded tables: each row made once, whole whenever the recording is killed, stale when code or configs move on."""

import dataclasses
import importlib
import json
import math
import os
import signal
import subprocess
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pandas as pd
import pytest
import torch

import vaelib
from tools import engine
from tools.inputs import PORTABILITY
from tools.results import main
from vaelib import evidence, measures, results
from vaelib.config import TrainConfig
from vaelib.evidence import PARTS, Part

PROJECT_TABLES = results.folder()
ROOT = PROJECT_TABLES.parent


def spread(run):
    return {"elbo": run.heldout.elbo, "active": measures.active_units(measures.posterior(run.model, images(run)).mu)}


def images(run):
    return run.config.load("test").images


def throw(config):
    """A part without a network: a number that its config and seed decide."""
    return {"thrown": config["faces"] * 10 + config["seed"] / 3}


@pytest.fixture(autouse=True)
def own_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "folder", lambda: tmp_path / "results")


@pytest.fixture
def parts(monkeypatch, tiny_npz):
    """Two parts of our own in place of the book's."""
    wide = dataclasses.replace(tiny_npz, latent_dim=3)
    monkeypatch.setattr(results, "PARTS", {"nets": Part((tiny_npz, wide), spread, 2), "dice": Part(DICE, throw, 3)})
    return results.PARTS


DICE = ({"faces": 6}, {"faces": 20})


def rows(part):
    return results.read(part).to_dict("records")


def test_each_run_is_recorded_once_with_what_made_it(parts, trainings, tiny_npz):
    results.record()
    assert len(trainings) == 4
    assert [(row["config"], row["seed"]) for row in rows("nets")] == sorted(
        (results.without_seed(config), seed) for config in parts["nets"].configs for seed in (1, 2)
    )
    [row] = [row for row in rows("nets") if row["seed"] == 2 and "latent_dim" not in row["config"]]
    run = vaelib.runs.get_or_train(dataclasses.replace(tiny_npz, seed=2))
    assert (row["data"], row["machine"]) == (run.data_digest, run.machine)
    assert (row["code"], row["torch"]) == (results.part_digest("nets"), vaelib.runs.torch.__version__)
    assert row["elbo"] == pytest.approx(run.heldout.elbo, rel=1e-5)
    assert row["seconds"] >= 0
    results.record()
    assert len(trainings) == 4


def test_a_mapping_is_measured_as_it_is(parts):
    results.record(["dice"])
    assert [row["thrown"] for row in rows("dice")] == [200.333, 200.667, 201, 60.3333, 60.6667, 61]
    assert {row["data"] for row in rows("dice")} == {"drawn"}
    assert not (results.folder() / "nets.csv").exists()


def test_numbers_are_short_and_rows_stay_as_they_are_when_others_come(parts):
    results.record(["dice"], seeds=1)
    before = (results.folder() / "dice.csv").read_text().splitlines()
    results.record(["dice"])
    after = (results.folder() / "dice.csv").read_text().splitlines()
    assert len(before) == 3
    assert len(after) == 7
    assert [line for line in after if line in before] == before  # in the same order, to the last digit
    assert "60.3333\n" in (results.folder() / "dice.csv").read_text()


def test_seeds_takes_the_place_of_the_parts_own(parts):
    results.record(["dice"], seeds=4)
    assert sorted({row["seed"] for row in rows("dice")}) == [1, 2, 3, 4]
    results.record(["dice"], seeds=2)
    assert sorted({row["seed"] for row in rows("dice")}) == [1, 2, 3, 4]


def test_every_config_gets_its_first_seed_before_any_gets_its_second(parts, monkeypatch):
    order = []
    monkeypatch.setitem(results.PARTS, "dice", parts["dice"]._replace(measure=noting(order)))
    results.record(["dice"], seeds=2)
    assert order == [(6, 1), (20, 1), (6, 2), (20, 2)]


def noting(order):
    def noted(config):
        order.append((config["faces"], config["seed"]))
        return {"thrown": 1.0}

    return noted


def test_a_line_for_each_run_and_the_time_left(parts, capsys, monkeypatch):
    clock = iter(range(0, 1000, 40))  # two readings a run: each takes 40 s
    monkeypatch.setattr(results.time, "perf_counter", lambda: next(clock))
    results.record(["dice"])
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == [
        "dice: 0 of 6 runs are recorded",
        "dice, faces 6, seed 1: 40 s (1 of 6, 3 min left)",
        "dice, faces 20, seed 1: 40 s (2 of 6, 3 min left)",
    ]
    assert out[-2:] == ["dice, faces 6, seed 3: 40 s (5 of 6, 40 s left)", "dice, faces 20, seed 3: 40 s (6 of 6)"]
    results.record(["dice"])
    assert capsys.readouterr().out == "dice: 6 of 6 runs are recorded\n"


def test_nothing_is_said_of_a_time_that_nobody_measured(parts, capsys):
    results.record(["dice", "nets"], seeds=1)
    assert capsys.readouterr().out.splitlines()[2] == "dice, faces 6, seed 1: 0 s (1 of 4)"


def test_a_measure_may_not_take_the_name_of_a_column(parts, monkeypatch):
    monkeypatch.setitem(results.PARTS, "dice", Part(DICE, measure_of_seed, 1))
    with pytest.raises(ValueError, match=r"part 'dice' returns \['seed'\]"):
        results.record(["dice"])
    assert rows("dice") == []


def measure_of_seed(config):
    return {"seed": 1.0}


# Killed


SCRIPT = """
import os, signal, sys
from pathlib import Path

from vaelib import results
from vaelib.evidence import Part

results.folder = lambda: Path(sys.argv[1])


def measure(config):
    if config["seed"] == 3 and sys.argv[2] == "measuring":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"number": config["seed"] / 7}


def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


results.PARTS = {"one": Part(({"size": 1},), measure, 4)}
if sys.argv[2] == "renaming":
    results.record(["one"], seeds=2)
    Path.replace = kill
results.record(["one"])
"""


@pytest.mark.parametrize("where", ["measuring", "renaming"])
def test_a_kill_loses_the_run_under_way_and_the_next_call_goes_on(tmp_path, where):
    def run(until):
        command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "results"), until]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})

    (tmp_path / "script.py").write_text(SCRIPT)
    killed = run(where)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    table = pd.read_csv(tmp_path / "results" / "one.csv")
    assert table["seed"].tolist() == [1, 2]
    on = run("the end")
    assert on.returncode == 0, on.stderr
    assert "one: 2 of 4 runs are recorded" in on.stdout
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["one.csv"]
    assert pd.read_csv(tmp_path / "results" / "one.csv")["seed"].tolist() == [1, 2, 3, 4]


# Stale


def test_rows_of_other_code_are_stale_and_never_current(parts, monkeypatch):
    results.record(["dice"])
    assert len(results.stale("dice")) == 0
    assert len(results.current("dice", DICE[0])) == 3
    monkeypatch.setattr(results, "code_digest", lambda: "what training runs has changed")
    assert len(results.stale("dice")) == 6
    assert len(results.current("dice", DICE[0])) == 0
    results.record(["dice"], seeds=1)
    assert len(rows("dice")) == 2  # nothing of the old code is left


def test_rows_of_a_config_that_the_part_no_longer_has_are_stale(parts, monkeypatch):
    results.record(["dice"])
    monkeypatch.setitem(results.PARTS, "dice", parts["dice"]._replace(configs=DICE[1:]))
    assert results.stale("dice")["config"].unique().tolist() == ['{"faces": 6}']
    results.record(["dice"])
    assert {row["config"] for row in rows("dice")} == {'{"faces": 20}'}


def test_the_digest_covers_what_a_measure_calls_and_no_words():
    found = results._called(evidence.plane, {})
    for name in ("evidence.plane", "measures.knn_accuracy", "measures.neighbour_votes", "latent.prior_samples"):
        assert f"vaelib.{name}" in found
    assert not [name for name in found if "hoyer" in name or name.startswith("vaelib.runs.")]
    assert "which has most votes" not in str(found)  # from a docstring


MADE = """
SHARE = 0.5


def called(x):
    "Words."
    return x + 1


def measure(config):
    return {"a": called(SHARE)}
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Words", "Other words", True),
        ("def measure", "# A comment.\ndef unused():\n    return 2\n\n\ndef measure", True),
        ("    return x + 1", "    if x < 0:\n        raise ValueError(x)\n    return x + 1", True),
        ("    return x + 1", "    if x < 0:\n        return 0\n    return x + 1", False),
        (
            "    return x + 1",
            "    if x < 0:\n        raise ValueError(x)\n    else:\n        x = 1\n    return x + 1",
            False,
        ),
        ("x + 1", "x + 2", False),
        ("0.5", "0.6", False),
        ('"a"', '"b"', False),
    ],
)
def test_the_digest_changes_with_a_formula_and_stays_with_words(tmp_path, monkeypatch, old, new, same):
    def digest(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        module = importlib.import_module(name)
        found = results._called(module.measure, {})
        return {key.partition(".")[2]: tree for key, tree in found.items()}

    monkeypatch.syspath_prepend(str(tmp_path))
    assert (digest("made_before", MADE) == digest("made_after", MADE.replace(old, new))) is same


@pytest.mark.parametrize("part", PARTS)
def test_recorded_tables_are_those_of_todays_code(part, monkeypatch):
    monkeypatch.setattr(results, "folder", lambda: PROJECT_TABLES)
    assert len(results.stale(part)) == 0, f"results/{part}.csv is stale: make results PART={part}"


def test_every_table_belongs_to_a_part():
    left = {path.stem for path in PROJECT_TABLES.glob("*.csv") if path.name != PORTABILITY} - set(PARTS)
    assert not left, f"no part of vaelib.evidence records these tables: {left}"


# What pages read


def test_a_run_among_those_of_other_seeds(parts, tiny_npz):
    results.record(["nets"])
    run = vaelib.runs.get_or_train(dataclasses.replace(tiny_npz, seed=2))
    recorded = {row["seed"]: row["elbo"] for row in rows("nets") if "latent_dim" not in row["config"]}
    assert results.over_seeds("nets", run, {"elbo": 5.0}) == {"elbo": [recorded[1], 5.0]}  # its own in its place
    third = vaelib.runs.get_or_train(dataclasses.replace(tiny_npz, seed=3))
    assert results.over_seeds("nets", third, {"elbo": 5.0}) == {"elbo": [recorded[1], recorded[2], 5.0]}


def test_a_run_is_alone_where_its_config_or_data_were_not_recorded(parts, tiny_npz, npz_writer):
    results.record(["nets"])
    longer = vaelib.runs.get_or_train(dataclasses.replace(tiny_npz, epochs=3))
    assert results.over_seeds("nets", longer, {"elbo": 5.0}) == {"elbo": [5.0]}
    npz_writer(tiny_npz.dataset, seed=1)
    other = vaelib.runs.get_or_train(tiny_npz)
    assert results.over_seeds("nets", other, {"elbo": 5.0}) == {"elbo": [5.0]}


def test_what_is_recorded_of_a_config_is_of_the_images_that_it_loads_today(parts, tiny_npz, npz_writer):
    assert len(results.recorded("nets", tiny_npz)) == 0
    results.record(["nets"])
    assert results.recorded("nets", dataclasses.replace(tiny_npz, seed=7))["seed"].tolist() == [1, 2]
    npz_writer(tiny_npz.dataset, seed=1)
    assert len(results.recorded("nets", tiny_npz)) == 0


def test_a_mapping_among_those_of_other_seeds(parts):
    results.record(["dice"])
    assert results.over_seeds("dice", {"faces": 6, "seed": 2}, {"thrown": -1}) == {"thrown": [60.3333, -1.0, 61.0]}
    assert results.over_seeds("dice", {"faces": 8, "seed": 2}, {"thrown": -1}) == {"thrown": [-1.0]}


def test_measures_that_one_config_lacks_are_not_numbers(parts, monkeypatch):
    monkeypatch.setitem(results.PARTS, "dice", Part(DICE, some_lack, 2))
    results.record(["dice"])
    values = results.over_seeds("dice", {"faces": 6, "seed": 1}, {"thrown": 1, "large": math.nan})
    assert values["thrown"] == [1, 2]
    assert all(math.isnan(value) for value in values["large"])


def some_lack(config):
    return {"thrown": config["seed"]} | ({"large": 1} if config["faces"] > 6 else {})


def test_without_seed_is_the_config_but_for_its_seed_and_defaults():
    config = TrainConfig("MNIST", latent_dim=5, classes=(1, 2), seed=7)
    assert json.loads(results.without_seed(config)) == {"dataset": "MNIST", "latent_dim": 5, "classes": [1, 2]}
    assert results.without_seed(config) == results.without_seed(dataclasses.replace(config, seed=1))
    assert results.without_seed(config) != results.without_seed(dataclasses.replace(config, epochs=3))
    assert results.without_seed({"b": 1, "a": 2, "seed": 3}) == results.without_seed({"a": 2, "b": 1})


# Rows that are made elsewhere


def test_rows_of_one_run_have_one_turn_whatever_their_parts(tiny_npz):
    row = results.Row("nets", tiny_npz, 2, "code")
    assert row.run == row._replace(part="others").run
    assert row.run != row._replace(seed=1).run
    assert row.run != row._replace(config=dataclasses.replace(tiny_npz, latent_dim=3)).run
    assert results.Row("dice", DICE[0], 2, "code").run is None  # nothing is shared


def test_a_table_does_not_depend_on_who_was_first(parts):
    def backwards(rows):
        for row in reversed(rows):
            yield row, results.measured(row) | {"seconds": 1.0}

    def forwards(rows):
        yield from reversed(list(backwards(rows)))

    tables = []
    for order in (forwards, backwards):
        results.record(finished=order)
        tables.append([(results.folder() / f"{name}.csv").read_bytes() for name in parts])
        for name in parts:
            (results.folder() / f"{name}.csv").unlink()
    assert tables[0] == tables[1]


def test_the_longest_come_first_within_a_seed(parts):
    seen = []

    def noted(rows):
        for row in rows:
            seen.append((row.config["faces"], row.seed))
            yield row, results.measured(row) | {"seconds": float(row.config["faces"])}

    results.record(["dice"], seeds=1, finished=noted)
    results.record(["dice"], seeds=3, finished=noted)
    assert seen == [(6, 1), (20, 1), (20, 2), (6, 2), (20, 3), (6, 3)]  # of the first seed no time was known


def test_the_time_that_is_left_is_shared_by_the_workers_but_for_a_long_row(parts, capsys):
    def timed(rows):
        for row in rows:
            yield row, results.measured(row) | {"seconds": 4.0 * row.config["faces"]}

    results.record(["dice"], seeds=1, finished=timed)
    capsys.readouterr()
    results.record(["dice"], seeds=3, finished=timed, workers=lambda: 2)
    assert [line.partition("(")[2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "1 of 4, 80 s left)",  # (24 + 80 + 24) / 2, and no less than the longest
        "2 of 4, 80 s left)",
        "3 of 4, 24 s left)",
        "4 of 4)",
    ]


def test_a_row_that_fails_is_said_and_returned_and_the_rest_are_recorded(parts, capsys):
    def some(rows):
        for row in rows:
            yield row, "it broke" if row.config["faces"] == 20 else results.measured(row)

    failed = results.record(["dice"], seeds=2, finished=some)
    assert [(row.config["faces"], row.seed) for row in failed] == [(20, 1), (20, 2)]
    assert [row["seed"] for row in rows("dice")] == [1, 2]
    out = capsys.readouterr().out
    assert out.count("FAILED") == out.count("it broke") == 2
    assert "dice, faces 20, seed 1: FAILED (2 of 4, 0 s left)\nit broke\n" in out


def test_a_row_made_in_a_foreign_thread_is_the_same(parts, tiny_npz, trainings, tmp_path, monkeypatch):
    """As on a Dask worker: with more threads, with denormal numbers, and with another row at the same time."""
    own = [results.measured(results.Row("nets", tiny_npz, seed, "")) for seed in (1, 2)]
    results._loaded.cache_clear()
    monkeypatch.setenv("VAELIB_RUNS", str(tmp_path / "other runs"))
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(2, initializer=torch.set_flush_denormal, initargs=(False,)) as threads:
            digest = results.part_digest("nets")
            there = list(
                threads.map(results.measured_apart, [results.Row("nets", tiny_npz, s, digest) for s in (1, 2)])
            )
            with pytest.raises(results.StaleWorker, match="begin the workers again"):
                results.measured_apart(results.Row("nets", tiny_npz, 1, "another digest"))
    finally:
        torch.set_num_threads(1)
        results._loaded.cache_clear()
    assert len(trainings) == 4
    apart = ("seconds", "code")
    for one, other in zip(own, there, strict=True):
        assert {name: one[name] for name in one if name not in apart} == {n: other[n] for n in other if n not in apart}


# The command


class Here(Executor):
    """In the place of processes: each job at once, where it is asked for."""

    def __init__(self, workers):
        pass

    def submit(self, function, /, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(engine, "Processes", Here)
    monkeypatch.setattr("tools.results.interruptible", lambda: None)  # pytest's own signals stay as they are
    results._loaded.cache_clear()
    yield
    results._loaded.cache_clear()


@pytest.mark.usefixtures("here")
def test_the_command_records_what_it_is_asked_for(parts, capsys):
    assert main(["dice", "--seeds", "1"]) == 0
    assert len(rows("dice")) == 2
    assert "dice, faces 20, seed 1" in capsys.readouterr().out
    assert main([]) == 0
    assert (len(rows("dice")), len(rows("nets"))) == (6, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dice", "dise"], "results: unknown part 'dise': one of nets, dice"),
        (["dice", "--seeds", "0"], "results: --seeds 0: give a whole number of 1 or more"),
        (["dice", "--workers", "0"], "results: WORKERS=0: give a whole number of 1 or more"),
        (
            ["dice", "--scheduler", "there"],
            "results: SCHEDULER=there: give the address that the scheduler prints, such",
        ),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_bad_request_is_one_line_and_nothing_is_run(parts, capsys, arguments, message):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message) and err.count("\n") == 1
    assert not results.folder().exists()


@pytest.mark.usefixtures("offline", "here")
def test_absent_data_end_it_and_fail_no_rows(monkeypatch, capsys):
    monkeypatch.setattr(results, "PARTS", {"nets": Part((TrainConfig("MNIST", epochs=1),), spread, 2)})
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("results: MNIST (train split) was found nowhere")
    assert "Traceback" not in err and "FAILED" not in out


@pytest.mark.usefixtures("here")
def test_a_broken_measure_fails_its_rows_with_the_place_of_the_error(parts, monkeypatch, capsys):
    monkeypatch.setitem(results.PARTS, "dice", parts["dice"]._replace(measure=broken))
    assert main(["dice", "--seeds", "1"]) == 1
    out, err = capsys.readouterr()
    assert out.count("ZeroDivisionError") == 1 and "in broken" in out
    assert "1 rows failed, and are not recorded:\n  dice, faces 6, seed 1\n" in err
    assert [row["config"] for row in rows("dice")] == ['{"faces": 20}']


def broken(config):
    return {"thrown": 1 / (config["faces"] - 6) ** config["seed"]}
