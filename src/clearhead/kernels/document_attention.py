"""Causal attention that computes only what is seen: in a row of packed documents, most scores are not.

The kernel is document_attention.cpp, compiled at its first use by what compiles the rest of the step. Its definition
is `plain_attention` with the bias of `causal_bias` (attention.py).
"""

import ctypes
import functools
import importlib
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class _Sizes(ctypes.Structure):
    """`Sizes` of the C++ file."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in "BTHGC"),
        *((f"{name}_strides", 3 * ctypes.c_int64) for name in "qkv"),
        ("window", ctypes.c_int64),
        ("threads", ctypes.c_int64),
    ]


@functools.cache
def _library() -> Any:
    cache = importlib.import_module("torch._inductor.codecache").CppCodeCache  # a second that others need not wait
    return cache.load(Path(__file__).with_suffix(".cpp").read_text(encoding="utf-8"))


def _call(direction: str, q: Tensor, k: Tensor, v: Tensor, segments: Tensor, window: int, *tensors: Tensor) -> None:
    (B, T, H, C), G = q.shape, k.shape[2]
    fit = k.shape == v.shape == (B, T, G, C) and H % G == 0 and segments.shape == (B, T)
    if not fit or not q.dtype == k.dtype == v.dtype:  # C++ would read what lies beside
        named = {"q": q, "k": k, "v": v, "segments": segments}
        told = ", ".join(f"{name} {tuple(x.shape)} {x.dtype}" for name, x in named.items())
        raise ValueError(
            f"q must be B T H C, k and v B T G C, G a divisor of H, segments B T, q k v of one type: {told}"
        )
    strides = [(3 * ctypes.c_int64)(*x.stride()[:3]) for x in (q, k, v)]
    sizes = _Sizes(B, T, H, G, C, *strides, window, torch.get_num_threads())
    function = getattr(_library(), f"{direction}_{TYPES[q.dtype]}")
    function(ctypes.byref(sizes), *(ctypes.c_void_p(x.data_ptr()) for x in tensors))


def _dense(x: Tensor) -> Tensor:
    """The channels of a head side by side, as the kernel reads them; the other axes may lie anywhere."""
    return x if x.stride(-1) == 1 else x.contiguous()


torch.library.define(
    "clearhead::document_attention", "(Tensor q, Tensor k, Tensor v, Tensor segments, int window) -> (Tensor, Tensor)"
)
torch.library.define(
    "clearhead::document_attention_gradient",
    "(Tensor gradient, Tensor q, Tensor k, Tensor v, Tensor log_sum, Tensor segments, int window)"
    " -> (Tensor, Tensor, Tensor)",
)


@torch.library.impl("clearhead::document_attention", "CPU")
def _forward(q: Tensor, k: Tensor, v: Tensor, segments: Tensor, window: int) -> tuple[Tensor, Tensor]:
    out, log_sum = _forward_shapes(q, k, v, segments, window)
    q, k, v, segments = _dense(q), _dense(k), _dense(v), segments.long().contiguous()
    _call("forward", q, k, v, segments, window, q, k, v, segments, out, log_sum)
    return out, log_sum


@torch.library.register_fake("clearhead::document_attention")
def _forward_shapes(q: Tensor, k: Tensor, v: Tensor, segments: Tensor, window: int) -> tuple[Tensor, Tensor]:
    B, T, H, _ = q.shape
    return q.new_empty(q.shape), q.new_empty(B, H, T, dtype=torch.float32)


@torch.library.impl("clearhead::document_attention_gradient", "CPU")
def _backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, log_sum: Tensor, segments: Tensor, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    found = _backward_shapes(gradient, q, k, v, log_sum, segments, window)
    q, k, v, segments = _dense(q), _dense(k), _dense(v), segments.long().contiguous()
    _call("backward", q, k, v, segments, window, gradient.contiguous(), q, k, v, log_sum, segments, *found)
    return found


@torch.library.register_fake("clearhead::document_attention_gradient")
def _backward_shapes(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, log_sum: Tensor, segments: Tensor, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


class _DocumentAttention(torch.autograd.Function):
    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, segments: Tensor, window: int) -> tuple[Tensor, Tensor]:
        return torch.ops.clearhead.document_attention(q, k, v, segments, window)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:  # type: ignore[no-untyped-def]
        *tensors, ctx.window = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*tensors, output[1])

    @staticmethod
    def backward(ctx, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:  # type: ignore[no-untyped-def]
        q, k, v, segments, log_sum = ctx.saved_tensors
        gradients = torch.ops.clearhead.document_attention_gradient(gradient, q, k, v, log_sum, segments, ctx.window)
        return *gradients, None, None


def has_kernel(q: Tensor) -> bool:
    """Whether there is one for this type and device."""
    return q.device.type == "cpu" and q.dtype in TYPES


def document_attention(
    q: Float[Tensor, "B T H C"],
    k: Float[Tensor, "B T G C"],
    v: Float[Tensor, "B T G C"],
    segments: Int[Tensor, "B T"],
    window: int = 0,
) -> Float[Tensor, "B T H C"]:
    """softmax(q kᵀ / √C) v over the keys of a query's own document up to itself, the last `window` of them (0: all).

    On a CPU, in float32 or bfloat16, summed in float32; a document is a run of equal segments. O(C) for every query and
    key that it sees, and O(T C) memory for each thread: no weight is kept. The gradient makes the weights again from
    one number for each query (Dao et al. 2022, section 3.1; Dao 2023, section 3.1).
    """
    return _DocumentAttention.apply(q, k, v, segments, window)[0]
