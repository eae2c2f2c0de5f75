"""Sinusoidal positions."""

import numpy as np

from clearhead.reference.positions import sinusoidal
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Sinusoidal positions",
    section="Positions",
    statement="""
The table of positions 0 to T - 1: channel 2i holds sin(p / 10000^(2i / D)) and channel 2i + 1 the cosine of the same
angle, so that sines and cosines alternate. D is even.
""",
    signature='def sinusoidal_positions(T: int, D: int) -> "float[T, D]":',
    sizes={"T": (3, 9), "D": (2, 5)},
    draw=lambda rng, n: {"T": n.T, "D": 2 * n.D},
    oracle=lambda T, D: sinusoidal(np.arange(T), D),
    hints=(
        "Each pair of channels is a clock of its own speed; within a pair the angle is the same.",
        "There are D/2 angles per position: p * 10000 ** (-2 i / D) for i = 0 .. D/2 - 1.",
        "table[:, 0::2] = sin(angles); table[:, 1::2] = cos(angles).",
    ),
    solution="""
import numpy as np

def sinusoidal_positions(T, D):
    angles = np.arange(T)[:, None] * 10000.0 ** (-2 * np.arange(D // 2) / D)
    table = np.zeros((T, D))
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)
    return table
""",
    torch="""
import torch

def sinusoidal_positions(T, D):
    rate = 10000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
    angles = torch.arange(T, dtype=torch.float64)[:, None] * rate
    return torch.stack((angles.sin(), angles.cos()), -1).reshape(T, D)
""",
    wrong={
        "all sines come first, then all cosines: they must alternate": (
            "table[:, 0::2]", "table[:, : D // 2]", "table[:, 1::2]", "table[:, D // 2 :]"
        ),
        "sine and cosine have changed places": ("np.sin", "np.tan", "np.cos", "np.sin", "np.tan", "np.cos"),
        "the exponent lacks the factor 2: the clocks turn too fast": ("(-2 * ", "(-1 * "),
        "sine and cosine of a pair have different angles": (
            "np.cos(angles)", "np.cos(np.arange(T)[:, None] * 10000.0 ** (-(2 * np.arange(D // 2) + 1) / D))"
        ),
        "positions begin at 1": ("np.arange(T)[:, None]", "(np.arange(T) + 1)[:, None]"),
        "the sign of the exponent is wrong: later channels turn faster": ("(-2 * ", "(2 * "),
    },
)  # fmt: skip
