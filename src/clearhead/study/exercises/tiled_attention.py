"""Attention by tiles, without the matrix of scores."""

import numpy as np

from clearhead.reference.attention import attention
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Tiled attention",
    section="Long sequences",
    statement="""
softmax(q k^T / sqrt(C)) v, no mask, without ever holding the T x S matrix of scores: go over the keys in blocks (and
over the queries too), carrying for each query the largest score m, the sum l and the unnormalized result o. The lengths
need not be multiples of a block. Memory is measured.
""",
    signature='def tiled_attention(q: "float[T, C]", k: "float[S, C]", v: "float[S, C]") -> "float[T, C]":',
    sizes={"T": (1, 90), "S": (1, 150), "C": (1, 5)},
    memory=({"T": 768, "S": 768, "C": 8}, 2**20),
    edges=lambda rng: [
        {"q": 30 * rng.normal(size=(5, 4)), "k": 30 * rng.normal(size=(200, 4)), "v": rng.normal(size=(200, 4))},
        {"q": np.ones((2, 1)), "k": np.linspace(0, 900, 130)[:, None], "v": np.arange(130.0)[:, None]},
    ],
    oracle=lambda q, k, v: attention(q, k, v),
    forbidden=("torch.nn.functional.scaled_dot_product_attention",),
    hints=(
        "It is online softmax with one more sum: o = sum of exp(z - m) v is rescaled just as l is.",
        "For a block: new = max(m, z.max(-1)); shrink = exp(m - new); p = exp(z - new); l = l shrink + p.sum; o = o shrink + p v.",
        "Divide by l once, at the end. Blocks of 64 queries and 64 keys need 32 KiB for their scores.",
    ),
    solution="""
import numpy as np

def tiled_attention(q, k, v, block=64):
    out = np.empty((len(q), v.shape[1]))
    for i in range(0, len(q), block):
        q_i = q[i : i + block] / np.sqrt(q.shape[1])
        m, l = np.full(len(q_i), -np.inf), np.zeros(len(q_i))
        o = np.zeros((len(q_i), v.shape[1]))
        for j in range(0, len(k), block):
            z = q_i @ k[j : j + block].T
            new = np.maximum(m, z.max(-1))
            shrink, p = np.exp(m - new), np.exp(z - new[:, None])
            l = l * shrink + p.sum(-1)
            o = o * shrink[:, None] + p @ v[j : j + block]
            m = new
        out[i : i + block] = o / l[:, None]
    return out
""",
    torch="""
import torch

def tiled_attention(q, k, v):
    rows = []
    for q_i in q.split(64):
        m = q_i.new_full((len(q_i), 1), float("-inf"))
        l, o = torch.zeros_like(m), torch.zeros_like(q_i)
        for k_j, v_j in zip(k.split(64), v.split(64)):
            z = q_i @ k_j.T / q.shape[1] ** 0.5
            new = torch.maximum(m, z.amax(-1, keepdim=True))
            p, shrink = (z - new).exp(), (m - new).exp()
            l, o, m = l * shrink + p.sum(-1, keepdim=True), o * shrink + p @ v_j, new
        rows.append(o / l)
    return torch.cat(rows)
""",
    wrong={
        "scores are divided by C, not by its root": ("np.sqrt(q.shape[1])", "q.shape[1]"),
        "the whole matrix of scores is held": '''
import numpy as np

def tiled_attention(q, k, v):
    z = q @ k.T / np.sqrt(q.shape[1])
    p = np.exp(z - z.max(-1, keepdims=True))
    return p @ v / p.sum(-1, keepdims=True)
''',
        "the result so far is not rescaled when the maximum grows": ("o * shrink[:, None]", "o"),
        "the sum so far is not rescaled when the maximum grows": ("l * shrink", "l"),
        "every block is normalized on its own, and the blocks are averaged": (
            "            o = o * shrink[:, None] + p @ v[j : j + block]", "            o = o + p / p.sum(-1, keepdims=True) @ v[j : j + block]",
            "o / l[:, None]", "o / len(range(0, len(k), block))",
        ),
        "the result is never divided by l": ("o / l[:, None]", "o"),
        "the last block, which is shorter, is left out": ("for j in range(0, len(k), block)", "for j in range(0, max(1, len(k) - block + 1), block)"),
        "the factor 1/√C is missing from the scores": (" / np.sqrt(q.shape[1])", ""),
    },
)  # fmt: skip
