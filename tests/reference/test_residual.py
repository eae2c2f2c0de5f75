"""Residual blocks against torch, and gradients through depth."""

import numpy as np
from against import check_vjp, close

from clearhead.reference.residual import (
    gradient_through,
    projected_block,
    projected_block_vjp,
    residual_block,
    residual_block_vjp,
)

RNG = np.random.default_rng(1)
X, W1, W2, W3, P = (RNG.normal(size=s) for s in ((2, 3, 4), (4, 5), (5, 4), (5, 2), (4, 2)))


def test_blocks() -> None:
    check_vjp(residual_block, residual_block_vjp, X, W1, W2, peer=lambda x, a, b: x + (x @ a).relu() @ b)
    check_vjp(projected_block, projected_block_vjp, X, W1, W3, P, peer=lambda x, a, b, p: x @ p + (x @ a).relu() @ b)
    close(residual_block(X, W1, 0 * W2), X)
    close(projected_block(X, W1, W2, np.eye(4)), residual_block(X, W1, W2))


def test_a_shortcut_carries_the_gradient() -> None:
    def through(scale: float, skip: bool):
        return np.mean([gradient_through(50, 32, scale, skip, np.random.default_rng(i)) for i in range(5)], axis=0)

    plain, short = through(0.3, False), through(0.3, True)
    assert plain[0] < 1e-15 and 0.9 < short[0] < 100
    assert (np.diff(plain) > 0).all()  # it fades layer by layer on the way back
    close(through(0.0, True), np.ones(50))
    close(np.log(plain[0]) / 50, np.log(0.3), 0.2)  # by the branch's own factor
    assert through(1.5, True)[0] > 1e6  # an unscaled branch makes it burst instead
