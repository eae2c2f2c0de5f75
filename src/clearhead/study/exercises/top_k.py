"""Top-k sampling's filter."""

import numpy as np

from clearhead.reference.decoding import keep_top_k
from clearhead.reference.softmax import softmax
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Top-k",
    section="Decoding",
    statement="""
The probabilities from which the next token is drawn under top-k: in each row keep the k likeliest tokens, set the
others to 0, and let the kept ones sum to 1. With k of V or more all are kept. Logits may be as large as 10,000, and no
two of a row are equal.
""",
    signature='def top_k(z: "float[B, V]", k: int) -> "float[B, V]":',
    sizes={"V": (3, 9), "B": (2, 3)},
    draw=lambda rng, n: {"k": int(rng.integers(1, n.V, endpoint=True))},
    edges=lambda rng: [
        {"z": np.array([[1.0, 3.0, 2.0, 0.0], [9.0, 8.0, 7.0, 6.0]]), "k": k} for k in (1, 2, 3, 4, 10)
    ] + [{"z": np.array([[1e4, 0.0, 1e4 - 1], [-1e4, 1.0, 2.0]]), "k": 2}],
    oracle=lambda z, k: softmax(keep_top_k(z, min(k, z.shape[-1]))),
    hints=(
        "What becomes of a logit that is set to -inf when softmax comes after it?",
        "The k-th largest logit of a row is the threshold: np.sort or np.partition, in torch topk.",
        "z = where(z >= sort(z)[:, -k][:, None], z, -inf); softmax; with k = min(k, V).",
    ),
    solution="""
import numpy as np

def top_k(z, k):
    k = min(k, z.shape[-1])
    least = np.sort(z, -1)[:, -k][:, None]
    z = np.where(z >= least, z, -np.inf)
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
""",
    torch="""
import torch

def top_k(z, k):
    best, place = z.topk(min(k, z.shape[-1]), dim=-1)
    return torch.full_like(z, float("-inf")).scatter(-1, place, best).softmax(-1)
""",
    wrong={
        "the k least likely tokens are kept": ("[:, -k][:, None]", "[:, k - 1][:, None]", "z >= least", "z <= least"),
        "one token too few is kept": ("z >= least", "z > least"),
        "one token too many is kept": ("[:, -k]", "[:, -min(k + 1, z.shape[-1])]"),
        "the kept probabilities do not sum to 1": (
            "    z = np.where(z >= least, z, -np.inf)\n", "    kept = z >= least\n", "return e /", "return kept * e /"
        ),
        "the others' logits are set to 0, not to -inf: they keep some probability": ("-np.inf", "0.0"),
        "one threshold is used for all rows": ("np.sort(z, -1)[:, -k][:, None]", "np.sort(z, -1)[0, -k]"),
        "logits come back, not probabilities": ("    e = np.exp(z - z.max(-1, keepdims=True))\n    return e / e.sum(-1, keepdims=True)", "    return z"),
        "a k larger than V raises": ("    k = min(k, z.shape[-1])\n", ""),
        "it is the k-th token in the vocabulary, not the k-th likeliest": ("np.sort(z, -1)[:, -k]", "z[:, -k]"),
    },
)  # fmt: skip
