"""Residual blocks against torch, and what their skips do to a gradient over many blocks."""

import numpy as np
import pytest
import torch
from against import check_vjp, close

from clearhead.reference.initialization import through_depth
from clearhead.reference.residual import (
    Branch,
    branch,
    branch_vjp,
    plain_stack,
    residual,
    residual_projected,
    residual_projected_vjp,
    residual_stack,
    residual_vjp,
)

RNG = np.random.default_rng(1)
X = RNG.normal(size=(2, 3, 4))
SAME = Branch(RNG.normal(size=(4, 5)), RNG.normal(size=(5, 4)))
WIDER = Branch(RNG.normal(size=(4, 5)), RNG.normal(size=(5, 6)))


def flat(f, f_vjp):
    """f and f_vjp on the weights one by one."""

    def f_flat(x, w_1, w_2, *rest):
        return f(x, Branch(w_1, w_2), *rest)

    def f_flat_vjp(x, w_1, w_2, *rest):
        dx, dw, *others = f_vjp(x, Branch(w_1, w_2), *rest)
        return dx, *dw, *others

    return f_flat, f_flat_vjp


def test_values_and_gradients() -> None:
    check_vjp(*flat(branch, branch_vjp), X, *WIDER, peer=lambda x, v, w: (x @ v).relu() @ w)
    check_vjp(*flat(residual, residual_vjp), X, *SAME, peer=lambda x, v, w: x + (x @ v).relu() @ w)
    w_s = RNG.normal(size=(4, 6))
    check_vjp(*flat(residual_projected, residual_projected_vjp), X, *WIDER, w_s,
              peer=lambda x, v, w, s: x @ s + (x @ v).relu() @ w)  # fmt: skip
    close(residual_projected(X, SAME, np.eye(4)), residual(X, SAME))


def test_a_block_of_zeros_does_nothing() -> None:
    nothing = Branch(SAME.w_1, 0 * SAME.w_2)
    assert (residual(X, nothing) == X).all() and (residual_vjp(X, nothing, X)[0] == X).all()
    assert not branch_vjp(X, nothing, X)[0].any()


def test_gradients_through_depth() -> None:
    D, L = 100, 40
    x, dy = RNG.normal(size=(2, 8, D))

    def first(stack, scale: float) -> float:
        return through_depth(x, stack(D, L, scale, np.random.default_rng(3)), dy).gradients[0] / np.sqrt((dy**2).mean())

    for scale in (0.5, 1.0):
        close(first(plain_stack, scale) ** (1 / L), scale, 0.05)
        close(first(residual_stack, scale) ** (1 / L), np.sqrt(1 + scale**2), 0.03)
    close(first(residual_stack, L**-0.5), np.sqrt(np.e), 0.1)  # (1 + 1/L)^L
    both = through_depth(x, residual_stack(D, L, 0.5, np.random.default_rng(4)), dy)
    close((both.signals[-1] / both.signals[0]) ** (1 / L), np.sqrt(1.25), 0.03)


def test_a_skip_is_no_guarantee() -> None:
    both_signs = np.concatenate([np.eye(4), -np.eye(4)], 1)
    minus = Branch(both_signs, -both_signs.T)  # F(x) = -x, as ReLU(x) - ReLU(-x) = x
    close(branch(X, minus), -X)
    assert not residual(X, minus).any() and not residual_vjp(X, minus, X)[0].any()


def test_torch_finds_the_same_jacobian() -> None:
    x, v, w = torch.tensor(X[0, 0]), torch.tensor(SAME.w_1), torch.tensor(SAME.w_2)
    theirs = torch.autograd.functional.jacobian(lambda x: (x @ v).relu() @ w, x).numpy()
    for i, dy in enumerate(np.eye(4)):
        close(residual_vjp(X[0, 0], SAME, dy)[0], (np.eye(4) + theirs)[i])


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="6 numbers for 4: use residual_projected"):
        residual(X, WIDER)
    with pytest.raises(ValueError, match="D = 0"):
        residual_stack(0, 2, 1.0, RNG)
