"""Tree of thoughts on a problem given as functions: breadth first with a beam, depth first with pruning.

`propose(state)` gives the states one step further, none where there is no step; `value(state)` says how promising a
state is, the higher the better. Among equals the one proposed first comes first. States are never compared.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Propose = Callable[[Any], Sequence[Any]]
Value = Callable[[Any], float]


def breadth_first(start: Any, propose: Propose, value: Value, depth: int, beam: int) -> list[list[Any]]:
    """Of all states proposed from one level, the `beam` of highest value are the next: every level, best state first.

    The last level begins with the answer; it is empty where no path is so long. A beam as wide as the widest level is
    exhaustive; a narrower one never returns to what it dropped.

    >>> digits = lambda s: [s + d for d in "12"] if len(s) < 2 else []
    >>> breadth_first("", digits, value=lambda s: {"1": 2, "2": 1, "22": 9}.get(s, 0), depth=2, beam=1)
    [[''], ['1'], ['11']]
    >>> breadth_first("", digits, value=lambda s: {"1": 2, "2": 1, "22": 9}.get(s, 0), depth=2, beam=2)[-1]
    ['22', '11']

    O(depth · beam · K) values for K proposals. Yao et al. 2023, algorithm 1. ValueError: depth < 0 or beam < 1.
    """
    if depth < 0 or beam < 1:
        raise ValueError(f"depth = {depth} must be 0 or more and beam = {beam} 1 or more")
    levels = [[start]]
    for _ in range(depth):
        proposed = [child for state in levels[-1] for child in propose(state)]
        levels.append(sorted(proposed, key=lambda state: -value(state))[:beam])
    return levels


class Found(NamedTuple):
    """The finished states in the order of finding, and every state entered on the way."""

    solutions: list[Any]
    entered: list[Any]


def depth_first(
    start: Any, propose: Propose, value: Value, is_done: Callable[[Any], bool], threshold: float, limit: int
) -> Found:
    """Enter the most promising child first and go back where none is worth more than `threshold`; stop after `limit`.

    A state below the threshold is lost with all that follows from it, the solution too if the value misjudges it.

    >>> steps = {"": ["a", "b"], "a": ["ac"], "b": ["bd"]}
    >>> values = {"a": 0.3, "b": 0.8, "bd": 0.1, "ac": 0.9}
    >>> search = lambda threshold: depth_first(
    ...     "", lambda s: steps.get(s, []), lambda s: values[s], lambda s: len(s) == 2, threshold, limit=9)
    >>> search(0.2)
    Found(solutions=['ac'], entered=['', 'b', 'a', 'ac'])
    >>> search(0.5)
    Found(solutions=[], entered=['', 'b'])

    O(limit · K) values. Yao et al. 2023, algorithm 2. ValueError: limit < 1.
    """
    if limit < 1:
        raise ValueError(f"limit = {limit} states must be 1 or more")
    found = Found([], [])
    stack = [start]
    while stack and len(found.entered) < limit:
        state = stack.pop()
        found.entered.append(state)
        if is_done(state):
            found.solutions.append(state)
            continue
        scored = [(value(child), child) for child in propose(state)]
        scored = sorted((pair for pair in scored if pair[0] > threshold), key=lambda pair: -pair[0])
        stack += [child for _, child in reversed(scored)]
    return found


def branch_and_bound(start: Any, propose: Propose, bound: Value, is_done: Callable[[Any], bool]) -> Found:
    """Depth first, entering only what may still beat the best solution; the last solution found is the best one.

    `bound` is the worth of a finished state and never less than that of any solution below an unfinished one. Then
    pruning loses nothing: a bound that is too hopeful costs time, one that is too low costs the answer.

    >>> add = lambda s: [s + (d,) for d in (0, 1)] if len(s) < 3 else []
    >>> branch_and_bound((), add, lambda s: sum(s) + 3 - len(s), lambda s: len(s) == 3)
    Found(solutions=[(1, 1, 1)], entered=[(), (1,), (1, 1), (1, 1, 1)])

    O(states) at worst. Land and Doig 1960, as in Papadimitriou and Steiglitz 1982, section 18.2.
    """
    found = Found([], [])
    best = -float("inf")
    stack = [(float("inf"), start)]
    while stack:
        hope, state = stack.pop()
        if hope <= best:
            continue
        found.entered.append(state)
        if is_done(state):
            found.solutions.append(state)
            best = hope
            continue
        scored = sorted(((bound(child), child) for child in propose(state)), key=lambda pair: -pair[0])
        stack += reversed(scored)
    return found
