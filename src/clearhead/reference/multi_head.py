"""Attention with heads: projections, multi-head, grouped-query and multi-query attention, and the rotary kind of Llama.

G key/value heads serve H query heads, query head h reading head ⌊h G / H⌋. G = H is multi-head attention, G = 1 is
multi-query attention, anything between is grouped: one definition serves all three.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from clearhead.reference import Array
from clearhead.reference.attention import attention, attention_vjp
from clearhead.reference.positions import rotary, rotary_vjp


class Heads(NamedTuple):
    """The weights of an attention sublayer; a gradient of it has the same fields, None where there is no bias."""

    w_q: Float[Array, "D H C"]
    w_k: Float[Array, "D G C"]
    w_v: Float[Array, "D G C"]
    w_o: Float[Array, "H C D"]
    b_q: Float[Array, "H C"] | None = None
    b_k: Float[Array, "G C"] | None = None
    b_v: Float[Array, "G C"] | None = None
    b_o: Float[Array, " D"] | None = None


def to_heads(x: Float[Array, "*B T D"], w: Float[Array, "D H C"]) -> Float[Array, "*B H T C"]:
    """q_h = x W_h for each head: one matrix product, whose columns are dealt out to the heads.

    >>> to_heads(np.array([[1.0, 2.0]]), np.arange(8.0).reshape(2, 2, 2)).tolist()
    [[[8.0, 11.0]], [[14.0, 17.0]]]

    O(T D H C). Vaswani et al. 2017, section 3.2.2.
    """
    return np.einsum("...td,dhc->...htc", x, w)


def to_heads_vjp(
    x: Float[Array, "*B T D"], w: Float[Array, "D H C"], dy: Float[Array, "*B H T C"]
) -> tuple[Float[Array, "*B T D"], Float[Array, "D H C"]]:
    """dx = Σ_h dy_h W_hᵀ, dW_h = xᵀ dy_h."""
    return np.einsum("...htc,dhc->...td", dy, w), np.einsum("ntd,nhtc->dhc", _one_batch(x, 2), _one_batch(dy, 3))


def from_heads(o: Float[Array, "*B H T C"], w: Float[Array, "H C D"]) -> Float[Array, "*B T D"]:
    """Σ_h o_h W_h: the heads side by side, times W_O.

    >>> from_heads(np.array([[[1.0]], [[2.0]]]), np.array([[[10.0]], [[100.0]]])).tolist()
    [[210.0]]

    O(T H C D). Vaswani et al. 2017, section 3.2.2.
    """
    return np.einsum("...htc,hcd->...td", o, w)


def from_heads_vjp(
    o: Float[Array, "*B H T C"], w: Float[Array, "H C D"], dy: Float[Array, "*B T D"]
) -> tuple[Float[Array, "*B H T C"], Float[Array, "H C D"]]:
    """do_h = dy W_hᵀ, dW_h = o_hᵀ dy."""
    return np.einsum("...td,hcd->...htc", dy, w), np.einsum("nhtc,ntd->hcd", _one_batch(o, 3), _one_batch(dy, 2))


def project(
    x: Float[Array, "*B T D"], y: Float[Array, "*B S D"], w: Heads
) -> tuple[Float[Array, "*B H T C"], Float[Array, "*B G S C"], Float[Array, "*B G S C"]]:
    """q = x W_Q + b_Q, k = y W_K + b_K, v = y W_V + b_V: what attention compares, and what it averages.

    >>> one = np.ones((1, 1, 1))
    >>> w = Heads(one, 2 * one, 3 * one, one, b_k=np.array([[0.5]]))
    >>> [z.item() for z in project(np.array([[1.0]]), np.array([[10.0]]), w)]
    [1.0, 20.5, 30.0]

    O(T D H C + S D G C). Vaswani et al. 2017, section 3.2.2.
    """
    parts = ((x, w.w_q, w.b_q), (y, w.w_k, w.b_k), (y, w.w_v, w.b_v))
    q, k, v = (to_heads(z, m) + (0.0 if b is None else b[:, None]) for z, m, b in parts)
    return q, k, v


def project_vjp(
    x: Float[Array, "*B T D"],
    y: Float[Array, "*B S D"],
    w: Heads,
    dq: Float[Array, "*B H T C"],
    dk: Float[Array, "*B G S C"],
    dv: Float[Array, "*B G S C"],
) -> tuple[Float[Array, "*B T D"], Float[Array, "*B S D"], Heads]:
    """to_heads' gradients, dy the sum of two; a bias gets the sum over all tokens; w_o and b_o play no part: 0."""
    dx, dw_q = to_heads_vjp(x, w.w_q, dq)
    dy_k, dw_k = to_heads_vjp(y, w.w_k, dk)
    dy_v, dw_v = to_heads_vjp(y, w.w_v, dv)
    biases = ((w.b_q, dq), (w.b_k, dk), (w.b_v, dv))
    db_q, db_k, db_v = (None if b is None else _one_batch(d, 3).sum((0, 2)) for b, d in biases)
    db_o = None if w.b_o is None else np.zeros_like(w.b_o)
    return dx, dy_k + dy_v, Heads(dw_q, dw_k, dw_v, np.zeros_like(w.w_o), db_q, db_k, db_v, db_o)


def grouped_query_attention(
    q: Float[Array, "*B H T C"],
    k: Float[Array, "*B G S C"],
    v: Float[Array, "*B G S C"],
    mask: Bool[Array, "*#B #T S"] | None = None,
) -> Float[Array, "*B H T C"]:
    """attention(q_h, k_g, v_g) with g = ⌊h G / H⌋: H / G query heads read the same keys and values.

    >>> v = np.array([[[10.0]], [[20.0]]])  # G = 2 heads of one value each
    >>> grouped_query_attention(np.ones((4, 1, 1)), np.ones((2, 1, 1)), v)[:, 0, 0].tolist()
    [10.0, 10.0, 20.0, 20.0]

    O(H T S C); the cache shrinks H / G times, the arithmetic does not. Ainslie et al. 2023, section 2.2; G = 1: Shazeer
    2019, section 3. ValueError: H is no multiple of G.
    """
    each = _queries_per_group(q, k)
    return attention(q, k.repeat(each, -3), v.repeat(each, -3), _for_heads(mask))


def grouped_query_attention_vjp(
    q: Float[Array, "*B H T C"],
    k: Float[Array, "*B G S C"],
    v: Float[Array, "*B G S C"],
    mask: Bool[Array, "*#B #T S"] | None,
    do: Float[Array, "*B H T C"],
) -> tuple[Float[Array, "*B H T C"], Float[Array, "*B G S C"], Float[Array, "*B G S C"]]:
    """attention's gradients; dk_g and dv_g add up what the query heads of the group send back."""
    each = _queries_per_group(q, k)
    dq, *shared = attention_vjp(q, k.repeat(each, -3), v.repeat(each, -3), _for_heads(mask), do)
    dk, dv = (d.reshape(*k.shape[:-2], each, *k.shape[-2:]).sum(-3) for d in shared)
    return dq, dk, dv


def multi_head_attention(
    x: Float[Array, "*B T D"], y: Float[Array, "*B S D"], w: Heads, mask: Bool[Array, "*#B #T S"] | None = None
) -> Float[Array, "*B T D"]:
    """Σ_h softmax(q_h k_hᵀ / √C) v_h W_O,h + b_O with q = x W_Q + b_Q, k = y W_K + b_K, v = y W_V + b_V.

    Self-attention has y = x; in cross-attention x comes from the decoder and y from the encoder.

    >>> one = np.ones((1, 1, 1))
    >>> multi_head_attention(np.array([[0.0]]), np.array([[2.0], [4.0]]), Heads(one, one, one, one)).tolist()
    [[3.0]]

    O((T + S) D H C + T S H C). Vaswani et al. 2017, section 3.2.2. ValueError: H is no multiple of G.
    """
    o = grouped_query_attention(*project(x, y, w), mask)
    return from_heads(o, w.w_o) + _or_zero(w.b_o)


def multi_head_attention_vjp(
    x: Float[Array, "*B T D"],
    y: Float[Array, "*B S D"],
    w: Heads,
    mask: Bool[Array, "*#B #T S"] | None,
    dz: Float[Array, "*B T D"],
) -> tuple[Float[Array, "*B T D"], Float[Array, "*B S D"], Heads]:
    """The chain rule through the four projections; self-attention adds the first two gradients up."""
    q, k, v = project(x, y, w)
    do, dw_o = from_heads_vjp(grouped_query_attention(q, k, v, mask), w.w_o, dz)
    dx, dy, dw = project_vjp(x, y, w, *grouped_query_attention_vjp(q, k, v, mask, do))
    return dx, dy, dw._replace(w_o=dw_o, b_o=_bias_vjp(w.b_o, dz))


def rotary_attention(
    x: Float[Array, "*B T D"],
    w: Heads,
    positions: Int[Array, " T"],
    mask: Bool[Array, "*#B #T T"] | None = None,
    base: float = 10_000.0,
) -> Float[Array, "*B T D"]:
    """Self-attention whose queries and keys are rotated by their positions before they meet; values are not.

    >>> one, x = np.ones((1, 1, 2)), np.array([[1.0], [3.0]])
    >>> rotary_attention(x, Heads(one, one, one, np.ones((1, 2, 1))), np.array([0, 0])).round(4).tolist()
    [[5.7768], [5.9992]]

    O(T D H C + T² H C). Su et al. 2021, section 3.2.2; Touvron et al. 2023, section 2.2. ValueError: an odd C.
    """
    q, k, v = project(x, x, w)
    o = grouped_query_attention(rotary(q, positions, base), rotary(k, positions, base), v, mask)
    return from_heads(o, w.w_o) + _or_zero(w.b_o)


def rotary_attention_vjp(
    x: Float[Array, "*B T D"],
    w: Heads,
    positions: Int[Array, " T"],
    mask: Bool[Array, "*#B #T T"] | None,
    base: float,
    dz: Float[Array, "*B T D"],
) -> tuple[Float[Array, "*B T D"], Heads]:
    """multi_head_attention's, with the gradients of queries and keys rotated back."""
    q, k, v = project(x, x, w)
    rotated = rotary(q, positions, base), rotary(k, positions, base), v
    do, dw_o = from_heads_vjp(grouped_query_attention(*rotated, mask), w.w_o, dz)
    dq, dk, dv = grouped_query_attention_vjp(*rotated, mask, do)
    dq, dk = rotary_vjp(q, positions, base, dq), rotary_vjp(k, positions, base, dk)
    from_queries, from_keys, dw = project_vjp(x, x, w, dq, dk, dv)
    return from_queries + from_keys, dw._replace(w_o=dw_o, b_o=_bias_vjp(w.b_o, dz))


def _queries_per_group(q: np.ndarray, k: np.ndarray) -> int:
    H, G = q.shape[-3], k.shape[-3]
    if G == 0 or H % G:
        raise ValueError(f"H = {H} query heads cannot share G = {G} key/value heads evenly; H must be a multiple of G")
    return H // G


def _for_heads(mask: np.ndarray | None) -> np.ndarray | None:
    return None if mask is None else mask[..., None, :, :]


def _or_zero(b: np.ndarray | None) -> np.ndarray | float:
    return 0.0 if b is None else b


def _bias_vjp(b: np.ndarray | None, dz: np.ndarray) -> np.ndarray | None:
    return None if b is None else dz.sum(tuple(range(dz.ndim - 1)))


def _one_batch(x: np.ndarray, axes: int) -> np.ndarray:
    """All leading axes as one, so that what a weight receives can be summed over them."""
    return x.reshape(math.prod(x.shape[: x.ndim - axes]), *x.shape[x.ndim - axes :])
