"""Likelihoods against torch, brute force over all texts, and by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close

from clearhead.reference.likelihood import (
    bits_per_byte,
    error_by_position,
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
    ngram_counts,
    ngram_nll,
    ngram_probability,
    perplexity,
    scheduled_input,
    sequence_nll,
    sequence_nll_vjp,
)

RNG = np.random.default_rng(1)
TEXT = RNG.integers(0, 3, 400).tolist()


def test_a_sequence() -> None:
    z, target = RNG.normal(size=(2, 3, 4)), RNG.integers(0, 4, (2, 3))
    check_vjp(sequence_nll, sequence_nll_vjp, z, target,
              peer=lambda z, t: F.cross_entropy(z.transpose(1, 2), t, reduction="none").sum(1))  # fmt: skip
    assert sequence_nll(z[:, :0], target[:, :0]).tolist() == [0, 0]


def test_the_probabilities_of_all_texts_sum_to_one() -> None:
    p = ngram_probability(ngram_counts([TEXT], 2, 3), 0.5)
    for start in range(3):
        total = sum(math.exp(-ngram_nll(p, [start, *rest])) for rest in itertools.product(range(3), repeat=3))
        close(total, 1.0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_counting_is_maximum_likelihood(n: int) -> None:
    counts = ngram_counts([TEXT], n, 3)
    assert counts.sum() == 400 - n + 1 and counts.shape == (3,) * n
    best = ngram_probability(counts, 0.0)
    close(best.sum(-1), np.ones((3,) * (n - 1)))
    least = ngram_nll(best, TEXT)
    for k in (0.1, 1.0, 10.0):
        assert ngram_nll(ngram_probability(counts, k), TEXT) > least
    z = torch.tensor(np.log(best).reshape(-1, 3), requires_grad=True)  # the gradient at the counts is 0
    places = [TEXT[i : i + n] for i in range(400 - n + 1)]
    rows = torch.tensor([sum(t * 3 ** (n - 2 - i) for i, t in enumerate(p[:-1])) for p in places])
    loss = F.cross_entropy(z[rows], torch.tensor([p[-1] for p in places]), reduction="sum")
    close(loss.item(), least)
    assert torch.autograd.grad(loss, z)[0].abs().max() < 1e-9


def test_smoothing_by_hand() -> None:
    p = ngram_probability(ngram_counts([[0, 1], [0, 1], [0, 0]], 2, 3), 1.0)
    close(p[0], np.array([2, 3, 1]) / 6)
    close(p[2], np.full(3, 1 / 3))
    assert ngram_nll(ngram_probability(ngram_counts([[0, 1, 2, 0]], 2, 3), 0.0), [0, 2]) == math.inf


def test_perplexity_and_bits() -> None:
    close(perplexity(ngram_nll(np.full(5, 0.2), [1] * 7), 7), 5)
    close(perplexity(np.log(3), 1), 3)
    nll = 12.3
    close(bits_per_byte(nll, "naïve"), nll / math.log(2) / 6)  # ï takes two bytes
    close(2 ** (bits_per_byte(nll, "abc") * 3), math.exp(nll))


def test_schedules() -> None:
    assert [linear_decay(i, 0.1) for i in (0, 5, 20)] == [1, 0.5, 0]
    assert linear_decay(5, 0.0) == 1  # it need not decay
    close(exponential_decay(10, 0.9), 0.9**10)
    close(inverse_sigmoid_decay(7, 3.0), 3 / (3 + math.exp(7 / 3)))
    values = [inverse_sigmoid_decay(i, 20.0) for i in range(300)]
    assert values == sorted(values, reverse=True) and values[0] > 0.95 and values[-1] < 1e-4
    true, own = np.zeros(100_000, int), np.ones(100_000, int)
    close(scheduled_input(true, own, 0.3, RNG).mean(), 0.7, 0.01)
    assert scheduled_input(true, own, 0.0, RNG).all() and not scheduled_input(true, own, 1.0, RNG).any()


def test_free_running_errs_more_than_teacher_forcing() -> None:
    jump = 0.9 * np.eye(8)[[1, 2, 3, 4, 5, 6, 7, 0]] + 0.1 / 8
    text = [0]
    for _ in range(500):
        text.append(int(RNG.choice(8, p=jump[text[-1]])))
    assert error_by_position(np.eye(2), [0, 1], True).tolist() == [1]  # two tokens are enough
    forced, free = (error_by_position(jump, text, f) for f in (True, False))
    close(forced.mean(), 0.0875, 0.35)
    assert free.mean() > 5 * forced.mean()
    first = int(np.flatnonzero(forced)[0])
    assert (free[:first] == 0).all() and free[first] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: perplexity(1.0, 0), "tokens = 0"),
        (lambda: bits_per_byte(1.0, ""), "empty"),
        (lambda: ngram_counts([[0]], 0, 2), "n = 0"),
        (lambda: ngram_counts([[0, 5]], 1, 3), "0 to 2"),
        (lambda: ngram_probability(np.array([1]), -1.0), "k = -1.0"),
        (lambda: ngram_probability(np.array([[1, 0], [0, 0]]), 0.0), "never seen"),
        (lambda: ngram_nll(np.full((2, 2), 0.5), [0]), "shorter"),
        (lambda: linear_decay(1, -1.0), "slope = -1.0"),
        (lambda: exponential_decay(1, 1.0), "k = 1.0"),
        (lambda: inverse_sigmoid_decay(1, 0.5), "k = 0.5"),
        (lambda: scheduled_input(np.zeros(1, int), np.zeros(1, int), 2.0, RNG), "probability = 2.0"),
        (lambda: error_by_position(np.eye(2), [0], True), "nothing to predict"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
