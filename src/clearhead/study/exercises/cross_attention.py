"""Cross-attention: a decoder reads an encoder's output, which is padded."""

from typing import Any

import numpy as np

from clearhead.reference.attention import attention, attention_vjp, padding_mask
from clearhead.study.practice.exercise import Exercise

NAMES = ("x", "memory", "w_q", "w_k", "w_v")


def _oracle(x: Any, memory: Any, w_q: Any, w_k: Any, w_v: Any, lengths: Any) -> np.ndarray:
    return attention(x @ w_q, memory @ w_k, memory @ w_v, padding_mask(lengths, memory.shape[1]))


def _vjp(dy: Any, x: Any, memory: Any, w_q: Any, w_k: Any, w_v: Any, lengths: Any) -> dict[str, np.ndarray]:
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    dq, dk, dv = attention_vjp(q, k, v, padding_mask(lengths, memory.shape[1]), dy)
    over = "btd,btc->dc"
    return {
        "x": dq @ w_q.T, "memory": dk @ w_k.T + dv @ w_v.T, "w_q": np.einsum(over, x, dq),
        "w_k": np.einsum(over, memory, dk), "w_v": np.einsum(over, memory, dv),
    }  # fmt: skip


exercise = Exercise(
    title="Cross-attention",
    section="Attention",
    statement="""
One head by which a decoder reads an encoder: queries come from x, keys and values from memory, the encoder's output.
softmax(q k^T / sqrt(C)) v with q = x w_q, k = memory w_k, v = memory w_v. In row b of memory only the first lengths[b]
positions (at least one) are real, the rest is padding. No causal mask: the source is known as a whole.
""",
    signature="""
def cross_attention(
    x: "float[B, T, D]", memory: "float[B, S, E]", w_q: "float[D, C]", w_k: "float[E, C]", w_v: "float[E, C]",
    lengths: "int[B]",
) -> "float[B, T, C]":
""",
    sizes={"B": (2, 3), "T": (2, 5), "S": (2, 6), "D": (2, 4), "E": (2, 4), "C": (2, 4)},
    draw=lambda rng, n: {"lengths": rng.integers(1, n.S, n.B, endpoint=True)},
    edges=lambda rng: [
        {
            **{name: rng.normal(size=(2, 4, 3) if name in ("x", "memory") else (3, 2)) for name in NAMES},
            "lengths": np.array([2, 4]),
        }
    ],
    oracle=_oracle,
    vjp=_vjp,
    forbidden=("torch.nn.functional.scaled_dot_product_attention", "torch.nn.MultiheadAttention"),
    hints=(
        "Self-attention with two texts: which of the three projections reads which?",
        "The mask hides keys, so it is the same for all queries of a row: shape [B, 1, S], put to -inf before softmax.",
        "z = q @ k.swapaxes(-1, -2) / sqrt(C); z[~(arange(S) < lengths[:, None, None])] = -inf; softmax; @ v.",
    ),
    solution="""
import numpy as np

def cross_attention(x, memory, w_q, w_k, w_v, lengths):
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    z = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    real = np.arange(k.shape[1]) < lengths[:, None, None]
    z = np.where(real, z, -np.inf)
    p = np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v
""",
    torch="""
import torch

def cross_attention(x, memory, w_q, w_k, w_v, lengths):
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    z = torch.einsum("btc,bsc->bts", q, k) * q.shape[-1] ** -0.5
    padding = torch.arange(k.shape[1]) >= lengths[:, None, None]
    return z.masked_fill(padding, float("-inf")).softmax(-1) @ v
""",
    wrong={
        "padding is attended to": ("np.where(real, z, -np.inf)", "z"),
        "the logits of padding are set to 0, not to -inf": ("-np.inf", "0.0"),
        "padding is zeroed after softmax, so that the weights no longer sum to 1": (
            "    z = np.where(real, z, -np.inf)\n", "", "p / p.sum(-1, keepdims=True) @ v", "(p / p.sum(-1, keepdims=True) * real) @ v"
        ),
        "the factor 1/√C is missing from the scores": (" / np.sqrt(q.shape[-1])", ""),
        "scores are divided by √D of the model, not by √C of the head": ("np.sqrt(q.shape[-1])", "np.sqrt(x.shape[-1])"),
        "softmax runs over the queries, not over the keys": (
            "z.max(-1, keepdims=True)", "np.where(real, z, -1e9).max(-2, keepdims=True) + 0 * z", "p.sum(-1, keepdims=True)", "np.maximum(p.sum(-2, keepdims=True), 1e-300)"
        ),
        "one position of padding is seen": ("< lengths", "<= lengths"),
        "a causal mask is added: the source is known as a whole": (
            "lengths[:, None, None]\n", "lengths[:, None, None]\n    real = real & np.tri(*z.shape[1:], dtype=bool)\n"
        ),
        "the weights average the keys, not the values": ("@ v\n", "@ k\n"),
    },
)  # fmt: skip
