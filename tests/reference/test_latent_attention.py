"""The absorbed form is the defined one, and the cache is what it is said to be."""

import numpy as np
import pytest
from against import close

from clearhead.reference.attention import causal_mask
from clearhead.reference.latent_attention import (
    Latent,
    absorbed_latent_attention,
    attend,
    attend_absorbed,
    cached_per_token,
    latent_attention,
)
from clearhead.reference.multi_head import Heads, multi_head_attention

RNG = np.random.default_rng(0)
H, R, C, D, S = 4, 6, 3, 5, 7
W = Latent(RNG.normal(size=(H, R, C)), RNG.normal(size=(H, R, C)), RNG.normal(size=(H, C, D)))
Q, LATENTS = RNG.normal(size=(H, C)), RNG.normal(size=(S, R))


def test_absorbing_changes_nothing() -> None:
    close(attend_absorbed(W, Q, LATENTS), attend(W, Q, LATENTS))


def test_a_rotation_between_query_and_key_cannot_be_absorbed() -> None:
    """Which is why positions go through a key of their own."""
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    keys = np.einsum("sr,hrc->hsc", LATENTS, W.up_k)
    rotated = np.einsum("hc,cd,hsd->hs", Q, turn, keys)
    absorbed = np.einsum("hr,sr->hs", np.einsum("hrc,hc->hr", W.up_k, Q), LATENTS)
    assert not np.allclose(rotated, absorbed)


def test_sizes() -> None:
    assert cached_per_token("mla", 128, 8, 128, 512, 64) == 576
    with pytest.raises(ValueError, match="'mxa' must be one of"):
        cached_per_token("mxa", 1, 1, 1, 1, 1)


def test_both_forms_are_attention_with_factored_projections() -> None:
    rng = np.random.default_rng(0)
    B, T, D, H, C, R = 2, 5, 6, 3, 4, 2
    x, w_down = rng.normal(size=(B, T, D)), rng.normal(size=(D, R))
    w_q, w_uk, w_uv = rng.normal(size=(D, H, C)), rng.normal(size=(R, H, C)), rng.normal(size=(R, H, C))
    w_o, mask = rng.normal(size=(H, C, D)), causal_mask(T, T)
    heads = Heads(w_q, *(np.einsum("dr,rhc->dhc", w_down, w) for w in (w_uk, w_uv)), w_o)
    want = multi_head_attention(x, x, heads, mask)
    np.testing.assert_allclose(latent_attention(x, w_q, w_down, w_uk, w_uv, w_o, mask), want)
    np.testing.assert_allclose(absorbed_latent_attention(x, w_q, w_down, w_uk, w_uv, w_o, mask), want)
