"""Going downhill: gradient descent and its rate on a quadratic, convexity, and Newton's method.

The optimizers that networks are trained with stand in optimizers.py.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array

Scalar = Callable[[np.ndarray], float]
Vector = Callable[[np.ndarray], np.ndarray]


def gradient_descent(df: Vector, x: Float[Array, "D"], rate: float, steps: int) -> Float[Array, "N D"]:
    """x ← x - η ∇f(x): every point visited, the start included, N = steps + 1.

    >>> gradient_descent(lambda x: 2 * x, np.array([1.0]), 0.25, 3)[:, 0].tolist()  # f = x²
    [1.0, 0.5, 0.25, 0.125]

    O(steps) gradients. Cauchy 1847; Nocedal and Wright 2006, section 2.2. ValueError: rate <= 0 or steps < 0.
    """
    if not rate > 0 or steps < 0:
        raise ValueError(f"rate = {rate} must be above 0 and steps = {steps} at least 0")
    points = [np.array(x, float)]
    for _ in range(steps):
        points.append(points[-1] - rate * df(points[-1]))
    return np.stack(points)


def quadratic_rates(eigenvalues: Float[Array, "D"], rate: float) -> Float[Array, "D"]:
    """|1 - η λ_i|: what one step of gradient descent leaves of the error along each eigenvector of the Hessian.

    Below 1 it shrinks, above 1 it grows; where 1 - η λ is negative it swings from side to side.

    >>> quadratic_rates(np.array([1.0, 9.0, 10.0]), 0.2).round(6).tolist()
    [0.8, 0.8, 1.0]

    O(D). Goh 2017, "Why momentum really works", section "First steps: gradient descent".
    """
    return np.abs(1 - rate * eigenvalues)


def largest_rate(largest: float) -> float:
    """2 / λ_max: at this rate and above gradient descent does not converge on a quadratic.

    >>> largest_rate(10.0)
    0.2

    Nesterov 2004, section 1.2.3. ValueError: no positive curvature.
    """
    _check(largest, largest)
    return 2 / largest


def best_rate(smallest: float, largest: float) -> tuple[float, float]:
    """η = 2 / (λ_min + λ_max) and the rate of convergence (κ - 1) / (κ + 1) that it gives, with κ = λ_max / λ_min.

    No fixed η does better; a condition number of 100 leaves 98% of the error after each step.

    >>> best_rate(1.0, 9.0)
    (0.2, 0.8)

    Nesterov 2004, theorem 2.1.15. ValueError: unless 0 < smallest <= largest.
    """
    _check(smallest, largest)
    return 2 / (smallest + largest), (largest - smallest) / (largest + smallest)


def steps_to(error: float, condition: float) -> float:
    """log(error) / log((κ - 1) / (κ + 1)): steps at the best rate until that share of the error is left.

    About κ/2 ln(1 / error).

    >>> round(steps_to(1e-3, 100.0))
    345

    ValueError: error outside (0, 1], or κ < 1.
    """
    if not 0 < error <= 1 or not condition >= 1:
        raise ValueError(f"error = {error} must be in (0, 1] and the condition number {condition} at least 1")
    if error == 1:
        return 0.0
    return 1.0 if condition == 1 else math.log(error) / math.log((condition - 1) / (condition + 1))


def convexity_gap(f: Scalar, x: Float[Array, "D"], y: Float[Array, "D"], t: float = 0.5) -> float:
    """t f(x) + (1 - t) f(y) - f(t x + (1 - t) y): how far the chord lies above the function; below 0, f is not convex.

    >>> x, y = np.array([0.0]), np.array([2.0])
    >>> convexity_gap(lambda x: float(x @ x), x, y), convexity_gap(lambda x: -float(x @ x), x, y)
    (1.0, -1.0)

    Boyd and Vandenberghe 2004, equation 3.1. ValueError: t outside [0, 1].
    """
    if not 0 <= t <= 1:
        raise ValueError(f"t = {t} must be in [0, 1]: a point between x and y")
    return float(t * f(x) + (1 - t) * f(y) - f(t * x + (1 - t) * y))


def is_convex_at(hessian: Float[Array, "D D"], slack: float = 1e-10) -> bool:
    """No negative eigenvalue: the function curves upwards in every direction here; convex if so everywhere.

    >>> is_convex_at(np.diag([2.0, 0.0])), is_convex_at(np.diag([2.0, -1.0]))
    (True, False)

    O(D³). Boyd and Vandenberghe 2004, section 3.1.4. ValueError: not symmetric.
    """
    if not np.allclose(hessian, hessian.T):
        raise ValueError("a Hessian is symmetric; average it with its transpose")
    return bool(np.linalg.eigvalsh(hessian).min(initial=0.0) >= -slack * max(1.0, np.abs(hessian).max(initial=0.0)))


class Step(NamedTuple):
    """Where Newton's method went, and the share of the full step that it took."""

    x: Float[Array, "D"]
    share: float


def newton_step(g: Float[Array, "D"], h: Float[Array, "D D"]) -> Float[Array, "D"]:
    """-H⁻¹ g: to the stationary point of the local quadratic, whatever its condition; a maximum attracts as well.

    >>> newton_step(np.array([2.0, 30.0]), np.diag([1.0, 10.0])).tolist()
    [-2.0, -3.0]

    O(D³). Nocedal and Wright 2006, section 3.3. ValueError: H is singular.
    """
    try:
        return -np.linalg.solve(h, g)
    except np.linalg.LinAlgError as error:
        raise ValueError("the Hessian is singular, so there is no Newton step; add a multiple of I") from error


def newton(df: Vector, d2f: Vector, x: Float[Array, "D"], steps: int) -> Float[Array, "N D"]:
    """x ← x - H⁻¹ g, full steps: near a minimum each doubles the number of right digits, far away it may go astray.

    >>> newton(lambda x: x**2 - 2, lambda x: np.diag(2 * x), np.array([1.0]), 4)[:, 0].round(6).tolist()  # ∫ x² - 2
    [1.0, 1.5, 1.416667, 1.414216, 1.414214]

    O(steps D³). Nocedal and Wright 2006, theorem 3.5. ValueError: a singular Hessian on the way.
    """
    points = [np.array(x, float)]
    for _ in range(steps):
        points.append(points[-1] + newton_step(df(points[-1]), d2f(points[-1])))
    return np.stack(points)


def damped_newton(f: Scalar, df: Vector, d2f: Vector, x: Float[Array, "D"], steps: int, c: float = 1e-4) -> list[Step]:
    """Newton's direction, halved until f falls by c times what its slope promises.

    Where H is not positive, λ_min is lifted above 0 by a multiple of I, which turns the direction towards the gradient.

    >>> path = damped_newton(lambda x: float(np.hypot(1, x[0])), lambda x: x / np.hypot(1, x),
    ...     lambda x: np.diag(np.hypot(1, x) ** -3.0), np.array([2.0]), 8)  # undamped: 2, -8, 512, ...
    >>> path[1].share, abs(float(path[-1].x[0])) < 1e-12
    (0.25, True)

    O(steps D³). Armijo 1966; Nocedal and Wright 2006, algorithm 3.2.
    """
    path = [Step(np.array(x, float), 0.0)]
    for _ in range(steps):
        here = path[-1].x
        g, h = df(here), d2f(here)
        lowest = float(np.linalg.eigvalsh(h).min())
        direction = newton_step(g, h + max(0.0, 1e-3 - lowest) * np.eye(len(here)))
        slope, share = float(g @ direction), 1.0
        while f(here + share * direction) > f(here) + c * share * slope and share > 1e-12:
            share /= 2
        path.append(Step(here + share * direction, share))
    return path


def _check(smallest: float, largest: float) -> None:
    if not 0 < smallest <= largest:
        raise ValueError(f"curvatures {smallest} and {largest} must be above 0, the smaller first")
