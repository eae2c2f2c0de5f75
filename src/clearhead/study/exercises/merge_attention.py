"""Merging attention over parts of the keys: split-KV decoding."""

from typing import Any

import numpy as np

from clearhead.reference.flash_decoding import merge
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {"lse": 3 * rng.normal(size=(n.N, n.T))}


exercise = Exercise(
    title="Split-KV decoding: the merge",
    section="Long sequences",
    statement="""
The keys were cut into N parts, and for each part there is its attention o[n] and the logarithm lse[n] of its sum of
exponentials, for T queries. Return attention over all keys and its lse: (o, lse). A part may be empty or masked: its
lse is -inf and it weighs nothing; at least one part of each query is not. lse may be as large as 10,000.
""",
    signature='def merge_attention(o: "float[N, T, C]", lse: "float[N, T]") -> "o, lse":',
    sizes={"N": (1, 5)},
    draw=_draw,
    edges=lambda rng: [
        {"o": rng.normal(size=(3, 2, 2)), "lse": np.array([[1e4, -1e4], [1e4 - 1, -1e4 - 2], [0.0, -2e4]])},
        {"o": rng.normal(size=(3, 2, 2)), "lse": np.array([[-np.inf, 1.0], [0.3, -np.inf], [0.5, 2.0]])},
    ],
    oracle=merge,
    outputs=("o", "lse"),
    forbidden=("torch.logsumexp", "torch.Tensor.logsumexp", "torch.special.logsumexp", "numpy.logaddexp"),
    hints=(
        "exp(lse[n]) is the sum of exponentials of part n: how much of the whole does it hold?",
        "The parts are weighted by softmax(lse) over n; the new lse is their log-sum-exp.",
        "m = lse.max(0); w = exp(lse - m); o = (w[..., None] * o).sum(0) / w.sum(0)[..., None]; lse = m + log(w.sum(0)).",
    ),
    solution="""
import numpy as np

def merge_attention(o, lse):
    m = lse.max(0)
    w = np.exp(lse - m)
    total = w.sum(0)
    return (w[..., None] * o).sum(0) / total[..., None], m + np.log(total)
""",
    torch="""
import torch

def merge_attention(o, lse):
    w = lse.softmax(0)
    m = lse.amax(0)
    return (w[..., None] * o).sum(0), m + (lse - m).exp().sum(0).log()
""",
    wrong={
        "the parts are averaged without weights": ("(w[..., None] * o).sum(0) / total[..., None]", "o.mean(0)"),
        "the weights are the logarithms, not their exponentials": ("(w[..., None] * o).sum(0) / total[..., None]", "(lse[..., None] * o).sum(0) / lse.sum(0)[..., None]"),
        "nothing is taken off before exp, so it overflows": ("lse.max(0)", "0 * lse[0]"),
        "the lse of the whole lacks the maximum": ("m + np.log(total)", "np.log(total)"),
        "the lse of the whole is the largest of the parts'": ("m + np.log(total)", "m"),
        "the weighted sum is not divided by the weights": (" / total[..., None]", ""),
    },
)  # fmt: skip
