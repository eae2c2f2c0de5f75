"""x Wᵀ with weights in 8 or 4 bits: every row of x is brought into whole numbers too, and what is multiplied is those.

A weight is s q, or s q + m, with one s (and m) for each group of 32 inputs, or one s for a whole row; x is a q with
one a for each group of 32. `plain_product` is the definition, quantized.cpp the fast way. Deliberately not here: how
other programs' blocks lie in files (formats.gguf).
"""

import ctypes
import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from clearhead.kernels.compiled import Kernel, fastest, pointer, possible

GROUP, PANEL = 32, 16  # inputs that share a scale; rows that lie side by side
ZERO = {8: 128, 4: 8}  # what stands for 0 where there is no least
LEVELS = 127  # of x, to either side of 0
OF_ROW, OF_GROUP, AFFINE = range(3)  # `Scales` of the C++ file


@dataclass(frozen=True)
class QuantizedWeight:
    """W = scale (q - ZERO), or scale q + least; all that is left of a matrix.

    `scale`: "E" in float32, one for a row, or "E D/32" in float16, one for a group, which alone may have a `least`.
    Of a row's last group there may be fewer than 32.
    """

    bits: int
    q: UInt8[Tensor, "E D"]
    scale: Float[Tensor, "*E"]
    least: Float[Tensor, "E G"] | None = None

    @property
    def scales(self) -> int:
        return OF_ROW if self.scale.ndim == 1 else OF_GROUP if self.least is None else AFFINE


def by_groups(x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G 32"]:
    """With zeros where the last group is not full."""
    return F.pad(x, (0, -x.shape[-1] % GROUP)).unflatten(-1, (-1, GROUP))


def quantize_rows(x: Float[Tensor, "*B D"]) -> tuple[Int[Tensor, "*B G 32"], Float[Tensor, "*B G"]]:
    """Whole numbers q = round(127 x / max|x|) and the scale a = max|x| / 127 of each group: x is about a q."""
    parts = by_groups(x.float())
    largest = parts.abs().amax(-1)
    inverse = torch.where(
        largest > 0, torch.tensor(float(LEVELS)) / largest, 0
    )  # a number divided by a tensor is rounded twice
    return (parts * inverse[..., None]).round().to(torch.int8), largest / LEVELS


def int8(weight: Float[Tensor, "E D"]) -> QuantizedWeight:
    """A scale for each row, max|w| / 127. Dettmers et al. 2022, arXiv 2208.07339, section 2.1."""
    weight = weight.float()
    scale = weight.abs().amax(-1) / LEVELS
    q = (weight / torch.where(scale > 0, scale, 1)[:, None]).round() + ZERO[8]
    return QuantizedWeight(8, q.to(torch.uint8), scale)


def int4(weight: Float[Tensor, "E D"]) -> QuantizedWeight:
    """The least of each group and a step of a fifteenth of its range, both in float16: W = s q + m, q from 0 to 15."""
    parts = by_groups(weight.float())
    least = parts.amin(-1).half()
    scale = ((parts.amax(-1) - least) / 15).half()
    q = ((parts - least[..., None]) / torch.where(scale > 0, scale, 1)[..., None]).round().clamp(0, 15)
    return QuantizedWeight(4, q.flatten(-2)[:, : weight.shape[1]].to(torch.uint8), scale, least)


QUANTIZED = {"int8": int8, "int4": int4}


def dequantize(weight: QuantizedWeight) -> Float[Tensor, "E D"]:
    """The matrix that these whole numbers stand for, in float32."""
    q, D = weight.q.float(), weight.q.shape[1]
    if weight.scales == OF_ROW:
        return (q - ZERO[weight.bits]) * weight.scale[:, None]
    scale = weight.scale.float().repeat_interleave(GROUP, 1)[:, :D]
    if weight.least is None:
        return (q - ZERO[weight.bits]) * scale
    return q * scale + weight.least.float().repeat_interleave(GROUP, 1)[:, :D]


def plain_product(
    x: Float[Tensor, "*B D"], weight: QuantizedWeight, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*B E"]:
    """(a q_x) Wᵀ: the definition, in floats of this type. O(D E) a row, and a copy of W in floats."""
    q, scale = quantize_rows(x)
    rounded = (q.to(dtype) * scale.to(dtype)[..., None]).flatten(-2)[..., : x.shape[-1]]
    return F.linear(rounded, dequantize(weight).to(dtype))


class Weight(ctypes.Structure):
    """`Weight` of the C++ file."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("E", "D", "bits", "scales")),
        *((name, ctypes.c_void_p) for name in ("blocks", "row_scale", "bias")),
    ]


def blocks_of(weight: QuantizedWeight) -> UInt8[Tensor, "P N"]:
    """As the kernel reads W: panel by panel of 16 rows and in it group by group, the whole numbers before the scales.

    Of 8 bits, bytes i + 4 r + 64 j of a group are its input 4 j + i in row r; of 4 bits, they hold inputs 8 j + i and,
    above, 8 j + 4 + i.
    """
    E, D = weight.q.shape
    q = F.pad(weight.q, (0, -D % GROUP, 0, -E % PANEL)).view(-(-E // PANEL), PANEL, -(-D // GROUP), -1, 4)
    q = q.permute(0, 2, 3, 1, 4)  # panels, groups, fours of inputs, rows, 4
    if weight.bits == 4:
        q = q[:, :, ::2] | q[:, :, 1::2] << 4
    parts = [q.flatten(2)]
    for scale in (weight.scale, weight.least) if weight.scales != OF_ROW else ():
        if scale is not None:
            rows = F.pad(scale.half(), (0, 0, 0, -E % PANEL)).view(len(q), PANEL, -1)
            parts.append(rows.mT.contiguous().view(torch.uint8))
    return torch.cat(parts, -1).flatten(1).contiguous()


class QuantizedLinear(nn.Module):
    """What stands for a linear layer whose weights are in whole numbers. It has no gradient."""

    def __init__(self, weight: QuantizedWeight, bias: Float[Tensor, "E"] | None = None) -> None:
        super().__init__()
        E, D = weight.q.shape
        self.sizes = (E, D, weight.bits, weight.scales)
        self.blocks = blocks_of(weight)
        self.row_scale = F.pad(weight.scale, (0, -E % PANEL)) if weight.scales == OF_ROW else None
        self.padded_bias = None if bias is None else F.pad(bias.detach().float(), (0, -E % PANEL))
        # Of the matrix only the type of what goes in is left, for those who ask a model's parameters for it.
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)

    @property
    def described(self) -> Weight:
        """For the kernel; it holds no memory of its own."""
        return Weight(*self.sizes, *map(pointer, (self.blocks, self.row_scale, self.padded_bias)))

    def __deepcopy__(self, memo: dict[int, object]) -> "QuantizedLinear":
        return self  # nothing of it ever changes

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        return multiplied(best_kernel(), self, x)


def multiplied(kernel: Kernel, layer: QuantizedLinear, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
    """x Wᵀ + b by one of the compiled kernels."""
    weight = layer.described
    if x.shape[-1] != weight.D or x.device.type != "cpu" or x.requires_grad:
        raise ValueError(f"x must be * x {weight.D} on the CPU, and ask for no gradient; it is {tuple(x.shape)}")
    rows = x.float().contiguous()
    y = rows.new_empty(*x.shape[:-1], weight.E)
    kernel.library.quantized_product(
        ctypes.byref(weight), pointer(rows), pointer(y), ctypes.c_int64(rows.numel() // weight.D),
        ctypes.c_int64(torch.get_num_threads()),
    )  # fmt: skip
    return y.to(x.dtype)


@functools.cache
def best_kernel() -> Kernel:
    """The fastest at a row of the kernels that this processor can run."""
    names = possible()
    if len(names) == 1:
        return fastest(names, lambda _: None)
    layer, x = QuantizedLinear(int8(torch.randn(1024, 1024))), torch.randn(1, 1024)
    return fastest(names, lambda kernel: multiplied(kernel, layer, x))
