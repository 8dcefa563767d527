"""What a run was computed on: equal configs give equal weights on one machine only."""

import os
import platform

import torch

from vaelib.products import are_rounded

# Best first; the names are those that ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY go by.
INSTRUCTION_SETS = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 bfloat16"), ("avx512_f", "AVX-512"), ("avx2", "AVX2"))
# Variables that make a processor do without some of its instructions.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")


def describe(device: torch.device | str = "cpu", *, largest: int = 0) -> str:
    """Processor (or GPU), instruction set, precision of matrix products in training, and threads, in one line.

    `largest` is the number of multiplications in the largest product of a step, on which it may hang whether any is
    rounded.
    """
    precision = "products in training "
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {precision}TF32"
    precision += "bfloat16" if are_rounded(largest) else "float32"
    known = torch.cpu.get_capabilities()
    name = known.get("cpu_name") or platform.processor() or platform.machine()
    sets = next((label for key, label in INSTRUCTION_SETS if known.get(key)), platform.machine())
    limits = "".join(f", {name}={os.environ[name]}" for name in LIMITS if os.environ.get(name))
    threads = torch.get_num_threads()
    return f"{name} ({sets}{limits}), {precision}, {threads} thread{'s' if threads > 1 else ''}"
