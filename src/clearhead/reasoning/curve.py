"""The anytime curve: what a strategy would have answered, had it been stopped at any cost.

One run then shows every budget at once. What is deliberately not here: who is right (the caller brings the check) and
how sure the numbers are (statistics).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar


class Point(NamedTuple):
    """After spending `cost`: the best finished answer so far and its score, both None while there is none."""

    cost: int
    answer: Any | None
    value: float | None


class Graded(NamedTuple):
    """After spending `cost`: was the answer right (1.0) or not (0.0)?"""

    cost: int
    correct: float


P = TypeVar("P", Point, Graded)


def at_budget(curve: Sequence[P], budget: float) -> P | None:
    """The last point that the budget pays for; None if it does not even pay for the first. O(log N).

    >>> at_budget([Graded(10, 0.0), Graded(30, 1.0)], 29)
    Graded(cost=10, correct=0.0)
    """
    i = bisect_right(curve, budget, key=lambda point: point.cost)
    return curve[i - 1] if i else None


def grade(curve: Sequence[Point], check: Callable[[Any], bool]) -> list[Graded]:
    """The same curve with each answer checked, once as long as it stays; no answer is a wrong answer."""
    graded: list[Graded] = []
    last: Any = None
    correct = 0.0
    for point in curve:
        if point.answer != last:
            last = point.answer
            correct = float(last is not None and check(last))
        graded.append(Graded(point.cost, correct))
    return graded
