"""Bahdanau's attention."""

import numpy as np

from clearhead.reference.seq2seq import additive_scores, attend
from clearhead.study.practice.exercise import Exercise


def _oracle(
    q: np.ndarray, k: np.ndarray, lengths: np.ndarray, w_q: np.ndarray, w_k: np.ndarray, v: np.ndarray
) -> np.ndarray:
    return attend(additive_scores(q, k, w_q, w_k, v), k, np.arange(k.shape[1]) < lengths[:, None])


exercise = Exercise(
    title="Additive attention (Bahdanau)",
    section="Attention",
    statement="""
Scores e[t, s] = v . tanh(q_t w_q + k_s w_k); a softmax over the real source positions s < lengths[b], the rest being
padding of weight 0; the result is the weighted mean of the k_s, for every t. w_q and w_k have shape [F, M], v [M].
""",
    signature='def additive_attention(q: "float[B, T, F]", k: "float[B, S, F]", lengths: "int[B]", w_q: "float[F, M]", w_k: "float[F, M]", v: "float[M]") -> "float[B, T, F]":',
    sizes={"S": (2, 6), "M": (2, 5), "F": (2, 4)},
    draw=lambda rng, n: {"lengths": rng.integers(1, n.S, n.B, endpoint=True)},
    oracle=_oracle,
    hints=(
        "Every pair (t, s) has a small network of its own: broadcast to [B, T, S, M].",
        "(q @ w_q)[:, :, None] + (k @ w_k)[:, None] has that shape; tanh; then @ v takes M away.",
        "where(arange(S) < lengths[:, None, None], e, -inf), softmax over the last axis, then weights @ k.",
    ),
    solution="""
import numpy as np

def additive_attention(q, k, lengths, w_q, w_k, v):
    e = np.tanh((q @ w_q)[:, :, None] + (k @ w_k)[:, None]) @ v
    e = np.where(np.arange(k.shape[1]) < lengths[:, None, None], e, -np.inf)
    p = np.exp(e - e.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ k
""",
    torch="""
import torch

def additive_attention(q, k, lengths, w_q, w_k, v):
    e = torch.tanh((q @ w_q)[:, :, None] + (k @ w_k)[:, None]) @ v
    real = torch.arange(k.shape[1]) < lengths[:, None, None]
    return e.masked_fill(~real, float("-inf")).softmax(-1) @ k
""",
    wrong={
        "softmax runs over the queries, not over the keys": (
            "e.max(-1, keepdims=True)", "e.max()", "p.sum(-1, keepdims=True)", "np.maximum(p.sum(1, keepdims=True), 1e-300)"
        ),
        "padding is attended to": ("np.where(np.arange(k.shape[1]) < lengths[:, None, None], e, -np.inf)", "e"),
        "padding keeps a score of 0, not of minus infinity": ("e, -np.inf)", "e, 0.0)"),
        "the tanh is missing": ("np.tanh((q @ w_q)[:, :, None] + (k @ w_k)[:, None])", "((q @ w_q)[:, :, None] + (k @ w_k)[:, None])"),
        "the mask is off by one": ("< lengths[:, None, None]", "<= lengths[:, None, None]"),
        "scores are divided by the root of the width, as in dot-product attention": ("@ v\n", "@ v / np.sqrt(k.shape[-1])\n"),
        "the projections have changed places": ("(q @ w_q)", "(q @ w_k)", "(k @ w_k)", "(k @ w_q)"),
        "the mean is taken without weights": ("p / p.sum(-1, keepdims=True)", "(p > 0) / (p > 0).sum(-1, keepdims=True)"),
    },
)  # fmt: skip
