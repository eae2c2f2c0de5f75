"""The MLP sublayers against torch."""

import numpy as np
import torch.nn.functional as F
from trees import check_tree_vjp

from clearhead.reference.mlp import MLP, GatedMLP, gelu_mlp, gelu_mlp_vjp, swiglu_mlp, swiglu_mlp_vjp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4))


def test_values_and_gradients() -> None:
    w = MLP(RNG.normal(size=(4, 5)), RNG.normal(size=5), RNG.normal(size=(5, 4)), RNG.normal(size=4))
    check_tree_vjp(
        gelu_mlp, gelu_mlp_vjp, X, w,
        peer=lambda x, w: F.linear(F.gelu(F.linear(x, w.w_1.T, w.b_1), approximate="tanh"), w.w_2.T, w.b_2),
    )  # fmt: skip
    gated = GatedMLP(RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5)), RNG.normal(size=(5, 4)))
    check_tree_vjp(
        swiglu_mlp, swiglu_mlp_vjp, X, gated, peer=lambda x, w: (F.silu(x @ w.w_gate) * (x @ w.w_up)) @ w.w_down
    )


def test_far_out_nothing_overflows() -> None:
    one = np.ones((1, 1))
    x = np.array([[1e4], [-1e4]])
    assert gelu_mlp(x, MLP(one, np.zeros(1), one, np.zeros(1))).tolist() == [[1e4], [0]]
    assert swiglu_mlp(x, GatedMLP(one, one, one)).tolist() == [[1e8], [0]]


def test_no_tokens() -> None:
    gated = GatedMLP(np.ones((4, 5)), np.ones((4, 5)), np.ones((5, 4)))
    dx, dw = swiglu_mlp_vjp(X[:0], gated, X[:0])
    assert dx.shape == (0, 3, 4) and dw.w_up.tolist() == np.zeros((4, 5)).tolist()
