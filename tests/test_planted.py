"""Every finding is about the run it stands on: some planted falsehood changes it.

A chapter is executed on embedded data, trained long enough to find something, and again with untrained and arbitrary
networks, with turned axes, with shuffled labels, at other latent sizes, on other data, on noise, from another seed
and after a short training, until each finding has changed or does not apply. A finding whose outcome is the
same each time says nothing.

These executions take minutes and are not part of `make test`: `make planted` runs them.
"""

from pathlib import Path

import nbformat
import numpy as np
import pytest

from tools.chapters import chapters, find_stop, parameters, read_notebook, run_with_papermill
from tools.outcomes import outcomes

pytestmark = pytest.mark.planted

# Data that are embedded or drawn, for a chapter about digits or garments and for one about boots, and other data.
DIGITS = {"dataset": "digits", "epochs": 60}
BOOTS = {"dataset": "synthetic-boots", "epochs": 10}
BASE = {"disentanglement": BOOTS, "manifold_dimension": BOOTS, "derivation": {}, "reparameterization": {}}
OTHER = {"digits": "synthetic-boots", "synthetic-boots": "digits"}


def plants(base: dict, noise: Path) -> dict[str, tuple[dict, str]]:
    """What is planted, by name: the parameters and the call of `planted` that comes after the imports."""
    found = {
        "untrained": (base, "untrained()"),
        "arbitrary": (base, "arbitrary(1)"),
        "K = 1": (base | {"latent_dim": 1}, ""),
        "K = 10": (base | {"latent_dim": 10}, ""),
        "no steps": (base, "steps(0)"),
        "wild steps": (base, "steps(30)"),
    }
    if "dataset" in base:
        found |= {
            "shuffled labels": (base, "shuffled_labels()"),
            "other data": (base | {"dataset": OTHER[base["dataset"]]}, ""),
            "noise for data": (base | {"dataset": str(noise)}, ""),
        }
    return found | {
        "turned axes": (base, "turned(45)"),
        "arbitrary again": (base, "arbitrary(2)"),
        "other seed": (base | {"seed": 2}, ""),
        "short training": (base | {"smoke": True}, ""),
    }


def execute(path: Path, folder: Path, name: str, values: dict, plant: str = ""):
    """The outcomes of a chapter executed with these parameters; fails the test where it stops."""
    notebook = nbformat.read(path, 4)
    if plant:
        code = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nimport planted\nplanted.{plant}"
        imports = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
        notebook.cells.insert(imports + 1, nbformat.v4.new_code_cell(code))
    source, out = folder / f"{name}-source.ipynb", folder / f"{name}.ipynb"
    nbformat.write(notebook, source)
    run_with_papermill(source, out, values)
    executed = read_notebook(out)
    assert find_stop(path.stem, executed) is None
    return outcomes(executed)


# Without parameters a page has no run of its own: the ledger of claims is planted against in test_claims.py.
@pytest.mark.parametrize("path", [path for path in chapters() if parameters(path)], ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")
def test_some_planted_falsehood_changes_each_finding(path, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    base = BASE.get(path.stem, DIGITS)
    book = execute(path, tmp_path, "base", base)
    assert book.findings, "the chapter states no finding"
    assert book.unfinished == []
    # None: what these data cannot answer, such as agreement with runs that were recorded on the paper's.
    unchanged = {name for name, outcome in book.findings.items() if outcome is not None}
    noise = tmp_path / "noise.npz"
    draw = np.random.default_rng(1)
    np.savez(noise, images=draw.integers(0, 2, (1200, 8, 8)) * 1.0, labels=draw.integers(0, 10, 1200))
    for number, (name, (values, plant)) in enumerate(plants(base, noise).items()):
        if not unchanged:
            break
        here = execute(path, tmp_path, f"plant-{number}", values, plant)
        assert here.unfinished == [], name
        unchanged -= {found for found, outcome in book.findings.items() if here.findings.get(found) != outcome}
    assert not unchanged, f"no planted run changes {sorted(unchanged)}"
