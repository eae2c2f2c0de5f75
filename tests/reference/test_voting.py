"""Votes, and their chance of being right, against SciPy and against every sequence of answers."""

import itertools

import numpy as np
import pytest
import scipy.stats
from against import check_vjp, close
from batched import check_batched

from clearhead.reference.voting import (
    majority_probability,
    majority_probability_vjp,
    self_consistency,
    vote_distribution,
    weighted_vote,
)

P = np.array([[0.05, 0.3, 0.5], [0.51, 0.7, 0.999]])


def test_votes() -> None:
    assert self_consistency(["a", "b", "b"]) == "b"
    assert self_consistency(["b", "a", "a", "b"]) == "b"  # first of equals
    assert self_consistency([None, None, 408]) == 408
    assert self_consistency([None]) is None and self_consistency([]) is None
    assert weighted_vote(["a", "b", "b"], [0.9, 0.4, 0.4]) == "a"
    assert weighted_vote(["a", "b", "b"], [0.9, 0.5, 0.5]) == "b"
    assert weighted_vote(["b", None, "a"], [0.0, 9.0, 0.0]) == "b"
    assert weighted_vote([(1, 2), (1, 2), 3], [1, 1, 1.5]) == (1, 2)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 101, 2000])
def test_majorities_are_binomial_tails(n: int) -> None:
    tie = scipy.stats.binom.pmf(n / 2, n, P) / 2 if n % 2 == 0 else 0
    close(majority_probability(P, n), scipy.stats.binom.sf(n // 2, n, P) + tie, 1e-11)  # sums of logs of n!


def test_gradient_of_a_majority() -> None:
    for n in (1, 2, 3, 8, 25):
        check_vjp(majority_probability, majority_probability_vjp, P, n)
        m = (n - 1) // 2
        density = scipy.stats.beta(m + 1, m + 1).pdf(P)  # a majority is a tail of the median of uniform numbers
        close(majority_probability_vjp(P, n, np.ones_like(P)), density)


def test_any_number_of_batch_axes() -> None:
    check_batched(lambda p: majority_probability(p, 5), P)
    check_batched(lambda p, dy: majority_probability_vjp(p, 5, dy), P, P)


def test_condorcet() -> None:
    odd = [majority_probability(np.array([0.45, 0.5, 0.55]), n) for n in (1, 3, 11, 101, 1001)]
    for low, level, high in odd:
        assert low <= 0.45 and level == pytest.approx(0.5) and high >= 0.55 - 1e-12
    assert np.all(np.diff(odd, axis=0)[:, 0] < 0) and np.all(np.diff(odd, axis=0)[:, 2] > 0)
    for n in (2, 4, 50):  # a vote more that makes the number even is worth nothing
        close(majority_probability(P, n), majority_probability(P, n - 1))
    sure = np.array([0.0, 1.0])
    for n in (1, 2, 7):
        assert majority_probability(sure, n).tolist() == [0, 1]
    assert majority_probability_vjp(sure, 1, np.ones(2)).tolist() == [1, 1]
    assert majority_probability_vjp(sure, 5, np.ones(2)).tolist() == [0, 0]
    close(majority_probability(np.array(0.8), 3), 0.8**3 + 3 * 0.8**2 * 0.2)


@pytest.mark.parametrize("p", [[0.5, 0.3, 0.2], [0.4, 0.4, 0.2, 0.0], [1.0], [0.3, 0.7]])
@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_vote_distribution_by_all_sequences(p: list[float], n: int) -> None:
    """With the rule of self_consistency, where the first of equals wins: the order of arrival shares them evenly."""
    want = np.zeros(len(p))
    for answers in itertools.product(range(len(p)), repeat=n):
        want[self_consistency(answers)] += np.prod([p[a] for a in answers])
    got = vote_distribution(np.array(p), n)
    close(got, want)
    close(got.sum(), 1.0)


def test_vote_distribution_by_scipys_multinomial() -> None:
    p, n = np.array([0.35, 0.25, 0.25, 0.15]), 12
    want = np.zeros(4)
    for counts in itertools.product(range(n + 1), repeat=4):
        if sum(counts) == n:
            first = np.array(counts) == max(counts)
            want += first / first.sum() * scipy.stats.multinomial.pmf(counts, n, p)
    close(vote_distribution(p, n), want)
    for n in (3, 8):
        close(vote_distribution(np.array([0.7, 0.3]), n)[0], majority_probability(np.array(0.7), n))


def test_the_vote_tends_to_the_favorite_right_or_wrong() -> None:
    right_but_rare = [float(vote_distribution(np.array([0.3, 0.2, 0.2, 0.15, 0.15]), n)[0]) for n in (1, 5, 15)]
    assert right_but_rare == sorted(right_but_rare)
    assert right_but_rare[-1] > 0.49 and majority_probability(np.array(0.3), 15) < 0.06
    favorite_mistake = [float(vote_distribution(np.array([0.4, 0.6]), n)[0]) for n in (1, 5, 15)]
    assert favorite_mistake == sorted(favorite_mistake, reverse=True)


def test_mistakes_made_together_do_not_cancel() -> None:
    """Each voter is right with 0.6, but all copy one of them: the majority is right with 0.6 whatever their number."""
    rng = np.random.default_rng(0)
    leader = rng.random(2000) < 0.6
    right = np.mean([self_consistency([bool(vote)] * 25) for vote in leader])
    assert abs(right - 0.6) < 4 * np.sqrt(0.24 / 2000) < majority_probability(np.array(0.6), 25) - 0.6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weighted_vote(["a"], [1.0, 2.0]), "1 answers"),
        (lambda: weighted_vote(["a", "b"], [1.0, -2.0]), "0 or more"),
        (lambda: weighted_vote(["a"], [float("nan")]), "0 or more"),
        (lambda: majority_probability(P, 0), "n = 0"),
        (lambda: majority_probability(P + 1, 3), "between 0 and 1"),
        (lambda: majority_probability_vjp(-P, 3, P), "between 0 and 1"),
        (lambda: vote_distribution(np.array([0.5, 0.4]), 3), "sum to 1"),
        (lambda: vote_distribution(np.array([1.5, -0.5]), 3), "between 0 and 1"),
        (lambda: vote_distribution(np.zeros(0), 3), "sum to 1"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
