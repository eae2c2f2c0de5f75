"""Recurrent networks against torch's, values and every gradient; what is left of a gradient after a distance."""

import numpy as np
import pytest
import torch
from against import close
from torch import nn
from trees import check_tree_vjp

from clearhead.reference.recurrent import (
    Weights,
    gradient_bound,
    gradient_by_distance,
    gradient_reach,
    gru,
    gru_vjp,
    lstm,
    lstm_vjp,
    rnn,
    rnn_vjp,
)

RNG = np.random.default_rng(1)
B, T, D, F = 2, 4, 3, 2
X, H, C = RNG.normal(size=(B, T, D)), RNG.normal(size=(B, F)), RNG.normal(size=(B, F))


def weights(gates: int, scale: float = 1.0) -> Weights:
    shapes = ((D, gates * F), (F, gates * F), (gates * F,), (gates * F,))
    return Weights(*(scale * RNG.normal(size=shape) for shape in shapes))


def called(module, w, *inputs):
    """torch keeps (gates · F, inputs), the transpose of ours."""
    names = {"weight_ih_l0": w.w.T, "weight_hh_l0": w.u.T, "bias_ih_l0": w.b, "bias_hh_l0": w.c}
    return torch.func.functional_call(module.double(), names, inputs)


def test_torch_agrees_on_every_value_and_gradient() -> None:
    plain, gated, cell = (kind(D, F, batch_first=True) for kind in (nn.RNN, nn.GRU, nn.LSTM))
    check_tree_vjp(rnn, rnn_vjp, X, H, weights(1), peer=lambda x, h, w: called(plain, w, x, h[None])[0])
    check_tree_vjp(gru, gru_vjp, X, H, weights(3), peer=lambda x, h, w: called(gated, w, x, h[None])[0])

    def peer(x, h, c, w):
        y, (_, last) = called(cell, w, x, (h[None], c[None]))
        return y, last[0]

    check_tree_vjp(lstm, lstm_vjp, X, H, C, weights(4), peer=peer)


def test_an_empty_sequence_changes_nothing() -> None:
    y, last = lstm(X[:, :0], H, C, weights(4))
    assert y.shape == (B, 0, F) and last.tolist() == C.tolist()
    _, dh, dc, dw = lstm_vjp(X[:, :0], H, C, weights(4), y, C)
    assert dh.tolist() == np.zeros_like(H).tolist() and dc.tolist() == C.tolist() and not dw.w.any()
    assert gru(X[:, :0], H, weights(3)).shape == rnn(X[:, :0], H, weights(1)).shape == (B, 0, F)


def test_far_out_nothing_overflows() -> None:
    for f, gates in ((rnn, 1), (gru, 3)):
        assert np.isfinite(f(1e4 * X, H, weights(gates))).all()
    assert np.isfinite(lstm(1e4 * X, H, C, weights(4))[0]).all()


def test_a_row_is_as_it_is_alone() -> None:
    w = weights(4)
    close(lstm(X, H, C, w)[0][1], lstm(X[1:], H[1:], C[1:], w)[0][0])


def long(scale: float, steps: int = 30) -> tuple[Weights, np.ndarray]:
    w = weights(1)._replace(u=scale * np.linalg.qr(RNG.normal(size=(F, F)))[0])
    return w, rnn(0.3 * RNG.normal(size=(1, steps, D)), np.zeros((1, F)), w)[0]


@pytest.mark.parametrize("scale", [0.5, 0.9, 1.2])
def test_the_gradient_s_decay_and_its_bound(scale: float) -> None:
    w, states = long(scale)
    sizes = gradient_by_distance(states, w.u)
    bounds = [gradient_bound(w.u, d) for d in range(len(sizes))]
    assert (sizes <= np.array(bounds) * (1 + 1e-12)).all() and sizes[0] == 1
    if scale < 1:
        assert sizes[-1] < scale**29 and (np.diff(sizes) < 0).all()


def test_the_measured_gradient_is_the_vjp_s() -> None:
    w, x = weights(1), np.zeros((1, 6, D))  # U is no multiple of a rotation: its side and its order count
    states = rnn(x, np.full((1, F), 0.4), w)
    rows = []
    for unit in np.eye(F):
        dy = np.zeros((1, 6, F))
        dy[0, -1] = unit
        rows.append(rnn_vjp(x[:, 1:], states[:, 0], w, dy[:, 1:])[1][0])
    close(np.linalg.norm(np.array(rows), 2), gradient_by_distance(states[0], w.u)[-1])


def test_the_bound_is_a_power_of_the_largest_singular_value() -> None:
    u = np.array([[3.0, 0.0], [4.0, 5.0]])  # UᵀU has eigenvalues 45 and 5
    close(gradient_bound(u, 3), 45**1.5)
    assert gradient_bound(u, 0) == 1 and gradient_bound(u, 1000) == np.inf


def test_a_large_singular_value_does_not_make_a_gradient_explode() -> None:
    u = np.array([[0.0, 10.0], [0.0, 0.0]])
    assert gradient_by_distance(np.zeros((4, F)), u).tolist() == [1, 10, 0, 0]
    assert gradient_bound(u, 3) > 999


def test_an_open_forget_gate_carries_a_gradient_as_far_as_one_likes() -> None:
    x, steps = 0.1 * RNG.normal(size=(1, 200, D)), 200
    w = weights(4, 0.1)
    w.b[F : 2 * F] = 30.0
    zero = np.zeros((1, F))
    _, _, dc, _ = lstm_vjp(x, zero, zero, w, np.zeros((1, steps, F)), np.ones((1, F)))
    assert (np.abs(dc) > 0.5).all()
    plain = weights(1, 0.1)
    dy = np.zeros((1, steps, F))
    dy[:, -1] = 1
    assert np.abs(rnn_vjp(x, zero, plain, dy)[1]).max() < 1e-60


def test_gates_carry_a_gradient_further() -> None:
    """Small random weights, gates biased to keep: after 60 steps the plain cell hears nothing, the others do."""
    x, zero = 0.1 * RNG.normal(size=(60, D)), np.zeros((1, F))
    plain, keeping, updating = weights(1, 0.1), weights(4, 0.1), weights(3, 0.1)
    keeping.b[F : 2 * F] = 4.0  # the forget gate
    updating.b[F : 2 * F] = 4.0  # the update gate
    none = np.zeros((F, F))

    def rows(state):
        return np.repeat(state, F, 0)

    reach = {
        "rnn": gradient_reach(lambda x, dy: rnn_vjp(x, rows(zero), plain, dy)[0], x, F),
        "lstm": gradient_reach(lambda x, dy: lstm_vjp(x, rows(zero), rows(zero), keeping, dy, none)[0], x, F),
        "gru": gradient_reach(lambda x, dy: gru_vjp(x, rows(zero), updating, dy)[0], x, F),
    }
    far = {name: found[-1] / found[0] for name, found in reach.items()}
    assert far["rnn"] < 1e-15 and far["lstm"] > 0.01 and far["gru"] > 0.01, far


def test_reach_is_the_jacobian_s_size() -> None:
    """Against torch's Jacobian of the last state with respect to every input."""
    x, w = RNG.normal(size=(5, D)), weights(4, 1.0)
    cell = torch.nn.LSTM(D, F, batch_first=True).double()
    with torch.no_grad():
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), w, strict=True):
            getattr(cell, name).copy_(torch.tensor(value.T))
    jacobian = torch.autograd.functional.jacobian(lambda x: cell(x[None])[0][0, -1], torch.tensor(x))
    zero = np.zeros((F, F))
    found = gradient_reach(lambda x, dy: lstm_vjp(x, zero, zero, w, dy, zero)[0], x, F)
    close(found, jacobian.norm(dim=(0, 2)).flip(0))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="holds no input"):
        gradient_reach(lambda x, dy: x, np.zeros((0, D)), F)
    with pytest.raises(ValueError, match="distance = -1"):
        gradient_bound(np.eye(2), -1)
    with pytest.raises(ValueError, match="no step"):
        gradient_by_distance(np.zeros((0, F)), np.eye(F))
