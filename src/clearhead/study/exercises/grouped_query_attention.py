"""Grouped-query attention."""

from typing import Any

import numpy as np

from clearhead.reference.attention import causal_mask
from clearhead.reference.multi_head import grouped_query_attention, grouped_query_attention_vjp
from clearhead.study.practice.exercise import Exercise


def _vjp(dy: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> dict[str, Any]:
    T, S = q.shape[-2], k.shape[-2]
    return dict(zip(("q", "k", "v"), grouped_query_attention_vjp(q, k, v, causal_mask(T, S), dy), strict=True))


exercise = Exercise(
    title="Grouped-query attention",
    section="Attention",
    statement="""
Causal attention with H query heads and G key/value heads, H being a multiple of G: query head h reads head
floor(h G / H), so that neighboring query heads share. T = S, and position t sees positions 0 to t.
""",
    signature='def grouped_query_attention(q, k: "float[B, G, S, C]", v: "float[B, G, S, C]") -> "float[B, H, S, C]":',
    sizes={"G": (2, 3), "S": (2, 5), "C": (2, 4), "R": (2, 3)},
    draw=lambda rng, n: {"q": rng.normal(size=(n.B, n.G * n.R, n.S, n.C))},
    oracle=lambda q, k, v: grouped_query_attention(q, k, v, causal_mask(q.shape[-2], k.shape[-2])),
    vjp=_vjp,
    forbidden=("torch.nn.functional.scaled_dot_product_attention", "torch.nn.MultiheadAttention"),
    hints=(
        "How many query heads read each KV head? Repeat, or give the queries an axis for it.",
        "Heads 0 and 1 of four read head 0 of two: repeat each KV head in place, do not tile the whole.",
        "k = k.repeat(H // G, axis=1) (in torch repeat_interleave), then ordinary attention.",
    ),
    solution="""
import numpy as np

def grouped_query_attention(q, k, v):
    each, T = q.shape[1] // k.shape[1], q.shape[2]
    k, v = np.repeat(k, each, 1), np.repeat(v, each, 1)
    z = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    z = np.where(np.tri(T, dtype=bool), z, -np.inf)
    p = np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v
""",
    torch="""
import torch

def grouped_query_attention(q, k, v):
    B, H, T, C = q.shape
    G = k.shape[1]
    q = q.reshape(B, G, H // G, T, C)
    z = torch.einsum("bgrtc,bgsc->bgrts", q, k) / C**0.5
    z = z.masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), float("-inf"))
    return torch.einsum("bgrts,bgsc->bgrtc", z.softmax(-1), v).reshape(B, H, T, C)
""",
    wrong={
        "scores are divided by √(H C) of all heads, not by √C of one": ("np.sqrt(q.shape[-1])", "np.sqrt(q.shape[-1] * q.shape[1])"),
        "scores are divided by C, not by its root": ("np.sqrt(q.shape[-1])", "q.shape[-1]"),
        "softmax runs over the queries, not over the keys": (
            "z.max(-1, keepdims=True)", "z.max()", "p.sum(-1, keepdims=True)", "p.sum(-2, keepdims=True)"
        ),
        "softmax runs over the heads, not over the keys": (
            "z.max(-1, keepdims=True)", "z.max()", "p.sum(-1, keepdims=True)", "np.maximum(p.sum(1, keepdims=True), 1e-300)"
        ),
        "query heads take turns over the KV heads, where neighbors must share": (
            "np.repeat(k, each, 1), np.repeat(v, each, 1)", "np.tile(k, (1, each, 1, 1)), np.tile(v, (1, each, 1, 1))"
        ),
        "all query heads read the first KV head: this is multi-query attention": (
            "np.repeat(k, each, 1), np.repeat(v, each, 1)", "np.repeat(k[:, :1], q.shape[1], 1), np.repeat(v[:, :1], q.shape[1], 1)"
        ),
        "keys are shared in groups but values take turns": ("np.repeat(v, each, 1)", "np.tile(v, (1, each, 1, 1))"),
        "positions attend to the future: no causal mask": ("np.tri(T, dtype=bool)", "True"),
        "the factor 1/√C is missing from the scores": (" / np.sqrt(q.shape[-1])", ""),
        "the library is called": '''
import torch

def grouped_query_attention(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
''',
    },
)  # fmt: skip
