"""Speculative decoding: the target's distribution exactly, by going through every draft and every verdict."""

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from against import check_vjp, close
from batched import check_batched

from clearhead.reference.speculative import (
    accept_probability,
    acceptance_rate,
    acceptance_rate_vjp,
    expected_tokens,
    expected_tokens_vjp,
    residual,
    speculative_distribution,
    speculative_outcomes,
    speculative_speedup,
    speculative_speedup_vjp,
    speculative_step,
)

RNG = np.random.default_rng(0)
P, Q = RNG.dirichlet(np.ones(6), 40), RNG.dirichlet(np.ones(6), 40)
ALPHA = np.array([0.0, 0.3, 0.8, 1.0])


def model(seed: int, V: int = 3):
    """A distribution of its own after every prefix."""
    return cache(lambda y: np.random.default_rng([seed, *y]).dirichlet(np.ones(V)))


def constant(p: list[float]):
    return lambda y: np.array(p)


def text_probability(target, y: tuple[int, ...]) -> float:
    return float(np.prod([target(y[:i])[v] for i, v in enumerate(y)]))


def test_the_output_of_one_draft_is_the_targets() -> None:
    close(speculative_distribution(P, Q), P)
    p, q = P[0], Q[0]
    out = np.zeros(6)  # every draft, and for a refused one every correction
    for drafted in range(6):
        accepted = min(1, p[drafted] / q[drafted])
        out[drafted] += q[drafted] * accepted
        for v in range(6):
            out[v] += q[drafted] * (1 - accepted) * max(0, p[v] - q[v]) / np.maximum(p - q, 0).sum()
    close(out, p)
    close(accept_probability(p, q), np.minimum(1, p / q))


@pytest.mark.parametrize("gamma", [1, 2, 3])
def test_completed_outcomes_have_the_targets_distribution(gamma: int) -> None:
    target, draft = model(1), model(2)
    outcomes = speculative_outcomes(target, draft, gamma)
    close(sum(outcomes.values()), 1.0)
    joint = dict.fromkeys(itertools.product(range(3), repeat=gamma + 1), 0.0)
    for y, chance in outcomes.items():
        for rest in itertools.product(range(3), repeat=gamma + 1 - len(y)):
            joint[y + rest] += chance * text_probability(lambda z, y=y: target(y + z), rest)
    close(list(joint.values()), [text_probability(target, y) for y in joint])


def test_tokens_per_call_are_counted_in_the_outcomes() -> None:
    p, q = [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]
    alpha = acceptance_rate(np.array(p), np.array(q))
    close(alpha, 0.6)
    for gamma in (1, 2, 4):
        outcomes = speculative_outcomes(constant(p), constant(q), gamma)
        close(sum(chance * len(y) for y, chance in outcomes.items()), expected_tokens(np.asarray(alpha), gamma))
    close(expected_tokens(ALPHA[:3], 5), (1 - ALPHA[:3] ** 6) / (1 - ALPHA[:3]))
    assert expected_tokens(np.array(1.0), 5) == 6
    assert speculative_speedup(ALPHA, 3, 0.0).tolist() == expected_tokens(ALPHA, 3).tolist()
    close(speculative_speedup(np.array(0.8), 5, 0.02), (1 - 0.8**6) / (0.2 * 1.1))


def test_steps_follow_the_outcomes() -> None:
    target, draft = model(4), model(5)
    outcomes = speculative_outcomes(target, draft, 2)
    rng = np.random.default_rng(0)
    n = 1500
    seen = dict.fromkeys(outcomes, 0)
    for _ in range(n):
        seen[speculative_step(target, draft, 2, rng)] += 1
    chi2 = sum((seen[y] - n * p) ** 2 / (n * p) for y, p in outcomes.items())
    assert chi2 < len(outcomes) + 4 * np.sqrt(2 * len(outcomes))  # mean and four deviations


def test_rates_and_gradients() -> None:
    close(acceptance_rate(P, Q), 1 - np.abs(P - Q).sum(-1) / 2)
    close((Q * accept_probability(P, Q)).sum(-1), acceptance_rate(P, Q))
    p, q = torch.tensor(P, requires_grad=True), torch.tensor(Q, requires_grad=True)
    dy = RNG.normal(size=40)
    theirs = torch.autograd.grad(torch.minimum(p, q).sum(-1), [p, q], torch.tensor(dy))
    for got, want in zip(acceptance_rate_vjp(P, Q, dy), theirs, strict=True):
        close(got, want.numpy())
    half = acceptance_rate_vjp(P[0], P[0], np.array(2.0))
    assert [g.tolist() for g in half] == [[1.0] * 6] * 2
    inner = ALPHA[1:3]
    check_vjp(expected_tokens, expected_tokens_vjp, inner, 4, peer=lambda a, g: (1 - a ** (g + 1)) / (1 - a))
    check_vjp(
        speculative_speedup,
        speculative_speedup_vjp,
        inner,
        4,
        0.1,
        peer=lambda a, g, c: (1 - a ** (g + 1)) / (1 - a) / (g * c + 1),
    )
    assert expected_tokens_vjp(np.array([0.0, 1.0]), 4, np.ones(2)).tolist() == [1, 10]


def test_any_number_of_batch_axes() -> None:
    for f in (accept_probability, acceptance_rate, residual, speculative_distribution):
        check_batched(f, P[:3], Q[:3])
    check_batched(acceptance_rate_vjp, P[:3], Q[:3], ALPHA[:3])
    check_batched(expected_tokens, ALPHA, 3)
    check_batched(lambda a, dy: expected_tokens_vjp(a, 3, dy), ALPHA, ALPHA + 1)
    check_batched(lambda a, dy: speculative_speedup_vjp(a, 3, 0.1, dy), ALPHA, ALPHA + 1)


def test_edges() -> None:
    one, two = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert accept_probability(one, two).tolist() == [1, 0]
    assert accept_probability(two, two).tolist() == [1, 1]
    assert acceptance_rate(one, two) == 0 and acceptance_rate(two, two) == 1
    assert residual(one, two).tolist() == [1, 0]
    assert residual(P[0], P[0]).tolist() == P[0].tolist()
    assert speculative_distribution(one, two).tolist() == [1, 0]
    assert speculative_outcomes(constant([1.0, 0.0]), constant([0.0, 1.0]), 3) == {(0,): 1.0}
    assert speculative_outcomes(constant([1.0, 0.0]), constant([1.0, 0.0]), 2) == {(0, 0, 0): 1.0}
    rng = np.random.default_rng(0)
    assert speculative_step(constant([1.0, 0.0]), constant([0.0, 1.0]), 3, rng) == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: acceptance_rate(P, Q * 2), "sum to 1"),
        (lambda: accept_probability(-P, Q), "0 or more"),
        (lambda: residual(P * 0.5, Q), "sum to 1"),
        (lambda: expected_tokens(np.array([1.1]), 3), "alpha"),
        (lambda: expected_tokens(np.array([-0.1]), 3), "alpha"),
        (lambda: expected_tokens(ALPHA, 0), "gamma = 0"),
        (lambda: speculative_speedup(ALPHA, 1, -0.1), "c = -0.1"),
        (lambda: speculative_outcomes(model(0), model(1), 0), "gamma = 0"),
        (lambda: speculative_step(model(0), model(1), 0, RNG), "gamma = 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
