"""The strategy "auto": at each budget, whatever answered held-out problems best for no more than that budget.

A choice is made once, from anytime curves of several strategies on problems that nobody has learned from, and is then
a table of plain data. What is deliberately not here: running a strategy (strategies.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

AUTO = "auto"
CANDIDATES = (  # cheaper first
    "greedy", "likelihood-vote", "self-consistency", "in-context", "odds-vote", "beam:4", "mcts-puct",
)  # fmt: skip
PROBLEMS = 100  # held-out ones that they are tried at, at most
DOUBT = 0.5  # standard errors by which a dearer candidate must be ahead of a cheaper one; a single win is 0.7


@dataclass(frozen=True)
class AutoStage:
    """From `budget` tokens on, the strategy is run with `spend` of them; it answered `accuracy` of the problems."""

    budget: int
    strategy: str
    spend: int
    accuracy: float


STAGE_FIELDS = tuple(field.name for field in fields(AutoStage))


@dataclass(frozen=True)
class AutoChoice:
    """Stages by rising budget. The accuracy never falls: where more tokens did not help, they are not spent."""

    stages: tuple[AutoStage, ...]

    def __post_init__(self) -> None:
        assert self.stages, "a choice has something to choose"
        for before, after in pairwise(self.stages):
            assert before.budget < after.budget and before.accuracy <= after.accuracy, "budgets and accuracies rise"

    def at(self, budget: int) -> AutoStage:
        """The stage that a budget pays for; the first one for budgets below it.

        >>> AutoChoice((AutoStage(10, "greedy", 10, 0.5), AutoStage(100, "mcts-puct", 100, 0.7))).at(99).strategy
        'greedy'
        """
        return next((stage for stage in reversed(self.stages) if stage.budget <= budget), self.stages[0])


def choose(scores: Mapping[str, Mapping[int, Sequence[float]]], doubt: float = DOUBT) -> AutoChoice:
    """Budget by budget the best candidate; `scores[strategy][budget]` is right or wrong on the same problems.

    Candidates come cheapest first. A later one must be ahead of the one chosen so far, problem by problem, by more than
    `doubt` standard errors of their difference; so must a larger budget be ahead of what a smaller one chose.
    """
    stages: list[AutoStage] = []
    for budget in sorted({budget for by_budget in scores.values() for budget in by_budget}):
        best = (stages[-1].strategy, stages[-1].spend) if stages else None
        for name, by_budget in scores.items():
            if budget in by_budget and (best is None or ahead(by_budget[budget], scores[best[0]][best[1]]) > doubt):
                best = (name, budget)
        assert best is not None, "some candidate was measured at every budget"
        accuracy = float(np.mean(scores[best[0]][best[1]]))
        if not stages or accuracy >= stages[-1].accuracy:
            stages.append(AutoStage(budget, *best, accuracy))
    return AutoChoice(tuple(stages))


def ahead(a: Sequence[float], b: Sequence[float]) -> float:
    """By how many standard errors the mean of a is above that of b, in pairs; 0 where they never differ.

    The error is that of one difference more than there are (Laplace's rule), so that a single win is no certainty.

    >>> ahead([1, 1, 0, 1], [1, 1, 0, 1]), ahead([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1]) > 1
    (0.0, True)
    """
    gap = np.asarray(a, float) - np.asarray(b, float)
    return float(gap.sum() / np.sqrt((gap**2).sum() + 1)) if gap.any() else 0.0
