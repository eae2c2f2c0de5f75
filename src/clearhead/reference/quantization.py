"""Weights in 8 bits: one scale for each row, the largest absolute value of which becomes 127."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array


class Quantized(NamedTuple):
    """w is about code times scale."""

    code: Int[Array, "F D"]  # from -127 to 127
    scale: Float[Array, "F 1"]


def quantize_rows(w: Float[Array, "F D"]) -> Quantized:
    """code = round(w / scale) with scale = max |w| / 127 of the row, 1 for a row of zeros; halves go to even.

    >>> code, scale = quantize_rows(np.array([[0.5, -1.27, 0.004], [0.0, 0.0, 0.0]]))
    >>> code.tolist(), scale.tolist()
    ([[50, -127, 0], [0, 0, 0]], [[0.01], [1.0]])

    O(F D). Dettmers et al. 2022 (LLM.int8), section 2.1, row-wise.
    """
    scale = np.abs(w).max(-1, keepdims=True) / 127
    scale = np.where(scale > 0, scale, 1.0)
    return Quantized(np.rint(w / scale).astype(int), scale)


def dequantize(q: Quantized) -> Float[Array, "F D"]:
    """The weights again, each within half a scale of what it was.

    >>> dequantize(Quantized(np.array([[50, -127]]), np.array([[0.01]]))).tolist()
    [[0.5, -1.27]]
    """
    return q.code * q.scale
