"""Normalization beside torch's, by hand, and without variance."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close

from clearhead.reference.normalization import (
    Running,
    batch_norm,
    batch_norm_eval,
    batch_norm_eval_vjp,
    batch_norm_vjp,
    layer_norm,
    layer_norm_backward,
    layer_norm_vjp,
    rms_norm,
    rms_norm_vjp,
    standardize,
    update_running,
)

RNG = np.random.default_rng(1)
X, DY = RNG.normal(size=(2, 3, 5)) * 2 + 1, RNG.normal(size=(2, 3, 5))
GAIN, BIAS = RNG.normal(size=5), RNG.normal(size=5)
ONE, ZERO = np.ones(3), np.zeros(3)
ONE_5, ZERO_5 = np.ones(5), np.zeros(5)
RUNNING = Running(RNG.normal(size=5), RNG.uniform(0.5, 2, size=5))


def torch_batch_norm(x: torch.Tensor, gain: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    y = F.batch_norm(x.reshape(-1, x.shape[-1]), None, None, gain, bias, training=True, eps=eps)
    return y.reshape(x.shape)


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])
@pytest.mark.parametrize("x", [X, X[0], X[0, 0]], ids=["batch", "rows", "row"])
def test_values_and_gradients(x: np.ndarray, eps: float) -> None:
    check_vjp(layer_norm, layer_norm_vjp, x, GAIN, BIAS, eps, peer=lambda x, g, b, e: F.layer_norm(x, (5,), g, b, e))
    check_vjp(rms_norm, rms_norm_vjp, x, GAIN, eps, peer=lambda x, g, e: F.rms_norm(x, (5,), g, e))

    def theirs(x: torch.Tensor, running: Running, g: torch.Tensor, b: torch.Tensor, e: float) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        mean, variance = torch.tensor(running.mean), torch.tensor(running.variance)
        return F.batch_norm(rows, mean, variance, g, b, training=False, eps=e).reshape(x.shape)

    check_vjp(batch_norm_eval, batch_norm_eval_vjp, x, RUNNING, GAIN, BIAS, eps, peer=theirs)
    if x.ndim > 1 and eps > 0:  # torch's batch norm wants it above 0
        check_vjp(batch_norm, batch_norm_vjp, x, GAIN, BIAS, eps, peer=torch_batch_norm)


def test_default_eps_is_torchs() -> None:
    x = X * 1e-3
    close(layer_norm(x, GAIN, BIAS), F.layer_norm(torch.tensor(x), (5,), torch.tensor(GAIN), torch.tensor(BIAS)))
    rows = torch.tensor(x.reshape(-1, 5))
    close(batch_norm(x, GAIN, BIAS).reshape(-1, 5), torch_batch_norm(rows, *map(torch.tensor, (GAIN, BIAS)), 1e-5))
    y = F.batch_norm(rows, *map(torch.tensor, RUNNING), *map(torch.tensor, (GAIN, BIAS)))
    close(batch_norm_eval(x, RUNNING, GAIN, BIAS).reshape(-1, 5), y)
    close(rms_norm(x, GAIN), F.rms_norm(torch.tensor(x), (5,), torch.tensor(GAIN), 1e-5))


def test_running_averages_are_torchs() -> None:
    for rate in (0.1, 0.7):
        theirs = torch.nn.BatchNorm1d(5, momentum=rate).double()
        mine = Running(np.zeros(5), np.ones(5))
        for t in range(4):
            batch = RNG.normal(size=(6 + t, 5)) + t
            theirs(torch.tensor(batch))
            mine = update_running(mine, batch, rate)
        close(mine.mean, theirs.running_mean.numpy())
        close(mine.variance, theirs.running_var.numpy())
        theirs.eval()
        close(batch_norm_eval(X, mine, ONE_5, ZERO_5).reshape(-1, 5), theirs(torch.tensor(X.reshape(-1, 5))).detach())
    close(update_running(RUNNING, X).mean, 0.9 * RUNNING.mean + 0.1 * X.mean((0, 1)))
    close(update_running(RUNNING, X).variance, 0.9 * RUNNING.variance + 0.1 * X.var((0, 1), ddof=1))


@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_layer_norm_backward_by_hand(eps: float) -> None:
    back = layer_norm_backward(X, GAIN, eps, DY)
    close(back.dx, layer_norm_vjp(X, GAIN, BIAS, eps, DY)[0])
    x = torch.tensor(X)
    mean = x.mean(-1, keepdim=True).requires_grad_()
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    variance.retain_grad()
    x_hat = (x - mean) / (variance + eps).sqrt()
    x_hat.retain_grad()
    (x_hat * torch.tensor(GAIN) + torch.tensor(BIAS)).backward(torch.tensor(DY))
    for got, want in ((back.dx_hat, x_hat.grad), (back.dvariance, variance.grad), (back.dmean, mean.grad)):
        close(got, want.numpy())


def test_layer_norm_of_1_2_3() -> None:
    mean, variance, x_hat = standardize(np.array([1.0, 2.0, 3.0]), 0.0)
    close(mean, [2])
    close(variance, [2 / 3])
    close(x_hat, [-np.sqrt(1.5), 0, np.sqrt(1.5)])
    dx = layer_norm_vjp(np.array([1.0, 2.0, 3.0]), ONE, ZERO, 0.0, np.array([1.0, 0.0, 0.0]))[0]
    close(dx, np.array([1, -2, 1]) * np.sqrt(1.5) / 6)


def test_gradient_of_layer_norm_has_neither_mean_nor_x_hat_in_it() -> None:
    dx = layer_norm_vjp(X, GAIN, BIAS, 0.0, DY)[0]
    close(1 + dx.sum(-1), np.ones((2, 3)))
    close(1 + (dx * standardize(X, 0.0).x_hat).sum(-1), np.ones((2, 3)))


def test_with_eps_some_of_x_hat_stays_in_the_gradient() -> None:
    x, dy = np.array([1.0, 2.0, 4.0]), np.array([1.0, 0.0, 0.0])
    _, variance, x_hat = standardize(x, 0.5)
    along = (layer_norm_vjp(x, ONE, ZERO, 0.5, dy)[0] * x_hat).sum()
    close(along, x_hat[0] * 0.5 / (variance[0] + 0.5) ** 1.5)


@pytest.mark.parametrize("value", [0.1, 7.3, -1e8 / 3])
def test_no_variance_gives_the_bias_exactly(value: float) -> None:
    x = np.full((7, 3), value)
    bias = np.array([0.5, -1.0, 2.0])
    assert layer_norm(x, ONE, bias).tolist() == batch_norm(x, ONE, bias).tolist() == [bias.tolist()] * 7
    assert standardize(x).variance.tolist() == [[0.0]] * 7
    dy = RNG.normal(size=(7, 3))
    dx, dgain, dbias = layer_norm_vjp(x, ONE, bias, 1e-4, dy)
    close(dx, (dy - dy.mean(-1, keepdims=True)) * 100)
    assert dgain.tolist() == [0, 0, 0]
    close(dbias, dy.sum(0))
    close(batch_norm_vjp(x, ONE, bias, 1e-4, dy)[0], (dy - dy.mean(0)) * 100)
    close(layer_norm_backward(x, ONE, 1e-4, dy).dx, dx)
    assert update_running(Running(ZERO, ZERO), x).variance.tolist() == [0, 0, 0]


def test_zeros_and_single_entries() -> None:
    assert rms_norm(np.zeros((2, 3)), ONE).tolist() == np.zeros((2, 3)).tolist()
    close(rms_norm_vjp(np.zeros(3), ONE, 1e-4, ONE)[0], ONE * 100)
    assert layer_norm(np.array([[5.0]]), np.ones(1), np.array([2.0])).tolist() == [[2.0]]
    assert batch_norm(np.array([[5.0, 6.0, 7.0]]), ONE, ONE).tolist() == [[1, 1, 1]]  # one row: no news of x is left
    assert layer_norm(np.zeros((0, 3)), ONE, ZERO).shape == rms_norm(np.zeros((0, 3)), ONE).shape == (0, 3)
    far = np.array([1e8 + 1, 1e8 + 2, 1e8 + 3])
    close(layer_norm(far, ONE, ZERO, 0.0), [-np.sqrt(1.5), 0, np.sqrt(1.5)])


def test_what_each_norm_does_not_see() -> None:
    close(layer_norm(3 * X + 2, GAIN, BIAS, 0.0), layer_norm(X, GAIN, BIAS, 0.0))
    close(rms_norm(3 * X, GAIN, 0.0), rms_norm(X, GAIN, 0.0))
    assert np.abs(rms_norm(X + 2, GAIN, 0.0) - rms_norm(X, GAIN, 0.0)).max() > 0.1
    scale, shift = RNG.uniform(1, 2, size=5), RNG.normal(size=5)
    close(batch_norm(scale * X + shift, GAIN, BIAS, 0.0), batch_norm(X, GAIN, BIAS, 0.0))


def test_a_larger_weight_before_batch_norm_means_a_smaller_gradient() -> None:
    x, w = RNG.normal(size=(8, 4)), RNG.normal(size=(4, 3))
    dy = RNG.normal(size=(8, 3))

    def gradient(w: np.ndarray) -> np.ndarray:
        return x.T @ batch_norm_vjp(x @ w, ONE, ZERO, 0.0, dy)[0]

    close(gradient(5 * w), gradient(w) / 5)
    close(1 + (gradient(w) * w).sum(0), np.ones(3))


def test_rows_stand_alone_in_layer_norm_and_lean_on_each_other_in_batch_norm() -> None:
    rows = X.reshape(-1, 5)
    assert layer_norm(rows[:1], GAIN, BIAS).tolist() == layer_norm(rows, GAIN, BIAS)[:1].tolist()
    assert np.abs(batch_norm(rows[:2], GAIN, BIAS) - batch_norm(rows, GAIN, BIAS)[:2]).max() > 0.1
    first = np.zeros((6, 5))
    first[0] = DY[0, 0]
    assert not layer_norm_vjp(rows, GAIN, BIAS, 1e-5, first)[0][1:].any()
    later = batch_norm_vjp(rows, GAIN, BIAS, 1e-5, first)[0][1:]
    assert np.abs(later).max() > 0.01  # a position of a sequence would learn from those behind it


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: standardize(np.zeros((2, 0))), "no mean"),
        (lambda: rms_norm(np.zeros((2, 0)), np.zeros(0)), "no mean square"),
        (lambda: batch_norm(np.zeros((0, 3)), ONE, ZERO), "no mean"),
        (lambda: layer_norm(np.ones(3), ONE, ZERO, -1.0), "eps = -1.0"),
        (lambda: layer_norm(np.ones(3), ONE, ZERO, 0.0), "eps = 0 and a variance of 0"),
        (lambda: rms_norm(np.zeros(3), ONE, 0.0), "eps = 0"),
        (lambda: batch_norm(np.ones((2, 3)), ONE, ZERO, 0.0), "eps = 0"),
        (lambda: batch_norm_eval(np.ones((2, 3)), Running(ZERO, ZERO), ONE, ZERO, 0.0), "eps = 0"),
        (lambda: update_running(RUNNING, X[0, :1]), "a batch of 1 rows"),
        (lambda: update_running(RUNNING, X, 1.5), "rate = 1.5"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
