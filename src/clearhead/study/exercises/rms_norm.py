"""RMSNorm, the norm of Llama."""

import numpy as np

from clearhead.reference.normalization import rms_norm, rms_norm_vjp
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="RMSNorm",
    section="Normalization",
    statement="""
Divide each row of x by its root mean square over the channels, sqrt(mean(x^2) + eps), and scale by weight. The mean is
not subtracted, and there is no bias.
""",
    signature='def rms_norm(x: "float[B, T, D]", weight: "float[D]", eps: float) -> "float[B, T, D]":',
    sizes={"D": (2, 6)},
    draw=lambda rng, n: {"eps": float(10 ** rng.uniform(-5, 0))},
    edges=lambda rng: [
        {"x": rng.normal(size=(2, 2, 3)) + 2, "weight": rng.normal(size=3), "eps": 0.5},
        {"x": rng.normal(size=(2, 3, 4)), "weight": rng.normal(size=4), "eps": 2.0},
        {"x": np.zeros((1, 1, 3)), "weight": np.ones(3), "eps": 1e-5},
    ],
    oracle=lambda x, weight, eps: rms_norm(x, weight, eps),
    vjp=lambda dy, x, weight, eps: dict(zip(("x", "weight"), rms_norm_vjp(x, weight, eps, dy), strict=True)),
    forbidden=("torch.nn.functional.rms_norm", "torch.nn.RMSNorm", "torch.rms_norm"),
    hints=(
        "It is layer norm without the mean and without the bias: one statistic per row.",
        "The root mean square runs over the last axis; eps stands under the root.",
        "weight * x / sqrt((x**2).mean(-1, keepdims=True) + eps)",
    ),
    solution="""
import numpy as np

def rms_norm(x, weight, eps):
    return weight * x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
""",
    torch="""
import torch

def rms_norm(x, weight, eps):
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))
""",
    wrong={
        "the mean is subtracted: this is layer norm": (
            "weight * x / np.sqrt((x**2)", "weight * (x - x.mean(-1, keepdims=True)) / np.sqrt(((x - x.mean(-1, keepdims=True)) ** 2)"
        ),
        "the variance is taken, not the mean square": ("(x**2).mean(-1, keepdims=True)", "x.var(-1, keepdims=True)"),
        "eps stands outside the root": ("np.sqrt((x**2).mean(-1, keepdims=True) + eps)", "(np.sqrt((x**2).mean(-1, keepdims=True)) + eps)"),
        "the squares are summed, not averaged": ("(x**2).mean(", "(x**2).sum("),
        "the root is missing": ("np.sqrt((x**2).mean(-1, keepdims=True) + eps)", "((x**2).mean(-1, keepdims=True) + eps)"),
        "the root mean square runs over the positions, not over the channels": (".mean(-1,", ".mean(1,"),
        "one root mean square is taken for the whole array": (".mean(-1, keepdims=True)", ".mean()"),
        "the weight is added to 1, as in Gemma": ("weight * x", "(1 + weight) * x"),
        "eps is left out": (" + eps", " + 1e-30"),
    },
)  # fmt: skip
