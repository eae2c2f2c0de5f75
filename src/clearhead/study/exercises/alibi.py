"""ALiBi: attention that is biased by distance."""

import numpy as np

from clearhead.reference.positions import alibi_bias
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="ALiBi",
    section="Positions",
    statement="""
The bias that ALiBi adds to the scores of H heads, H being a power of 2, as an array [H, T, T]: -slope (t - s) for query
t and key s <= t, and -inf for the future, s > t. Head h = 0 .. H - 1 has the slope 2^(-8 (h + 1) / H).
""",
    signature='def alibi(H: int, T: int) -> "float[H, T, T]":',
    sizes={"T": (2, 6)},
    draw=lambda rng, n: {"H": int(rng.choice([1, 2, 4, 8])), "T": n.T},
    edges=lambda rng: [{"H": 8, "T": 4}, {"H": 4, "T": 3}, {"H": 1, "T": 3}, {"H": 2, "T": 5}],
    oracle=lambda H, T: np.where(np.tri(T, dtype=bool), alibi_bias(H, T, T), -np.inf),
    hints=(
        "The slopes are a geometric sequence that begins with its own ratio.",
        "distance = t - s as an array [T, T]; each head scales it with its slope, negatively.",
        "slope = 2.0 ** (-8 * arange(1, H + 1) / H); where(tri(T), -slope[:, None, None] * distance, -inf)",
    ),
    solution="""
import numpy as np

def alibi(H, T):
    slope = 2.0 ** (-8 * np.arange(1, H + 1) / H)
    distance = np.arange(T)[:, None] - np.arange(T)
    return np.where(distance >= 0, -slope[:, None, None] * distance, -np.inf)
""",
    torch="""
import torch

def alibi(H, T):
    place = torch.arange(T)
    distance = (place[:, None] - place).double()
    slope = torch.tensor([2 ** (-8 * (h + 1) / H) for h in range(H)], dtype=torch.float64)
    bias = -slope.view(H, 1, 1) * distance
    return bias.masked_fill(distance < 0, float("-inf"))
""",
    wrong={
        "the slopes begin at 2^0: they are one step late": ("np.arange(1, H + 1)", "np.arange(H)"),
        "the bias grows with the distance: its sign is wrong": ("-slope[:, None, None] * distance", "slope[:, None, None] * distance"),
        "the future is not hidden": ("distance >= 0", "distance >= -T"),
        "the future gets 0, not -inf": ("-np.inf", "0.0"),
        "the slopes fall linearly, not geometrically": ("2.0 ** (-8 * np.arange(1, H + 1) / H)", "np.arange(1, H + 1) / H"),
        "the powers are of e, not of 2": ("2.0 ** (", "np.exp("),
        "all heads have the same slope": ("np.arange(1, H + 1) / H)", "np.ones(H) / H)"),
        "heads are in the reverse order": ("slope[:, None, None]", "slope[::-1, None, None]"),
        "the exponent is not divided by the number of heads": ("np.arange(1, H + 1) / H)", "np.arange(1, H + 1) / 8)"),
    },
)  # fmt: skip
