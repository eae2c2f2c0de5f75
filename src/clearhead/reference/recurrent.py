"""Recurrent networks: the plain cell, LSTM and GRU, run over a sequence and backwards through time.

Gates stand side by side in one matrix, in torch's order. What a gradient loses on the way back is measured at the end.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.activations import sigmoid

Back = Callable[[Float[Array, "B T D"], Float[Array, "B T F"]], Float[Array, "B T D"]]
"""(inputs, gradient with respect to the states) -> gradient with respect to the inputs"""


class Weights(NamedTuple):
    """From the input, from the last state, and their biases; `M` gates times `F` hidden units side by side."""

    w: Float[Array, "D M"]
    u: Float[Array, "F M"]
    b: Float[Array, "M"]
    c: Float[Array, "M"]


def rnn(x: Float[Array, "B T D"], h: Float[Array, "B F"], w: Weights) -> Float[Array, "B T F"]:
    """h_t = tanh(x_t W + b + h_{t-1} U + c): every state.

    >>> one = np.ones((1, 1))
    >>> rnn(np.zeros((1, 3, 1)), one, Weights(one, one, np.zeros(1), np.zeros(1))).round(3)[0, :, 0].tolist()
    [0.762, 0.642, 0.566]

    O(T (D + F) F) a row. Elman 1990; Goodfellow, Bengio and Courville 2016, section 10.2.
    """
    states = []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w.w + w.b + h @ w.u + w.c)
        states.append(h)
    return _stack(states, x, h)


def rnn_vjp(
    x: Float[Array, "B T D"], h: Float[Array, "B F"], w: Weights, dy: Float[Array, "B T F"]
) -> tuple[Float[Array, "B T D"], Float[Array, "B F"], Weights]:
    """Backwards through time: dz_t = (dy_t + dh) (1 - h_t²), dh = dz_t Uᵀ, and every weight the sum over t."""
    y = rnn(x, h, w)
    before = np.concatenate([h[:, None], y], 1)
    dx, dw, dh = np.zeros_like(x), _zeros(w), np.zeros_like(h)
    for t in reversed(range(x.shape[1])):
        dz = (dy[:, t] + dh) * (1 - y[:, t] ** 2)
        dx[:, t], dh, dw = _back(x[:, t], before[:, t], w, dz, dz, dw)
    return dx, dh, dw


def lstm(
    x: Float[Array, "B T D"], h: Float[Array, "B F"], c: Float[Array, "B F"], w: Weights
) -> tuple[Float[Array, "B T F"], Float[Array, "B F"]]:
    """c_t = σ(f) c_{t-1} + σ(i) tanh(g), h_t = σ(o) tanh(c_t), with i, f, g, o side by side: all h, and the last c.

    The cell is added to, not multiplied through: where f is open it carries on unchanged.

    >>> keep = Weights(np.zeros((1, 4)), np.zeros((1, 4)), np.array([-99.0, 99.0, 0.0, 99.0]), np.zeros(4))
    >>> lstm(np.zeros((1, 50, 1)), np.zeros((1, 1)), np.full((1, 1), 0.5), keep)[1].tolist()
    [[0.5]]

    O(4 T (D + F) F) a row. Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000.
    """
    y, cells, _ = _lstm(x, h, c, w)
    return y, cells[-1]


def lstm_vjp(
    x: Float[Array, "B T D"],
    h: Float[Array, "B F"],
    c: Float[Array, "B F"],
    w: Weights,
    dy: Float[Array, "B T F"],
    dc: Float[Array, "B F"],
) -> tuple[Float[Array, "B T D"], Float[Array, "B F"], Float[Array, "B F"], Weights]:
    """Backwards through time; along the cells the factor of each step is the forget gate alone."""
    y, cells, gates = _lstm(x, h, c, w)
    before = np.concatenate([h[:, None], y], 1)
    dx, dw, dh = np.zeros_like(x), _zeros(w), np.zeros_like(h)
    for t in reversed(range(x.shape[1])):
        i, f, g, o = gates[t]
        dh, tanh_c = dy[:, t] + dh, np.tanh(cells[t + 1])
        dc = dc + dh * o * (1 - tanh_c**2)
        parts = (dc * g * i * (1 - i), dc * cells[t] * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o))
        dz = np.concatenate(parts, -1)
        dx[:, t], dh, dw = _back(x[:, t], before[:, t], w, dz, dz, dw)
        dc = dc * f
    return dx, dh, dc, dw


def gru(x: Float[Array, "B T D"], h: Float[Array, "B F"], w: Weights) -> Float[Array, "B T F"]:
    """h_t = (1 - z) n + z h_{t-1} with n = tanh(x W_n + b_n + r (h U_n + c_n)), gates r and z: every state.

    >>> keep = Weights(np.zeros((1, 3)), np.zeros((1, 3)), np.array([0.0, 99.0, 0.0]), np.zeros(3))
    >>> gru(np.zeros((1, 50, 1)), np.full((1, 1), 0.5), keep)[0, -1].tolist()
    [0.5]

    O(3 T (D + F) F) a row. Cho et al. 2014, equations 5 to 8, with biases, and with r applied after U_n
    instead of before it, as torch has it.
    """
    return _gru(x, h, w)[0]


def gru_vjp(
    x: Float[Array, "B T D"], h: Float[Array, "B F"], w: Weights, dy: Float[Array, "B T F"]
) -> tuple[Float[Array, "B T D"], Float[Array, "B F"], Weights]:
    """Backwards through time; the state goes back by two ways, times z and through the gates."""
    y, gates = _gru(x, h, w)
    before = np.concatenate([h[:, None], y], 1)
    dx, dw, dh = np.zeros_like(x), _zeros(w), np.zeros_like(h)
    for t in reversed(range(x.shape[1])):
        r, z, n, recurrent = gates[t]
        dh = dy[:, t] + dh
        dn = dh * (1 - z) * (1 - n**2)
        dr, dz = dn * recurrent * r * (1 - r), dh * (before[:, t] - n) * z * (1 - z)
        from_x, from_h = np.concatenate([dr, dz, dn], -1), np.concatenate([dr, dz, dn * r], -1)
        dx[:, t], through, dw = _back(x[:, t], before[:, t], w, from_x, from_h, dw)
        dh = dh * z + through
    return dx, dh, dw


def gradient_by_distance(states: Float[Array, "T F"], u: Float[Array, "F F"]) -> Float[Array, "T"]:
    """‖∂h_T / ∂h_t‖₂ of a plain cell for t = T, T - 1, …: the product of U diag(1 - h²) along the way.

    >>> gradient_by_distance(np.zeros((4, 2)), 0.5 * np.eye(2)).tolist()
    [1.0, 0.5, 0.25, 0.125]

    O(T F³). Bengio, Simard and Frasconi 1994, section 4. ValueError: no states.
    """
    if not len(states):
        raise ValueError(f"states of shape {states.shape} hold no step; give at least one")
    jacobian, sizes = np.eye(states.shape[1]), [1.0]
    for h in states[:0:-1]:
        jacobian = u @ np.diag(1 - h**2) @ jacobian
        sizes.append(float(np.linalg.norm(jacobian, 2)))
    return np.array(sizes)


def gradient_reach(back: Back, x: Float[Array, "T D"], F: int) -> Float[Array, "T"]:
    """‖∂h_T / ∂x_t‖ (Frobenius) for t = T, T - 1, …: how far back a cell's last state can tell what it read.

    `back` is the cell's gradient with respect to its input; any recurrent network has one.

    >>> w = Weights(np.eye(1), np.full((1, 1), 0.5), np.zeros(1), np.zeros(1))
    >>> gradient_reach(lambda x, dy: rnn_vjp(x, np.zeros((1, 1)), w, dy)[0], np.zeros((4, 1)), 1).tolist()
    [1.0, 0.5, 0.25, 0.125]

    One backward pass of F rows. Hochreiter and Schmidhuber 1997, section 3.1. ValueError: no inputs.
    """
    if not len(x):
        raise ValueError(f"x of shape {x.shape} holds no input; give at least one")
    dy = np.zeros((F, len(x), F))
    dy[:, -1] = np.eye(F)
    return np.linalg.norm(back(np.repeat(x[None], F, 0), dy), axis=(0, 2))[::-1]


def gradient_bound(u: Float[Array, "F F"], distance: int) -> float:
    """σ_max(U)^distance, since tanh' <= 1: below 1 it vanishes for certain; above 1 it may explode.

    >>> gradient_bound(np.diag([0.5, 0.1]), 3)
    0.125

    O(F³). Pascanu, Mikolov and Bengio 2013, section 2.1. ValueError: a negative distance.
    """
    if distance < 0:
        raise ValueError(f"distance = {distance} must be 0 or more")
    with np.errstate(over="ignore"):  # a bound past the largest number is no bound: inf says so
        return float(np.linalg.norm(u, 2) ** distance)


def _lstm(x: Array, h: Array, c: Array, w: Weights) -> tuple[Array, list[Array], list[tuple[Array, ...]]]:
    states: list[Array] = []
    cells: list[Array] = [c]
    gates: list[tuple[Array, ...]] = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w.w + w.b + h @ w.u + w.c, 4, -1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        cells.append(f * cells[-1] + i * g)
        h = o * np.tanh(cells[-1])
        states.append(h)
        gates.append((i, f, g, o))
    return _stack(states, x, h), cells, gates


def _gru(x: Array, h: Array, w: Weights) -> tuple[Array, list[tuple[Array, ...]]]:
    states: list[Array] = []
    gates: list[tuple[Array, ...]] = []
    for t in range(x.shape[1]):
        a, s = np.split(x[:, t] @ w.w + w.b, 3, -1), np.split(h @ w.u + w.c, 3, -1)
        r, z = sigmoid(a[0] + s[0]), sigmoid(a[1] + s[1])
        n = np.tanh(a[2] + r * s[2])
        h = (1 - z) * n + z * h
        states.append(h)
        gates.append((r, z, n, s[2]))
    return _stack(states, x, h), gates


def _stack(states: list[Array], x: Array, h: Array) -> Array:
    return np.stack(states, 1) if states else np.zeros((len(x), 0, h.shape[-1]))


def _zeros(w: Weights) -> Weights:
    return Weights(*map(np.zeros_like, w))


def _back(x: Array, h: Array, w: Weights, dx: Array, dh: Array, dw: Weights) -> tuple[Array, Array, Weights]:
    """Through x W + b and h U + c, whose gradients are dx and dh; the weights' are added to dw."""
    grown = Weights(dw.w + x.T @ dx, dw.u + h.T @ dh, dw.b + dx.sum(0), dw.c + dh.sum(0))
    return dx @ w.w.T, dh @ w.u.T, grown
