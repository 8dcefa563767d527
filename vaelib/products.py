"""Matrix products of training: float32, or rounded where the processor multiplies rounded factors faster."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

import torch
from torch import Tensor

# Where only autocast rounds, a network's products are rounded if the largest takes at least so many multiplications: as
# many as the paper's second layer in batches of 256. Smaller products gain less.
LARGE = 256 * 400 * 256
# Values of ONEDNN_MAX_CPU_ISA without instructions that multiply bfloat16.
WITHOUT = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


@contextmanager
def bfloat16_products() -> Iterator[None]:
    """Inside, float32 matrix products may be rounded to bfloat16 where the processor multiplies these faster.

    With AMX oneDNN rounds the factors of every product; with AVX-512 bfloat16 alone it does not, and `rounding` does,
    with all that passes between layers. Products are summed in float32. The rounding is far below the noise of a
    batch's gradient; nothing is measured inside. On a GPU the factors may be rounded to TF32.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def rounding(x: Tensor, multiplications: int) -> AbstractContextManager:
    """The context for one forward pass of a network with input x, whose largest product takes so many multiplications.

    Autocast, inside `bfloat16_products` and where the processor is faster with it; otherwise nothing. Not for longer
    than one pass: autocast keeps rounded weights until it ends.
    """
    wanted = (
        torch.get_float32_matmul_precision() == "medium"
        and (x.device.type, x.dtype) == ("cpu", torch.float32)
        and _by_autocast(multiplications)
    )
    return torch.autocast("cpu", torch.bfloat16) if wanted else nullcontext()


def are_rounded(multiplications: int) -> bool:
    """Whether a training on this processor rounds products of which the largest takes so many multiplications."""
    return _by_onednn() or _by_autocast(multiplications)


def _by_autocast(multiplications: int) -> bool:
    """Whether autocast is to round products of which the largest takes so many multiplications."""
    return multiplications >= LARGE and _only_autocast_rounds()


@cache
def _only_autocast_rounds() -> bool:
    """Whether the processor multiplies bfloat16 faster and oneDNN, which "medium" permits to round, does not."""
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() not in WITHOUT
    return bool(torch.cpu.get_capabilities().get("avx512_bf16")) and allowed and not _by_onednn()


@cache
def _by_onednn() -> bool:
    """Found by multiplying: it depends on the processor and on ONEDNN_MAX_CPU_ISA."""
    factor = torch.full((256, 256), 1 + 2**-10)  # bfloat16 has 8 bits, and rounds this to 1
    with bfloat16_products():
        return (factor @ factor)[0, 0].item() == 256
