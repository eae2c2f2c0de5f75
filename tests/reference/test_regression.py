"""Regression against scikit-learn, and its error taken apart."""

import numpy as np
import pytest
from against import check_vjp, close
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, Ridge

from clearhead.reference.regression import (
    bias_trick,
    bias_variance,
    polynomial,
    predict,
    ridge,
    squared_error,
    squared_error_vjp,
)

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(30, 4)) + 3, RNG.normal(size=30)
DIABETES = load_diabetes(return_X_y=True)


def test_loss_and_gradient() -> None:
    def peer(x, y, w, b, penalty):
        return ((x @ w + b - y) ** 2).mean() + penalty * (w**2).sum()

    check_vjp(squared_error, squared_error_vjp, X[:6], Y[:6], RNG.normal(size=4), np.array(0.5), 0.3, peer=peer)


@pytest.mark.parametrize("penalty", [0.0, 1e-3, 0.1, 10.0])
def test_scikit_learn_finds_the_same_line(penalty: float) -> None:
    for x, y in ((X, Y), DIABETES):
        found, peer = ridge(x, y, penalty), Ridge(alpha=len(x) * penalty, tol=1e-12).fit(x, y)
        peer = LinearRegression().fit(x, y) if penalty == 0 else peer
        close(found.w, peer.coef_, 1e-9)
        close(found.b, peer.intercept_, 1e-9)
        close(predict(x, found.w, np.array(found.b)), peer.predict(x), 1e-9)
        _, _, dw, db = squared_error_vjp(x, y, found.w, np.array(found.b), penalty, np.array(1.0))
        assert np.abs(dw).max() < 1e-9 * np.abs(y).sum() and abs(db) < 1e-9 * np.abs(y).sum()


def test_how_much_of_the_diabetes_data_a_line_explains() -> None:
    x, y = DIABETES
    line = ridge(x, y)
    close(1 - squared_error(x, y, line.w, np.array(line.b)) / y.var(), 0.5177, 1e-3)


def test_the_bias_is_a_weight_on_ones_and_is_not_penalized() -> None:
    line = ridge(X, Y)
    close(np.linalg.lstsq(bias_trick(X), Y, rcond=None)[0], [*line.w, line.b], 1e-9)
    close(ridge(X, Y + 100, 1e6).b, Y.mean() + 100, 1e-4)  # the weights vanish, the mean stays


def test_polynomial() -> None:
    close(polynomial(Y, 4), np.vander(Y, 5, increasing=True)[:, 1:])


def test_dependent_columns() -> None:
    doubled = np.column_stack([X, X[:, 0]])
    close(predict(doubled, *map(np.asarray, ridge(doubled, Y))), predict(X, *map(np.asarray, ridge(X, Y))), 1e-8)
    close(ridge(doubled, Y).w, np.linalg.pinv(doubled - doubled.mean(0)) @ (Y - Y.mean()), 1e-8)  # the shortest
    assert np.isfinite(ridge(X[:2], Y[:2], 0.1).w).all()  # more columns than rows


def test_the_error_is_bias_variance_and_noise() -> None:
    x, at = np.linspace(-1, 1, 15), np.linspace(-0.9, 0.9, 7)

    def fit(degree: int):
        def line(x, y):
            found = ridge(polynomial(x, degree), y)
            return lambda at: predict(polynomial(at, degree), found.w, np.array(found.b))

        return line

    stiff, supple = (
        bias_variance(lambda v: np.sin(3 * v), fit(d), x, at, 0.3, 1500, np.random.default_rng(2)) for d in (1, 9)
    )
    for found in (stiff, supple):
        close(found.bias2 + found.variance + found.noise, found.error, 0.03)
    assert stiff.bias2 > 30 * supple.bias2 and supple.variance > 3 * stiff.variance
    hat = bias_trick(polynomial(x, 9)) @ np.linalg.pinv(bias_trick(polynomial(x, 9)))
    exact = bias_variance(lambda v: np.sin(3 * v), fit(9), x, x, 0.3, 1500, np.random.default_rng(3)).variance
    close(exact, 0.09 * np.trace(hat) / 15, 0.05)  # σ² p / N on the points themselves


def test_more_weights_than_points_vary_less_again() -> None:
    truth, at = RNG.normal(size=300) / 17, RNG.normal(size=(50, 300))

    def variance(columns: int) -> float:
        found = []
        for _ in range(20):
            x = RNG.normal(size=(40, 300))
            line = ridge(x[:, :columns], x @ truth + 0.5 * RNG.normal(size=40))
            found.append(predict(at[:, :columns], line.w, np.array(line.b)))
        return float(np.var(found, axis=0).mean())

    few, as_many, most = variance(10), variance(39), variance(300)
    assert 5 * few < as_many > 20 * most


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ridge(X[:0], Y[:0]), "0 rows"),
        (lambda: ridge(X, Y, -1.0), "penalty = -1.0"),
        (lambda: polynomial(Y, 0), "degree = 0"),
        (lambda: bias_variance(np.sin, lambda x, y: np.sin, Y, Y, 0.1, 1, RNG), "samples = 1"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
