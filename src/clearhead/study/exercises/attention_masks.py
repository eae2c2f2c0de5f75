"""Causal and padding masks together."""

from typing import Any

import numpy as np

from clearhead.reference.attention import causal_mask, padding_mask
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    S = n.T + n.K
    return {"lengths": rng.integers(1, S, n.B, endpoint=True), "T": n.T, "S": S}


exercise = Exercise(
    title="Causal and padding masks",
    section="Attention",
    statement="""
Which key each query may see, as a boolean array [B, T, S]. The T queries are the last T of the S positions (a cache
holds the rest), so query t is position S - T + t and sees positions up to its own. In row b only the first
lengths[b] positions are real; the rest is padding, which nobody sees.
""",
    signature='def attention_masks(lengths: "int[B]", T: int, S: int) -> "bool[B, T, S]":',
    sizes={"B": (1, 3), "T": (2, 5), "K": (0, 3)},
    draw=_draw,
    oracle=lambda lengths, T, S: causal_mask(T, S) & padding_mask(lengths, S),
    hints=(
        "Write both masks as comparisons of arange(S) with something, and broadcast.",
        "Query t stands at position S - T + t, not at t: with a cache the square is aligned to the bottom right.",
        "(arange(S) <= (S - T + arange(T))[:, None]) & (arange(S) < lengths[:, None, None])",
    ),
    solution="""
import numpy as np

def attention_masks(lengths, T, S):
    key = np.arange(S)
    causal = key <= (S - T + np.arange(T))[:, None]
    return causal & (key < lengths[:, None, None])
""",
    torch="""
import torch

def attention_masks(lengths, T, S):
    causal = torch.ones(T, S, dtype=torch.bool).tril(S - T)
    return causal & (torch.arange(S) < lengths[:, None, None])
""",
    wrong={
        "queries are taken for the first positions: the mask is aligned to the top left": ("S - T + np", "np"),
        "a query does not see itself": ("key <=", "key <"),
        "a query sees one position of the future": ("S - T + np", "S - T + 1 + np"),
        "padding is seen": (" & (key < lengths[:, None, None])", " & (key >= 0 * lengths[:, None, None])"),
        "one position of padding is seen": ("key < lengths", "key <= lengths"),
        "True means hidden here, where it must mean visible": ("return causal & (key < lengths[:, None, None])", "return ~(causal & (key < lengths[:, None, None]))"),
        "masks are joined with 'or'": ("causal & (key", "causal | (key"),
        "padding is hidden as a query too, so that whole rows are empty": (
            "(key < lengths[:, None, None])", "(key < lengths[:, None, None]) & ((S - T + np.arange(T))[:, None] < lengths[:, None, None])"
        ),
    },
)  # fmt: skip
