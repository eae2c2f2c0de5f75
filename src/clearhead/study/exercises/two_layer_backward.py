"""The backward pass of a two-layer network, by hand."""

from typing import Any

import numpy as np

from clearhead.reference.dense import (
    Network,
    mean_squared_error,
    mean_squared_error_vjp,
    two_layer,
    two_layer_backward,
)
from clearhead.study.practice.exercise import Exercise


def _oracle(
    x: np.ndarray, y: np.ndarray, w_1: np.ndarray, b_1: np.ndarray, w_2: np.ndarray, b_2: np.ndarray
) -> tuple[Any, ...]:
    w = Network(w_1, b_1, w_2, b_2)
    y_hat = two_layer(x, w).y_hat
    back = two_layer_backward(x, w, mean_squared_error_vjp(y_hat, y, np.array(1.0))[0])
    return float(mean_squared_error(y_hat, y)), back.dw_1, back.db_1, back.dw_2, back.db_2, back.dx


exercise = Exercise(
    title="Two layers, backwards",
    section="Backpropagation",
    statement="""
y_hat = relu(x w_1 + b_1) w_2 + b_2, and the loss is the mean over all N K entries of (y_hat - y)^2. Return the loss and
the gradients (loss, dw_1, db_1, dw_2, db_2, dx). By hand: no automatic differentiation.
""",
    signature="""
def two_layer_backward(
    x: "float[N, D]", y: "float[N, K]", w_1: "float[D, F]", b_1: "float[F]", w_2: "float[F, K]", b_2: "float[K]"
) -> "loss, dw_1, db_1, dw_2, db_2, dx":
""",
    sizes={"N": (2, 5), "K": (1, 3), "F": (2, 6)},
    oracle=_oracle,
    outputs=("loss", "dw_1", "db_1", "dw_2", "db_2", "dx"),
    forbidden=("torch.autograd", "torch.Tensor.backward", "torch.func"),
    hints=(
        "Go back one operation at a time, and keep z and h from the way forward.",
        "A weight gets (what went in)^T (what came back); what goes further back is (what came back) W^T.",
        "d = 2 (y_hat - y) / (N K); dw_2 = h^T d; dz = (d w_2^T) * (z > 0); dw_1 = x^T dz; dx = dz w_1^T; biases sum rows.",
    ),
    solution="""
import numpy as np

def two_layer_backward(x, y, w_1, b_1, w_2, b_2):
    z = x @ w_1 + b_1
    h = np.maximum(z, 0)
    error = h @ w_2 + b_2 - y
    d = 2 * error / error.size
    dz = d @ w_2.T * (z > 0)
    return (error**2).mean(), x.T @ dz, dz.sum(0), h.T @ d, d.sum(0), dz @ w_1.T
""",
    torch="""
import torch

def two_layer_backward(x, y, w_1, b_1, w_2, b_2):
    z = x @ w_1 + b_1
    h = z.relu()
    error = h @ w_2 + b_2 - y
    d = 2 * error / error.numel()
    dz = d @ w_2.T * (z > 0)
    return (error**2).mean(), x.T @ dz, dz.sum(0), h.T @ d, d.sum(0), dz @ w_1.T
""",
    wrong={
        "the ReLU's gate is missing on the way back": (" * (z > 0)", ""),
        "the gradient of the loss is divided by the rows, not by all entries": ("error.size", "len(error)"),
        "the factor 2 of the square is missing": ("2 * error", "error"),
        "the gradients of the biases are averaged over the rows": ("dz.sum(0)", "dz.mean(0)", "d.sum(0)", "d.mean(0)"),
        "dw_2 is taken with z, from before the ReLU": ("h.T @ d", "z.T @ d"),
        "the sign of the loss's gradient is reversed": ("2 * error", "-2 * error"),
        "the library differentiates": '''
import torch

def two_layer_backward(x, y, w_1, b_1, w_2, b_2):
    leaves = [t.clone().requires_grad_() for t in (w_1, b_1, w_2, b_2, x)]
    loss = (((leaves[4] @ leaves[0] + leaves[1]).relu() @ leaves[2] + leaves[3] - y) ** 2).mean()
    loss.backward()
    return (loss.detach(), *(t.grad for t in leaves))
''',
    },
)  # fmt: skip
