"""Multi-head self-attention with a causal mask."""

from typing import Any

import numpy as np

from clearhead.reference.attention import causal_mask
from clearhead.reference.multi_head import Heads, multi_head_attention, multi_head_attention_vjp
from clearhead.study.practice.exercise import Exercise


def _heads(w_q: np.ndarray, w_k: np.ndarray, w_v: np.ndarray, w_o: np.ndarray, heads: int) -> Heads:
    D, C = w_q.shape[0], w_q.shape[1] // heads
    q, k, v = (w.reshape(D, heads, C) for w in (w_q, w_k, w_v))
    return Heads(q, k, v, w_o.reshape(heads, C, D))


def _oracle(x: np.ndarray, heads: int, **w: np.ndarray) -> np.ndarray:
    T = x.shape[1]
    return multi_head_attention(x, x, _heads(**w, heads=heads), causal_mask(T, T))


def _vjp(dy: np.ndarray, x: np.ndarray, heads: int, **w: np.ndarray) -> dict[str, np.ndarray]:
    T = x.shape[1]
    dx, dy_, dw = multi_head_attention_vjp(x, x, _heads(**w, heads=heads), causal_mask(T, T), dy)
    found = {name: getattr(dw, name).reshape(w[name].shape) for name in w}
    return {"x": dx + dy_, **found}


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    D, F = n.D, n.H * n.C
    w = {name: rng.normal(size=(D, F)) for name in ("w_q", "w_k", "w_v")}
    return w | {"w_o": rng.normal(size=(F, D)), "heads": n.H}


exercise = Exercise(
    title="Multi-head attention",
    section="Attention",
    statement="""
Causal self-attention with several heads: project x to queries, keys and values with w_q, w_k, w_v, each of
shape [D, H C], whose columns belong to the heads in order (the first C to head 0). Every head compares and averages
on its own, position t seeing the positions 0 to t. The heads, side by side, go through w_o of shape [H C, D].
""",
    signature='def multi_head_attention(x: "float[B, T, D]", w_q, w_k, w_v, w_o, heads: int) -> "float[B, T, D]":',
    sizes={"H": (2, 4), "C": (2, 4), "T": (2, 5)},
    draw=_draw,
    oracle=_oracle,
    vjp=_vjp,
    forbidden=(
        "torch.nn.functional.scaled_dot_product_attention", "torch.nn.MultiheadAttention",
        "torch.nn.functional.multi_head_attention_forward",
    ),
    hints=(
        "Get the shapes right first: [B, T, H C] becomes [B, H, T, C], and in the end back again.",
        "Scores are q k^T / sqrt(C), with C the channels of one head, not of the model; hide the future before softmax.",
        "reshape(B, T, H, C).swapaxes(1, 2); scores where(causal, ., -inf); softmax; @ v; swapaxes(1, 2); reshape; @ w_o.",
    ),
    solution="""
import numpy as np

def multi_head_attention(x, w_q, w_k, w_v, w_o, heads):
    B, T, _ = x.shape

    def split(w):
        return (x @ w).reshape(B, T, heads, -1).swapaxes(1, 2)

    q, k, v = split(w_q), split(w_k), split(w_v)
    z = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    z = np.where(np.tril(np.ones((T, T), bool)), z, -np.inf)
    p = np.exp(z - z.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    return (p @ v).swapaxes(1, 2).reshape(B, T, -1) @ w_o
""",
    torch="""
import torch

def multi_head_attention(x, w_q, w_k, w_v, w_o, heads):
    B, T, _ = x.shape
    q, k, v = ((x @ w).view(B, T, heads, -1).transpose(1, 2) for w in (w_q, w_k, w_v))
    z = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    z = z.masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), float("-inf"))
    return (z.softmax(-1) @ v).transpose(1, 2).reshape(B, T, -1) @ w_o
""",
    wrong={
        "the heads are interleaved: channel i goes to head i mod H": (
            ".reshape(B, T, heads, -1).swapaxes(1, 2)", ".reshape(B, T, -1, heads).transpose(0, 3, 1, 2)",
            "(p @ v).swapaxes(1, 2).reshape(B, T, -1)", "(p @ v).transpose(0, 2, 3, 1).reshape(B, T, -1)",
        ),
        "the heads are interleaved on the way in, not on the way out": (
            ".reshape(B, T, heads, -1).swapaxes(1, 2)", ".reshape(B, T, -1, heads).transpose(0, 3, 1, 2)"
        ),
        "scores are divided by √D of the input, not by √C of a head": ("np.sqrt(q.shape[-1])", "np.sqrt(x.shape[-1])"),
        "scores are divided by C, not by its root": ("np.sqrt(q.shape[-1])", "q.shape[-1]"),
        "softmax runs over the heads, not over the keys": (
            "z.max(-1, keepdims=True)", "z.max()", "p.sum(-1, keepdims=True)", "np.maximum(p.sum(1, keepdims=True), 1e-300)"
        ),
        "positions attend to the future: no causal mask": ("np.tril(np.ones((T, T), bool))", "np.ones((T, T), bool)"),
        "the mask is off by one: a position attends to the next one": ("bool))", "bool), 1)"),
        "the mask is upside down: positions attend to the future and not to the past": ("np.tril", "np.triu"),
        "the factor 1/√C is missing from the scores": (" / np.sqrt(q.shape[-1])", ""),
        "scores are divided by √(H C) of all heads, not by √C of one": (
            "np.sqrt(q.shape[-1])", "np.sqrt(q.shape[-1] * heads)"
        ),
        "heads and positions are mixed up: reshape alone does not exchange axes": (
            ".reshape(B, T, heads, -1).swapaxes(1, 2)", ".reshape(B, heads, T, -1)"
        ),
        "the heads are not brought back side by side before w_o": (
            "(p @ v).swapaxes(1, 2).reshape", "(p @ v).reshape"
        ),
        "softmax runs over the queries, not over the keys": (
            "z.max(-1, keepdims=True)", "z.max(-2, keepdims=True)", "p.sum(-1, keepdims=True)", "p.sum(-2, keepdims=True)"
        ),
        "the library is called": '''
import torch

def multi_head_attention(x, w_q, w_k, w_v, w_o, heads):
    B, T, _ = x.shape
    q, k, v = ((x @ w).view(B, T, heads, -1).transpose(1, 2) for w in (w_q, w_k, w_v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, -1) @ w_o
''',
    },
)  # fmt: skip
