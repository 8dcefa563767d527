"""Adam (Kingma and Ba 2015) as PyTorch's function, without its class."""

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam


class Optimiser(Protocol):
    """What training asks of an optimizer; those of `torch.optim` have it, too."""

    param_groups: list[dict]

    def zero_grad(self) -> None: ...

    def step(self) -> None: ...


class Adam:
    """PyTorch's fused Adam, an `Optimiser`.

    The first instance of any class of `torch.optim` makes a process import all of `torch.compile`, which takes about as
    long as torch itself; the function behind `torch.optim.Adam` does not, and gives the same weights, bit for bit. All
    state is beside the weights from the start, so that a CUDA graph can hold a step.

    Parameters
    ----------
    parameters : the weights.
    rate : the learning rate, `param_groups[0]["lr"]`, to be changed there; on a GPU also as a tensor of one number.
    beta1, beta2 : the decay of the gradients' first and second moments.
    bias_factor : what the rate is multiplied by for biases, the parameters with one axis.
    """

    def __init__(
        self, parameters: Iterable[Tensor], rate: float, *, beta1: float, beta2: float, bias_factor: float = 1.0
    ) -> None:
        self.parameters = list(parameters)
        self.param_groups = [{"lr": rate}]
        self.betas = {"beta1": beta1, "beta2": beta2}
        # Each parameter with its two moments and its count of steps, by what its rate is multiplied by.
        self.groups: dict[float, list[tuple[Tensor, ...]]] = {}
        for p in self.parameters:
            state = (p, torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), device=p.device))
            self.groups.setdefault(bias_factor if p.ndim == 1 else 1.0, []).append(state)

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change every weight that has a gradient."""
        for factor, group in self.groups.items():
            moved = [(p, p.grad, *state) for p, *state in group if p.grad is not None]
            if not moved:
                continue
            weights, gradients, firsts, seconds, counts = map(list, zip(*moved, strict=True))
            adam(
                weights,
                gradients,
                firsts,
                seconds,
                [],
                counts,
                fused=True,
                amsgrad=False,
                **self.betas,
                lr=factor * self.param_groups[0]["lr"],
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
