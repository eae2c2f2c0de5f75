"""Logistic and softmax regression against torch and scikit-learn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression

from clearhead.reference.activations import sigmoid
from clearhead.reference.logistic import (
    boundary_distance,
    logistic_descent,
    logistic_loss,
    logistic_loss_vjp,
    logistic_newton,
    softmax_descent,
    softmax_loss,
    softmax_loss_vjp,
)

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(40, 3)), RNG.integers(0, 2, 40).astype(float)
W, B = RNG.normal(size=3), np.array(0.4)
KINDS = RNG.integers(0, 4, 40)


def test_losses_and_gradients() -> None:
    check_vjp(logistic_loss, logistic_loss_vjp, X[:5], RNG.random(5), W, B, 0.2,
              peer=lambda x, y, w, b, p: F.binary_cross_entropy_with_logits(x @ w + b, y) + p * (w @ w))  # fmt: skip
    check_vjp(softmax_loss, softmax_loss_vjp, X[:5], KINDS[:5], RNG.normal(size=(3, 4)), RNG.normal(size=4), 0.2,
              peer=lambda x, y, w, b, p: F.cross_entropy(x @ w + b, y) + p * (w**2).sum())  # fmt: skip


def test_two_classes_are_logistic_regression() -> None:
    columns = np.stack([np.zeros(3), W], 1)
    close(softmax_loss(X, Y.astype(int), columns, np.array([0, float(B)])), logistic_loss(X, Y, W, B))


def test_far_out() -> None:
    z = np.array([[1e4], [-1e4]])
    close(logistic_loss(z, np.array([1.0, 0.0]), np.ones(1), np.array(0.0)) + 1, 1.0)
    close(logistic_loss(z, np.array([0.0, 1.0]), np.ones(1), np.array(0.0)), 1e4)
    assert np.isfinite(logistic_loss_vjp(z, np.array([0.0, 1.0]), np.ones(1), np.array(0.0), 0.0, np.array(1.0))[2])


@pytest.mark.parametrize("penalty", [0.0, 0.01, 1.0])
def test_newton_descent_and_scikit_learn_meet(penalty: float) -> None:
    newton = logistic_newton(X, Y, 8, penalty)
    descent = logistic_descent(X, Y, 0.5, 3000, penalty)
    strength = 1 / (2 * len(X) * penalty) if penalty else np.inf
    peer = LogisticRegression(C=strength, tol=1e-10, max_iter=1000).fit(X, Y)
    close(newton.w, peer.coef_[0], 1e-5)
    close(newton.b, peer.intercept_[0], 1e-4)
    close(descent.w, newton.w, 1e-7)
    assert (np.diff(descent.losses) <= 1e-15).all()
    changes = np.abs(np.diff(newton.losses))
    assert changes[4] < 1e-9 and changes[-1] < 1e-15


def test_breast_cancer() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    fit = logistic_newton(x, y.astype(float), 10, penalty=1e-3)
    peer = LogisticRegression(C=1 / (2 * len(x) * 1e-3), tol=1e-10, max_iter=5000).fit(x, y)
    close(fit.w, peer.coef_[0], 1e-4)
    assert ((x @ fit.w + fit.b > 0) == y).mean() > 0.98


def test_digits() -> None:
    x, y = load_digits(return_X_y=True)
    x = x / 16
    fit = softmax_descent(x[:1200], y[:1200], 10, 0.5, 300)
    assert ((x[1200:] @ fit.w + fit.b).argmax(1) == y[1200:]).mean() > 0.9
    assert fit.losses[0] == pytest.approx(np.log(10)) and fit.losses[-1] < 0.3


def test_the_path_of_softmax_descent_is_that_of_torch() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 4)), rng.integers(3, size=30)
    fit = softmax_descent(x, y, 3, 0.7, 12, penalty=0.05)
    w = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    b = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    descent, losses = torch.optim.SGD([w, b], lr=0.7), []
    for _ in range(13):
        descent.zero_grad()
        loss = F.cross_entropy(torch.from_numpy(x) @ w + b, torch.from_numpy(y)) + 0.05 * (w * w).sum()
        losses.append(loss.item())
        if len(losses) <= 12:
            loss.backward()
            descent.step()
    close(fit.w, w.detach().numpy())
    close(fit.b, b.detach().numpy())
    close(fit.losses, np.array(losses))


def test_the_boundary() -> None:
    fit = logistic_newton(X, Y, 8, 0.01)
    far = boundary_distance(X, fit.w, float(fit.b))
    close(X @ fit.w + fit.b, far * np.linalg.norm(fit.w))
    on = X - far[:, None] * fit.w / np.linalg.norm(fit.w)
    close(sigmoid(on @ fit.w + fit.b), np.full(40, 0.5))


def test_weights_of_separable_classes_keep_growing() -> None:
    x, y = np.array([[-1.0], [1.0]]), np.array([0.0, 1.0])
    sizes = [logistic_descent(x, y, 1.0, n).w[0] for n in (100, 400, 1600)]
    close(np.diff(sizes), np.log([4, 4]), 0.05)  # as the logarithm of the steps
    assert abs(logistic_newton(x, y, 9, 0.01).w[0]) < 5


def test_groups_have_a_closed_form() -> None:
    x, y = np.repeat([[0.0], [1.0]], [4, 5], 0), np.array([0, 0, 1, 0, 1, 1, 0, 1, 1.0])
    fit = logistic_newton(x, y, 10)
    close([fit.b, fit.b + fit.w[0]], np.log([(1 / 4) / (3 / 4), (4 / 5) / (1 / 5)]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logistic_loss(X[:0], Y[:0], W, B), "0 rows"),
        (lambda: logistic_loss(X, Y + 1, W, B), r"\[0, 1\]"),
        (lambda: softmax_loss(X[:0], KINDS[:0], np.zeros((3, 4)), np.zeros(4)), "no rows"),
        (lambda: softmax_loss(X, KINDS, np.zeros((3, 2)), np.zeros(2)), "0 to 1"),
        (lambda: logistic_newton(np.zeros((4, 1)), Y[:4], 3), "singular"),
        (lambda: logistic_newton(np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]), 100), "separable"),
        (lambda: boundary_distance(X, np.zeros(3), 1.0), "no boundary"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
