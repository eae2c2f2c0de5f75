"""Optimizers: fifty steps beside torch's, the theory of momentum beside its steps, and what each rule is for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from against import close

from clearhead.reference.optimizers import (
    CUBIC,
    adam,
    adam_start,
    adamw,
    best_momentum,
    momentum,
    momentum_rate,
    muon,
    nesterov,
    newton_schulz,
    rmsprop,
    sgd,
)

RNG = np.random.default_rng(1)
W = RNG.normal(size=(4, 3))
CURVATURE = 10.0 ** RNG.uniform(-2, 1, size=(4, 3))
NOISE = RNG.normal(size=(50, 4, 3))
Step = Callable[[np.ndarray, np.ndarray, Any], tuple[np.ndarray, Any]]


def gradient(w: np.ndarray, t: int) -> np.ndarray:
    """Of a valley a thousand times as steep in some directions as in others, seen through noise."""
    return CURVATURE[: len(w)] * w + 0.3 * NOISE[t, : len(w)]


def trajectory(step: Step, w: np.ndarray, state: Any) -> np.ndarray:
    path = []
    for t in range(50):
        w, state = step(w, gradient(w, t), state)
        path.append(w)
    return np.stack(path)


def torch_trajectory(make: Callable[..., torch.optim.Optimizer], w: np.ndarray, **settings: Any) -> np.ndarray:
    weights = torch.tensor(w, requires_grad=True)
    optimizer, path = make([weights], **settings), []
    for t in range(50):
        weights.grad = torch.tensor(gradient(weights.detach().numpy(), t))
        optimizer.step()
        path.append(weights.detach().numpy().copy())
    return np.stack(path)


@pytest.mark.parametrize(
    ("step", "state", "theirs"),
    [
        (lambda w, g, s: (sgd(w, g, 0.05), s), None, (torch.optim.SGD, {"lr": 0.05})),
        (
            lambda w, g, v: momentum(w, g, v, 0.02, 0.9),
            np.zeros_like(W),
            (torch.optim.SGD, {"lr": 0.02, "momentum": 0.9}),
        ),
        (
            lambda w, g, v: nesterov(w, g, v, 0.02, 0.9),
            np.zeros_like(W),
            (torch.optim.SGD, {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
        ),
        (
            lambda w, g, s: rmsprop(w, g, s, 0.03, 0.8, 1e-3),
            np.zeros_like(W),
            (torch.optim.RMSprop, {"lr": 0.03, "alpha": 0.8, "eps": 1e-3}),
        ),
        (lambda w, g, s: rmsprop(w, g, s, 0.03), np.zeros_like(W), (torch.optim.RMSprop, {"lr": 0.03})),
        (
            lambda w, g, s: adam(w, g, s, 0.03, 0.8, 0.95, 1e-3),
            adam_start(W),
            (torch.optim.Adam, {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-3}),
        ),
        (lambda w, g, s: adam(w, g, s, 0.03), adam_start(W), (torch.optim.Adam, {"lr": 0.03})),
        (
            lambda w, g, s: adamw(w, g, s, 0.03, 0.2, 0.8, 0.95, 1e-3),
            adam_start(W),
            (torch.optim.AdamW, {"lr": 0.03, "weight_decay": 0.2, "betas": (0.8, 0.95), "eps": 1e-3}),
        ),
        (
            lambda w, g, s: adamw(w, g, s, 0.03, 0.2),
            adam_start(W),
            (torch.optim.AdamW, {"lr": 0.03, "weight_decay": 0.2}),
        ),
    ],
    ids=["sgd", "momentum", "nesterov", "rmsprop", "rmsprop0", "adam", "adam0", "adamw", "adamw0"],
)
def test_fifty_steps_beside_torch(step: Step, state: Any, theirs: tuple[Any, dict[str, Any]]) -> None:
    make, settings = theirs
    close(trajectory(step, W, state), torch_trajectory(make, W, **settings))


@pytest.mark.parametrize("w", [W, W[:2], W[:3]], ids=["tall", "wide", "square"])
def test_fifty_steps_of_muon_beside_torch(w: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # torch iterates in bfloat16; here it must not
    mine = trajectory(lambda w, g, m: muon(w, g, m, 0.03, 0.2, 0.9), w, np.zeros_like(w))
    close(mine, torch_trajectory(torch.optim.Muon, w, lr=0.03, weight_decay=0.2, momentum=0.9))
    mine = trajectory(lambda w, g, m: muon(w, g, m, 0.03, iterations=3), w, np.zeros_like(w))
    close(mine, torch_trajectory(torch.optim.Muon, w, lr=0.03, weight_decay=0.0, ns_steps=3))
    mine = trajectory(lambda w, g, m: muon(w, g, m, 0.03), w, np.zeros_like(w))
    close(mine, torch_trajectory(torch.optim.Muon, w, lr=0.03, weight_decay=0.0))


def test_newton_schulz_acts_on_singular_values_alone() -> None:
    for shape in ((5, 3), (3, 5), (4, 4)):
        g = RNG.normal(size=shape)
        u, s, vt = np.linalg.svd(g, full_matrices=False)
        moved = s / np.linalg.norm(s)
        for _ in range(5):
            moved = 3.4445 * moved - 4.7750 * moved**3 + 2.0315 * moved**5
        close(newton_schulz(g), u * moved @ vt)
        close(newton_schulz(g, 60, CUBIC), u @ vt)
        close(newton_schulz(1e-200 * g), newton_schulz(g))
        close(newton_schulz(g, 0), g / np.linalg.norm(g))
    s = np.geomspace(0.003, 1, 2001)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    assert 0.68 < s.min() < s.max() < 1.21
    assert newton_schulz(np.zeros((2, 3))).tolist() == np.zeros((2, 3)).tolist()
    assert newton_schulz(np.zeros((0, 3))).shape == (0, 3)
    assert muon(np.ones((2, 0)), np.ones((2, 0)), np.ones((2, 0)), 0.1)[0].shape == (2, 0)


def measured_rate(curvature: float, lr: float, beta: float) -> float:
    """By what |w| shrank at each step of the later half of many steps; beats of a complex root average out."""
    w, v, sizes = np.array(1.0), np.array(0.0), []
    for _ in range(4000):
        w, v = momentum(w, curvature * w, v, lr, beta)
        size = np.hypot(w, v)
        sizes.append(np.log(size))
        w, v = w / size, v / size  # a linear rule: only the direction matters for what follows
    return float(np.exp(np.mean(sizes[2000:])))


@pytest.mark.parametrize(
    ("curvature", "lr", "beta"),
    [(1.0, 0.1, 0.0), (1.0, 0.1, 0.5), (1.0, 0.001, 0.9), (3.0, 1.2, 0.6), (4.0, 1.0, 0.5), (-0.1, 0.1, 0.9)],
)
def test_rate_of_momentum_is_what_its_steps_show(curvature: float, lr: float, beta: float) -> None:
    assert measured_rate(curvature, lr, beta) == pytest.approx(momentum_rate(curvature, lr, beta), rel=1e-3)
    roots = np.roots([1, -(1 + beta - lr * curvature), beta])
    close(momentum_rate(curvature, lr, beta), np.abs(roots).max(), 1e-7)


def test_best_momentum_is_best() -> None:
    def worst(lr: float, beta: float) -> float:
        return max(momentum_rate(h, lr, beta) for h in (2.0, 5.0, 50.0))

    lr, beta = best_momentum(2.0, 50.0)
    assert worst(lr, beta) == pytest.approx(np.sqrt(beta), rel=1e-6)
    assert np.sqrt(beta) == pytest.approx((5 - 1) / (5 + 1))
    grid = [worst(a, b) for a in np.linspace(0.01, 0.12, 45) for b in np.linspace(0, 0.99, 45)]
    assert min(grid) >= worst(lr, beta)
    gradient_descent = min(worst(a, 0.0) for a in np.linspace(0.01, 0.04, 301))
    assert gradient_descent == pytest.approx((25 - 1) / (25 + 1), abs=1e-3)
    assert best_momentum(3.0, 3.0) == (pytest.approx(1 / 3), 0.0)  # a round bowl: Newton's step


def test_gradient_descent_by_hand() -> None:
    w, path = np.array(5.0), []
    for _ in range(3):  # ŷ = w x with x = 2, y = 2 and L = (ŷ - y)²
        w = sgd(w, 2 * (w * 2 - 2) * 2, 0.1)
        path.append(float(w))
    close(path, [1.8, 1.16, 1.032])


def test_the_best_rate_of_a_valley_swings_across_it() -> None:
    curvature, w, best = np.array([1.0, 100.0]), np.ones(2), 2 / 101
    for _ in range(5):
        after = sgd(w, curvature * w, best)
        assert after[0] > 0 and after[1] * w[1] < 0
        w = after
    assert momentum_rate(100.0, best, 0.0) < momentum_rate(1.0, 1 / 100, 0.0)  # at 1 / 100 nothing swings: it is slower


def test_momentum_by_hand() -> None:
    w, v = momentum(np.array(0.5), np.array(0.2), np.array(0.1), lr=0.1, beta=0.9)
    close([v, w], [0.29, 0.471])
    v = np.array(0.0)
    for _ in range(500):
        _, v = momentum(np.array(0.0), np.array(2.0), v, lr=0.1, beta=0.9)
    close(v, 2.0 / (1 - 0.9))  # a steady slope: ten times the step
    for t in range(500):
        _, v = momentum(np.array(0.0), np.array(2.0 * (-1) ** t), v, lr=0.1, beta=0.9)
    close(abs(v), 2.0 / (1 + 0.9))  # a slope that changes its sign: about half of it


def test_nesterov_is_momentum_with_a_look_ahead() -> None:
    h, lr, beta = np.array([0.3, 4.0]), 0.1, 0.8
    theta, ahead, v = np.ones(2), np.ones(2), np.zeros(2)
    velocity = np.zeros(2)
    for _ in range(30):
        velocity = beta * velocity + h * (theta - lr * beta * velocity)
        theta = theta - lr * velocity
        ahead, v = nesterov(ahead, h * ahead, v, lr, beta)
        close(ahead, theta - lr * beta * velocity)


def test_decay_inside_adam_is_lost_on_weights_of_large_gradients() -> None:
    noise = np.outer((-1.0) ** np.arange(400), [0.01, 100.0])
    w_l2, w_decay = np.array([1.0, 1.0]), np.array([1.0, 1.0])
    state_l2, state_decay = adam_start(w_l2), adam_start(w_decay)
    for g in noise:
        w_l2, state_l2 = adam(w_l2, g + 0.1 * w_l2, state_l2, 1e-3)
        w_decay, state_decay = adamw(w_decay, g, state_decay, 1e-3, 0.5)
    assert w_l2[0] < 0.75 < 0.95 < w_l2[1]  # the same penalty, and only the quiet weight shrinks
    close(w_decay, np.full(2, (1 - 1e-3 * 0.5) ** 400), 0.01)


def test_step_sizes_do_not_follow_the_gradients() -> None:
    g = np.array([1e-4, -1.0, 1e4, 0.0])
    w, state = adam(np.zeros(4), g, adam_start(g), 0.1)
    close(w, [-0.1, 0.1, -0.1, 0.0], 1e-3)
    assert state.t == 1 and adam(w, g, state, 0.1)[1].t == 2
    assert rmsprop(np.ones(1), np.zeros(1), np.zeros(1), 0.1)[0].tolist() == [1.0]


def test_inputs_are_left_alone_and_may_be_empty() -> None:
    w, g = np.ones((2, 2)), np.ones((2, 2))
    v, s, m, start = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)), adam_start(w)
    sgd(w, g, 0.1), momentum(w, g, v, 0.1, 0.9), nesterov(w, g, v, 0.1, 0.9), rmsprop(w, g, s, 0.1)
    adam(w, g, start, 0.1), adamw(w, g, start, 0.1, 0.1), muon(w, g, m, 0.1, 0.1)
    assert (w == 1).all() and (g == 1).all() and not any(a.any() for a in (v, s, m, start.m, start.v))
    assert adam(np.zeros(0), np.zeros(0), adam_start(np.zeros(0)), 0.1)[0].shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sgd(W, W, -0.1), "rate -0.1"),
        (lambda: momentum(W, W, W, np.inf, 0.9), "rate inf"),
        (lambda: momentum(W, W, W, 0.1, 1.0), r"beta = 1.0 must be in \[0, 1\)"),
        (lambda: nesterov(W, W, W, -1.0, 0.5), "rate -1.0"),
        (lambda: nesterov(W, W, W, 0.1, -0.1), "beta = -0.1"),
        (lambda: momentum_rate(1.0, -0.1, 0.5), "rate -0.1"),
        (lambda: momentum_rate(1.0, 0.1, 1.5), "beta = 1.5"),
        (lambda: best_momentum(0.0, 1.0), "positive"),
        (lambda: best_momentum(2.0, 1.0), "the smaller one first"),
        (lambda: rmsprop(W, W, W, -0.1), "rate -0.1"),
        (lambda: rmsprop(W, W, W, 0.1, 2.0), "beta = 2.0"),
        (lambda: rmsprop(W, W, W, 0.1, eps=0.0), "eps = 0.0"),
        (lambda: adam(W, W, adam_start(W), -0.1), "rate -0.1"),
        (lambda: adam(W, W, adam_start(W), 0.1, 1.0), "beta1 = 1.0"),
        (lambda: adam(W, W, adam_start(W), 0.1, beta2=1.0), "beta2 = 1.0"),
        (lambda: adam(W, W, adam_start(W), 0.1, eps=-1e-8), "eps = -1e-08"),
        (lambda: adamw(W, W, adam_start(W), 0.1, -0.1), "decay = -0.1"),
        (lambda: adamw(W, W, adam_start(W), -0.1, 0.1), "rate -0.1"),
        (lambda: muon(W, W, W, 0.1, -1.0), "decay = -1.0"),
        (lambda: muon(W, W, W, -0.1), "rate -0.1"),
        (lambda: muon(W, W, W, 0.1, beta=1.0), "beta = 1.0"),
        (lambda: newton_schulz(W, -1), "iterations = -1"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
