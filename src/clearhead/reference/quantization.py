"""Numbers in few bits: integers with a scale for each group, floating-point formats, and rounding that minds the data.

Deliberately not here: fast kernels, and how formats lie in files (`formats/gguf.py`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array


class Format(NamedTuple):
    """A floating-point format: bits of exponent and of mantissa, and its largest number."""

    exponent: int
    mantissa: int
    largest: float


FORMATS = {
    "float32": Format(8, 23, float(np.finfo(np.float32).max)),
    "bfloat16": Format(8, 7, 2.0**127 * (2 - 2.0**-7)),
    "float16": Format(5, 10, 65504.0),
    "float8_e5m2": Format(5, 2, 57344.0),
    "float8_e4m3": Format(4, 3, 448.0),  # Micikevicius et al. 2022, arXiv 2209.05433: no infinity
    "float4_e2m1": Format(2, 1, 6.0),  # Rouhani et al. 2023, arXiv 2310.10537
}


def rounded(x: Float[Array, "*B"], name: str) -> Float[Array, "*B"]:
    """Each number as the nearest of a format, ties to even; beyond the largest it stays there (saturation).

    >>> rounded(np.array([0.1, 300.0, 1000.0]), "float8_e4m3").tolist()
    [0.1015625, 288.0, 448.0]

    O(1) each. Micikevicius et al. 2022, arXiv 2209.05433, section 3. ValueError: a name that is not in FORMATS.
    """
    if name not in FORMATS:
        raise ValueError(f"format {name!r} must be one of {', '.join(FORMATS)}")
    form = FORMATS[name]
    lowest = 2 - 2 ** (form.exponent - 1)  # the exponent of the smallest normal number; below it, subnormals
    exponent = np.maximum(np.floor(np.log2(np.maximum(np.abs(x), 1e-300))), lowest)
    step = 2.0 ** (exponent - form.mantissa)
    return np.clip(np.round(x / step) * step, -form.largest, form.largest)


def quantize(x: Float[Array, "*B C"], bits: int, group: int) -> tuple[Int[Array, "*B C"], Float[Array, "*B G"]]:
    """Integers q = round(x / s) with one scale s = max|x| / (2^(bits-1) - 1) for each group of channels.

    >>> q, s = quantize(np.array([[1.0, -2.0, 0.1, 0.05]]), 4, 2)
    >>> q.tolist(), s.round(4).tolist()
    ([[4, -7, 7, 4]], [[0.2857, 0.0143]])

    O(C). Dettmers et al. 2022, arXiv 2208.07339, section 2.1. ValueError: bits not 2 to 16, a group that does not
    divide C.
    """
    if not 2 <= bits <= 16 or group < 1 or x.shape[-1] % group:
        raise ValueError(f"bits = {bits} must be 2 to 16, group = {group} a divisor of {x.shape[-1]}")
    parts = x.reshape(*x.shape[:-1], -1, group)
    scale = np.abs(parts).max(-1) / (2 ** (bits - 1) - 1)
    safe = np.where(scale > 0, scale, 1.0)
    return np.round(parts / safe[..., None]).astype(int).reshape(x.shape), scale


def dequantize(q: Int[Array, "*B C"], scale: Float[Array, "*B G"]) -> Float[Array, "*B C"]:
    """q s, group by group: within half a scale of what it was.

    >>> dequantize(np.array([[4, -7]]), np.array([[0.5]])).tolist()
    [[2.0, -3.5]]
    """
    parts = q.reshape(*q.shape[:-1], scale.shape[-1], -1)
    return (parts * scale[..., None]).reshape(q.shape)


def quantize_affine(
    x: Float[Array, "*B C"], bits: int, group: int
) -> tuple[Int[Array, "*B C"], Float[Array, "*B G"], Float[Array, "*B G"]]:
    """Integers q = round((x - m) / s) from 0 to 2^bits - 1, m the least of each group and s its range / (2^bits - 1).

    >>> q, s, m = quantize_affine(np.array([[1.0, 2.5, 7.0, 4.0]]), 2, 4)
    >>> q.tolist(), s.tolist(), m.tolist()
    ([[0, 1, 3, 2]], [[2.0]], [[1.0]])

    O(C). Jacob et al. 2018, arXiv 1712.05877, section 2.1, with a real number in place of the zero-point. ValueError:
    as quantize.
    """
    if not 2 <= bits <= 16 or group < 1 or x.shape[-1] % group:
        raise ValueError(f"bits = {bits} must be 2 to 16, group = {group} a divisor of {x.shape[-1]}")
    parts = x.reshape(*x.shape[:-1], -1, group)
    least = parts.min(-1)
    scale = (parts.max(-1) - least) / (2**bits - 1)
    safe = np.where(scale > 0, scale, 1.0)
    return np.round((parts - least[..., None]) / safe[..., None]).astype(int).reshape(x.shape), scale, least


def quantized_product(
    q_x: Int[Array, "T D"], a: Float[Array, "T G"], q: Int[Array, "E D"], s: Float[Array, "E G"],
    m: Float[Array, "E G"],
) -> Float[Array, "T E"]:  # fmt: skip
    """y = Σ_g a_g (s_g Σ q q_x + m_g Σ q_x): x Wᵀ of x = a q_x and W = s q + m, the inner sums in integers.

    >>> one = np.ones((1, 1))
    >>> quantized_product(np.array([[3, -2]]), 0.5 * one, np.array([[4, 7]]), 2 * one, -one).tolist()
    [[-2.5]]

    O(T D E). Jacob et al. 2018, arXiv 1712.05877, equation 7, for groups.
    """
    (T, D), G = q_x.shape, s.shape[1]
    parts_x, parts = q_x.reshape(T, G, D // G), q.reshape(len(q), G, D // G)
    dots = np.einsum("tgi,egi->teg", parts_x, parts)  # integers
    sums = parts_x.sum(-1)[:, None]
    return (a[:, None] * (s * dots + m * sums)).sum(-1)


def bits_per_weight(bits: int, group: int, scale_bits: int = 16) -> float:
    """The integers and their share of a scale.

    >>> bits_per_weight(4, 32), bits_per_weight(4, 128)
    (4.5, 4.125)
    """
    return bits + scale_bits / group


def gptq(w: Float[Array, "M D"], x: Float[Array, "N D"], bits: int, damping: float = 0.01) -> Float[Array, "M D"]:
    """Rounded weights of y = x Wᵀ, column by column; the error of each is made up for by the columns that follow.

    With H = XᵀX + damping · mean diagonal and U the upper Cholesky factor of its inverse, column j's error divided by
    U_jj is taken from column k times U_jk. One scale for each row.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(128, 32)) @ rng.normal(size=(32, 32))  # inputs that are correlated
    >>> w = rng.normal(size=(8, 32))
    >>> plain = dequantize(*quantize(w, 3, 32))
    >>> bool(np.linalg.norm(x @ (gptq(w, x, 3) - w).T) < 0.8 * np.linalg.norm(x @ (plain - w).T))
    True

    O(M D² + D³). Frantar et al. 2022, arXiv 2210.17323, algorithm 1. ValueError: bits not 2 to 16, damping below 0.
    """
    if not 2 <= bits <= 16 or not damping >= 0:
        raise ValueError(f"bits = {bits} must be 2 to 16, damping = {damping} 0 or more")
    H = x.T @ x
    H = H + damping * np.diag(H).mean() * np.eye(len(H))
    U = np.linalg.cholesky(np.linalg.inv(H)).T
    left = w.astype(float).copy()
    scale = np.abs(w).max(1) / (2 ** (bits - 1) - 1)
    top = 2 ** (bits - 1) - 1
    found = np.zeros_like(left)
    for j in range(w.shape[1]):
        found[:, j] = np.clip(np.round(left[:, j] / scale), -top, top) * scale
        error = (left[:, j] - found[:, j]) / U[j, j]
        left[:, j:] -= np.outer(error, U[j, j:])
    return found


def signal_to_noise(x: Float[Array, "*B"], y: Float[Array, "*B"]) -> float:
    """10 log₁₀ (Σ x² / Σ (x - y)²), in decibels; each bit more adds about 6.

    >>> round(signal_to_noise(np.array([1.0, 1.0]), np.array([1.1, 0.9])), 6)
    20.0
    """
    return float(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()))
