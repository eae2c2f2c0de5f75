"""Logistic regression by Newton's method."""

from typing import Any

import numpy as np

from clearhead.reference.logistic import logistic_newton
from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray, y: np.ndarray, steps: int, penalty: float) -> tuple[Any, ...]:
    fit = logistic_newton(x, y, steps, penalty)
    return fit.w, float(fit.b)


exercise = Exercise(
    title="Logistic regression by Newton",
    section="Classical learning",
    statement="""
Newton's method from zero for the mean over i of the cross-entropy between y_i (0 or 1) and sigmoid(x_i . w + b), plus
penalty times |w|^2 (the bias is not penalized). Return (w, b) after `steps` steps, each of full length.
""",
    signature='def logistic_newton(x: "float[N, D]", y: "float[N]", steps: int, penalty: float) -> "w, b":',
    sizes={"N": (5, 9), "D": (1, 3)},
    draw=lambda rng, n: {"y": rng.integers(0, 2, n.N).astype(float), "steps": int(rng.integers(1, 5)), "penalty": float(rng.uniform(0.05, 0.5))},
    oracle=_oracle,
    outputs=("w", "b"),
    hints=(
        "Append a column of ones, so that the bias is one more weight, and leave it out of the penalty.",
        "Gradient: X^T (p - y) / N + 2 penalty w. Hessian: X^T diag(p (1 - p)) X / N + 2 penalty I, with 0 for the bias.",
        "theta = theta - solve(hessian, gradient), with p = sigmoid(X theta) computed anew in every step.",
    ),
    solution="""
import numpy as np

def logistic_newton(x, y, steps, penalty):
    ones = np.hstack((x, np.ones((len(x), 1))))
    shrink = 2 * penalty * np.eye(ones.shape[1])
    shrink[-1, -1] = 0
    theta = np.zeros(ones.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-ones @ theta))
        gradient = ones.T @ (p - y) / len(x) + shrink @ theta
        hessian = (ones.T * (p * (1 - p))) @ ones / len(x) + shrink
        theta = theta - np.linalg.solve(hessian, gradient)
    return theta[:-1], theta[-1]
""",
    torch="""
import torch

def logistic_newton(x, y, steps, penalty):
    ones = torch.cat((x, torch.ones(len(x), 1, dtype=x.dtype)), 1)
    theta = torch.zeros(ones.shape[1], dtype=x.dtype)

    shrink = 2 * penalty * torch.diag(torch.tensor([1.0] * x.shape[1] + [0.0], dtype=x.dtype))
    for _ in range(steps):
        p = (ones @ theta).sigmoid()
        hessian = torch.einsum("n,ni,nj->ij", p * (1 - p), ones, ones) / len(x) + shrink
        theta = theta - torch.linalg.solve(hessian, ones.T @ (p - y) / len(x) + shrink @ theta)
    return theta[:-1], theta[-1]
""",
    wrong={
        "the step goes along the gradient: this is gradient descent": ("np.linalg.solve(hessian, gradient)", "gradient"),
        "the Hessian lacks the weights p (1 - p)": (" * (p * (1 - p))", ""),
        "the bias is penalized": ("    shrink[-1, -1] = 0\n", ""),
        "the penalty's derivative lacks its factor 2": ("2 * penalty", "penalty"),
        "the penalty is missing from the Hessian": ("/ len(x) + shrink\n", "/ len(x)\n"),
        "the penalty is missing from the gradient": (" + shrink @ theta", ""),
        "the gradient is not divided by N": ("(p - y) / len(x)", "(p - y)"),
        "one step more than asked for": ("range(steps)", "range(steps + 1)"),
    },
)  # fmt: skip
