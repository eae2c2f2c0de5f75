"""Multi-head latent attention: keys and values of all heads come from one small vector for each token."""

import numpy as np
from jaxtyping import Bool, Float

from clearhead.reference import Array
from clearhead.reference.attention import attention


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
