"""Every chapter runs in smoke mode, for several latent sizes, and running it again gives the same numbers.

The list of chapters is read from `_toc.yml`, so that none can escape it. No network, no real data: chapters run on data
that are embedded or drawn, and train into an empty store each time.
"""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import papermill
import pytest
from warm_kernel import Warm

from tools.chapters import ROOT, chapters, find_stop, parameters, read_notebook

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


# The two tests of a chapter share its executions, so both go to the same worker.
EACH = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in CHAPTERS]
EACH_SIZE = [
    pytest.param(name, size, marks=pytest.mark.xdist_group(name), id=f"{name}-K{size}" if size else name)
    for name, path in CHAPTERS.items()
    for size in latent_sizes(path)
]


class Executions:
    """The smoke runs of one worker: papermill's outputs, each made once, and two sets of warm kernels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "no-data").mkdir()
        self.run = cache(self._run)

    def environment(self, name: str) -> dict[str, str]:
        """An empty store of runs, no data, no way to the network, one thread."""
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        return {
            **nowhere,
            "VAELIB_DATA": str(self.folder / "no-data"),
            "VAELIB_RUNS": str(self.folder / f"runs-{name}"),
            "JUPYTER_PATH": str(self.folder / "jupyter"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "OMP_NUM_THREADS": "1",
        }

    @cache  # noqa: B019 - one object for the session
    def kernels(self, name: str) -> Warm:
        return Warm(name, self.folder, self.environment(name))

    def _run(self, name: str, latent_dim: int | None) -> Path:
        out = self.folder / f"{name}-K{latent_dim}.ipynb" if latent_dim else self.folder / f"{name}.ipynb"
        values = smoke_parameters(CHAPTERS[name], latent_dim)
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in self.environment(out.stem).items():
                patch.setenv(variable, value)
            kernel = self.kernels("first").name
            papermill.execute_notebook(CHAPTERS[name], out, values, kernel_name=kernel, cwd=ROOT, progress_bar=False)
        return out

    def run_again(self, name: str, paths: list[Path]) -> subprocess.CompletedProcess:
        """Execute papermill's outputs under nbval, which compares every cell."""
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(self.folder), "-v", "--tb=short"]
        command += ["-p", "no:cacheprovider", "-p", "no:xdist"]
        command += ["--nbval", "--nbval-kernel-name", self.kernels("second").name, *map(str, paths)]
        environment = {**os.environ, **self.environment(f"{name}-again")}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def executions():
    with tempfile.TemporaryDirectory(prefix="vaelib-") as folder:
        made = Executions(Path(folder))
        yield made
        for name in ("first", "second"):
            made.kernels(name).close()


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


@pytest.mark.parametrize(("name", "latent_dim"), EACH_SIZE)
@pytest.mark.filterwarnings("default")  # papermill's own; a chapter's would show in its outputs
def test_chapter_runs_in_smoke_mode(executions, name, latent_dim):
    path = executions.run(name, latent_dim)
    assert find_stop(name, read_notebook(path)) is None
    cells = [cell for cell in code_cells(path) if cell["source"].strip()]
    assert all(cell["execution_count"] for cell in cells)
    # Papermill writes what was asked for into a cell of its own, and only warns of a name that the chapter lacks.
    injected = [cell["source"] for cell in cells if "injected-parameters" in cell["metadata"].get("tags", [])]
    wanted = smoke_parameters(CHAPTERS[name], latent_dim)
    assert len(injected) == bool(wanted)
    assert all(f"{key} = {value!r}".replace("'", '"') in injected[0] for key, value in wanted.items())


@pytest.mark.parametrize("name", EACH)
@pytest.mark.filterwarnings("default")
def test_chapter_gives_the_same_numbers_again(executions, name):
    paths = [executions.run(name, size) for size in latent_sizes(CHAPTERS[name])]
    assert all(any(cell["outputs"] for cell in code_cells(path)) for path in paths), "nothing to compare"
    again = executions.run_again(name, paths)
    assert again.returncode == 0, again.stdout[-8000:] + again.stderr[-2000:]
    # Every code cell of every notebook was compared: none skipped, none left out.
    assert f" {sum(len(code_cells(path)) for path in paths)} passed in " in again.stdout, again.stdout[-500:]
