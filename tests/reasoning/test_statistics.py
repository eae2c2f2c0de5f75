import math

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.reasoning.curve import Graded
from clearhead.reasoning.statistics import (
    bootstrap_difference,
    bootstrap_mean,
    correct_at,
    costs_at,
    matched_difference,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # p̂ = 0.5, z = 1.959964: (0.5 + 0.192073 ± 1.959964 √(0.025 + 0.0096036)) / 1.384146
        (5, 10, 0.236593, 0.763407),
        # p̂ = 0: center = spread = z²/2n, so 0 and (z²/n) / (1 + z²/n) = 3.841459 / 23.841459
        (0, 20, 0.0, 0.161125),
        (20, 20, 0.838875, 1.0),
    ],
)
def test_wilson_by_hand(successes, n, low, high):
    interval = wilson(successes, n)
    assert interval.estimate == successes / n
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)


def test_wilson_solves_its_equation():
    """Its ends are the p at which p̂ lies z standard errors of p away."""
    z = 1.6448536269514722
    interval = wilson(17, 40, confidence=0.9)
    for p in (interval.low, interval.high):
        assert abs(17 / 40 - p) == pytest.approx(z * math.sqrt(p * (1 - p) / 40))


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_the_impossible(successes, n):
    with pytest.raises(AssertionError):
        wilson(successes, n)


def coin_flips(problems, seeds, seed=0):
    """Scores "P S" of problems of very different difficulty."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(0.3, 0.3, size=(problems, 1))
    return (rng.random((problems, seeds)) < chance).astype(float)


def test_bootstrap_agrees_with_the_normal_approximation():
    scores = coin_flips(400, 1)[:, 0]
    interval = bootstrap_mean(scores)
    error = 1.96 * scores.std() / math.sqrt(400)
    assert interval.estimate == scores.mean()
    assert interval.low == pytest.approx(scores.mean() - error, abs=0.005)
    assert interval.high == pytest.approx(scores.mean() + error, abs=0.005)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    truth, covered = 0.3, 0
    for trial in range(300):
        interval = bootstrap_mean(rng.random(60) < truth, samples=400, confidence=0.8, seed=trial)
        covered += interval.low <= truth <= interval.high
    assert 0.72 < covered / 300 < 0.88


def test_seeds_of_one_problem_are_not_new_problems():
    """Ten copies of every run hold no more evidence; resampling runs would shrink the interval by √10."""
    scores = coin_flips(50, 1)
    assert bootstrap_mean(np.repeat(scores, 10, axis=1)) == bootstrap_mean(scores)
    naive = bootstrap_mean(np.repeat(scores, 10, axis=1).ravel())
    honest = bootstrap_mean(scores)
    assert (naive.high - naive.low) < 0.5 * (honest.high - honest.low)


def test_confidence_and_seed():
    scores = coin_flips(50, 3)
    wide, narrow = bootstrap_mean(scores, confidence=0.99), bootstrap_mean(scores, confidence=0.5)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high
    assert bootstrap_mean(scores, seed=1) == bootstrap_mean(scores, seed=1) != bootstrap_mean(scores, seed=2)


def test_pairing_takes_the_difficulty_out():
    """b fails on 6 of a's problems and wins none: of 60 problems half are hopeless for both."""
    a = np.array([1.0] * 30 + [0.0] * 30)
    b = a.copy()
    b[:6] = 0
    paired = bootstrap_difference(a, b)
    assert paired.estimate == pytest.approx(0.1)
    assert 0 < paired.low < 0.1 < paired.high
    unpaired = np.hypot(*(np.diff(bootstrap_mean(side)[1:])[0] for side in (a, b)))
    assert paired.high - paired.low < unpaired / 2
    mirrored = bootstrap_difference(b, a)
    assert (mirrored.estimate, mirrored.low) == pytest.approx((-paired.estimate, -paired.high), abs=0.02)


def test_a_difference_may_have_different_numbers_of_seeds():
    a, b = coin_flips(40, 5), coin_flips(40, 2, seed=1)
    assert bootstrap_difference(a, b).estimate == pytest.approx(a.mean() - b.mean())
    same = bootstrap_difference(a, a)
    assert same == (0, 0, 0)


@pytest.mark.parametrize("scores", [[], [[[1.0]]], [0.0, float("nan")], 1.0])
def test_scores_that_are_none_are_refused(scores):
    with pytest.raises(UserError):
        bootstrap_mean(scores)


def test_unequal_problems_cannot_be_paired():
    with pytest.raises(UserError, match="3 problems against 2"):
        bootstrap_difference([1, 0, 1], [1, 0])


# --- equal compute --------------------------------------------------------------------------------------------------

SEARCH = [
    [[Graded(10, 0), Graded(40, 1)], [Graded(20, 1)]],
    [[Graded(10, 0), Graded(90, 1)], [Graded(40, 0)]],
]
SAMPLES = [
    [[Graded(15 * n, float(n >= 3)) for n in range(1, 9)]],
    [[Graded(25 * n, float(n >= 4)) for n in range(1, 9)]],
]


def test_runs_stopped_at_a_budget():
    assert costs_at(SEARCH, 50).tolist() == [[40, 20], [10, 40]]
    assert correct_at(SEARCH, 50).tolist() == [[1, 1], [0, 0]]
    assert costs_at(SEARCH, 15).tolist() == [[10, 0], [10, 0]]  # a run not begun costs nothing and is not right
    assert correct_at(SEARCH, 15).tolist() == [[0, 0], [0, 0]]
    assert costs_at(SEARCH, math.inf).tolist() == [[40, 20], [90, 40]]


@pytest.mark.parametrize(
    ("budget", "cost_a", "cost_b", "budget_b", "difference"),
    [
        # a spends (40 + 20 + 10 + 40) / 4 = 27.5. b: at 30, 30 and 25; mean 27.5, enough. a: 2 of 4 right, b: none
        (50, 27.5, 27.5, 30, 0.5),
        # a spends 47.5. b: at 50, 45 and 50, mean 47.5. a 3 of 4 (problem means 1 and 0.5); b right on the first alone
        (math.inf, 47.5, 47.5, 50, 0.25),
        # a spends (10 + 20 + 10 + 0) / 4 = 10; b: the first budget that pays for anything is 15, mean 7.5; at 25, 20
        (25, 10.0, 20.0, 25, 0.25),
    ],
)
def test_b_gets_the_smallest_budget_that_matches_a(budget, cost_a, cost_b, budget_b, difference):
    matched = matched_difference(SEARCH, SAMPLES, budget)
    assert (matched.cost_a, matched.cost_b, matched.budget_b) == (cost_a, cost_b, budget_b)
    assert matched.difference.estimate == pytest.approx(difference)
    assert matched.cost_b >= matched.cost_a


def test_the_matching_budget_is_the_first_of_all():
    rng = np.random.default_rng(0)
    b = [[[Graded(int(c), 0.0) for c in np.cumsum(rng.integers(1, 9, size=30))] for _ in range(2)] for _ in range(5)]
    for cost in (1, 7, 30, 77, 110):
        a = [[[Graded(cost, 1.0)]] for _ in range(5)]
        matched = matched_difference(a, b)
        budgets = sorted({point.cost for runs in b for run in runs for point in run})
        assert matched.budget_b == next(budget for budget in budgets if costs_at(b, budget).mean() >= cost)


def test_a_baseline_that_cannot_spend_as_much_is_no_match():
    greedy = [[[Graded(8, 1.0)]], [[Graded(9, 0.0)]]]
    with pytest.raises(UserError, match="give the baseline more samples"):
        matched_difference(SEARCH, greedy)
    with pytest.raises(UserError):
        matched_difference(SEARCH, [[[]], [[]]])
    assert matched_difference(greedy, SEARCH).budget_b == 20  # the other way round it is one
