"""How sure an accuracy is, and whether one strategy beats another at the same cost.

Scores are "P S": P problems, S seeds. Problems are what the claim generalizes to, so seeds are averaged inside each
problem and problems are resampled; resampling the runs themselves would call S runs of one problem S problems. What is
deliberately not here: the quality of a reward model (alignment.quality).
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from clearhead.errors import UserError
from clearhead.reasoning.curve import Graded, at_budget

Curves = Sequence[Sequence[Sequence[Graded]]]
"""Of each problem, of each seed: the graded anytime curve. Every problem has the same number of seeds."""


class Interval(NamedTuple):
    """An estimate and the ends of its confidence interval."""

    estimate: float
    low: float
    high: float


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """A binomial proportion p̂ with Wilson's score interval (Wilson 1927), z the normal quantile.

    (p̂ + z²/2n ± z √(p̂(1-p̂)/n + z²/4n²)) / (1 + z²/n)

    >>> [round(x, 3) for x in wilson(8, 10)]
    [0.8, 0.49, 0.943]
    """
    assert 0 <= successes <= n and n > 0, "successes among n trials"
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    center = p + z**2 / (2 * n)
    spread = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    scale = 1 + z**2 / n
    return Interval(p, max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale))


def bootstrap_mean(scores: ArrayLike, *, samples: int = 10_000, confidence: float = 0.95, seed: int = 0) -> Interval:
    """The mean of scores "P S" (or "P"), with the percentile interval over resampled problems (Efron 1979).

    O(samples · P) time and memory.
    """
    problems = _per_problem(scores)
    P = len(problems)
    counts = np.random.default_rng(seed).multinomial(P, np.full(P, 1 / P), size=samples)  # how often each is drawn
    low, high = np.quantile(counts @ problems / P, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(problems.mean()), float(low), float(high))


def bootstrap_difference(
    a: ArrayLike, b: ArrayLike, *, samples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of a minus mean of b on the same problems, resampled in pairs; each may have its own number of seeds.

    Hard problems are hard for both, so pairing takes their spread out of the interval.
    """
    a, b = _per_problem(a), _per_problem(b)
    if len(a) != len(b):
        raise UserError(f"{len(a)} problems against {len(b)}: a paired comparison needs the same ones on both sides")
    return bootstrap_mean(a - b, samples=samples, confidence=confidence, seed=seed)


def costs_at(curves: Curves, budget: float) -> np.ndarray:
    """What each run has spent when stopped at the budget, "P S"; 0 where not even its first point is paid for."""
    return np.array([[point.cost if (point := at_budget(run, budget)) else 0 for run in runs] for runs in curves])


def correct_at(curves: Curves, budget: float) -> np.ndarray:
    """Whether each run's answer at the budget is right, "P S"; no answer is a wrong one."""
    return np.array([[point.correct if (point := at_budget(run, budget)) else 0.0 for run in runs] for runs in curves])


class Matched(NamedTuple):
    """Two strategies at equal mean cost: what each spent, the budget b was given, and accuracy a - b."""

    cost_a: float
    cost_b: float
    budget_b: int
    difference: Interval


def matched_difference(
    a: Curves, b: Curves, budget: float = math.inf, *, samples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Matched:
    """How much a at this budget beats b, where b gets the smallest budget at which its mean cost is at least a's.

    Every doubt is b's gain: no positive difference is bought with compute. UserError where b never spends so much.
    """
    cost_a = float(costs_at(a, budget).mean())
    budgets = np.unique([point.cost for runs in b for run in runs for point in run])
    if not len(budgets) or (most := costs_at(b, float(budgets[-1])).mean()) < cost_a:
        spent = most if len(budgets) else 0
        raise UserError(
            f"the baseline spends {spent:.0f} on average and the other {cost_a:.0f}: give the baseline more samples, "
            "or compare at a smaller budget"
        )
    low, high = 0, len(budgets) - 1  # mean cost grows with the budget: bisect for the first that reaches cost_a
    while low < high:
        middle = (low + high) // 2
        if costs_at(b, float(budgets[middle])).mean() >= cost_a:
            high = middle
        else:
            low = middle + 1
    budget_b = int(budgets[low])
    difference = bootstrap_difference(
        correct_at(a, budget), correct_at(b, budget_b), samples=samples, confidence=confidence, seed=seed
    )
    return Matched(cost_a, float(costs_at(b, budget_b).mean()), budget_b, difference)


def _per_problem(scores: ArrayLike) -> np.ndarray:
    """The mean over a problem's seeds, "P"."""
    array = np.asarray(scores, float)
    if array.ndim not in (1, 2) or not array.size:
        raise UserError(f"scores of shape {array.shape}; they are a list over problems, or over problems and seeds")
    if np.isnan(array).any():
        raise UserError("a score is nan: every run counts, one without an answer as 0")
    return array if array.ndim == 1 else array.mean(axis=1)
