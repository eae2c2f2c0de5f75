"""A graph convolution."""

from typing import Any

import numpy as np

from clearhead.reference.graph import graph_convolution, normalized_adjacency
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    a = np.triu(rng.random((n.N, n.N)) < 0.5, 1).astype(float)
    return {"a": a + a.T}


exercise = Exercise(
    title="A graph convolution",
    section="Classical learning",
    statement="""
One layer of Kipf and Welling's network: relu(D^-1/2 (A + I) D^-1/2 x w), with A the symmetric adjacency matrix and
D the diagonal matrix of the degrees of A + I, the added loops counted.
""",
    signature='def graph_convolution(a: "float[N, N]", x: "float[N, D]", w: "float[D, F]") -> "float[N, F]":',
    sizes={"N": (2, 6), "D": (1, 4), "F": (1, 4)},
    draw=_draw,
    edges=lambda rng: [{"a": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]), "x": rng.normal(size=(3, 2)), "w": rng.normal(size=(2, 2))}],
    oracle=lambda a, x, w: np.maximum(graph_convolution(normalized_adjacency(a), x, w), 0),
    hints=(
        "Every node averages its neighbors and itself; a node of many neighbors must not shout.",
        "Dividing by the root of the degree on both sides keeps the matrix symmetric.",
        "looped = a + eye(N); d = looped.sum(1); hat = looped / sqrt(outer(d, d)); maximum(hat @ x @ w, 0).",
    ),
    solution="""
import numpy as np

def graph_convolution(a, x, w):
    looped = a + np.eye(len(a))
    d = looped.sum(1)
    hat = looped / np.sqrt(np.outer(d, d))
    return np.maximum(hat @ (x @ w), 0)
""",
    torch="""
import torch

def graph_convolution(a, x, w):
    looped = a + torch.eye(len(a), dtype=a.dtype)
    r = looped.sum(1).rsqrt()
    return ((r[:, None] * looped * r) @ x @ w).relu()
""",
    wrong={
        "the loops are missing: a node does not hear itself": ("a + np.eye(len(a))", "a", "looped.sum(1)", "looped.sum(1) + (looped.sum(1) == 0)"),
        "neighbors are summed without being normalized": ("looped / np.sqrt(np.outer(d, d))", "looped"),
        "rows are divided by the degree: a plain mean, which is not symmetric": ("looped / np.sqrt(np.outer(d, d))", "looped / d[:, None]"),
        "degrees are those of A, without the loops": ("looped.sum(1)", "np.maximum(a.sum(1), 1)"),
        "both sides are divided by the degree, not by its root": ("np.sqrt(np.outer(d, d))", "np.outer(d, d)"),
        "the ReLU is missing": ("np.maximum(hat @ (x @ w), 0)", "hat @ (x @ w)"),
        "the ReLU comes before the neighbors are averaged": ("np.maximum(hat @ (x @ w), 0)", "hat @ np.maximum(x @ w, 0)"),
    },
)  # fmt: skip
