"""What `make bench` computes apart from times: the limit's work, the peers' weights, slopes and ratios."""

import json
import os
import re
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import BenchmarkError, beside, gpu, paths, report, step
from benchmarks.__main__ import MEASURE, main
from benchmarks.beside import busy_processes, trained
from benchmarks.book import Span, idle, spans, stages
from benchmarks.bound import bound_epoch, products_per_image
from benchmarks.growth import AXES, Cost, slope, varied
from benchmarks.many import Recording, recordings
from benchmarks.race import PEERS, SCRIPTS, as_ours, missing_peers, read_weights, train
from benchmarks.step import PRECISIONS, TRAINED, Share, share
from vaelib.data import ImageDataset
from vaelib.models import VAE
from vaelib.paper import EXPERIMENTS
from vaelib.products import are_rounded, bfloat16_products
from vaelib.training import initial_model, train_step

CONFIG = replace(EXPERIMENTS["mnist"], batch_size=64)


@pytest.mark.parametrize("batch", [64, 256])  # on some processors the larger is rounded
def test_the_limit_does_the_products_of_a_real_step_and_no_others(batch):
    config = replace(CONFIG, batch_size=batch)
    are_rounded(0)  # finds out by a product
    model = initial_model(config, 784)
    optimiser = torch.optim.Adam(model.parameters())
    with bfloat16_products(), FlopCounterMode(display=False) as ours:
        train_step(model, optimiser, torch.rand(batch, 784))
    assert ours.get_total_flops() == batch * products_per_image(config, 784)
    with bfloat16_products(), FlopCounterMode(display=False) as limit:
        bound_epoch(config, 2 * batch, 784)  # 2 steps, after 20 that are not timed
    assert limit.get_total_flops() == 22 * batch * products_per_image(config, 784)


def test_a_share_is_of_two_ways_that_do_the_same_products():
    data = ImageDataset(torch.rand(130, 784), torch.zeros(130, dtype=torch.long), (28, 28), "noise")
    for precision in PRECISIONS:
        assert min(share(data, 64, precision)[2:]) > 0


def test_each_kind_of_operation_is_found_in_a_step(monkeypatch):
    monkeypatch.setattr(step, "STEPS", 2)
    data = ImageDataset(torch.rand(300, 784), torch.zeros(300, dtype=torch.long), (28, 28), "noise")
    assert min(step.step_profile(data).values()) > 0


@pytest.fixture
def plain_vae(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import plain

    yield plain.PlainVAE()
    for module in ("plain", "stopwatch"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("names", ["plain", "pythae"])
def test_a_peers_weights_make_the_same_model_of_ours(plain_vae, names):
    weights = plain_vae.state_dict()
    if names == "pythae":
        weights = {re.sub(r"^(mu|logvar)", r"encoder.\1", n): v for n, v in weights.items()}
        weights = {re.sub(r"^(encoder|decoder)\.(\d)", r"\1.layers.\2", n): v for n, v in weights.items()}
    ours, x = VAE(latent_dim=2), torch.rand(5, 784)
    ours.load_state_dict(as_ours(weights))
    torch.manual_seed(0)
    pixels, mu, logvar = plain_vae(x)
    torch.manual_seed(0)
    z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
    for theirs, mine in zip((mu, logvar, pixels), (*ours.encode(x), ours.mean_image(z)), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_our_own_weights_stay_as_they_are():
    weights = VAE(latent_dim=2).state_dict()
    assert as_ours(weights) is weights


def test_weights_that_numpy_wrote_are_read(tmp_path):
    weights = VAE(latent_dim=2).state_dict()
    np.savez(tmp_path / "weights.npz", **{name: value.numpy() for name, value in weights.items()})
    read = as_ours(read_weights(tmp_path / "weights.npz"))
    assert read.keys() == weights.keys() and all(torch.equal(read[name], weights[name]) for name in weights)


@pytest.mark.slow
def test_the_plain_way_trains(tmp_path):
    """On 256 images of noise in MNIST's format: the script runs, counts its epochs and leaves its weights."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (256, 28, 28), dtype=np.uint8)
    for stem in ("train", "t10k"):
        header = np.array([0x803, 256, 28, 28], ">u4").tobytes()
        (raw / f"{stem}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(np.array([0x801, 256], ">u4").tobytes() + bytes(256))
    command = [sys.executable, SCRIPTS / "plain.py", "--seed", "1", "--epochs", "2", "--out", tmp_path]
    environment = os.environ | {"RACE_DATA": str(tmp_path), "RACE_STARTED": repr(time.time()), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment)
    times = json.loads((tmp_path / "times.json").read_text())
    assert len(times["epochs"]) == 2 and 0 < times["begun"] < times["begun"] + sum(times["epochs"]) <= times["trained"]
    VAE(latent_dim=2).load_state_dict(as_ours(torch.load(tmp_path / "weights.pt")))


def test_the_peak_memory_is_the_processs_own():
    held = np.ones(300 * 2**17)  # 300 MiB, which a child must not be charged with
    script = "import stopwatch; print(stopwatch.peak_mib())"
    child = subprocess.run([sys.executable, "-c", script], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert 1 < float(child.stdout) < 200 < held.nbytes / 2**20


def test_the_slope_of_a_power_is_its_exponent():
    flat, steep = ([Cost("K", x, 3 * x**power) for x in (2, 8, 32)] for power in (0, 1.5))
    assert slope(flat) == pytest.approx(0, abs=1e-9) and slope(steep) == pytest.approx(1.5)
    assert slope([Cost("K", 1, 500.0), *steep]) == pytest.approx(1.5)  # small sizes are all overhead


@pytest.mark.parametrize("axis", AXES)
def test_each_axis_of_growth_varies_one_thing(axis):
    configs = [varied(axis, value) for value in AXES[axis]]
    assert len({(config.to_json(), n) for config, n in configs}) == len(AXES[axis])
    for config, n in configs:
        changed = {name for name, value in vars(config).items() if value != getattr(EXPERIMENTS["mnist"], name)}
        assert changed <= {"hidden" if axis == "width" else axis}
        assert n == 15_000 or axis == "images"


def test_the_stages_that_a_build_prints_are_read_back():
    printed = (
        "executing the chapters ...\n  elbo ...\n  elbo executed after 12 s\n  of it importing: 2.5 s\n"
        "executing the chapters: 40.5 s\nDone.\n"
    )
    assert stages(printed) == {"elbo": 12, "of it importing": 2.5, "executing the chapters": 40.5}


def test_what_ran_when_is_read_off_the_lines_of_a_build():
    lines = [
        (1.0, "training the paper's runs ...\n"),
        (31.5, "mnist: MNIST, K = 2, 14 epochs, seed 1: held-out ELBO -137.12 nats per image (28 s)\n"),
        (32.0, "training the paper's runs: 31.0 s\n"),
        (32.0, "executing the chapters ...\n"),
        (33.0, "  elbo ...\n"),
        (33.0, "  mnist ...\n"),
        (40.0, "  elbo executed after 7 s\n"),
        (40.0, "  kernels starting and importing, added up over the chapters: 2.5 s\n"),
        (41.0, "  mnist STOPPED after 8 s\n"),
        (42.0, "executing the chapters: 10.0 s\n"),
        (42.5, "The book is built (42 s).\n"),
    ]
    assert spans(lines) == [
        Span("training the paper's runs", 1, 32),
        Span("training mnist", 3.5, 31.5),
        Span("executing the chapters", 32, 42),
        Span("elbo", 33, 40),
    ]


def test_a_core_is_idle_that_has_nothing_to_do_or_awaits_a_disk():
    Times = namedtuple("Times", ["user", "idle", "iowait", "steal", "guest"])
    before = [Times(10, 10, 10, 10, 5), Times(0, 0, 0, 0, 0)]
    after = [Times(14, 12, 11, 11, 9), Times(3, 1, 0, 0, 3)]  # the guest's 4 and 3 seconds are among the user's
    assert idle(before, after) == [3 / 8, 1 / 4]


def test_the_report_draws_the_longest_command_and_says_how_idle_it_was():
    waits = [
        {"command": "make env", "seconds": 10.0, "stages": {}, "idle": [0.5, 0.25], "spans": []},
        {"command": "make book", "seconds": 40.0, "stages": {}, "idle": [0.1, 0.125], "spans": [("mnist", 3.5, 31.5)]},
    ]
    text, figure = report.tell_book({"waits": waits})
    assert [line.split("|")[2].strip() for line in text.splitlines() if "idle" in line] == ["50%, 25%", "10%, 12%"]
    [ax] = figure.axes
    [bar] = ax.patches
    assert (bar.get_x(), bar.get_width()) == (3.5, 28)
    assert [label.get_text() for label in ax.texts] == ["mnist, 28 s"]


def test_the_report_gives_each_number_with_its_pair(tmp_path):
    def run(peer, seed, epoch, total, loss):
        times = {"begun": 1.0, "epochs": [epoch] * 3, "trained": total, "peak_mib": 900.0}
        return {"peer": peer, "seed": seed, "heldout_loss": loss, **times}

    results = [run("plain", s, 8.0 + s, 240.0, 138.0 + s) for s in (0, 1, 2)] + [run("ours", 0, 2.0, 24.0, 137.5)]
    race = {
        "n_train": 60_000,
        "machine": {"cores": 2},
        "results": results,
        "bounds": [{"as_trained": b, "float32": 2 * b} for b in (1.4, 1.5, 1.6)],
    }
    (tmp_path / "race.json").write_text(json.dumps(race))
    report.write(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert (tmp_path / "race.png").exists()
    assert "| seconds of an epoch | 9.00 (8.00 to 10.00) | 2.00 (2.00 to 2.00) |" in text
    assert "| seconds to the end, as a multiple of ours | 10.0 × | 1.0 × |" in text
    assert "| mean held-out loss (nats) | 139.00 | 137.50 |" in text
    assert "75% of that limit" in text and "take 3.00 (2.80 to 3.20) s, 150% of our epoch" in text
    assert "cores 2" in text


def test_paths_are_told_with_the_seconds_that_follow_from_few_epochs(tmp_path):
    def pace(path, peer, begun, *epochs):
        return {"path": path, "peer": peer, "begun": begun, "epochs": epochs}

    paces = [pace("own", "plain", 3.0, 8.0, 9.0, 10.0), pace("own", "ours", 4.0, 2.0, 2.0, 3.0)]
    paces += [pace("AVX2", "plain", 5.0, 12.0, 12.0, 12.0), pace("AVX2", "ours", 4.0, 4.0, 3.0, 5.0)]
    paces += [pace("own", "products", 0.0, 1.0, 1.0), pace("AVX2", "products", 0.0, 2.0, 3.0)]
    measured = {"machine": {}, "epochs": {"plain": 30, "ours": 12}, "paces": paces}
    (tmp_path / "paths.json").write_text(json.dumps(measured))
    report.write(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "|  | own | AVX2 |" in text
    assert "| plain: seconds of an epoch | 9.00 (8.00 to 10.00) | 12.00 (12.00 to 12.00) |" in text
    assert "| plain: seconds to the end of 30 epochs | 273 | 365 |" in text
    assert "| ours: seconds to the end of 12 epochs | 28 | 52 |" in text
    assert "| ours trains as many images per second as plain, times | 4.50 × | 3.00 × |" in text
    assert "| plain's seconds to the end, as a multiple of ours | 9.8 × | 7.0 × |" in text
    assert "| the matrix products of our epoch alone: seconds | 1.00 (1.00 to 1.00) | 2.50 (2.00 to 3.00) |" in text
    assert "| their share of our epoch | 50% | 62% |" in text


def test_the_products_are_timed_in_a_process_with_its_settings(monkeypatch):
    monkeypatch.setattr(paths, "PRODUCTS", "import os, json; print(json.dumps([float(os.environ['SECONDS_'])]))")
    assert paths.products({"SECONDS_": "1.5"}) == [1.5]
    with pytest.raises(BenchmarkError, match="the products stopped with status 1:"):
        paths.products({})


def test_a_busy_epoch_is_told_beside_a_quiet_one(tmp_path):
    def run(busy, *epochs):
        return {"experiment": "boots_2d", "threads": "", "busy": busy, "epochs": epochs}

    runs = [run(0, 9.0, 1.0, 1.2), run(1, 8.0, 2.0, 2.2), run(0, 7.0, 1.1, 1.0), run(1, 9.0, 1.8, 1.9)]
    pairs = [{"experiment": "mnist", "after_another": [2.0, 2.2], "side_by_side": [1.5, 1.6]}]
    (tmp_path / "busy.json").write_text(json.dumps({"machine": {}, "runs": runs, "seeds": pairs}))
    report.write(tmp_path)
    wanted = "| boots_2d, all threads | 1.05 (1.00 to 1.20) | 1.95 (1.80 to 2.20) | 1.86 × | 8.00 and 8.50 |"
    text = (tmp_path / "README.md").read_text()
    assert wanted in text
    assert "| mnist | 2.10 (2.00 to 2.20) | 1.55 (1.50 to 1.60) | 0.74 × |" in text


def test_seeds_side_by_side_count_for_their_share_of_the_cores(monkeypatch):
    def trained(name, epochs, threads):
        return [9.0, 3.0, 3.0] if threads else [9.0, 2.0]

    monkeypatch.setattr(beside, "trained", trained)
    monkeypatch.setattr(beside.os, "cpu_count", lambda: 2)
    found = list(beside.seeds(1))
    assert [each.experiment for each in found] == ["boots_2d", "mnist"]
    assert found[0].after_another == [2.0] and found[0].side_by_side == [1.5] * 4


def test_busy_processes_are_busy_and_end():
    with busy_processes(1):
        time.sleep(0.5)
        [child] = psutil.Process().children()
        assert child.cpu_times().user > 0
    assert not psutil.Process().children()


def test_a_training_beside_others_tells_its_epochs_and_why_it_stopped():
    with pytest.raises(BenchmarkError, match=r"nothing stopped with status 1:[\s\S]*unknown experiment 'nothing'"):
        trained("nothing", 1, "1")


def test_a_peer_without_its_environment_is_named(monkeypatch):
    monkeypatch.setitem(PEERS, "JAX", ("/nowhere/python", *PEERS["JAX"][1:]))
    assert "JAX" in missing_peers() and "ours" not in missing_peers()


def test_the_report_shows_every_cost_that_was_measured(tmp_path):
    costs = [Cost(axis, value, 0.01 * value) for axis in AXES for value in (1, 10, 1000)]  # 0.01 to 10 s
    machine = {"cores": 2}
    (tmp_path / "growth.json").write_text(json.dumps({"machine": machine, "costs": [c._asdict() for c in costs]}))
    profiles = [{"path": "own", "kinds": {"products": 3.0, "the rest": 1.0}, "products": 2.5, "ours": 3.5}]
    shares = [Share(256, TRAINED, 2.0, 5.0)._asdict()]
    (tmp_path / "step.json").write_text(json.dumps({"machine": machine, "profiles": profiles, "shares": shares}))
    waits = [{"command": "make book", "seconds": 300.0, "stages": {"mnist": 12.0}}]
    (tmp_path / "book.json").write_text(json.dumps({"machine": machine, "waits": waits}))
    report.write(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| K | 1, 10, 1000 | 0.01, 0.10, 10.00 | 1.00 |" in text
    assert "| products | 3.00 (75%) |" in text and "| **make book** | **300.0** |\n| mnist | 12.0 |" in text
    assert f"| 256 | {TRAINED} | 2.00 | 5.00 | 40% |" in text
    _, figure = report.tell_growth({"costs": [c._asdict() for c in costs]})
    for ax in figure.axes:
        low, high = ax.get_ylim()
        assert low < 0.01 and high > 10
        assert all(low <= tick <= high for tick in ax.get_yticks()) and len(ax.get_yticks()) > 5


def test_numbers_of_an_earlier_form_are_named_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    (tmp_path / "many.json").write_text('{"machine": {}}')
    monkeypatch.setattr("benchmarks.__main__.RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.__main__.load_dataset", lambda *_, **__: None)
    monkeypatch.setitem(MEASURE, "step", lambda: pytest.fail("it was measured"))
    assert main(["step"]) == 1
    assert "many.json has another form than today's, without 'recordings': measure many" in capsys.readouterr().err
    report.write(tmp_path, but=["many"])
    assert "Many rows" not in (tmp_path / "README.md").read_text()


@pytest.mark.slow
def test_so_many_rows_are_really_recorded_and_told_as_rates(tmp_path):
    [found] = recordings(((2, 3),), rounds=1)
    assert (found.workers, found.rows) == (2, 3)
    assert 0 < found.rows_seconds < 2 * found.seconds
    told = [Recording(2, 30, seconds, 90.0) for seconds in (60.0, 120.0, 100.0)]
    (tmp_path / "many.json").write_text(
        json.dumps({"machine": {"cores": 2}, "recordings": [each._asdict() for each in told]})
    )
    report.write(tmp_path)
    text = (tmp_path / "README.md").read_text()
    line = "| 2 | 30 | 100.0 (60.0 to 120.0) | 1080 (900 to 1800) | 0.45 (0.38 to 0.75) |"
    assert line in text


def test_a_run_on_a_device_is_told_by_how_its_epochs_were_launched(tmp_path, tiny_digits):
    [run] = gpu.runs(replace(tiny_digits, epochs=4), (5,), device="cpu")
    assert len(run.one_launch) == 2 and min(run.single, run.capturing, *run.one_launch) > 0
    assert run.heldout_loss == run.on_cpu > 0  # on one device: the same run twice
    told = run._replace(single=0.5, capturing=0.75, one_launch=[0.1, 0.2, 0.3], heldout_loss=137.5, on_cpu=138.25)
    (tmp_path / "gpu.json").write_text(json.dumps({"machine": {"gpu": "one"}, "runs": [told._asdict()]}))
    report.write(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "operation by operation | 0.500 (0.500 to 0.500) |" in text and "launch | 0.200 (0.100 to 0.300) |" in text
    assert "| held-out loss (nats) | 137.50" in text and "processor | 138.25" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_part_is_refused(capsys):
    assert main(["step", "gpu"]) == 1
    assert capsys.readouterr().err == "bench: the part gpu needs a GPU, and PyTorch finds none here\n"


@pytest.mark.usefixtures("offline")
def test_without_mnist_nothing_is_measured(capsys):
    assert main(["step"]) == 1
    assert re.fullmatch(r"bench: MNIST [\s\S]*VAELIB_DATA[\s\S]*", capsys.readouterr().err.strip())


@pytest.mark.slow
def test_a_peer_that_stops_says_why(tmp_path):
    with pytest.raises(BenchmarkError, match=r"plain stopped with status 1:[\s\S]*Dataset not found"):
        train("plain", 1, 1, tmp_path, torch.zeros(1, 784))


def test_an_unknown_part_is_refused(capsys):
    assert main(["rase"]) == 2
    assert "no part rase; there are race, paths, busy, step, growth, many, book, gpu" in capsys.readouterr().err
