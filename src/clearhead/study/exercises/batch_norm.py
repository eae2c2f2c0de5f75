"""Batch norm in training and in evaluation."""

from typing import Any

import numpy as np

from clearhead.reference.normalization import Running, batch_norm, batch_norm_eval, update_running
from clearhead.study.practice.exercise import Exercise


def _oracle(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, mean: np.ndarray, variance: np.ndarray,
    rate: float, eps: float, training: bool,
) -> tuple[Any, ...]:  # fmt: skip
    running = Running(mean, variance)
    if not training:
        return batch_norm_eval(x, running, weight, bias, eps), mean, variance
    return batch_norm(x, weight, bias, eps), *update_running(running, x, rate)


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {
        "variance": rng.uniform(0.5, 2, n.D), "rate": float(rng.uniform(0.05, 0.4)), "eps": float(10 ** rng.uniform(-5, 0)),
        "training": bool(rng.random() < 0.7),
    }  # fmt: skip


exercise = Exercise(
    title="Batch norm",
    section="Normalization",
    statement="""
In training each channel is standardized over the rows of the batch (variance with divisor N, eps under the root), and
the running moments become (1 - rate) old + rate new, the new variance with divisor N - 1. In evaluation the running
moments are used and stay as they are. Return (y, mean, variance): the result and the running moments afterwards.
""",
    signature="""
def batch_norm(
    x: "float[N, D]", weight: "float[D]", bias: "float[D]", mean: "float[D]", variance: "float[D]",
    rate: float, eps: float, training: bool,
) -> "y, mean, variance":
""",
    sizes={"N": (3, 6), "D": (1, 4)},
    draw=_draw,
    edges=lambda rng: [
        {
            "x": rng.normal(size=(4, 2)), "weight": np.ones(2), "bias": np.ones(2), "mean": rng.normal(size=2),
            "variance": np.array([0.5, 2.0]), "rate": 0.1, "eps": 0.3, "training": training,
        }
        for training in (True, False)
    ],
    oracle=_oracle,
    outputs=("y", "mean", "variance"),
    forbidden=("torch.nn.functional.batch_norm", "torch.nn.BatchNorm1d", "torch.batch_norm", "torch.native_batch_norm"),
    hints=(
        "There are two pairs of moments: those of this batch, and the running ones. Which are used when?",
        "The batch is standardized with divisor N; what the running variance takes in has divisor N - 1.",
        "Training: y from x.mean(0), x.var(0); then mean = (1 - rate) mean + rate x.mean(0), likewise with x.var(0, ddof=1).",
    ),
    solution="""
import numpy as np

def batch_norm(x, weight, bias, mean, variance, rate, eps, training):
    if not training:
        return weight * (x - mean) / np.sqrt(variance + eps) + bias, mean, variance
    m, v = x.mean(0), x.var(0)
    y = weight * (x - m) / np.sqrt(v + eps) + bias
    n = len(x)
    return y, (1 - rate) * mean + rate * m, (1 - rate) * variance + rate * v * n / (n - 1)
""",
    torch="""
import torch

def batch_norm(x, weight, bias, mean, variance, rate, eps, training):
    m, v = (x.mean(0), x.var(0, unbiased=False)) if training else (mean, variance)
    y = weight * (x - m) * torch.rsqrt(v + eps) + bias
    if training:
        mean = mean.lerp(m, rate)
        variance = variance.lerp(x.var(0), rate)
    return y, mean, variance
""",
    wrong={
        "both variances have the divisor N - 1": ("m, v = x.mean(0), x.var(0)", "m, v = x.mean(0), x.var(0, ddof=1)", " * n / (n - 1)", ""),
        "the running variance takes in the biased variance of the batch": (" * n / (n - 1)", ""),
        "old and new have changed places in the running averages": (
            "(1 - rate) * mean + rate * m, (1 - rate) * variance + rate * v", "rate * mean + (1 - rate) * m, rate * variance + (1 - rate) * v"
        ),
        "training standardizes with the running moments": ("(x - m) / np.sqrt(v + eps)", "(x - mean) / np.sqrt(variance + eps)"),
        "evaluation uses the moments of the batch": (
            "(x - mean) / np.sqrt(variance + eps) + bias, mean", "(x - x.mean(0)) / np.sqrt(x.var(0) + eps) + bias, mean"
        ),
        "the batch is standardized with divisor N - 1": ("np.sqrt(v + eps)", "np.sqrt(v * len(x) / (len(x) - 1) + eps)"),
        "the running moments never change": ("return y, (1 - rate) * mean + rate * m, (1 - rate) * variance + rate * v * n / (n - 1)", "return y, mean, variance"),
    },
)  # fmt: skip
