"""Latent attention is multi-head attention with factored projections, and its absorbed form is the same function."""

import numpy as np

from clearhead.reference.attention import causal_mask
from clearhead.reference.latent import absorbed_latent_attention, latent_attention
from clearhead.reference.multi_head import Heads, multi_head_attention


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
