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
    """

    def __init__(self, parameters: Iterable[Tensor], rate: float, *, beta1: float, beta2: float) -> None:
        self.parameters = list(parameters)
        self.param_groups = [{"lr": rate}]
        self.betas = {"beta1": beta1, "beta2": beta2}
        self.first, self.second = ([torch.zeros_like(p) for p in self.parameters] for _ in range(2))
        self.counts = [torch.zeros((), device=p.device) for p in self.parameters]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change every weight that has a gradient."""
        state = zip(self.parameters, self.first, self.second, self.counts, strict=True)
        moved = [(p, p.grad, first, second, count) for p, first, second, count in state if p.grad is not None]
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
            lr=self.param_groups[0]["lr"],
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )
