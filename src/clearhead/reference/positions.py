"""Telling attention where tokens stand: sinusoidal, learned, rotary and ALiBi positions.

The first two are added to the embeddings, rotary turns queries and keys, ALiBi is added to the scores. Positions are
counted from 0 and come in as integers, so that a chunk in the middle of a text is placed as it is in the whole text.
"""

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array


def angles(positions: Int[Array, "*B"], C: int, base: float = 10_000.0) -> Float[Array, "*B {C}//2"]:
    """θ_i = position · base^(-2i / C) for i = 0 .. C/2 - 1: clocks, from one turn in 2π tokens to one in about 2π base.

    >>> angles(np.array([0, 3]), 4, 100.0).round(6).tolist()
    [[0.0, 0.0], [3.0, 0.3]]

    O(C). Vaswani et al. 2017, section 3.5. ValueError: an odd or empty number of channels, or base ≤ 0.
    """
    if C < 2 or C % 2:
        raise ValueError(f"C = {C} channels do not form pairs; it must be even and 2 or more")
    if not base > 0:
        raise ValueError(f"base = {base} must be above 0")
    return positions[..., None] * base ** (-2.0 * np.arange(C // 2) / C)


def sinusoidal(positions: Int[Array, "*B"], D: int) -> Float[Array, "*B {D}"]:
    """PE_2i = sin θ_i, PE_2i+1 = cos θ_i with base 10,000: sines and cosines alternate, as in the paper.

    >>> sinusoidal(np.array([0, 1]), 4).round(4).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.8415, 0.5403, 0.01, 1.0]]

    O(D). Vaswani et al. 2017, section 3.5. ValueError: an odd width.
    """
    theta = angles(positions, D)
    return np.stack((np.sin(theta), np.cos(theta)), -1).reshape(*positions.shape, D)


def sinusoidal_shift(k: int, D: int) -> Float[Array, "{D} {D}"]:
    """M with PE(p + k) = M PE(p) for every p: by how far two positions differ is a linear map, a turn of each pair.

    >>> bool(np.allclose(sinusoidal_shift(5, 8) @ sinusoidal(np.array(2), 8), sinusoidal(np.array(7), 8)))
    True

    O(D²). Vaswani et al. 2017, section 3.5, who state it without the matrix. ValueError: an odd width.
    """
    theta = angles(np.array(k), D)
    m = np.zeros((D, D))
    even, odd = np.arange(0, D, 2), np.arange(1, D, 2)
    m[even, even] = m[odd, odd] = np.cos(theta)
    m[even, odd], m[odd, even] = np.sin(theta), -np.sin(theta)
    return m


def lookup(table: Float[Array, "N D"], index: Int[Array, "*B"]) -> Float[Array, "*B D"]:
    """Row `index` of a learned table: learned positions (N of them at most), and the embedding of tokens likewise.

    >>> lookup(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 1])).tolist()
    [[3.0, 4.0], [3.0, 4.0]]

    O(D). Gehring et al. 2017, section 3.1. ValueError: an index that has no row; nothing was learned beyond the last.
    """
    if not ((index >= 0) & (index < len(table))).all():
        raise ValueError(f"indices run from {index.min()} to {index.max()}; the table has rows 0 to {len(table) - 1}")
    return table[index]


def lookup_vjp(table: Float[Array, "N D"], index: Int[Array, "*B"], dy: Float[Array, "*B D"]) -> Float[Array, "N D"]:
    """dtable_n = the sum of dy wherever row n was looked up."""
    dtable = np.zeros_like(table)
    np.add.at(dtable, index, dy)
    return dtable


def rotary(x: Float[Array, "*B T C"], positions: Int[Array, "*#B T"], base: float = 10_000.0) -> Float[Array, "*B T C"]:
    """Turn each pair of channels (i, i + C/2) by θ_i: (x₁ cos θ - x₂ sin θ, x₂ cos θ + x₁ sin θ).

    Turning q by its position and k by its own leaves q·k a function of the distance alone, for R(m)ᵀ R(n) = R(n - m).

    >>> rotary(np.array([[1.0, 0.0]]), np.array([2])).round(4).tolist()  # cos 2, sin 2
    [[-0.4161, 0.9093]]

    O(T C). Su et al. 2021, section 3.4.2; the pairs are those of Llama checkpoints, see `halves_of_pairs`.
    ValueError: an odd number of channels.
    """
    theta = angles(positions, x.shape[-1], base)
    x1, x2 = np.split(x, 2, -1)
    return np.concatenate((x1 * np.cos(theta) - x2 * np.sin(theta), x2 * np.cos(theta) + x1 * np.sin(theta)), -1)


def rotary_vjp(
    x: Float[Array, "*B T C"], positions: Int[Array, "*#B T"], base: float, dy: Float[Array, "*B T C"]
) -> Float[Array, "*B T C"]:
    """dx = R(-position) dy: a rotation is undone by its transpose."""
    return rotary(dy, -positions, base)


def halves_of_pairs(C: int) -> Int[Array, "{C}"]:
    """Where each channel of a Llama checkpoint stands in the paper, which turns the neighbors (2i, 2i + 1).

    `x[..., halves_of_pairs(C)]` carries the paper's layout into that of `rotary`; applied to the rows of w_q and w_k it
    converts a checkpoint. Both layouts give the same q·k, as it only adds up the channels in another order.

    >>> halves_of_pairs(6).tolist()
    [0, 2, 4, 1, 3, 5]

    O(C). Su et al. 2021, equation 34. ValueError: an odd number of channels.
    """
    if C < 2 or C % 2:
        raise ValueError(f"C = {C} channels do not form pairs; it must be even and 2 or more")
    return np.concatenate((np.arange(0, C, 2), np.arange(1, C, 2)))


def alibi_slopes(H: int) -> Float[Array, "{H}"]:
    """m_h = 2^(-8h / H) for h = 1 .. H: a geometric sequence, so that some heads look near and some far.

    Where H is no power of two: the slopes of the largest power P below it, then every other slope of 2P heads.

    >>> alibi_slopes(4).tolist(), alibi_slopes(3).tolist()
    ([0.25, 0.0625, 0.015625, 0.00390625], [0.0625, 0.00390625, 0.25])

    O(H). Press et al. 2022, section 3, and `get_slopes` of its code for other H. ValueError: no heads.
    """
    if H < 1:
        raise ValueError(f"H = {H} must be 1 or more")
    P = 2 ** int(np.log2(H))
    between = 2.0 ** (-8 * (2 * np.arange(H - P) + 1) / (2 * P))
    return np.concatenate((2.0 ** (-8 * np.arange(1, P + 1) / P), between))


def alibi_bias(H: int, T: int, S: int) -> Float[Array, "{H} {T} {S}"]:
    """-m_h · (distance back to the key), for queries that are the last T of S positions; use it with the causal mask.

    >>> alibi_bias(1, 2, 3).tolist()
    [[[-0.00390625, 0.0, 0.0], [-0.0078125, -0.00390625, 0.0]]]

    O(H T S). Press et al. 2022, section 3: distances, so no position is ever new. ValueError: no heads.
    """
    to_key = np.minimum(np.arange(S) - (S - T + np.arange(T))[:, None], 0)
    return alibi_slopes(H)[:, None, None] * to_key
