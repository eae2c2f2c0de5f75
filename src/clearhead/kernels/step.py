"""All blocks of a decoder in one call: what decoding one token costs beyond its products is mostly the calling.

For pre-norm blocks of RMSNorm, rotary or no positions and SwiGLU, with quantized weights: Llama, Qwen, SmolLM and what
is trained here. Every other decoder goes through its modules, which are the definition. The C++ is step.cpp.
"""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clearhead.kernels.compiled import pointer
from clearhead.kernels.quantized import QuantizedLinear, Weight, best_kernel

WHOLE = 16  # widths must be multiples of it


class BlockWeights(NamedTuple):
    """A block's matrices, the weights of its norms (None: all 1), and how it attends."""

    qkv: QuantizedLinear
    out: QuantizedLinear
    up: QuantizedLinear
    down: QuantizedLinear
    attention_norm: Tensor | None
    mlp_norm: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    window: int
    local: bool


class _Layer(ctypes.Structure):
    """`Layer` of the C++ file."""

    _fields_ = [
        *((name, Weight) for name in ("qkv", "out", "up", "down")),
        *((name, ctypes.c_void_p) for name in ("attention_norm", "mlp_norm", "q_norm", "k_norm", "keys", "values")),
        *((name, ctypes.c_int64) for name in ("window", "local")),
    ]


class _Step(ctypes.Structure):
    """`Step`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("T", "D", "H", "G", "C", "F", "layers", "qk_norm", "threads")),
        *((name, ctypes.c_int64) for name in ("slot_stride", "head_stride", "path_stride")),
        *((name, ctypes.c_double) for name in ("eps", "q_scale")),
        ("layer", ctypes.POINTER(_Layer)),
        *((name, ctypes.c_void_p) for name in ("x", "cosine", "sine", "local_cosine", "local_sine")),
        *((name, ctypes.c_void_p) for name in ("slots", "paths", "lengths")),
    ]


class Sizes(NamedTuple):
    """In the letters of shapes.py. `q_scale`: of queries, beyond the rotation."""

    D: int
    H: int
    G: int
    C: int
    F: int
    qk_norm: bool
    eps: float
    q_scale: float


class Blocks:
    """The blocks of a decoder, ready to be called."""

    def __init__(self, sizes: Sizes, blocks: Sequence[BlockWeights]) -> None:
        self.sizes, self.blocks = sizes, list(blocks)  # which hold the memory that the kernel reads
        self._layers = (_Layer * len(blocks))(
            *(
                _Layer(
                    *(layer.described for layer in block[:4]), *(pointer(norm) for norm in block[4:8]), None, None,
                    block.window, block.local,
                )
                for block in blocks
            )
        )  # fmt: skip

    def __call__(
        self,
        x: Float[Tensor, "T D"],
        rotations: Sequence[Tensor],
        keys: Sequence[Tensor],
        values: Sequence[Tensor],
        strides: tuple[int, int],
        slots: Int[Tensor, "T"],
        lengths: Int[Tensor, "T"],
        paths: Int[Tensor, "T S"] | None = None,
    ) -> Float[Tensor, "T D"]:
        """What the last block writes. Keys and values go to the slots, and each token attends to `lengths` of them.

        `rotations`: cosines and sines for global and for windowed layers, "T 1 C/2" each, or none. `strides`: from a
        slot to the next, and from a head. `paths`: the slots that a token attends to, in int32; None: 0, 1, 2, ...
        """
        s = self.sizes
        for layer, k, v in zip(self._layers, keys, values, strict=True):
            layer.keys, layer.values = k.data_ptr(), v.data_ptr()
        x, turned = x.clone(memory_format=torch.contiguous_format), [part.contiguous() for part in rotations]
        given = (*(pointer(part) for part in turned),) if turned else (None,) * 4
        step = _Step(
            len(x), s.D, s.H, s.G, s.C, s.F, len(self.blocks), s.qk_norm, torch.get_num_threads(), *strides,
            0 if paths is None else paths.stride(0), s.eps, s.q_scale, self._layers, pointer(x), *given,
            pointer(slots), pointer(paths), pointer(lengths),
        )  # fmt: skip
        best_kernel().library.decoder_step(ctypes.byref(step))
        return x
