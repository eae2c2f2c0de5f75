"""Logistic and softmax regression: the loss from the logits, its gradient and Hessian, descent and Newton's method.

Targets are 0 or 1, or class numbers; the penalty leaves the biases alone, as in regression.py.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array
from clearhead.reference.activations import sigmoid
from clearhead.reference.regression import bias_trick
from clearhead.reference.softmax import cross_entropy, cross_entropy_vjp


def logistic_loss(
    x: Float[Array, "N D"], y: Float[Array, "N"], w: Float[Array, "D"], b: Float[Array, ""], penalty: float = 0.0
) -> Float[Array, ""]:
    """1/N Σ [max(z, 0) - z y + log(1 + e^-|z|)] + λ ‖w‖² with z = X w + b: -log σ or -log(1 - σ), finite anywhere.

    >>> float(logistic_loss(np.array([[10_000.0]]), np.array([0.0]), np.array([1.0]), np.array(0.0)))
    10000.0

    O(N D). Bishop 2006, equation 4.90. ValueError: no rows, or targets outside [0, 1].
    """
    _check(x, y)
    z = x @ w + b
    return (np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))).mean() + penalty * (w @ w)


def logistic_loss_vjp(
    x: Float[Array, "N D"],
    y: Float[Array, "N"],
    w: Float[Array, "D"],
    b: Float[Array, ""],
    penalty: float,
    dl: Float[Array, ""],
) -> tuple[Float[Array, "N D"], Float[Array, "N"], Float[Array, "D"], Float[Array, ""]]:
    """With r = (σ(z) - y) / N: dX = r wᵀ, dy = -z / N, dw = Xᵀ r + 2λ w, db = Σ r, all times dl."""
    z = x @ w + b
    r = dl * (sigmoid(z) - y) / len(x)
    return np.outer(r, w), -dl * z / len(x), x.T @ r + 2 * dl * penalty * w, r.sum()


class Fit(NamedTuple):
    """Weights, a bias, and the loss before each step and after the last."""

    w: Float[Array, "..."]
    b: Float[Array, "..."]
    losses: Float[Array, "steps"]


def logistic_descent(
    x: Float[Array, "N D"], y: Float[Array, "N"], rate: float, steps: int, penalty: float = 0.0
) -> Fit:
    """Gradient descent from zero. On separable classes without a penalty the weights grow for ever, ever more slowly.

    >>> fit = logistic_descent(np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]), 1.0, 100)
    >>> bool(fit.w[0] > 3), bool(fit.losses[-1] < 0.05)
    (True, True)

    O(steps N D). Soudry et al. 2018, theorem 3. ValueError: as logistic_loss.
    """
    w, b, losses = np.zeros(x.shape[1]), np.array(0.0), []
    for _ in range(steps):
        losses.append(float(logistic_loss(x, y, w, b, penalty)))
        _, _, dw, db = logistic_loss_vjp(x, y, w, b, penalty, np.array(1.0))
        w, b = w - rate * dw, b - rate * db
    return Fit(w, b, np.array([*losses, float(logistic_loss(x, y, w, b, penalty))]))


def logistic_newton(x: Float[Array, "N D"], y: Float[Array, "N"], steps: int, penalty: float = 0.0) -> Fit:
    """Newton's method, here iteratively reweighted least squares: H = Xᵀ diag(σ (1 - σ)) X / N + 2λ I.

    The loss is convex, so near its only minimum every step doubles the right digits.

    >>> fit = logistic_newton(np.array([[-1.0], [0.0], [1.0]]), np.array([0.0, 1.0, 1.0]), 6, penalty=0.01)
    >>> bool(np.abs(np.diff(fit.losses)[-1]) < 1e-12)
    True

    O(steps (N D² + D³)). Bishop 2006, section 4.3.3. ValueError: as logistic_loss; a singular Hessian.
    """
    ones, shrink = bias_trick(x), 2 * penalty * np.diag([*np.ones(x.shape[1]), 0.0])
    theta, losses = np.zeros(x.shape[1] + 1), []
    for _ in range(steps):
        losses.append(float(logistic_loss(x, y, theta[:-1], theta[-1], penalty)))
        p = sigmoid(ones @ theta)
        gradient = ones.T @ (p - y) / len(x) + shrink @ theta
        hessian = (ones * (p * (1 - p))[:, None]).T @ ones / len(x) + shrink
        try:
            theta = theta - np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError as error:
            raise ValueError("the Hessian is singular: dependent columns or separable data; add a penalty") from error
    w, b = theta[:-1], theta[-1]
    return Fit(w, b, np.array([*losses, float(logistic_loss(x, y, w, b, penalty))]))


def boundary_distance(x: Float[Array, "N D"], w: Float[Array, "D"], b: float) -> Float[Array, "N"]:
    """(X w + b) / ‖w‖: the signed distance to the decision boundary X w + b = 0, where the chance is ½.

    >>> boundary_distance(np.array([[3.0, 4.0]]), np.array([3.0, 4.0]), -5.0).tolist()
    [4.0]

    O(N D). Bishop 2006, equation 4.7. ValueError: w = 0, which has no boundary.
    """
    length = np.linalg.norm(w)
    if length == 0:
        raise ValueError("weights of 0 draw no boundary: the answer is the same everywhere")
    return (x @ w + b) / length


def softmax_loss(
    x: Float[Array, "N D"], y: Int[Array, "N"], w: Float[Array, "D K"], b: Float[Array, "K"], penalty: float = 0.0
) -> Float[Array, ""]:
    """1/N Σ -log softmax(X W + b)[y] + λ ‖W‖²; with two classes it is logistic_loss of the difference of the columns.

    >>> float(softmax_loss(np.ones((1, 1)), np.array([1]), np.zeros((1, 4)), np.zeros(4)).round(4))  # log 4
    1.3863

    O(N D K). Bishop 2006, equation 4.108. ValueError: no rows, or a target that is no class.
    """
    if not len(x):
        raise ValueError("no rows: a mean over none is undefined")
    return cross_entropy(x @ w + b, y).mean() + penalty * (w * w).sum()


def softmax_loss_vjp(
    x: Float[Array, "N D"],
    y: Int[Array, "N"],
    w: Float[Array, "D K"],
    b: Float[Array, "K"],
    penalty: float,
    dl: Float[Array, ""],
) -> tuple[Float[Array, "N D"], Float[Array, "D K"], Float[Array, "K"]]:
    """With R = (P - onehot(y)) / N: dX = R Wᵀ, dW = Xᵀ R + 2λ W, db = Σ R, all times dl."""
    r = cross_entropy_vjp(x @ w + b, y, np.full(len(x), float(dl) / len(x)))
    return r @ w.T, x.T @ r + 2 * dl * penalty * w, r.sum(0)


def softmax_descent(
    x: Float[Array, "N D"], y: Int[Array, "N"], classes: int, rate: float, steps: int, penalty: float = 0.0
) -> Fit:
    """Gradient descent from zero on softmax_loss.

    >>> fit = softmax_descent(np.eye(3), np.array([0, 1, 2]), 3, 1.0, 50)
    >>> (fit.w + fit.b).argmax(1).tolist()
    [0, 1, 2]

    O(steps N D K). Bishop 2006, section 4.3.4. ValueError: as softmax_loss.
    """
    w, b, losses = np.zeros((x.shape[1], classes)), np.zeros(classes), []
    for _ in range(steps):
        losses.append(float(softmax_loss(x, y, w, b, penalty)))
        _, dw, db = softmax_loss_vjp(x, y, w, b, penalty, np.array(1.0))
        w, b = w - rate * dw, b - rate * db
    return Fit(w, b, np.array([*losses, float(softmax_loss(x, y, w, b, penalty))]))


def _check(x: Array, y: Array) -> None:
    if not len(x) or len(x) != len(y):
        raise ValueError(f"{len(x)} rows and {len(y)} targets; there must be as many of both, at least one")
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError("targets must be in [0, 1]: 0 for one class, 1 for the other")
