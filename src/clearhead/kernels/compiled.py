"""The kernels for quantized weights, compiled at their first use for this processor; the fastest measured is used.

They are C++: vectors.h, quantized.cpp and step.cpp, one library of all three for each set of instructions.
"""

import ctypes
import functools
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

# Instructions: what a processor must have, in torch's words, and what the compiler is told.
INSTRUCTIONS = {
    "vnni": (
        ("avx512_f", "avx512_bw", "avx512_vl", "avx512_dq", "avx512_vnni", "fma3", "f16c"),
        '#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")\n#define VNNI\n',
    ),
    "avx2": (("avx2", "fma3", "f16c"), '#pragma GCC target("avx2,fma,f16c")\n#define AVX2\n'),
    "any": ((), ""),
}
SOURCES = ("vectors.h", "quantized.cpp", "step.cpp")
LEVELS = {"vnni": ("AVX512",), "avx2": ("AVX512", "AVX2"), "any": ("AVX512", "AVX2", "DEFAULT")}


class Kernel(NamedTuple):
    """A compiled library, and the instructions that it uses."""

    name: str
    library: Any


def possible() -> list[str]:
    """The sets of instructions that this processor has, as far as ATEN_CPU_CAPABILITY lets torch itself use them."""
    able, level = torch.cpu.get_capabilities(), torch.backends.cpu.get_cpu_capability()
    x86 = [name for name in ("vnni", "avx2") if all(able.get(flag, False) for flag in INSTRUCTIONS[name][0])]
    return [name for name in x86 if level in LEVELS[name]] or ["any"]


@functools.cache
def compiled(name: str) -> Kernel:
    """The kernels by these instructions."""
    folder = Path(__file__).parent
    texts = [INSTRUCTIONS[name][1], *((folder / source).read_text(encoding="utf-8") for source in SOURCES)]
    cache = importlib.import_module("torch._inductor.codecache").CppCodeCache  # a second that others need not wait
    return Kernel(name, cache.load("\n".join(texts)))


def fastest(names: list[str], job: Callable[[Kernel], object], times: int = 5) -> Kernel:
    """Of the kernels, the one that does the job in the least time."""

    def seconds(kernel: Kernel) -> float:
        started = time.perf_counter()
        job(kernel)
        return time.perf_counter() - started

    kernels = [compiled(name) for name in names]
    return min(kernels, key=lambda kernel: min(seconds(kernel) for _ in range(times))) if kernels[1:] else kernels[0]


def pointer(x: torch.Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if x is None else x.data_ptr())
