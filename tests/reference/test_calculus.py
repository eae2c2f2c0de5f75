"""Derivatives against torch's, SciPy's and by hand."""

import numpy as np
import pytest
import scipy.optimize
import torch
from against import check_vjp, close

from clearhead.reference.calculus import (
    chain,
    gradient,
    gradient_check,
    hessian,
    jacobian,
    linear_form,
    linear_form_vjp,
    quadratic_form,
    quadratic_form_vjp,
)

RNG = np.random.default_rng(0)
X, A, M = RNG.normal(size=3), RNG.normal(size=3), RNG.normal(size=(3, 3))


def rosen(x: np.ndarray) -> float:
    return float(scipy.optimize.rosen(x))


def curve(x: np.ndarray) -> np.ndarray:
    return np.array([np.sin(x[0]) * x[1], x[2] ** 2, x.sum(), np.exp(x[1])])


def torch_curve(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x[0].sin() * x[1], x[2] ** 2, x.sum(), x[1].exp()])


def test_forms() -> None:
    check_vjp(linear_form, linear_form_vjp, X, A, peer=lambda x, a: a @ x)
    check_vjp(quadratic_form, quadratic_form_vjp, X, M, peer=lambda x, m: x @ m @ x)
    close(hessian(lambda x: float(quadratic_form(x, M)), X), M + M.T, 1e-6)


def test_differences() -> None:
    close(gradient(rosen, X), scipy.optimize.rosen_der(X), 1e-8)
    close(hessian(rosen, X), scipy.optimize.rosen_hess(X), 1e-6)
    close(jacobian(curve, X), torch.autograd.functional.jacobian(torch_curve, torch.tensor(X)).numpy(), 1e-8)
    matrix = RNG.normal(size=(2, 3))
    close(gradient(lambda x: float((x**3).sum()), matrix), 3 * matrix**2, 1e-8)
    close(gradient(lambda x: float((x**2).sum()), np.array([1e6])), [2e6], 1e-8)  # steps grow with x
    assert jacobian(lambda x: np.zeros(2), np.zeros(0)).shape == (2, 0)


def test_the_chain_rule() -> None:
    def outer(y: np.ndarray) -> np.ndarray:
        return np.array([y[0] * y[3], y[1] + y[2]])

    first, second = jacobian(curve, X), jacobian(outer, curve(X))
    close(chain([first, second]), jacobian(lambda x: outer(curve(x)), X), 1e-8)
    close(chain([first]), first)
    close(chain([M, M + 1, M - 1]), (M - 1) @ (M + 1) @ M)


def test_a_wrong_gradient_is_found_and_located() -> None:
    right = scipy.optimize.rosen_der(X)
    assert gradient_check(rosen, right, X).passed
    for wrong in (-right, right * 1.001, right + np.array([0, 0, 0.01]), np.full(3, np.nan)):
        assert not gradient_check(rosen, wrong, X).passed
    assert gradient_check(rosen, right + np.array([0, 1.0, 0]), X).place == (1,)
    assert gradient_check(rosen, right * (1 + 1e-5), X, within=1e-4).passed
    assert gradient_check(lambda x: 0.0, np.zeros((2, 0)), np.zeros((2, 0))).passed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chain([]), "no functions"),
        (lambda: chain([np.ones((2, 3)), np.ones((1, 3))]), "2 results meet 3 arguments"),
        (lambda: gradient_check(rosen, np.zeros(2), X), "shape"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
