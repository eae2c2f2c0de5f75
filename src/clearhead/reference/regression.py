"""Linear and ridge regression by the normal equations, and the bias and variance of what they predict.

The bias is a column of ones that no penalty touches.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


class Line(NamedTuple):
    """ŷ = X w + b."""

    w: Float[Array, "D"]
    b: float


def predict(x: Float[Array, "N D"], w: Float[Array, "D"], b: Float[Array, ""]) -> Float[Array, "N"]:
    """ŷ = X w + b.

    >>> predict(np.array([[1.0, 2.0]]), np.array([3.0, 4.0]), np.array(5.0)).tolist()
    [16.0]

    O(N D). Bishop 2006, equation 3.1.
    """
    return x @ w + b


def squared_error(
    x: Float[Array, "N D"], y: Float[Array, "N"], w: Float[Array, "D"], b: Float[Array, ""], penalty: float = 0.0
) -> Float[Array, ""]:
    """L = 1/N Σ (ŷ_n - y_n)² + λ ‖w‖², the bias not penalized.

    >>> float(squared_error(np.array([[1.0], [2.0]]), np.array([1.0, 4.0]), np.array([1.0]), np.array(0.0), 0.5))
    2.5

    O(N D). Hastie, Tibshirani and Friedman 2009, equation 3.41, whose sum is a mean here. ValueError: as ridge.
    """
    _check(x, y, penalty)
    return ((predict(x, w, b) - y) ** 2).mean() + penalty * (w @ w)


def squared_error_vjp(
    x: Float[Array, "N D"],
    y: Float[Array, "N"],
    w: Float[Array, "D"],
    b: Float[Array, ""],
    penalty: float,
    dl: Float[Array, ""],
) -> tuple[Float[Array, "N D"], Float[Array, "N"], Float[Array, "D"], Float[Array, ""]]:
    """With r = 2 (ŷ - y) / N: dX = r wᵀ, dy = -r, dw = Xᵀ r + 2λ w, db = Σ r, all times dl."""
    r = 2 * dl * (predict(x, w, b) - y) / len(x)
    return np.outer(r, w), -r, x.T @ r + 2 * dl * penalty * w, r.sum()


def ridge(x: Float[Array, "N D"], y: Float[Array, "N"], penalty: float = 0.0) -> Line:
    """(XᵀX + N λ I) w = Xᵀ y on centered data, b = ȳ - x̄ᵀ w: where the gradient of squared_error is 0.

    λ = 0 is least squares; columns that depend on each other then leave many solutions, of which this takes the
    shortest. Any λ > 0 makes the matrix invertible: no eigenvalue is below N λ.

    >>> ridge(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]))
    Line(w=array([2.]), b=1.0)

    O(N D² + D³). Hoerl and Kennard 1970, equation 2.1. ValueError: no rows, unequal lengths, or a negative penalty.
    """
    _check(x, y, penalty)
    mean_x, mean_y = x.mean(0), y.mean()
    centered = x - mean_x
    gram = centered.T @ centered + len(x) * penalty * np.eye(x.shape[1])
    w = np.linalg.lstsq(gram, centered.T @ (y - mean_y), rcond=None)[0]
    return Line(w, float(mean_y - mean_x @ w))


def bias_trick(x: Float[Array, "N D"]) -> Float[Array, "N D+1"]:
    """[X, 1]: the bias becomes one more weight.

    >>> bias_trick(np.array([[2.0, 3.0]])).tolist()
    [[2.0, 3.0, 1.0]]

    O(N D). Bishop 2006, section 3.1.
    """
    return np.column_stack([x, np.ones(len(x))])


def polynomial(x: Float[Array, "N"], degree: int) -> Float[Array, "N degree"]:
    """x, x², …, x^degree: features in which a straight line is a curve.

    >>> polynomial(np.array([2.0]), 3).tolist()
    [[2.0, 4.0, 8.0]]

    O(N · degree). Bishop 2006, section 1.1. ValueError: degree < 1.
    """
    if degree < 1:
        raise ValueError(f"degree = {degree} must be 1 or more")
    return x[:, None] ** np.arange(1, degree + 1)


class Decomposition(NamedTuple):
    """E[(y - f̂)²] = bias² + variance + noise, each a mean over the test points; `error` is measured by itself."""

    bias2: float
    variance: float
    noise: float
    error: float


def bias_variance(
    truth: Callable[[np.ndarray], np.ndarray],
    fit: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]],
    x: Float[Array, "N"],
    at: Float[Array, "M"],
    noise: float,
    samples: int,
    rng: np.random.Generator,
) -> Decomposition:
    """Fit to `samples` noisy copies of truth(x); how far off is the mean of the fits, and how far apart are they?

    A stiff model errs in the same way each time (bias), a supple one differently each time (variance).

    >>> mean = lambda x, y: lambda at: np.full(len(at), y.mean())
    >>> x = np.linspace(-1, 1, 21)
    >>> found = bias_variance(lambda x: x, mean, x, np.array([1.0]), 0.1, 200, np.random.default_rng(0))
    >>> round(found.bias2, 2), found.variance < 0.001
    (1.0, True)

    O(samples) fits. Geman, Bienenstock and Doursat 1992, section 2. ValueError: fewer than two samples, or noise < 0.
    """
    if samples < 2 or noise < 0:
        raise ValueError(f"samples = {samples} must be 2 or more and noise = {noise} at least 0")
    clean, wanted = truth(x), truth(at)
    fits = np.stack([fit(x, clean + noise * rng.normal(size=len(x)))(at) for _ in range(samples)])
    bias2 = ((fits.mean(0) - wanted) ** 2).mean()
    fresh = wanted + noise * rng.normal(size=fits.shape)
    return Decomposition(float(bias2), float(fits.var(0).mean()), noise**2, float(((fresh - fits) ** 2).mean()))


def _check(x: Array, y: Array, penalty: float) -> None:
    if not len(x) or len(x) != len(y):
        raise ValueError(f"{len(x)} rows and {len(y)} targets; there must be as many of both, at least one")
    if not penalty >= 0:
        raise ValueError(f"penalty = {penalty} must be 0 or more")
