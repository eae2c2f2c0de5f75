"""Multi-head latent attention: one small vector a token is cached, from which each head's key and value are made.

The latent c = x W_c has R channels. Head h has keys c U_h and values c V_h, of C channels each. Positions are rotated
into a separate key of P channels, one for all heads. Deliberately not here: the rotation (`positions.py`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from clearhead.reference import Array
from clearhead.reference.attention import attention
from clearhead.reference.softmax import softmax


class Latent(NamedTuple):
    """The weights behind one cached latent."""

    up_k: Float[Array, "H R C"]
    up_v: Float[Array, "H R C"]
    out: Float[Array, "H C D"]


def attend(w: Latent, q: Float[Array, "H C"], c: Float[Array, "S R"]) -> Float[Array, "D"]:
    """As defined: every key and value is made from the latents, then each head attends and all are added.

    O(S H R C): the whole past is expanded for each new token.
    """
    k, v = np.einsum("sr,hrc->hsc", c, w.up_k), np.einsum("sr,hrc->hsc", c, w.up_v)
    p = softmax(np.einsum("hc,hsc->hs", q, k) / np.sqrt(q.shape[-1]))
    return np.einsum("hs,hsc,hcd->d", p, v, w.out)


def attend_absorbed(w: Latent, q: Float[Array, "H C"], c: Float[Array, "S R"]) -> Float[Array, "D"]:
    """The same: q·(c U) = (U q)·c, so a query of R channels meets the latents themselves, as with one KV head.

    >>> rng = np.random.default_rng(0)
    >>> w = Latent(rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 3, 5)))
    >>> q, c = rng.normal(size=(2, 3)), rng.normal(size=(6, 4))
    >>> bool(np.allclose(attend(w, q, c), attend_absorbed(w, q, c)))
    True

    O(S H R + H R C). DeepSeek-AI 2024, arXiv 2405.04434, section 2.1.2.
    """
    latent_q = np.einsum("hrc,hc->hr", w.up_k, q)
    p = softmax(latent_q @ c.T / np.sqrt(q.shape[-1]))
    return np.einsum("hr,hrc,hcd->d", p @ c, w.up_v, w.out)


def latent_attention(
    x: Float[Array, "*B T D"],
    w_q: Float[Array, "D H C"],
    w_down: Float[Array, "D R"],
    w_uk: Float[Array, "R H C"],
    w_uv: Float[Array, "R H C"],
    w_o: Float[Array, "H C D"],
    mask: Bool[Array, "T T"] | None = None,
) -> Float[Array, "*B T D"]:
    """c = x W_down; k = c W_uk, v = c W_uv for each head; then multi-head attention: the cache holds c alone.

    >>> one = np.ones((1, 1, 1))
    >>> latent_attention(np.array([[2.0], [4.0]]), 0 * one, np.array([[10.0]]), one, one, one).tolist()
    [[30.0], [30.0]]

    O(T D H C + T² H C). DeepSeek-AI 2024 (DeepSeek-V2), equations 9 to 11, without the part that carries RoPE.
    """
    c = x @ w_down
    q, k, v = (np.einsum("...td,dhc->...htc", y, w) for y, w in ((x, w_q), (c, w_uk), (c, w_uv)))
    return np.einsum("...htc,hcd->...td", attention(q, k, v, mask), w_o)


def absorbed_latent_attention(
    x: Float[Array, "*B T D"],
    w_q: Float[Array, "D H C"],
    w_down: Float[Array, "D R"],
    w_uk: Float[Array, "R H C"],
    w_uv: Float[Array, "R H C"],
    w_o: Float[Array, "H C D"],
    mask: Bool[Array, "T T"] | None = None,
) -> Float[Array, "*B T D"]:
    """The same without ever forming k and v: q' = q W_ukᵀ meets c itself, and W_uv comes after the average.

    >>> one = np.ones((1, 1, 1))
    >>> absorbed_latent_attention(np.array([[2.0], [4.0]]), 0 * one, np.array([[10.0]]), one, one, one).tolist()
    [[30.0], [30.0]]

    O(T D H C + T² H R). DeepSeek-AI 2024 (DeepSeek-V2), section 2.1.2.
    """
    R, C = w_uk.shape[0], w_uk.shape[-1]
    c = x @ w_down
    q = np.einsum("...td,dhc,rhc->...htr", x, w_q, w_uk) * np.sqrt(R / C)  # attention divides by √R
    keys = np.broadcast_to(c[..., None, :, :], (*q.shape[:-2], *c.shape[-2:]))
    return np.einsum("...htr,rhc,hcd->...td", attention(q, keys, keys, mask), w_uv, w_o)


def cached_per_token(kind: str, H: int, G: int, C: int, R: int, P: int) -> int:
    """Numbers that a layer caches for a token: 2 H C (mha), 2 G C (gqa), 2 C (mqa), R + P (mla).

    >>> [cached_per_token(kind, 128, 8, 128, 512, 64) for kind in ("mha", "gqa", "mqa", "mla")]
    [32768, 2048, 256, 576]

    O(1). DeepSeek-AI 2024, arXiv 2405.04434, table 1. ValueError: another kind.
    """
    numbers = {"mha": 2 * H * C, "gqa": 2 * G * C, "mqa": 2 * C, "mla": R + P}
    if kind not in numbers:
        raise ValueError(f"kind {kind!r} must be one of {', '.join(numbers)}")
    return numbers[kind]
