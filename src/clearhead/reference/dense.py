"""The dense layer, two of them with a ReLU between, and their backward pass worked out step by step.

Rows are samples: Y = X W + b with W of D rows and F columns, the transpose of y = W x + b.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.activations import relu, relu_vjp


def dense(x: Float[Array, "*B D"], w: Float[Array, "D F"], b: Float[Array, "F"]) -> Float[Array, "*B F"]:
    """y = x W + b: each output is the dot product of x with its own column, moved by its own bias.

    >>> dense(np.array([1.0, 2.0]), np.array([[0.5, 0.5], [-0.5, 0.5]]), np.array([0.0, 10.0])).tolist()
    [-0.5, 11.5]

    O(D F) a row. Goodfellow, Bengio and Courville 2016, section 6.1.
    """
    return x @ w + b


def dense_vjp(
    x: Float[Array, "*B D"], w: Float[Array, "D F"], b: Float[Array, "F"], dy: Float[Array, "*B F"]
) -> tuple[Float[Array, "*B D"], Float[Array, "D F"], Float[Array, "F"]]:
    """dx = dy Wᵀ, dW = xᵀ dy, db = Σ dy, the sums over all rows: two products for the one of the way forward."""
    rows, d_rows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return dy @ w.T, rows.T @ d_rows, d_rows.sum(0)


def collapse(
    w_1: Float[Array, "D F"], b_1: Float[Array, "F"], w_2: Float[Array, "F K"], b_2: Float[Array, "K"]
) -> tuple[Float[Array, "D K"], Float[Array, "K"]]:
    """(W₁ W₂, b₁ W₂ + b₂): with nothing nonlinear between them, two layers are one, of rank F at most.

    >>> collapse(np.array([[2.0]]), np.array([1.0]), np.array([[3.0]]), np.array([4.0]))
    (array([[6.]]), array([7.]))

    O(D F K). Goodfellow, Bengio and Courville 2016, section 6.1.
    """
    return w_1 @ w_2, b_1 @ w_2 + b_2


def mean_squared_error(y_hat: Float[Array, "*B K"], y: Float[Array, "*B K"]) -> Float[Array, ""]:
    """L = mean (ŷ - y)² over all entries.

    >>> float(mean_squared_error(np.array([1.0, 2.0]), np.array([1.0, 5.0])))
    4.5

    O(entries). Bishop 2006, equation 5.14, whose ½ Σ is a mean here. ValueError: no entries.
    """
    if not y.size:
        raise ValueError(f"targets of shape {y.shape} are empty: a mean over nothing is undefined")
    return ((y_hat - y) ** 2).mean()


def mean_squared_error_vjp(
    y_hat: Float[Array, "*B K"], y: Float[Array, "*B K"], dl: Float[Array, ""]
) -> tuple[Float[Array, "*B K"], Float[Array, "*B K"]]:
    """dŷ = 2 (ŷ - y) dl / entries, and dy = -dŷ."""
    dy_hat = 2 * dl * (y_hat - y) / y.size
    return dy_hat, -dy_hat


class Network(NamedTuple):
    """The weights of two dense layers."""

    w_1: Float[Array, "D F"]
    b_1: Float[Array, "F"]
    w_2: Float[Array, "F K"]
    b_2: Float[Array, "K"]


class Forward(NamedTuple):
    """What the way forward computes, in order, and the way back needs."""

    z: Float[Array, "N F"]
    h: Float[Array, "N F"]
    y_hat: Float[Array, "N K"]


class Backward(NamedTuple):
    """The gradient of the loss with respect to each quantity, in the order in which they are found."""

    dy_hat: Float[Array, "N K"]
    dw_2: Float[Array, "F K"]
    db_2: Float[Array, "K"]
    dh: Float[Array, "N F"]
    dz: Float[Array, "N F"]
    dw_1: Float[Array, "D F"]
    db_1: Float[Array, "F"]
    dx: Float[Array, "N D"]


def two_layer(x: Float[Array, "N D"], w: Network) -> Forward:
    """z = x W₁ + b₁, h = ReLU(z), ŷ = h W₂ + b₂.

    Two hidden units are enough for XOR, which no single layer computes:

    >>> xor = Network(np.ones((2, 2)), np.array([0.0, -1.0]), np.array([[1.0], [-2.0]]), np.zeros(1))
    >>> two_layer(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), xor).y_hat[:, 0].tolist()
    [0.0, 1.0, 1.0, 0.0]

    O(N F (D + K)). Goodfellow, Bengio and Courville 2016, section 6.1.
    """
    z = dense(x, w.w_1, w.b_1)
    h = relu(z)
    return Forward(z, h, dense(h, w.w_2, w.b_2))


def two_layer_backward(x: Float[Array, "N D"], w: Network, dy_hat: Float[Array, "N K"]) -> Backward:
    """dW₂ = hᵀ dŷ, dh = dŷ W₂ᵀ, dz = dh where z > 0, dW₁ = xᵀ dz, dx = dz W₁ᵀ; biases take the sums over rows.

    A weight's gradient is (what went in)ᵀ (what came back); what goes further back is (what came back) Wᵀ: where the
    layer fans out from D inputs to F units, the gradient fans in along the same weights.

    >>> net = Network(np.array([[0.5, 0.5], [-0.5, 0.5]]), np.zeros(2), np.ones((2, 1)), np.zeros(1))
    >>> x, y = np.array([[1.0, 2.0]]), np.array([[1.0]])
    >>> found = two_layer_backward(x, net, mean_squared_error_vjp(two_layer(x, net).y_hat, y, np.array(1.0))[0])
    >>> found.dw_2[:, 0].tolist(), found.dw_1.tolist()
    ([0.0, 1.5], [[0.0, 1.0], [0.0, 2.0]])

    O(N F (D + K)), twice the way forward. Rumelhart, Hinton and Williams 1986; Goodfellow et al. 2016, section 6.5.
    """
    z, h, _ = two_layer(x, w)
    dh, dw_2, db_2 = dense_vjp(h, w.w_2, w.b_2, dy_hat)
    dz = relu_vjp(z, dh)
    dx, dw_1, db_1 = dense_vjp(x, w.w_1, w.b_1, dz)
    return Backward(dy_hat, dw_2, db_2, dh, dz, dw_1, db_1, dx)


class Trained(NamedTuple):
    """Weights, and the loss before each step and after the last."""

    w: Network
    losses: Float[Array, "steps"]


def train(x: Float[Array, "N D"], y: Float[Array, "N K"], w: Network, rate: float, steps: int) -> Trained:
    """Gradient descent on the mean squared error of the two layers, all rows at every step.

    >>> start = Network(np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1))
    >>> train(np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]]), start, 0.05, 1000).losses[[0, -1]].round(9).tolist()
    [6.5, 0.0]

    O(steps N F (D + K)). Goodfellow, Bengio and Courville 2016, section 6.2. ValueError: as mean_squared_error.
    """
    losses = []
    for _ in range(steps):
        y_hat = two_layer(x, w).y_hat
        losses.append(float(mean_squared_error(y_hat, y)))
        found = two_layer_backward(x, w, mean_squared_error_vjp(y_hat, y, np.array(1.0))[0])
        w = Network(
            w.w_1 - rate * found.dw_1,
            w.b_1 - rate * found.db_1,
            w.w_2 - rate * found.dw_2,
            w.b_2 - rate * found.db_2,
        )
    return Trained(w, np.array([*losses, float(mean_squared_error(two_layer(x, w).y_hat, y))]))
