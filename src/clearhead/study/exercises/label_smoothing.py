"""Cross-entropy against smoothed targets."""

from typing import Any

import numpy as np

from clearhead.reference.softmax import log_softmax, log_softmax_vjp
from clearhead.study.practice.exercise import Exercise


def _weights(z: np.ndarray, target: np.ndarray, smoothing: float) -> np.ndarray:
    N, K = z.shape
    return (1 - smoothing) * np.eye(K)[target] / N + smoothing / (N * K)


def _oracle(z: np.ndarray, target: np.ndarray, smoothing: float) -> float:
    return float(-(_weights(z, target, smoothing) * log_softmax(z)).sum())


def _vjp(dy: Any, z: np.ndarray, target: np.ndarray, smoothing: float) -> dict[str, np.ndarray]:
    return {"z": log_softmax_vjp(z, -float(dy) * _weights(z, target, smoothing))}


exercise = Exercise(
    title="Label smoothing",
    section="Losses",
    statement="""
Cross-entropy, the mean over the rows, against smoothed targets: the right class has probability 1 - smoothing +
smoothing / K, each of the others smoothing / K, for K classes. Logits may be as large as 1,000.
""",
    signature='def label_smoothing(z: "float[N, K]", target: "int[N]", smoothing: float) -> float:',
    sizes={"K": (2, 6), "N": (2, 6)},
    draw=lambda rng, n: {"target": rng.integers(0, n.K, n.N), "smoothing": float(rng.choice([0.05, 0.1, 0.2, 0.5]))},
    edges=lambda rng: [
        {"z": np.array([[1e3, 0.0, -1e3], [0.0, 500.0, 1.0]]), "target": np.array([1, 1]), "smoothing": 0.1},
        {"z": rng.normal(size=(3, 4)), "target": np.array([0, 3, 3]), "smoothing": 0.0},
    ],
    oracle=_oracle,
    vjp=_vjp,
    forbidden=("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss"),
    hints=(
        "Write the smoothed distribution of a row: (1 - smoothing) times one-hot plus smoothing times uniform.",
        "The loss is (1 - s) times the usual one plus s times the mean of -log p over all K classes.",
        "log_p = z - logsumexp(z); (-(1 - s) * log_p[rows, target] - s * log_p.mean(-1)).mean()",
    ),
    solution="""
import numpy as np

def label_smoothing(z, target, smoothing):
    z = z - z.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    right = log_p[np.arange(len(z)), target]
    return -((1 - smoothing) * right + smoothing * log_p.mean(-1)).mean()
""",
    torch="""
import torch

def label_smoothing(z, target, smoothing):
    log_p = z.log_softmax(-1)
    wanted = torch.full_like(log_p, smoothing / z.shape[-1])
    wanted[torch.arange(len(z)), target] += 1 - smoothing
    return -(wanted * log_p).sum(-1).mean()
""",
    wrong={
        "the smoothing is spread over the K - 1 wrong classes only": (
            "smoothing * log_p.mean(-1)", "smoothing * (log_p.sum(-1) - right) / (z.shape[-1] - 1)"
        ),
        "the right class keeps 1 - smoothing without its share of the rest": (
            "smoothing * log_p.mean(-1)", "smoothing * (log_p.sum(-1) - right) / z.shape[-1]"
        ),
        "the smoothing is not divided by K": ("log_p.mean(-1)", "log_p.sum(-1)"),
        "the right class is not weighted by 1 - smoothing": ("(1 - smoothing) * right", "right"),
        "there is no smoothing: this is plain cross-entropy": ("(1 - smoothing) * right + smoothing * log_p.mean(-1)", "right"),
        "the sum over the rows, not the mean": ("log_p.mean(-1)).mean()", "log_p.mean(-1)).sum()"),
        "smoothing and 1 - smoothing have changed places": ("(1 - smoothing) * right + smoothing *", "smoothing * right + (1 - smoothing) *"),
        "the probabilities are smoothed, not the targets": (
            "    right = ", "    log_p = np.log((1 - smoothing) * np.exp(log_p) + smoothing / z.shape[-1])\n    right = ",
            "(1 - smoothing) * right + smoothing * log_p.mean(-1)", "right",
        ),
        "the sign is missing": ("return -(", "return ("),
    },
)  # fmt: skip
