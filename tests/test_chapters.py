"""Every chapter runs in smoke mode, for several latent sizes, and running it again gives the same numbers.

The list of chapters is read from `_toc.yml`, so that none can escape it. No network, no real data: chapters run on data
that are embedded or drawn, and train into two stores that are empty at first, one for each time: what two chapters, or
two latent sizes, train alike is trained twice and no more.

Of the product of chapters, sizes and times, `make test` takes a part: each chapter at the size that is nearest to the
book's. `make test-slow` takes what is left.
"""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tools.chapters import ROOT, chapters, find_stop, parameters, read_notebook, run_with_papermill
from tools.warm_kernel import ENVIRONMENT, Warm

LATENT_SIZES = (1, 2, 3, 10)
STAND_INS = {"MNIST": "digits", "FashionMNIST": "synthetic-boots"}
CHAPTERS = {path.stem: path for path in chapters()}


def latent_sizes(path: Path) -> tuple:
    """The sizes that a chapter is run with; one without a latent size runs once."""
    return LATENT_SIZES if "latent_dim" in parameters(path) else (None,)


def smoke_parameters(path: Path, latent_dim: int | None) -> dict:
    """What a chapter is run with: `smoke` and embedded data wherever it has a parameter for them."""
    known = parameters(path)
    values = {"smoke": True, "latent_dim": latent_dim, "dataset": STAND_INS.get(known.get("dataset"))}
    return {name: value for name, value in values.items() if name in known and value is not None}


def own_size(path: Path) -> int | None:
    """The size that is nearest to the book's own."""
    return min(latent_sizes(path), key=lambda size: abs((size or 0) - parameters(path).get("latent_dim", 0)))


def cases() -> list:
    """Every chapter at every size; those that are not its own are left to `make test-slow`.

    The tests of a chapter share its executions, so all go to the same worker.
    """
    return [
        pytest.param(
            name,
            size,
            marks=[pytest.mark.xdist_group(name), *([] if size == own_size(path) else [pytest.mark.slow])],
            id=f"{name}-K{size}" if size else name,
        )
        for name, path in CHAPTERS.items()
        for size in latent_sizes(path)
    ]


CASES = cases()


def few_digits(folder: Path, images: int) -> Path:
    """A file of one's own, of a few real digits of 8 × 8 bytes, with labels."""
    path, digits = folder / f"{images}.npz", load_digits()
    np.savez(path, images=(digits.images[:images] * 255 / 16).astype(np.uint8), labels=digits.target[:images])
    return path


class Executions:
    """The smoke runs of one worker: papermill's outputs, each made once; for each time a store and a server."""

    def __init__(self, folder: Path, first: Warm) -> None:
        self.folder = folder
        (folder / "no-data").mkdir()
        self.kernels = {"first": first}
        self.run = cache(self._run)

    def environment(self, time: str) -> dict[str, str]:
        """A store of runs of that time, no data, no way to the network, one thread."""
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        return {
            **nowhere,
            "VAELIB_DATA": str(self.folder / "no-data"),
            "VAELIB_RUNS": str(self.folder / f"runs-{time}"),
            "JUPYTER_PATH": str(self.kernels[time].jupyter_path),
            **ENVIRONMENT,
        }

    def _run(self, time: str, name: str, latent_dim: int | None, images: int | None = None) -> Path:
        """A chapter as papermill left it, the "first" or the "second" time; on so many `images` of a file."""
        out = self.folder / f"{name}-K{latent_dim}-{images or 'all'}-{time}.ipynb"
        values = smoke_parameters(CHAPTERS[name], latent_dim)
        if images:
            values["dataset"] = str(few_digits(self.folder, images))
        if time not in self.kernels:
            self.kernels[time] = Warm(self.folder)
            assert self.kernels[time].ready()
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in self.environment(time).items():
                patch.setenv(variable, value)
            run_with_papermill(CHAPTERS[name], out, values)
        return out


@pytest.fixture(scope="session")
def executions(warm):
    with tempfile.TemporaryDirectory(prefix="vaelib-") as folder:
        made = Executions(Path(folder), warm)
        yield made
        if "second" in made.kernels:
            made.kernels["second"].close()


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in read_notebook(path)["cells"] if cell["cell_type"] == "code"]


def test_every_notebook_is_a_chapter():
    assert sorted(path.stem for path in (ROOT / "book").glob("*.ipynb")) == sorted(CHAPTERS)


def test_every_chapter_that_loads_data_has_the_parameters_of_an_experiment():
    for name, path in CHAPTERS.items():
        known = parameters(path)
        if "dataset" in known:
            assert {"latent_dim", "epochs", "seed", "smoke"} <= set(known), name
            assert known["dataset"] in STAND_INS, name


def outputs(path: Path) -> list[list[dict]]:
    """What each code cell has left, in whatever pieces it was written."""
    found = []
    for cell in code_cells(path):
        left = []
        for output in cell["outputs"]:
            output = {key: value for key, value in output.items() if key != "execution_count"}
            if output["output_type"] == "stream":
                output["text"] = "".join(output["text"])
                if left and left[-1].get("name") == output["name"]:
                    left[-1]["text"] += output["text"]
                    continue
            left.append(output)
        found.append(left)
    return found


@pytest.mark.parametrize(("name", "latent_dim"), CASES)
@pytest.mark.filterwarnings("default")  # papermill's own; a chapter's would show in its outputs
def test_chapter_runs_in_smoke_mode(executions, name, latent_dim):
    path = executions.run("first", name, latent_dim)
    assert find_stop(name, read_notebook(path)) is None
    cells = [cell for cell in code_cells(path) if cell["source"].strip()]
    assert all(cell["execution_count"] for cell in cells)
    # Papermill writes what was asked for into a cell of its own, and only warns of a name that the chapter lacks.
    injected = [cell["source"] for cell in cells if "injected-parameters" in cell["metadata"].get("tags", [])]
    wanted = smoke_parameters(CHAPTERS[name], latent_dim)
    assert len(injected) == bool(wanted)
    assert all(f"{key} = {value!r}".replace("'", '"') in injected[0] for key, value in wanted.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, path in CHAPTERS.items() if "dataset" in parameters(path)])
@pytest.mark.filterwarnings("default")
def test_chapter_runs_on_a_file_of_twenty_images(executions, name):
    """Of which three are held out: fewer than the neighbors, groups or pairs that are looked at of more."""
    path = executions.run("first", name, 2, 20)
    assert find_stop(name, read_notebook(path)) is None
    assert any("/20.npz" in cell["source"] for cell in code_cells(path))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "latent_dim"), CASES)
@pytest.mark.filterwarnings("default")
def test_chapter_gives_the_same_numbers_again(executions, name, latent_dim):
    first, second = (outputs(executions.run(time, name, latent_dim)) for time in ("first", "second"))
    assert any(first), "nothing to compare"
    # Every output of every code cell: numbers, words, pictures, and what stands in their metadata.
    for number, (left, right) in enumerate(zip(first, second, strict=True)):
        assert left == right, f"code cell {number}"


@pytest.mark.slow
@pytest.mark.xdist_group("reparameterization")
@pytest.mark.filterwarnings("default")
def test_a_cold_kernel_gives_the_same_numbers(executions, tmp_path, monkeypatch):
    """What the book is executed in on a machine where no kernel can be forked."""
    name = "reparameterization"
    for variable, value in executions.environment("first").items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("JUPYTER_PATH")
    monkeypatch.delenv("MPLBACKEND")
    out, values = tmp_path / "cold.ipynb", smoke_parameters(CHAPTERS[name], 2)
    run_with_papermill(CHAPTERS[name], out, values)
    assert outputs(out) == outputs(executions.run("first", name, 2))
