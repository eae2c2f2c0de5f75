"""Derivatives: of linear and quadratic forms by formula, of any function by differences, and through a chain.

`gradient_check` is how every vjp of this package is held against its function.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array

EPS = float(np.finfo(float).eps)
Scalar = Callable[[np.ndarray], float]
Vector = Callable[[np.ndarray], np.ndarray]


def linear_form(x: Float[Array, "D"], a: Float[Array, "D"]) -> Float[Array, ""]:
    """aᵀ x, whose gradient in x is a.

    >>> float(linear_form(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    11.0

    O(D). Petersen and Pedersen 2012, equation 69.
    """
    return a @ x


def linear_form_vjp(
    x: Float[Array, "D"], a: Float[Array, "D"], dy: Float[Array, ""]
) -> tuple[Float[Array, "D"], Float[Array, "D"]]:
    """(dy a, dy x)."""
    return dy * a, dy * x


def quadratic_form(x: Float[Array, "D"], a: Float[Array, "D D"]) -> Float[Array, ""]:
    """xᵀ A x, whose gradient in x is (A + Aᵀ) x, which is 2 A x only where A is symmetric.

    >>> x, a = np.array([1.0, 2.0]), np.array([[1.0, 1.0], [0.0, 1.0]])
    >>> float(quadratic_form(x, a)), quadratic_form_vjp(x, a, np.array(1.0))[0].tolist()
    (7.0, [4.0, 5.0])

    O(D²). Petersen and Pedersen 2012, equation 81.
    """
    return x @ a @ x


def quadratic_form_vjp(
    x: Float[Array, "D"], a: Float[Array, "D D"], dy: Float[Array, ""]
) -> tuple[Float[Array, "D"], Float[Array, "D D"]]:
    """(dy (A + Aᵀ) x, dy x xᵀ)."""
    return dy * (a + a.T) @ x, dy * np.outer(x, x)


def gradient(f: Scalar, x: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """∂f/∂x_i ≈ (f(x + h e_i) - f(x - h e_i)) / 2h with h = ε^(1/3) max(1, |x_i|).

    Truncation, h², and rounding, ε/h, are then alike.

    >>> gradient(lambda x: float(x[0] ** 2 * x[1]), np.array([3.0, 2.0])).round(6).tolist()
    [12.0, 9.0]

    2D evaluations. Press et al. 2007, section 5.7.
    """
    found = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        ends = []
        h = EPS ** (1 / 3) * max(1.0, abs(float(x[index])))
        for step in (h, -h):
            moved = np.array(x)
            moved[index] += step
            ends.append(float(f(moved)))
        found[index] = (ends[0] - ends[1]) / (2 * h)
    return found


def jacobian(f: Vector, x: Float[Array, "D"]) -> Float[Array, "K D"]:
    """J_kd = ∂f_k / ∂x_d by central differences: the gradients of the results, one in a row.

    >>> jacobian(lambda x: np.array([x[0] * x[1], x[1]]), np.array([2.0, 3.0])).round(6).tolist()
    [[3.0, 2.0], [0.0, 1.0]]

    2D evaluations. Nocedal and Wright 2006, section 8.1.
    """
    columns = []
    for i in range(len(x)):
        h = EPS ** (1 / 3) * max(1.0, abs(float(x[i])))
        e = h * np.eye(len(x))[i]
        columns.append((np.asarray(f(x + e)) - np.asarray(f(x - e))) / (2 * h))
    return np.stack(columns, axis=-1) if columns else np.zeros((len(np.asarray(f(x))), 0))


def hessian(f: Scalar, x: Float[Array, "D"]) -> Float[Array, "D D"]:
    """H_ij = ∂²f / ∂x_i ∂x_j by central differences with h = ε^(1/4): how the gradient changes; symmetric.

    Positive eigenvalues at a point where the gradient is 0 make it a minimum, mixed signs a saddle.

    >>> hessian(lambda x: float(x[0] ** 2 - x[1] ** 2), np.zeros(2)).round(4).tolist()
    [[2.0, 0.0], [0.0, -2.0]]

    4D² evaluations. Nocedal and Wright 2006, section 8.1.
    """
    n = len(x)
    steps = np.diag(EPS**0.25 * np.maximum(1.0, np.abs(x)))
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(i, n):
            a, b = steps[i], steps[j]
            corners = float(f(x + a + b)) - float(f(x + a - b)) - float(f(x - a + b)) + float(f(x - a - b))
            found[i, j] = found[j, i] = corners / (4 * a[i] * b[j])
    return found


def chain(jacobians: Sequence[Float[Array, "..."]]) -> Float[Array, "K D"]:
    """J of f_n ∘ … ∘ f_1 = J_n … J_1, the Jacobians given from the first function to the last.

    Each change of x is carried through every function in turn, and for small changes a function is its Jacobian.

    >>> chain([np.array([[2.0], [3.0]]), np.array([[5.0, 7.0]])]).tolist()  # 5·2 + 7·3
    [[31.0]]

    Multiplied from the last when the result is one number: that is backpropagation. Rudin 1976, theorem 9.15.
    ValueError: no function, or sizes that do not follow on.
    """
    if not jacobians:
        raise ValueError("a chain of no functions has no Jacobian; give at least one")
    for first, second in pairwise(jacobians):
        if second.shape[1] != first.shape[0]:
            raise ValueError(f"{first.shape[0]} results meet {second.shape[1]} arguments; they must be as many")
    product = jacobians[-1]
    for earlier in reversed(jacobians[:-1]):
        product = product @ earlier
    return product


class Check(NamedTuple):
    """The largest relative error of a gradient, where it is, and whether it is within what differences can see."""

    passed: bool
    error: float
    place: tuple[int, ...]


def gradient_check(f: Scalar, claimed: Float[Array, "..."], x: Float[Array, "..."], within: float = 1e-6) -> Check:
    """Is `claimed` the gradient of f at x? |claimed - differences| / max(1e-3, the largest |differences|).

    >>> square = lambda x: float((x**2).sum())
    >>> x = np.array([1.0, -2.0])
    >>> gradient_check(square, 2 * x, x).passed, gradient_check(square, np.array([2.0, 4.0]), x)[::2]
    (True, (False, (1,)))

    2D evaluations. Goodfellow, Bengio and Courville 2016, section 11.5. ValueError: shapes that differ.
    """
    if claimed.shape != x.shape:
        raise ValueError(f"a gradient of shape {claimed.shape} for x of shape {x.shape}; they must be equal")
    if not x.size:
        return Check(True, 0.0, ())
    want = gradient(f, x)
    errors = np.abs(claimed - want) / max(1e-3, float(np.abs(want).max()))
    worst = np.unravel_index(int(np.nan_to_num(errors, nan=np.inf).argmax()), x.shape)
    error = float(errors[worst])
    return Check(error <= within, error, tuple(map(int, worst)))
