"""Ridge regression in closed form."""

from typing import Any

import numpy as np

from clearhead.reference.regression import ridge
from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[Any, ...]:
    return tuple(ridge(x, y, penalty))


exercise = Exercise(
    title="Ridge regression",
    section="Classical learning",
    statement="""
The weights w and the bias b that minimize the mean over i of (x_i . w + b - y_i)^2, plus penalty times |w|^2. The bias
is not penalized, and penalty > 0. Return (w, b). Solve the linear system yourself: no least-squares routine.
""",
    signature='def ridge(x: "float[N, D]", y: "float[N]", penalty: float) -> "w, b":',
    sizes={"N": (3, 8), "D": (1, 4)},
    draw=lambda rng, n: {"x": rng.normal(size=(n.N, n.D)) + 2, "y": 3 + rng.normal(size=n.N), "penalty": float(10 ** rng.uniform(-2, 1))},
    oracle=_oracle,
    outputs=("w", "b"),
    forbidden=("numpy.linalg.lstsq", "numpy.linalg.pinv", "torch.linalg.lstsq", "torch.linalg.pinv", "torch.pinverse", "torch.lstsq"),
    hints=(
        "Set the gradient with respect to b to 0 first: what does the best b look like for a given w?",
        "b = mean(y) - mean(x) . w, so that centered data need no bias at all.",
        "On centered data (X^T X + N penalty I) w = X^T y: the N comes from the mean in the loss.",
    ),
    solution="""
import numpy as np

def ridge(x, y, penalty):
    mean_x, mean_y = x.mean(0), y.mean()
    c = x - mean_x
    gram = c.T @ c + len(x) * penalty * np.eye(x.shape[1])
    w = np.linalg.solve(gram, c.T @ (y - mean_y))
    return w, mean_y - mean_x @ w
""",
    torch="""
import torch

def ridge(x, y, penalty):
    N, D = x.shape
    ones = torch.cat((x, torch.ones(N, 1, dtype=x.dtype)), 1)
    shrink = N * penalty * torch.eye(D + 1, dtype=x.dtype)
    shrink[-1, -1] = 0
    theta = torch.linalg.solve(ones.T @ ones + shrink, ones.T @ y)
    return theta[:-1], theta[-1]
""",
    wrong={
        "the penalty is not multiplied by N": ("len(x) * penalty", "penalty"),
        "there is no penalty": ("len(x) * penalty", "1e-12"),
        "the bias is penalized too": (
            "    mean_x, mean_y = x.mean(0), y.mean()\n    c = x - mean_x\n", "    x = np.hstack((x, np.ones((len(x), 1))))\n    c, mean_y = x, 0.0\n",
            "    return w, mean_y - mean_x @ w", "    return w[:-1], w[-1]",
        ),
        "there is no bias: the line goes through the origin": ("x.mean(0), y.mean()", "0 * x.mean(0), 0 * y.mean()"),
        "the targets are centered but not the inputs": ("c = x - mean_x", "c = x"),
        "the bias is the mean of the targets": ("mean_y - mean_x @ w", "mean_y"),
        "the library solves it": '''
import numpy as np

def ridge(x, y, penalty):
    m = x.mean(0)
    gram = (x - m).T @ (x - m) + len(x) * penalty * np.eye(x.shape[1])
    w = np.linalg.lstsq(gram, (x - m).T @ (y - y.mean()), rcond=None)[0]
    return w, y.mean() - m @ w
''',
    },
)  # fmt: skip
