"""The noise of mini-batches, counted over every batch that can be drawn and every noise that can fall."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from against import close

from clearhead.reference.minibatch import (
    averaged_variance,
    expected_square,
    noise_scale,
    variance_with_replacement,
    variance_without_replacement,
)
from clearhead.reference.optimizers import adam, adam_start, sgd

RNG = np.random.default_rng(1)
G = RNG.normal(size=(5, 2)) * [1.0, 1e6] + [0.3, -4.0]


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_every_batch(batch: int) -> None:
    drawn = np.stack([G[list(i)].mean(0) for i in itertools.combinations(range(5), batch)])
    close(drawn.mean(0), G.mean(0))  # right on average, though one of the two is noise in the millions
    close(1 + variance_without_replacement(G, batch), 1 + drawn.var(0))
    drawn = np.stack([G[list(i)].mean(0) for i in itertools.product(range(5), repeat=batch)])
    close(drawn.mean(0), G.mean(0), 1e-9)
    close(variance_with_replacement(G, batch), drawn.var(0))


def test_small_noise_does_not_average_out_where_samples_are_not_drawn_alike() -> None:
    small = np.array([0.01, 0.01, -0.02])
    assert abs(small.mean()) < 1e-15
    close(small[:2].mean(), 0.01)  # the first two are always drawn: tiny, and off by 0.01 for ever


def test_noise_scale_is_where_noise_and_gradient_are_of_one_length() -> None:
    g = RNG.normal(size=(50, 3)) + 1
    scale = noise_scale(g)
    many = np.concatenate([g] * 40)
    noise = variance_with_replacement(many, 1000).sum() * 1000 / scale  # variance falls as 1 / B
    close(noise, (g.mean(0) ** 2).sum())
    close(noise_scale(3 * g), scale)


@pytest.mark.parametrize("curvature", [2.0, 0.0, -1.5, 20.0, 7.0])
def test_expected_square_over_all_noises(curvature: float) -> None:
    lr, noise = 0.1, 0.7
    ws = np.array([0.5])
    for t in range(11):
        close((ws**2).mean(), expected_square(curvature, lr, noise**2, 0.5, t))
        ws = np.concatenate([sgd(ws, curvature * ws + sign * noise, lr) for sign in (1, -1)])


def test_floor_and_escape() -> None:
    close(expected_square(2.0, 0.1, 3.0, 9.0, 500), 0.1 * 3.0 / (2 * (2 - 0.2)))
    assert expected_square(2.0, 0.0, 3.0, 9.0, 500) == 81
    assert expected_square(-1.0, 0.1, 0.0, 0.0, 10**3) == 0 < expected_square(-1.0, 0.1, 1e-12, 0.0, 10**3)
    grown = expected_square(-1.0, 0.1, 1.0, 0.0, 201) / expected_square(-1.0, 0.1, 1.0, 0.0, 200)
    close(grown, 1.1**2)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_averaged_variance_is_that_of_adams_average(beta: float) -> None:
    for t in (1, 2, 7, 40):
        weights = []
        for place in range(t):
            state = adam_start(np.zeros(1))
            for i in range(t):
                _, state = adam(np.zeros(1), np.array([float(i == place)]), state, 0.1, beta1=beta)
            weights.append(state.m[0] / (1 - beta**t))
        close(sum(weights), 1.0)
        close(sum(w**2 for w in weights), averaged_variance(beta, t))
    assert averaged_variance(beta, 1) == 1


def test_edges() -> None:
    assert variance_without_replacement(np.ones((1, 2)), 1).tolist() == [0, 0]
    assert variance_without_replacement(np.array([[1.0], [5.0]]), 2).tolist() == [0]
    assert noise_scale(np.ones((3, 2))) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: variance_with_replacement(G, 0), "batch = 0"),
        (lambda: variance_with_replacement(np.zeros((0, 2)), 1), "samples, 0"),
        (lambda: variance_without_replacement(G, 6), "batch = 6 exceeds the 5"),
        (lambda: variance_without_replacement(G, 0), "batch = 0"),
        (lambda: noise_scale(np.array([[1.0], [-1.0]])), "mean gradient is 0"),
        (lambda: noise_scale(np.zeros((0, 2))), "there is none"),
        (lambda: expected_square(1.0, -0.1, 1.0, 1.0, 1), "lr = -0.1"),
        (lambda: expected_square(1.0, 0.1, -1.0, 1.0, 1), "variance = -1.0"),
        (lambda: expected_square(1.0, 0.1, 1.0, 1.0, -1), "t = -1"),
        (lambda: averaged_variance(1.0, 3), "beta = 1.0"),
        (lambda: averaged_variance(0.5, 0), "t = 0"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
