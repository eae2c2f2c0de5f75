"""Multi-head latent attention: one small vector a token is cached, from which each head's key and value are made.

The latent c = x W_c has R channels. Head h has keys c U_h and values c V_h, of C channels each. Positions are rotated
into a separate key of P channels, one for all heads. Deliberately not here: the rotation (`positions.py`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
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
