"""A matrix in 8 bits, and a product with it."""

from typing import Any

import numpy as np

from clearhead.reference.quantization import dequantize, quantize
from clearhead.study.practice.exercise import Exercise


def _oracle(w: np.ndarray, x: np.ndarray) -> tuple[Any, ...]:
    code, scale = quantize(w, 8, w.shape[1])
    return code, np.where(scale > 0, scale, 1.0)[:, 0], dequantize(code, scale) @ x


exercise = Exercise(
    title="int8 quantization",
    section="Inference",
    statement="""
Quantize w symmetrically, one scale for each row: scale = max |w| / 127 over the row (1 for a row of zeros), code =
round(w / scale), whole numbers from -127 to 127. Return (code, scale, y), where y is about w x: the product of what the
codes stand for with x, scale * (code x).
""",
    signature='def int8_quantization(w: "float[F, D]", x: "float[D]") -> "code, scale, y":',
    sizes={"F": (2, 5), "D": (2, 6)},
    draw=lambda rng, n: {"w": rng.normal(size=(n.F, n.D)) * 10 ** rng.uniform(-2, 2, (n.F, 1))},
    edges=lambda rng: [
        {"w": np.array([[0.0, 0.0], [1.0, -127.0]]), "x": np.array([1.0, 2.0])},
        {"w": np.array([[-12.7, 3.3, 0.04], [100.3, 2.0, 77.7]]), "x": np.array([1.0, -1.0, 0.5])},
    ],
    oracle=_oracle,
    outputs=("code", "scale", "y"),
    hints=(
        "Which number becomes 127? How large is a step then, and what is the largest error?",
        "Rows differ in size: each has its own scale, kept with keepdims for the division.",
        "scale = abs(w).max(1) / 127, 1 where that is 0; code = rint(w / scale[:, None]); y = scale * (code @ x).",
    ),
    solution="""
import numpy as np

def int8_quantization(w, x):
    scale = np.abs(w).max(1) / 127
    scale = np.where(scale > 0, scale, 1.0)
    code = np.rint(w / scale[:, None]).astype(np.int8)
    return code, scale, scale * (code @ x)
""",
    torch="""
import torch

def int8_quantization(w, x):
    scale = w.abs().amax(1) / 127
    scale[scale == 0] = 1.0
    code = (w / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
    return code, scale, scale * (code.to(x.dtype) @ x)
""",
    wrong={
        "one scale for the whole matrix, not for each row": ("np.abs(w).max(1) / 127", "np.full(len(w), np.abs(w).max()) / 127"),
        "a scale for each column, not for each row": ("np.abs(w).max(1) / 127", "np.resize(np.abs(w).max(0), len(w)) / 127"),
        "the largest value becomes 128, which int8 does not hold": ("/ 127", "/ 128"),
        "codes are cut off, not rounded": ("np.rint(", "np.trunc("),
        "the largest value is taken without its sign's magnitude: negative rows overflow": ("np.abs(w).max(1)", "np.abs(w.max(1))"),
        "y lacks the scale": ("scale * (code @ x)", "(code @ x).astype(float)"),
        "y is computed from w itself, not from the codes": ("scale * (code @ x)", "w @ x"),
        "a row of zeros divides by 0": ("    scale = np.where(scale > 0, scale, 1.0)\n", ""),
        "the scale is that of 255 steps between the least and the largest value: asymmetric": ("np.abs(w).max(1) / 127", "(w.max(1) - w.min(1)) / 255"),
        "the inverse of the scale is returned": ("return code, scale, ", "return code, 1 / scale, "),
    },
)  # fmt: skip
