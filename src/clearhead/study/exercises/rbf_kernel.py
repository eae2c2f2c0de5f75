"""The RBF kernel without a loop."""

from clearhead.reference.svm import rbf_kernel
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="The RBF kernel",
    section="Classical learning",
    statement="""
exp(-gamma |x_i - y_j|^2) for all pairs. Memory is measured: the differences x_i - y_j, an array [N, M, D], do not fit.
""",
    signature='def rbf_kernel(x: "float[N, D]", y: "float[M, D]", gamma: float) -> "float[N, M]":',
    sizes={"N": (2, 6), "M": (2, 6), "D": (1, 5)},
    draw=lambda rng, n: {"gamma": float(rng.uniform(0.05, 1))},
    memory=({"N": 128, "M": 128, "D": 64}, 2**20),
    edges=lambda rng: [{"x": (z := rng.normal(size=(3, 2))), "y": z * 1.0, "gamma": 0.5}, {"x": z + 20, "y": z[:2] + 20, "gamma": 2.0}],
    oracle=rbf_kernel,
    hints=(
        "|x - y|^2 = |x|^2 - 2 x.y + |y|^2: three terms of shape [N, 1], [N, M] and [1, M].",
        "Rounding can make a squared distance slightly negative: cut it off at 0.",
        "d = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1); exp(-gamma * maximum(d, 0)).",
    ),
    solution="""
import numpy as np

def rbf_kernel(x, y, gamma):
    d = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
    return np.exp(-gamma * np.maximum(d, 0))
""",
    torch="""
import torch

def rbf_kernel(x, y, gamma):
    d = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
    return torch.exp(-gamma * d.clamp(min=0))
""",
    wrong={
        "all differences are held at once": '''
import numpy as np

def rbf_kernel(x, y, gamma):
    return np.exp(-gamma * ((x[:, None] - y[None]) ** 2).sum(-1))
''',
        "the distance is not squared": ("np.maximum(d, 0)", "np.sqrt(np.maximum(d, 0))"),
        "the factor 2 of the mixed term is missing": ("2 * x @ y.T", "x @ y.T"),
        "gamma is taken for a width: |x - y|^2 / (2 gamma^2)": ("-gamma * np", "-1 / (2 * gamma**2) * np"),
        "the sign of the exponent is wrong": ("-gamma * np", "gamma * np"),
        "it is the dot product alone, without the lengths": ("(x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)", "-2 * x @ y.T"),
    },
)  # fmt: skip
