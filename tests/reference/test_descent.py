"""Descent on quadratics whose rate is known, convexity, and Newton's method beside SciPy's."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from against import close

from clearhead.reference.descent import (
    best_rate,
    convexity_gap,
    damped_newton,
    gradient_descent,
    is_convex_at,
    largest_rate,
    newton,
    newton_step,
    quadratic_rates,
    steps_to,
)

RNG = np.random.default_rng(0)
LAMBDA = np.array([1.0, 3.0, 10.0])
Q = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
H = Q @ np.diag(LAMBDA) @ Q.T
START = RNG.normal(size=3)


def downhill(rate: float, steps: int) -> np.ndarray:
    return gradient_descent(lambda x: H @ x, START, rate, steps)


@pytest.mark.parametrize("rate", [0.01, 0.11, 0.18, 0.25])
def test_the_error_shrinks_as_the_rates_say(rate: float) -> None:
    before, after = (Q.T @ downhill(rate, 5)[i] for i in (4, 5))
    close(np.abs(after / before), quadratic_rates(LAMBDA, rate), 1e-10)
    assert (np.abs(1 - rate * LAMBDA) < 1).all() == (rate < largest_rate(10.0))


def test_no_rate_is_better_than_the_best() -> None:
    rate, left = best_rate(1.0, 10.0)
    close(quadratic_rates(LAMBDA, rate).max(), left)
    assert all(quadratic_rates(LAMBDA, r).max() > left for r in (rate * 0.98, rate * 1.02))
    close(left, (10 - 1) / (10 + 1))
    assert np.linalg.norm(downhill(largest_rate(10.0) * 1.01, 400)[-1]) > np.linalg.norm(START)
    assert np.linalg.norm(downhill(largest_rate(10.0) * 0.99, 400)[-1]) < 0.1 * np.linalg.norm(START)


def test_how_many_steps_a_condition_costs() -> None:
    rate, _ = best_rate(1.0, 10.0)
    n = int(np.ceil(steps_to(1e-6, 10.0)))
    worst = Q[:, 0] + Q[:, 2]  # the two slowest directions
    path = gradient_descent(lambda x: H @ x, worst, rate, n)
    shrunk = np.linalg.norm(path, axis=1) / np.linalg.norm(worst)
    assert shrunk[n] <= 1e-6 < shrunk[n - 2]
    close(steps_to(1e-3, 1e6), 1e6 / 2 * np.log(1e3), 1e-5)
    assert steps_to(1.0, 50.0) == 0 and steps_to(1e-9, 1.0) == 1


def test_convexity() -> None:
    for _ in range(20):
        x, y, t = RNG.normal(size=3), RNG.normal(size=3), RNG.uniform()
        assert convexity_gap(lambda v: float(v @ H @ v), x, y, t) >= 0
        close(convexity_gap(lambda v: float(v @ H @ v), x, y, t), t * (1 - t) * (x - y) @ H @ (x - y), 1e-9)
    assert convexity_gap(lambda v: float(-v @ v), START, -START) < 0
    assert [convexity_gap(lambda v: float(v @ v), START, -START, t) for t in (0.0, 1.0)] == [0, 0]
    assert is_convex_at(H) and not is_convex_at(-H) and is_convex_at(np.zeros((2, 2)))
    assert not is_convex_at(scipy.optimize.rosen_hess(np.array([0.0, 1.0])))  # a network is no exception


def test_newton() -> None:
    close(newton(lambda x: H @ (x - 1), lambda x: H, START, 1)[-1], np.ones(3), 1e-10)  # a quadratic in one step
    x = newton(scipy.optimize.rosen_der, scipy.optimize.rosen_hess, np.array([0.9, 0.8]), 6)
    errors = np.linalg.norm(x - 1, axis=1)
    assert errors[-1] < 1e-12 and errors[4] < 10 * errors[3] ** 2 + 1e-12
    path = damped_newton(
        scipy.optimize.rosen, scipy.optimize.rosen_der, scipy.optimize.rosen_hess, np.array([-1.2, 1.0]), 30
    )
    values = [scipy.optimize.rosen(step.x) for step in path]
    assert all(a >= b for a, b in pairwise(values)) and values[-1] < 1e-15
    assert min(step.share for step in path[1:]) < 1 == path[-1].share
    saddle = damped_newton(
        lambda x: float(x[0] ** 4 / 4 - x[0] ** 2 / 2), lambda x: x**3 - x, lambda x: np.diag(3 * x**2 - 1),
        np.array([0.1]), 30,
    )  # fmt: skip
    close(saddle[-1].x, [1.0], 1e-8)  # the full step would have gone to the maximum at 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gradient_descent(lambda x: x, START, 0.0, 3), "rate = 0.0"),
        (lambda: gradient_descent(lambda x: x, START, 0.1, -1), "steps = -1"),
        (lambda: largest_rate(0.0), "above 0"),
        (lambda: best_rate(3.0, 1.0), "smaller first"),
        (lambda: steps_to(0.0, 2.0), "error = 0.0"),
        (lambda: convexity_gap(lambda v: 0.0, START, START, 2.0), "t = 2.0"),
        (lambda: is_convex_at(np.array([[0.0, 1.0], [0.0, 0.0]])), "symmetric"),
        (lambda: newton_step(np.ones(2), np.zeros((2, 2))), "singular"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_no_steps_visit_the_start_alone() -> None:
    assert gradient_descent(lambda x: x, START, 0.1, 0).tolist() == [START.tolist()]
