"""Nucleus sampling's filter."""

import numpy as np

from clearhead.reference.decoding import keep_top_p
from clearhead.reference.softmax import softmax
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Top-p (nucleus)",
    section="Decoding",
    statement="""
The probabilities from which the next token is drawn under top-p: keep the fewest of the likeliest tokens that together
hold probability p or more (at least one, whatever p is), set the others to 0, and let the kept ones sum to 1.
""",
    signature='def top_p(z: "float[B, V]", p: float) -> "float[B, V]":',
    sizes={"V": (2, 9)},
    draw=lambda rng, n: {"z": 2 * rng.normal(size=(n.B, n.V)), "p": float(rng.uniform(0.2, 0.95))},
    edges=lambda rng: [
        {"z": np.log([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]]), "p": p} for p in (0.0, 0.4, 0.6, 0.9, 1.0)
    ] + [
        {"z": np.array([[1e4, 0.0, 1e4 - 1]]), "p": 0.8},
        {"z": np.log([[2.0, 1.0, 1.0]]), "p": 0.5}, {"z": np.log([[1.0, 4.0, 2.0, 1.0]]), "p": 0.5},  # exact in binary
    ],
    oracle=lambda z, p: softmax(keep_top_p(z, p)),
    hints=(
        "Sort by probability; a token stays if what comes before it holds less than p.",
        "The token that crosses the line is kept. Compare the cumulative sum without the token itself.",
        "order = argsort(-prob); before = cumsum - own; keep = before < p (and the first always); undo the order; divide.",
    ),
    solution="""
import numpy as np

def top_p(z, p):
    prob = np.exp(z - z.max(-1, keepdims=True))
    prob = prob / prob.sum(-1, keepdims=True)
    order = np.argsort(-prob, -1, kind="stable")
    ranked = np.take_along_axis(prob, order, -1)
    keep = ranked.cumsum(-1) - ranked < p
    keep[:, 0] = True
    kept = np.zeros_like(prob)
    np.put_along_axis(kept, order, np.where(keep, ranked, 0.0), -1)
    return kept / kept.sum(-1, keepdims=True)
""",
    torch="""
import torch

def top_p(z, p):
    ranked, order = z.softmax(-1).sort(-1, descending=True)
    drop = ranked.cumsum(-1) - ranked >= p
    drop[:, 0] = False
    kept = torch.zeros_like(z).scatter(-1, order, ranked.masked_fill(drop, 0.0))
    return kept / kept.sum(-1, keepdim=True)
""",
    wrong={
        "a token stays although those before it hold exactly p: <= where < must be, one token too many": (
            "ranked.cumsum(-1) - ranked < p", "ranked.cumsum(-1) - ranked <= p"
        ),
        "the cumulative sum is compared with <= p, token included: the one that crosses the line is dropped, or nothing stays": (
            "ranked.cumsum(-1) - ranked < p\n    keep[:, 0] = True\n", "ranked.cumsum(-1) <= p\n"
        ),
        "the token that crosses the line is dropped": ("ranked.cumsum(-1) - ranked < p", "ranked.cumsum(-1) <= p"),
        "the kept probabilities do not sum to 1": ("kept / kept.sum(-1, keepdims=True)", "kept"),
        "the order is not undone: tokens are mixed up": ("np.put_along_axis(kept, order, np.where(keep, ranked, 0.0), -1)", "kept = np.where(keep, ranked, 0.0)"),
        "tokens less likely than p are dropped: a threshold, no nucleus": ("ranked.cumsum(-1) - ranked < p", "ranked >= p"),
        "the least likely tokens are kept": ("np.argsort(-prob", "np.argsort(prob"),
        "with a small p nothing is kept": ("    keep[:, 0] = True\n", ""),
    },
)  # fmt: skip
