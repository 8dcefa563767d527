"""What the tests share: folders of their own, tiny configs, and a model whose evidence is known exactly."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import small_book
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

import vaelib
from tools import faults
from tools.warm_kernel import Warm
from vaelib import official, runs
from vaelib.training import fit


def pytest_addoption(parser):
    parser.addoption(faults.WRITE, action="store_true", help="what faults look like is recorded, not compared")


def pytest_configure(config):
    os.environ["MPLBACKEND"] = "Agg"  # no test opens a window
    # A shell's background jobs are started with SIGINT ignored, and so would be the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "equation(number): the test pins this equation of the paper")
    kinds = "the test sets the measure on an ideal case, a null or a broken one"
    config.addinivalue_line("markers", f"control(measure, *kinds): {kinds}")
    config.addinivalue_line("markers", "fault(happens, kept): the test injects this fault, of the page of faults")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The networks here are too small to share out, and a suite may run several workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Every test trains into an empty store and sees no data but what is embedded."""
    (tmp_path / "no-data").mkdir()
    monkeypatch.setenv("VAELIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "no-data"))


@pytest.fixture
def sees(request, record_property, tmp_path_factory):
    """Takes what the user sees of the fault that the test is marked with; it must be what the page of faults says.

    Fields fill what the marker has in braces, beside the test's own parameters.
    """
    mark = request.node.get_closest_marker("fault")
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    writing = request.config.getoption(faults.WRITE)

    def sees(text, **fields):
        values, folder = {**parameters, **fields}, tmp_path_factory.getbasetemp()
        row = faults.row(request.path.stem, *mark.args, mark.kwargs["kept"], text, values, folder)
        record_property(faults.PROPERTY, json.dumps(row))
        if not writing:
            on_page = faults.PAGE.read_text(encoding="utf-8").splitlines()
            assert faults.line(row) in on_page, "book/faults.md says something else: make faults"

    return sees


@pytest.fixture
def book(tmp_path):
    """A small book, for tests of the tools."""
    return small_book.make(tmp_path / "ein Bäumchen")  # blanks and umlauts must do no harm


@pytest.fixture(scope="session")
def warm():
    """The server of warm kernels of this worker."""
    with tempfile.TemporaryDirectory(prefix="vaelib-") as folder:  # short: a socket's name may have 107 characters
        server = Warm(Path(folder))
        assert server.ready()
        yield server
        server.close()


@pytest.fixture
def warm_kernels(warm, monkeypatch):
    """Notebooks are executed in warm kernels, also by the processes that a test starts."""
    monkeypatch.setenv("JUPYTER_PATH", str(warm.jupyter_path))


@pytest.fixture
def cold_kernels(warm_kernels, monkeypatch):
    """In a module of warm kernels: here they start as they do for a reader, and die as they do there."""
    monkeypatch.delenv("JUPYTER_PATH")


@pytest.fixture
def cluster(tmp_path):
    """Begins a scheduler of Dask, or with its address a worker; returns the process, a scheduler's with its address."""
    pytest.importorskip("distributed")
    begun = []

    def begin(kind, *arguments):
        with (tmp_path / f"{kind}-{len(begun)}.log").open("w") as log:
            command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"]
            begun.append(subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log))
        return begun[-1]

    def scheduler():
        place = tmp_path / f"scheduler-{len(begun)}.json"
        process = begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(place))
        small_book.wait_for(lambda: place.is_file() and place.read_text().endswith("}"))
        return process, json.loads(place.read_text())["address"]

    def worker(address, *arguments):
        return begin("worker", address, "--nthreads", "1", "--no-nanny", *arguments)

    yield scheduler, worker
    for process in begun:
        process.kill()
        process.wait()


@pytest.fixture
def trainings(monkeypatch):
    """The configs that were really trained, one entry a training."""
    calls = []

    def counted(config, *args, **kwargs):
        calls.append(config)
        return fit(config, *args, **kwargs)

    monkeypatch.setattr(runs, "fit", counted)
    return calls


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No official data anywhere: not in the project's data folder, and no network to fetch them."""

    def unreachable(name):
        raise OSError("the network is switched off in this test")

    monkeypatch.setattr(official, "project_root", lambda: tmp_path)
    monkeypatch.setattr(official, "download", unreachable)


@pytest.fixture
def tiny_digits():
    """A config on real, embedded images that trains in a fraction of a second."""
    return vaelib.TrainConfig("digits", epochs=2, limit=200, hidden=(16,), batch_size=64)


@pytest.fixture
def tiny_boots():
    return vaelib.TrainConfig("synthetic-boots", epochs=1, limit=64, hidden=(8,), batch_size=32)


@pytest.fixture
def tiny_npz(tmp_path):
    """A config on a file of 48 random 4 × 4 images: the quickest data there are."""
    path = tmp_path / "tiny.npz"
    write_npz(path, seed=0)
    return vaelib.TrainConfig(str(path), epochs=2, hidden=(8,), batch_size=16)


@pytest.fixture(scope="session")
def npz_writer():
    return write_npz


def write_npz(path, *, seed, n=48, scale=1.0):
    rng = np.random.default_rng(seed)
    np.savez(path, images=scale * rng.random((n, 4, 4), dtype=np.float32), labels=np.arange(n) % 3)


@pytest.fixture
def make_dataset():
    """Images of our own as an `ImageDataset`: (N, D) → 1 × D pictures."""

    def make(images: Tensor, name: str = "made for a test") -> vaelib.ImageDataset:
        images = images.float()
        return vaelib.ImageDataset(images, torch.full((len(images),), -1), (1, images.shape[1]), name)

    return make


class LinearGaussian(NamedTuple):
    """x = W z + b + noise, noise ~ N(0, diag(psi)): evidence and posterior are textbook formulas."""

    model: vaelib.VAE  # hidden=(), its encoder set to the true posterior
    weight: Tensor  # W (D, K), with columns orthogonal under 1/psi, so that the true posterior is diagonal
    bias: Tensor  # (D,)
    psi: Tensor  # (D,)
    posterior_variance: Tensor  # (K,)
    x: Tensor  # (B, D), drawn from the model

    def log_evidence(self, x: Tensor) -> Tensor:
        covariance = self.weight @ self.weight.T + torch.diag(self.psi)
        return MultivariateNormal(self.bias, covariance).log_prob(x)

    def posterior_mean(self, x: Tensor) -> Tensor:
        return (x - self.bias) / self.psi @ self.weight * self.posterior_variance


@pytest.fixture
def linear_gaussian() -> LinearGaussian:
    """D = 5, K = 2, in double precision, with different scales everywhere, so that no two factors can be confused."""
    data_dim, latent_dim, n = 5, 2, 200
    rng = torch.Generator().manual_seed(3)
    q, _ = torch.linalg.qr(torch.randn(data_dim, data_dim, generator=rng, dtype=torch.float64))
    psi = torch.tensor([0.3, 0.5, 0.9, 1.4, 0.2], dtype=torch.float64)
    scale = torch.tensor([2.0, 0.8], dtype=torch.float64)
    weight = psi.sqrt()[:, None] * q[:, :latent_dim] * scale
    bias = torch.tensor([0.5, -1.0, 0.2, 2.0, -0.3], dtype=torch.float64)
    variance = 1 / (1 + scale**2)
    z = torch.randn(n, latent_dim, generator=rng, dtype=torch.float64)
    noise = torch.randn(n, data_dim, generator=rng, dtype=torch.float64)

    model = vaelib.VAE(latent_dim, (), data_dim, "gaussian").double()
    to_mean = variance[:, None] * weight.T / psi
    with torch.no_grad():
        encoder, decoder = model.encoder[0], model.decoder[0]
        encoder.weight.copy_(torch.cat([to_mean, torch.zeros_like(to_mean)]))
        encoder.bias.copy_(torch.cat([-to_mean @ bias, variance.log()]))
        decoder.weight.copy_(torch.cat([weight, torch.zeros_like(weight)]))
        decoder.bias.copy_(torch.cat([bias, psi.log()]))
    return LinearGaussian(model, weight, bias, psi, variance, z @ weight.T + bias + psi.sqrt() * noise)
