"""Rotary positions."""

from typing import Any

import numpy as np

from clearhead.reference.positions import rotary, rotary_vjp
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {
        "x": rng.normal(size=(n.B, n.T, 2 * n.C)), "positions": rng.integers(0, 50, n.T) + 1,
        "base": float(rng.choice([100.0, 10_000.0])),
    }  # fmt: skip


exercise = Exercise(
    title="Rotary positions",
    section="Positions",
    statement="""
Turn each pair of channels (i, i + C/2) of position p by the angle p * base^(-2i / C), i = 0 .. C/2 - 1:
(x1, x2) becomes (x1 cos - x2 sin, x2 cos + x1 sin). This is the layout of Llama's checkpoints; C is even.
""",
    signature='def rotary_positions(x: "float[B, T, C]", positions: "int[T]", base: float) -> "float[B, T, C]":',
    sizes={"C": (1, 3)},
    draw=_draw,
    oracle=rotary,
    vjp=lambda dy, x, positions, base: {"x": rotary_vjp(x, positions, base, dy)},
    hints=(
        "The first half of the channels is paired with the second half: cut x in two.",
        "One angle for each position and pair, shape [T, C/2]; the same for every row of the batch.",
        "concatenate((x1 cos - x2 sin, x2 cos + x1 sin), -1) with angles = positions[:, None] * base ** (-2 arange(C/2) / C).",
    ),
    solution="""
import numpy as np

def rotary_positions(x, positions, base):
    C = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * np.arange(C // 2) / C)
    cos, sin = np.cos(angle), np.sin(angle)
    x1, x2 = x[..., : C // 2], x[..., C // 2 :]
    return np.concatenate((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)
""",
    torch="""
import torch

def rotary_positions(x, positions, base):
    C = x.shape[-1]
    rate = base ** (-torch.arange(0, C, 2, dtype=torch.float64) / C)
    turn = torch.polar(torch.ones(1, dtype=torch.float64), positions[:, None] * rate)
    z = torch.complex(x[..., : C // 2], x[..., C // 2 :]) * turn
    return torch.cat((z.real, z.imag), -1)
""",
    wrong={
        "neighboring channels are paired (interleaved, as in GPT-J), where channel i goes with i + C/2": (
            "x[..., : C // 2], x[..., C // 2 :]", "x[..., 0::2], x[..., 1::2]",
            "np.concatenate((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)", "np.stack((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1).reshape(x.shape)",
        ),
        "neighboring channels are read as pairs but written as halves": (
            "x[..., : C // 2], x[..., C // 2 :]", "x[..., 0::2], x[..., 1::2]"
        ),
        "the turn goes the wrong way: the signs of sin are exchanged": (
            "x1 * cos - x2 * sin, x2 * cos + x1 * sin", "x1 * cos + x2 * sin, x2 * cos - x1 * sin"
        ),
        "it is no rotation: both halves have the same sign of sin": ("x1 * cos - x2 * sin", "x1 * cos + x2 * sin"),
        "the exponent lacks the factor 2": ("(-2 * ", "(-1 * "),
        "positions begin at 0 whatever positions says": ("positions[:, None]", "np.arange(len(positions))[:, None]"),
        "the positions are added, not turned by": (
            "np.concatenate((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)", "x + np.concatenate((sin, cos), -1)"
        ),
    },
)  # fmt: skip
