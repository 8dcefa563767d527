"""What a chapter refuses to be run with, in whatever way it is run, and in one line."""

import ast
import re

import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell

from tools import rerun
from tools.chapters import ROOT, BookError, chapters, parameters, read_notebook
from vaelib.report import ParameterError, check_parameters

OWN = "dataset = 'MNIST'\nlatent_dim = 2\nepochs = 14\nseed = 1\nsmoke = False"
WITH_PARAMETERS = [path for path in chapters() if parameters(path)]


def executed(*cells):
    """What a notebook of these cells raises at its end, in IPython as a kernel has it."""
    shell = InteractiveShell()
    shell.user_ns["check_parameters"] = check_parameters
    for cell in cells:
        shell.run_cell(cell, store_history=True, silent=False).raise_error()
    return shell.run_cell("check_parameters(globals())", store_history=True).error_in_exec


def refused(**asked):
    injected = "# Parameters\n" + "\n".join(f"{name} = {value!r}" for name, value in asked.items()) + "\n"
    return executed("import math", OWN, injected)


def test_what_a_run_can_mean_is_let_through():
    assert executed("import math", OWN) is None
    assert refused(latent_dim=1, epochs=1, seed=0, smoke=True, dataset="mine.npz") is None
    assert refused(seed=2**32 - 1) is None
    check_parameters({})  # of a chapter without any
    assert executed("latent_dims = 3", OWN) is None  # a name of the chapter's own


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"latent_dims": 10},
            "there is no parameter 'latent_dims' in this chapter; it has dataset, latent_dim,",
        ),
        ({"smoke": "false"}, "smoke=false: give True or False"),
        ({"smoke": 1}, "smoke=1: give True or False"),
        ({"smoke": True, "epochs": -1}, "epochs=-1: give a whole number of 1 or more"),
        ({"epochs": 2.5}, "epochs=2.5: give a whole number"),
        ({"epochs": True}, "epochs=True: give a whole number"),
        ({"latent_dim": 0}, "latent_dim=0: give a whole number of 1 or more"),
        ({"latent_dim": "ten"}, "latent_dim=ten: give a whole number"),
        ({"latent_dim": None}, "latent_dim=None: give a whole number"),
        ({"seed": -1}, "seed=-1: give a whole number of 0 or more"),
        ({"seed": 2**32}, "seed=4294967296: give a whole number below 4294967296"),
        ({"dataset": ""}, "dataset=: give a name"),
        ({"dataset": 7}, "dataset=7: give a name"),
    ],
)
@pytest.mark.fault("A chapter is rerun with {asked}", kept="the time: nothing is trained")
def test_what_no_run_could_mean_is_one_line(asked, message, capsys, sees):
    error = refused(**asked)
    assert isinstance(error, ParameterError)
    assert str(error).startswith(message)
    said = capsys.readouterr().out.strip()
    assert len(said.splitlines()) == 1
    sees(said, asked=", ".join(f"{name}={value!r}" for name, value in asked.items()))


@pytest.mark.parametrize(
    "asked", [{"latent_dim": 0}, {"latent_dim": "ten"}, {"epochs": -1}, {"seed": -1}, {"seed": 2**32}], ids=str
)
def test_make_says_the_same(asked):
    [(name, value)] = asked.items()
    with pytest.raises(BookError) as refusal:
        rerun.parse(["CHAPTER=mnist", f"{name.upper()}={value}"])
    assert str(refusal.value).lower() == str(refused(**asked))


@pytest.mark.parametrize("path", WITH_PARAMETERS, ids=lambda path: path.stem)
def test_every_chapter_checks_its_parameters_first(path):
    cells = [cell for cell in read_notebook(path)["cells"] if cell["cell_type"] == "code"]
    [own] = [i for i, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", [])]
    first = ast.parse(cells[own + 1]["source"]).body[0]
    assert ast.unparse(first) == "report.check_parameters(globals())"


@pytest.mark.filterwarnings("default")  # papermill's own
@pytest.mark.parametrize(("name", "value"), [("latent_dims", 10), ("smoke", "false")])
@pytest.mark.usefixtures("warm_kernels")
def test_plain_papermill_stops_before_anything_is_done(tmp_path, name, value):
    path, out = ROOT / "book" / "reparameterization.ipynb", tmp_path / "out.ipynb"
    with pytest.raises(papermill.PapermillExecutionError) as stopped:
        papermill.execute_notebook(path, out, {name: value}, cwd=ROOT, progress_bar=False)
    assert stopped.value.ename == "ParameterError"
    assert len(re.findall("ParameterError", "\n".join(stopped.value.traceback))) == 1
    assert stopped.value.exec_count == 4  # imports, parameters, papermill's, and the first to compute
