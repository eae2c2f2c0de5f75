"""Penalties and dropout beside torch and scikit-learn, and over every mask there is."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close
from sklearn.linear_model import ElasticNet, Lasso, Ridge

from clearhead.reference.regularizers import (
    dropout,
    dropout_mask,
    dropout_penalty,
    dropout_penalty_vjp,
    dropout_vjp,
    elastic_net_penalty,
    elastic_net_penalty_vjp,
    l1_penalty,
    l1_penalty_vjp,
    l2_penalty,
    l2_penalty_vjp,
    proximal_step,
    shrink,
    shrink_vjp,
    soft_threshold,
    soft_threshold_vjp,
)
from clearhead.reference.softmax import log_softmax, softmax

RNG = np.random.default_rng(1)
W = RNG.normal(size=(3, 4))
X, Y = RNG.normal(size=(20, 6)), RNG.normal(size=20)
KEEP = np.array([[True, False, True, True], [False, True, True, False], [True] * 4])


def test_values_and_gradients() -> None:
    check_vjp(l2_penalty, l2_penalty_vjp, W, 0.3, peer=lambda w, s: s * w.square().sum())
    check_vjp(l1_penalty, l1_penalty_vjp, W, 0.3, peer=lambda w, s: s * w.abs().sum())
    check_vjp(
        elastic_net_penalty,
        elastic_net_penalty_vjp,
        W,
        0.3,
        0.7,
        peer=lambda w, a, b: a * w.abs().sum() + b * w.square().sum(),
    )
    check_vjp(soft_threshold, soft_threshold_vjp, W, 0.5, peer=F.softshrink)
    check_vjp(shrink, shrink_vjp, W, 0.3, peer=lambda w, s: w / (1 + 2 * s))
    check_vjp(dropout, dropout_vjp, W, KEEP, 0.3, peer=lambda x, keep, p: x * keep / (1 - p))
    check_vjp(
        dropout_penalty,
        dropout_penalty_vjp,
        X,
        Y[:6],
        0.3,
        peer=lambda x, w, p: p / (1 - p) * (x.square() * w.square()).sum(),
    )


@pytest.mark.parametrize("w", [-2.0, -0.3, 0.0, 0.1, 0.5, 1.7])
def test_thresholds_minimize_what_they_say(w: float) -> None:
    v = np.linspace(-3, 3, 6001)
    assert v[np.argmin((v - w) ** 2 / 2 + 0.5 * np.abs(v))] == pytest.approx(
        float(soft_threshold(np.array(w), 0.5)), abs=1e-3
    )
    assert v[np.argmin((v - w) ** 2 / 2 + 0.5 * v**2)] == pytest.approx(float(shrink(np.array(w), 0.5)), abs=1e-3)
    step = float(proximal_step(np.array(w + 0.2), np.array(2.0), lr=0.1, l1=3.0, l2=2.0))
    assert v[np.argmin((v - w) ** 2 / 2 + 0.1 * (3 * np.abs(v) + 2 * v**2))] == pytest.approx(step, abs=1e-3)


def descend(l1: float, l2: float) -> np.ndarray:
    """‖X w - Y‖² / 2N + λ₁ Σ |w| + λ₂ Σ w², by proximal steps."""
    w = np.zeros(6)
    for _ in range(2000):
        w = proximal_step(w, X.T @ (X @ w - Y) / 20, 0.3, l1, l2)
    return w


def test_proximal_steps_find_what_scikit_learn_finds() -> None:
    lasso = Lasso(alpha=0.15, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(X, Y).coef_
    close(descend(0.15, 0.0), lasso, 1e-9)
    assert np.array_equal(descend(0.15, 0.0) == 0, lasso == 0) and 0 < (lasso == 0).sum() < 6  # zeros, exactly
    both = ElasticNet(alpha=0.2, l1_ratio=0.4, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(X, Y).coef_
    close(descend(0.2 * 0.4, 0.2 * 0.6 / 2), both, 1e-9)
    ridge = Ridge(alpha=20 * 0.3, fit_intercept=False).fit(X, Y).coef_
    close(descend(0.0, 0.15), ridge, 1e-9)
    assert (descend(0.0, 100.0) != 0).all() and not descend(100.0, 0.0).any()


def test_gradient_descent_on_l1_never_arrives_where_the_proximal_step_does() -> None:
    plain = proximal = np.array([0.5])
    for _ in range(100):
        plain = plain - 0.13 * l1_penalty_vjp(plain, 1.0, np.array(1.0))
        proximal = proximal_step(proximal, np.zeros(1), 0.13, 1.0)
    assert proximal[0] == 0 != plain[0]


def test_zeros() -> None:
    assert soft_threshold(np.array([0.5, -0.5, 0.0]), 0.5).tolist() == [0, 0, 0]
    assert soft_threshold_vjp(np.array([0.5, -0.5]), 0.5, np.ones(2)).tolist() == [0, 0]
    assert soft_threshold(W, 0.0).tolist() == shrink(W, 0.0).tolist() == W.tolist()
    assert l1_penalty_vjp(np.zeros(2), 3.0, np.array(1.0)).tolist() == [0, 0]
    assert float(elastic_net_penalty(np.zeros(0), 1.0, 1.0)) == 0


def test_dropout_beside_torch() -> None:
    torch.manual_seed(0)
    x = torch.tensor(RNG.normal(size=(50, 40)), requires_grad=True)
    y = F.dropout(x, 0.3)
    keep = y.detach().numpy() != 0
    close(dropout(x.detach().numpy(), keep, 0.3), y.detach().numpy())
    dy = RNG.normal(size=(50, 40))
    (dx,) = torch.autograd.grad(y, x, torch.tensor(dy))
    close(dropout_vjp(x.detach().numpy(), keep, 0.3, dy), dx.numpy())


def test_dropout_edges() -> None:
    none = dropout_mask((3, 4), 1.0, RNG)
    assert not none.any() and dropout(W, none, 1.0).tolist() == np.zeros((3, 4)).tolist()
    assert dropout_vjp(W, none, 1.0, W).tolist() == np.zeros((3, 4)).tolist()
    every = dropout_mask((3, 4), 0.0, RNG)
    assert every.all() and dropout(W, every, 0.0).tolist() == W.tolist()


def test_masks_keep_the_share_they_should() -> None:
    kept = dropout_mask((100, 100), 0.3, np.random.default_rng(1))
    spread = np.sqrt(0.3 * 0.7 / 10_000)
    assert abs(kept.mean() - 0.7) < 4 * spread
    assert abs((kept[:, 1:] & kept[:, :-1]).mean() - 0.49) < 4 * np.sqrt(0.49 * 0.51 / 9900)  # each entry by itself


def every_mask(D: int, rate: float) -> list[tuple[np.ndarray, float]]:
    masks = [np.array(bits) for bits in itertools.product([True, False], repeat=D)]
    return [(keep, (1 - rate) ** keep.sum() * rate ** (~keep).sum()) for keep in masks]


def test_mean_over_every_mask_is_the_network_without_dropout() -> None:
    x = RNG.normal(size=5)
    close(sum(p * dropout(x, keep, 0.3) for keep, p in every_mask(5, 0.3)), x)
    second = sum(p * dropout(x, keep, 0.3) ** 2 for keep, p in every_mask(5, 0.3))
    close(second - x**2, 0.3 / 0.7 * x**2)


def test_as_noise_dropout_is_a_penalty() -> None:
    w = RNG.normal(size=6)

    def loss(features: np.ndarray) -> float:
        return float(((features @ w - Y) ** 2).sum())

    rows = np.empty((2**6, 20))
    weights = np.array([p for _, p in every_mask(6, 0.3)])
    for row, (keep, _) in zip(rows, every_mask(6, 0.3), strict=True):
        row[:] = (dropout(X, np.broadcast_to(keep, X.shape), 0.3) @ w - Y) ** 2  # rows are independent: one at a time
    close(weights @ rows.sum(1), loss(X) + dropout_penalty(X, w, 0.3))


def test_as_an_ensemble_dropout_is_a_geometric_mean() -> None:
    x, weights = RNG.normal(size=5), RNG.normal(size=(5, 3))
    members = [(p, log_softmax(dropout(x, keep, 0.3) @ weights)) for keep, p in every_mask(5, 0.3)]
    close(softmax(sum(p * log_p for p, log_p in members)), softmax(x @ weights))
    arithmetic = sum(p * np.exp(log_p) for p, log_p in members)
    assert np.abs(arithmetic - softmax(x @ weights)).max() > 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: l2_penalty(W, -1.0), "strength = -1.0"),
        (lambda: l1_penalty(W, -1.0), "strength = -1.0"),
        (lambda: elastic_net_penalty(W, 1.0, -2.0), "strength = -2.0"),
        (lambda: soft_threshold(W, -0.5), "strength = -0.5"),
        (lambda: shrink(W, -0.5), "strength = -0.5"),
        (lambda: proximal_step(W, W, -0.1, 1.0), "rate -0.1"),
        (lambda: proximal_step(W, W, 0.1, -1.0), "strength = -1.0"),
        (lambda: proximal_step(W, W, 0.0, 0.1, -1.0), "strength = -1.0"),
        (lambda: dropout_mask((2,), 1.5, RNG), "rate = 1.5"),
        (lambda: dropout(W, KEEP, -0.5), "rate = -0.5"),
        (lambda: dropout_penalty(X, Y[:6], 1.0), "rate = 1.0"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
