"""Sequential halving against SciPy's binomial, by every outcome of every pull."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from against import close

from clearhead.reference.halving import Round, halving_error_bound, halving_rounds, hardness, sequential_halving


@pytest.mark.parametrize("arms", [2, 3, 4, 5, 7, 8, 9, 16, 33])
def test_rounds_are_those_of_the_paper(arms: int) -> None:
    count = math.ceil(math.log2(arms))
    for budget in (arms * count, arms * count + 17, 1000):
        rounds = halving_rounds(arms, budget)
        size = arms
        for r in rounds:
            assert r == Round(size, budget // (size * count))
            size = math.ceil(size / 2)
        assert size == 1 and len(rounds) == count
        assert sum(r.arms * r.pulls for r in rounds) <= budget
        assert rounds[0].pulls >= 1


def test_three_arms() -> None:
    assert halving_rounds(3, 13) == [Round(3, 2), Round(2, 3)]
    assert halving_rounds(1, 0) == []
    assert sequential_halving(lambda arm, times: 0.0, 1, 0) == (0, (), ())


def test_only_the_last_rounds_means_decide() -> None:
    """Arm 2 is best at first, arm 0 later; among equals the smaller arm stays."""
    asked = []

    def pull(arm: int, times: int) -> float:
        asked.append((arm, times))
        return {6: [0.8, 0.1, 0.9, 0.1], 12: [0.7, 0.0, 0.6, 0.0]}[times][arm]

    race = sequential_halving(pull, 4, 48)
    assert race == (0, ((0, 1, 2, 3), (0, 2)), ((0.8, 0.1, 0.9, 0.1), (0.7, 0.6)))
    assert asked == [(0, 6), (1, 6), (2, 6), (3, 6), (0, 12), (2, 12)]
    level = sequential_halving(lambda arm, times: 0.5, 5, 60)
    assert level.best == 0 and level.arms == ((0, 1, 2, 3, 4), (0, 1, 2), (0, 1))


def test_the_chance_of_the_best_of_two_coins() -> None:
    """Coin 1 must land heads more often than coin 0 in 7 throws each: binomials, or all outcomes run through."""
    p, t = [0.4, 0.7], 7
    exact = sum(scipy.stats.binom.pmf(k, t, p[1]) * scipy.stats.binom.cdf(k - 1, t, p[0]) for k in range(t + 1))
    found = 0.0
    for heads in itertools.product(range(t + 1), repeat=2):
        race = sequential_halving(lambda arm, times, heads=heads: heads[arm] / times, 2, 2 * t)
        found += (race.best == 1) * math.prod(scipy.stats.binom.pmf(k, t, q) for k, q in zip(heads, p, strict=True))
    close(found, exact)
    assert 1 - found <= halving_error_bound(np.array(p), 2 * t)


def test_it_beats_the_same_budget_spread_evenly() -> None:
    means = np.array([0.6] + [0.5] * 4 + [0.1] * 11)
    budget, trials = 640, 300
    rng = np.random.default_rng(0)
    halved = sum(
        sequential_halving(lambda arm, times: rng.binomial(times, means[arm]) / times, 16, budget).best == 0
        for _ in range(trials)
    )
    spread = sum(rng.binomial(budget // 16, means).argmax() == 0 for _ in range(trials))
    assert halved > spread + 3 * np.sqrt(trials / 4 * 2)


def test_hardness_and_bound() -> None:
    close(hardness(np.array([0.3, 0.9, 0.7])), max(2 / 0.2**2, 3 / 0.6**2))
    close(hardness(np.array([0.9, 0.8999, 0.0])), 2 / 0.0001**2, 1e-10)  # the difference of means cancels digits
    close(hardness(np.array([1.0, 0.0, 0.0, 0.0])), 4.0)
    mean = np.array([1.0, 0.0, 0.0, 0.0])
    close(halving_error_bound(mean, 640), 6 * np.exp(-10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: halving_rounds(0, 10), "arms = 0"),
        (lambda: halving_rounds(8, 23), "budget = 23 must be at least 24"),
        (lambda: sequential_halving(lambda arm, times: 0.0, 4, 7), "at least 8"),
        (lambda: hardness(np.array([1.0])), "two arms"),
        (lambda: hardness(np.array([1.0, 1.0])), "better than all"),
        (lambda: halving_error_bound(np.array([1.0, 1.0, 0.0]), 10), "better than all"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
