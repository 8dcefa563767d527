"""Every chapter runs in smoke mode, for several latent sizes, and running it again gives the same numbers.

The list of chapters is read from `_toc.yml`, so that none can escape it. No network, no real data: chapters run on data
that are embedded or drawn, and train into an empty folder each time.
"""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import papermill
import pytest

from tools.chapters import ROOT, chapters, find_stop, parameters, read_notebook

LATENT_SIZES = (1, 2, 3, 10)
STAND_INS = {"MNIST": "digits", "FashionMNIST": "synthetic-boots"}
CHAPTERS = {path.stem: path for path in chapters()}
# A chapter without a latent size runs once.
RUNS = [
    pytest.param(name, size, id=f"{name}-K{size}" if size else name, marks=pytest.mark.xdist_group(f"{name}-{size}"))
    for name, path in CHAPTERS.items()
    for size in (LATENT_SIZES if "latent_dim" in parameters(path) else (None,))
]


def smoke_parameters(path: Path, latent_dim: int | None) -> dict:
    """What a chapter is run with: `smoke` and embedded data wherever it has a parameter for them."""
    known = parameters(path)
    values = {"smoke": True, "latent_dim": latent_dim, "dataset": STAND_INS.get(known.get("dataset"))}
    return {name: value for name, value in values.items() if name in known and value is not None}


@cache
def scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="chapters-"))


def environment(name: str) -> dict[str, str]:
    """An environment for one execution: an empty store of runs, no data, no way to the network, one thread."""
    folder = scratch() / name
    (folder / "data").mkdir(parents=True, exist_ok=True)
    nowhere = "http://127.0.0.1:9"
    return {
        "VAELIB_DATA": str(folder / "data"),
        "VAELIB_RUNS": str(folder / "runs"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "OMP_NUM_THREADS": "1",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere),
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost"),
    }


@cache
def smoke_run(name: str, latent_dim: int | None) -> Path:
    """The chapter as papermill leaves it; its test and the one that runs it again share it."""
    out = scratch() / f"{name}-{latent_dim}.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment(f"papermill-{out.stem}").items():
            patch.setenv(variable, value)
        papermill.execute_notebook(
            CHAPTERS[name], out, smoke_parameters(CHAPTERS[name], latent_dim), cwd=ROOT, progress_bar=False
        )
    return out


def test_every_notebook_is_a_chapter():
    assert sorted(path.stem for path in (ROOT / "book").glob("*.ipynb")) == sorted(CHAPTERS)


def test_every_chapter_that_loads_data_can_be_smoke_tested():
    for name, path in CHAPTERS.items():
        known = parameters(path)
        if "dataset" in known:
            assert {"latent_dim", "epochs", "seed", "smoke"} <= set(known), name
            assert known["dataset"] in STAND_INS, name


@pytest.mark.parametrize(("name", "latent_dim"), RUNS)
@pytest.mark.filterwarnings("default")  # papermill's own, not the chapter's: those would show in its outputs
def test_chapter_runs_in_smoke_mode(name, latent_dim):
    notebook = read_notebook(smoke_run(name, latent_dim))
    assert find_stop(name, notebook) is None
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["source"].strip()]
    assert all(cell["execution_count"] for cell in code)
    # Papermill puts what was asked for into a cell of its own; the chapter ran with it.
    injected = [cell["source"] for cell in code if "injected-parameters" in cell["metadata"].get("tags", [])]
    wanted = smoke_parameters(CHAPTERS[name], latent_dim)
    assert len(injected) == bool(wanted)
    assert all(f"{key} = " in injected[0] for key in wanted)


@pytest.mark.parametrize(("name", "latent_dim"), RUNS)
@pytest.mark.filterwarnings("default")
def test_chapter_gives_the_same_numbers_again(name, latent_dim):
    path = smoke_run(name, latent_dim)
    cells = [cell for cell in read_notebook(path)["cells"] if cell["cell_type"] == "code"]
    assert any(cell["outputs"] for cell in cells), "a chapter without outputs compares nothing"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    again = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(path.parent), "-q", str(path)],
        cwd=ROOT, env={**os.environ, **environment(f"nbval-{path.stem}")}, capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout[-6000:] + again.stderr[-2000:]
    assert f"{len(cells)} passed" in again.stdout, again.stdout
