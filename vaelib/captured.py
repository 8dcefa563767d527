"""A function on a GPU as one launch: a CUDA graph in place of thousands of kernels launched one by one."""

from collections.abc import Callable

import torch
from torch import Tensor


class Captured:
    """`function` of tensors on a GPU, captured as a CUDA graph.

    The first call runs as it stands: libraries and optimizers take memory in it that must not belong to the graph. The
    second call captures the function, and from then on every call is one launch of what was captured. The function must
    do the same at every call, on inputs of the same shapes: it may read nothing off the device and copy nothing to it.
    What it changes, such as weights and the state of a generator, changes as it would without a graph.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.stream: torch.cuda.Stream | None = None
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        with torch.cuda.device(inputs[0].device):
            if self.stream is None:
                return self._run(inputs)
            if self.graph is None:
                self._capture(inputs)
            for place, value in zip(self.inputs, inputs, strict=True):
                place.copy_(value)
            self.graph.replay()
            return self.output.clone()

    def _run(self, inputs: tuple[Tensor, ...]) -> Tensor:
        # Not on the default stream: autograd would tie the parameters to it, and it cannot be captured.
        self.stream = torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            output = self.function(*inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return output

    def _capture(self, inputs: tuple[Tensor, ...]) -> None:
        self.inputs = [value.clone() for value in inputs]  # the addresses that the graph reads from
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream):
            self.output = self.function(*self.inputs)
