"""What a run was computed on: equal configs give equal weights on one machine only."""

import os
import platform

import torch

# Best first; the names are those that ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY go by.
INSTRUCTION_SETS = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 bfloat16"), ("avx512_f", "AVX-512"), ("avx2", "AVX2"))
# Variables that make a processor do without some of its instructions.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")


def describe(device: torch.device | str = "cpu") -> str:
    """Processor (or GPU), instruction set, precision of matrix products in training, and threads, in one line."""
    precision = "products in training " + ("TF32" if torch.device(device).type == "cuda" else _precision())
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {precision}"
    known = torch.cpu.get_capabilities()
    name = known.get("cpu_name") or platform.processor() or platform.machine()
    sets = next((label for key, label in INSTRUCTION_SETS if known.get(key)), platform.machine())
    limits = "".join(f", {name}={os.environ[name]}" for name in LIMITS if os.environ.get(name))
    threads = torch.get_num_threads()
    return f"{name} ({sets}{limits}), {precision}, {threads} thread{'s' if threads > 1 else ''}"


def _precision() -> str:
    """Found by multiplying: whether oneDNN rounds to bfloat16 depends on the processor and on `LIMITS`."""
    factor = torch.full((256, 256), 1 + 2**-10)  # bfloat16 has 8 bits, and rounds this to 1
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        rounded = (factor @ factor)[0, 0].item() == 256
    finally:
        torch.set_float32_matmul_precision(before)
    return "bfloat16" if rounded else "float32"
