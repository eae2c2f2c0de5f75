"""The machine: which device is meant, how many processes run at once, and in which type it multiplies fast."""

import os

import torch

from clearhead.errors import UserError


def cores() -> int:
    """The processor cores that this process may use, which in a container or under taskset are not all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere it is emulated, and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # the last one on ARM


def choose_device(name: str) -> torch.device:
    """auto takes the GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but torch finds no GPU here; use --device cpu or auto")
    if name not in ("cpu", "cuda"):
        raise UserError(f"device {name!r} is unknown; use auto, cpu or cuda")
    return torch.device(name)
