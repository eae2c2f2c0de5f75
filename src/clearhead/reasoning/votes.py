"""Choosing among finished samples: votes, best-of-N, and how a value on each step becomes one on the whole.

An answer is any hashable value, None where a sample did not arrive at one: such a sample has no vote and is never
chosen. What is deliberately not here: sampling, and the reward model that scored the steps.
"""

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from clearhead.reasoning.curve import Point

Aggregate = Callable[[ArrayLike], np.ndarray]
"""Values on steps, the last axis running over them -> value on the whole."""


def last(values: ArrayLike) -> np.ndarray:
    """The value after the last step: what a value function means by itself."""
    return np.asarray(values, float)[..., -1]


def minimum(values: ArrayLike) -> np.ndarray:
    """The weakest step: a chain of steps is as good as its worst one (Lightman et al. 2023, as an alternative)."""
    return np.asarray(np.asarray(values, float).min(axis=-1))


def product(values: ArrayLike) -> np.ndarray:
    """The probability that every step is right, were they independent (Lightman et al. 2023). It favors few steps."""
    return np.asarray(np.asarray(values, float).prod(axis=-1))


def majority(answers: Sequence[Hashable], weights: Sequence[float] | None = None) -> Hashable | None:
    """argmax over answers a of Σ_i w_i 1[a_i = a]; a tie goes to the answer that came first.

    Without weights this is self-consistency (Wang et al. 2022), with a reward model's values the weighted vote.

    >>> majority(["408", "357", None, "408"])
    '408'
    """
    points = vote_curve(answers, range(1, len(answers) + 1), weights)
    return points[-1].answer if points else None


def vote_of_solutions(
    answers: Sequence[Hashable], solutions: Sequence[Hashable], log_weights: Sequence[float]
) -> int | None:
    """The best sample of the answer a with the largest Σ w(y), each solution y that arrives at a counted once.

    With w = p(y) it is self-consistency without the noise of drawing: the more of an answer's probability was found,
    the closer the sum is to it. With w = odds(y) it is what a calibrated verifier makes of the same samples.

    >>> vote_of_solutions(["8", "9", "9", None], ["a", "b", "c", "d"], [-1.0, -1.2, -1.3, 0.0])
    1
    """
    totals: dict[Hashable, float] = {}
    best: dict[Hashable, int] = {}
    seen: set[Hashable] = set()
    for i, (answer, solution, weight) in enumerate(zip(answers, solutions, log_weights, strict=True)):
        if answer is None or solution in seen:
            continue
        seen.add(solution)
        totals[answer] = float(np.logaddexp(totals.get(answer, -np.inf), weight))
        if answer not in best or weight > log_weights[best[answer]]:
            best[answer] = i
    winner = max(totals, key=totals.__getitem__, default=None)
    return None if winner is None else best[winner]


def best_of_n(answers: Sequence[Hashable], scores: Sequence[float]) -> Hashable | None:
    """The answer of the sample with the highest score; the first of equals.

    >>> best_of_n(["408", "357", None], [0.7, 0.4, 0.9])
    '408'
    """
    points = best_of_n_curve(answers, range(1, len(answers) + 1), scores)
    return points[-1].answer if points else None


def vote_curve(
    answers: Sequence[Hashable], costs: Sequence[int], weights: Sequence[float] | None = None
) -> list[Point]:
    """The vote after each sample, with the winner's share; `costs[i]` is what the first i + 1 samples cost together."""
    weights = [1.0] * len(answers) if weights is None else weights
    _check_samples(answers, costs, weights)
    assert all(weight >= 0 for weight in weights), "a weight is a value in [0, 1] or a count, never negative or NaN"
    totals: dict[Hashable, float] = {}  # keeps the order of arrival, so max() finds the first of equals
    points = []
    for answer, cost, weight in zip(answers, costs, weights, strict=True):
        if answer is not None:
            totals[answer] = totals.get(answer, 0.0) + weight
        winner = max(totals, key=totals.__getitem__, default=None)
        total = sum(totals.values())
        share = None if winner is None else totals[winner] / total if total else 0.0
        points.append(Point(int(cost), winner, share))
    return points


def best_of_n_curve(answers: Sequence[Hashable], costs: Sequence[int], scores: Sequence[float]) -> list[Point]:
    """The best sample after each sample; `costs[i]` is what the first i + 1 samples cost together."""
    _check_samples(answers, costs, scores)
    assert all(score == score for score in scores), "NaN is no score"
    points = []
    best, best_score = None, None
    for answer, cost, score in zip(answers, costs, scores, strict=True):
        if answer is not None and (best_score is None or score > best_score):
            best, best_score = answer, float(score)
        points.append(Point(int(cost), best, best_score))
    return points


def _check_samples(answers: Sequence[Hashable], costs: Sequence[int], weights: Sequence[float]) -> None:
    assert len(answers) == len(costs) == len(weights), "one cost and one weight for each answer"
    assert all(a <= b for a, b in pairwise(costs)), "costs are totals: they cannot fall"
