"""What a chapter was asked for: a wrong name or value is refused in one line, before anything is trained.

Papermill writes what it is given into a cell of its own after the chapter's parameters, whatever that is. `make rerun`
refuses the same with the same words (`tools.rerun`).
"""

import ast
from collections.abc import Mapping

from vaelib.config import SEEDS

INJECTED = "# Parameters\n"  # how papermill's own cell begins
LOWEST = {"latent_dim": 1, "epochs": 1, "seed": 0}


class ParameterError(ValueError):
    """A parameter that the chapter does not have or cannot use; a page and a terminal show one line of it."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [f"{type(self).__name__}: {self}"]


def check_parameters(namespace: Mapping[str, object]) -> None:
    """Raise ParameterError for what no run could mean; to be called first after a chapter's parameters.

    `namespace` is the chapter's `globals()`: it holds the parameters and, in a notebook, the cells that ran.
    """
    cells = list(namespace.get("In", ()))
    injected = max((i for i, cell in enumerate(cells) if cell.startswith(INJECTED)), default=0)
    if injected:
        known = _assigned(cells[injected - 1])
        for name in _assigned(cells[injected]):
            if name not in known:
                raise ParameterError(f"there is no parameter {name!r} in this chapter; it has {', '.join(known)}")
    for name, lowest in LOWEST.items():
        value = namespace.get(name, lowest)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ParameterError(f"{name}={value}: give a whole number")
        if value < lowest:
            raise ParameterError(f"{name}={value}: give a whole number of {lowest} or more")
        if name == "seed" and value >= SEEDS:
            raise ParameterError(f"{name}={value}: give a whole number below {SEEDS}")
    if not isinstance(namespace.get("smoke", False), bool):
        raise ParameterError(f"smoke={namespace['smoke']}: give True or False, as Python writes them")
    dataset = namespace.get("dataset", "MNIST")
    if not isinstance(dataset, str) or not dataset.strip():
        raise ParameterError(f"dataset={dataset}: give a name, or the path of an .npz file")


def _assigned(cell: str) -> list[str]:
    """The names that a cell gives values to."""
    nodes = ast.walk(ast.parse(cell))
    return [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
