"""The mask of sliding-window attention."""

from clearhead.reference.attention import sliding_window_mask
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Sliding-window mask",
    section="Attention",
    statement="""
Which key each query may see, as a boolean array [T, S]. The T queries are the last T of the S positions, so query t is
position S - T + t. It sees itself and the positions before it, at most `window` in all: its own and window - 1 more.
""",
    signature='def sliding_window_mask(T: int, S: int, window: int) -> "bool[T, S]":',
    sizes={"T": (2, 6), "K": (0, 4), "N": (1, 5)},
    draw=lambda rng, n: {"T": n.T, "S": n.T + n.K, "window": n.N},
    edges=lambda rng: [{"T": 4, "S": 6, "window": 2}, {"T": 3, "S": 3, "window": 9}, {"T": 1, "S": 5, "window": 3}, {"T": 4, "S": 4, "window": 1}],
    oracle=lambda T, S, window: sliding_window_mask(T, S, window),
    hints=(
        "Write down the position of each query and of each key; the mask is a comparison of their difference.",
        "With back = query position - key position, a key is seen where 0 <= back < window.",
        "back = (S - T + arange(T))[:, None] - arange(S); (back >= 0) & (back < window)",
    ),
    solution="""
import numpy as np

def sliding_window_mask(T, S, window):
    back = (S - T + np.arange(T))[:, None] - np.arange(S)
    return (back >= 0) & (back < window)
""",
    torch="""
import torch

def sliding_window_mask(T, S, window):
    every = torch.ones(T, S, dtype=torch.bool)
    return every.tril(S - T).triu(S - T - window + 1)
""",
    wrong={
        "the window is one position too wide": ("back < window", "back <= window"),
        "the window is one position too narrow: a query does not count itself": ("back < window", "back < window - 1"),
        "the future is seen: the window reaches both ways": ("(back >= 0) & (back < window)", "abs(back) < window"),
        "a query does not see itself": ("back >= 0", "back > 0"),
        "queries are taken for the first positions: the mask is aligned to the top left": ("S - T + np", "np"),
        "there is no window: this is the causal mask": (" & (back < window)", ""),
        "True means hidden here, where it must mean visible": ("return (back >= 0) & (back < window)", "return ~((back >= 0) & (back < window))"),
        "blocks of the window's length take the place of a sliding window": (
            "(back >= 0) & (back < window)", "(back >= 0) & ((S - T + np.arange(T))[:, None] // window == np.arange(S) // window)"
        ),
    },
)  # fmt: skip
