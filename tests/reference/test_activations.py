"""The nonlinearities against torch and SciPy, far out and at their kinks."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
import torch.nn.functional as F
from against import check_vjp, close

from clearhead.reference.activations import (
    gelu,
    gelu_tanh,
    gelu_tanh_vjp,
    gelu_vjp,
    leaky_relu,
    leaky_relu_vjp,
    relu,
    relu_vjp,
    sigmoid,
    sigmoid_vjp,
    silu,
    silu_vjp,
    tanh,
    tanh_vjp,
)

PAIRS = {
    "relu": (relu, relu_vjp, torch.relu),
    "leaky_relu": (
        lambda z: leaky_relu(z, 0.1),
        lambda z, dy: leaky_relu_vjp(z, 0.1, dy),
        lambda z: F.leaky_relu(z, 0.1),
    ),
    "sigmoid": (sigmoid, sigmoid_vjp, torch.sigmoid),
    "tanh": (tanh, tanh_vjp, torch.tanh),
    "gelu": (gelu, gelu_vjp, F.gelu),
    "gelu_tanh": (gelu_tanh, gelu_tanh_vjp, lambda z: F.gelu(z, approximate="tanh")),
    "silu": (silu, silu_vjp, F.silu),
}
Z = np.random.default_rng(1).normal(size=(3, 4)) * 2
FAR = np.array([-1e4, -50.0, 50.0, 1e4])


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients(name: str) -> None:
    f, f_vjp, peer = PAIRS[name]
    check_vjp(f, f_vjp, Z, peer=peer)
    check_vjp(f, f_vjp, np.array(0.7), peer=peer)
    assert f(np.zeros((0, 2))).shape == f_vjp(np.zeros((0, 2)), np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("name", PAIRS)
def test_far_out(name: str) -> None:
    f, f_vjp, peer = PAIRS[name]
    far = torch.tensor(FAR, requires_grad=True)
    y = peer(far)
    close(f(FAR), y.detach().numpy())
    y.sum().backward()
    close(f_vjp(FAR, np.ones(4)), far.grad.numpy())


def test_the_kink() -> None:
    zero, one = np.zeros(1), np.ones(1)
    assert relu_vjp(zero, one)[0] == 0 and leaky_relu_vjp(zero, 0.1, one)[0] == 0.1  # as torch


def test_the_lower_tail_keeps_its_digits() -> None:
    z = np.array([-5.0, -10.0, -30.0])
    close(gelu(z) / (z * scipy.stats.norm.cdf(z)), np.ones(3))
    close(sigmoid(z) / np.exp(z), 1 / (1 + np.exp(z)))
    close(sigmoid_vjp(-z, np.ones(3)) / np.exp(z), 1 / (1 + np.exp(z)) ** 2)


def test_what_is_said_of_them() -> None:
    z = np.linspace(-6, 6, 2001)
    assert np.abs(gelu(z) - gelu_tanh(z)).max() < 5e-4
    close(sigmoid_vjp(z, np.ones_like(z)).max(), 0.25)
    close(tanh(z), 2 * sigmoid(2 * z) - 1)
    close(leaky_relu(z), np.maximum(0.01 * z, z))
    lowest = scipy.optimize.minimize_scalar(lambda v: float(gelu(np.array(v))), bounds=(-2, 0), method="bounded")
    close([lowest.x, lowest.fun], [-0.7518, -0.1700], 1e-4)


def test_a_dead_unit() -> None:
    z = -np.abs(Z)
    assert not relu_vjp(z, Z).any() and leaky_relu_vjp(z, 0.01, Z).all() and silu_vjp(z, Z).all()
