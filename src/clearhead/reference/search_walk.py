"""A tree search told step by step: "What is 17 × 24?" with the scores of a process reward model, UCB1 at every fork.

With UCB1 at 0.887 < c < 1.004 the search takes root, A, A1, B, A2 in turn. At c = 1.4 its third choice is B instead of
A1, and were A1 not closed once 408 is found below it, its fifth would be A1a again.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from clearhead.reference.search import (
    Game,
    SelectionRule,
    Tree,
    best_solution,
    child_scores,
    children,
    open_nodes,
    path_to,
    solve,
    ucb1,
)

QUESTION = "17 × 24"
TEXT = {
    "A": "17 × 24 = 17 × 20 + 17 × 4",
    "B": "17 × 24 = 400",
    "A1": "= 340 + 68",
    "A2": "= 340 + 17",
    "A1a": "= 408",
    "B1": "Let me recalculate...",
    "A2a": "= 357",
}
REWARD = {"A": 0.9, "B": 0.2, "A1": 0.9, "A2": 0.3, "A1a": 0.95, "B1": 0.4, "A2a": 0.1}
STEPS = {QUESTION: ("A", "B"), "A": ("A1", "A2"), "A1": ("A1a",), "A2": ("A2a",), "B": ("B1",)}


class Fork(NamedTuple):
    """What each child of a node was worth to the one who chose there; None for a child that was not open."""

    state: Any
    scores: dict[Any, float | None]


class Iteration(NamedTuple):
    """The forks on the way to a leaf, what was born there with its value, and the tree afterwards."""

    forks: list[Fork]
    leaf: Any
    born: dict[Any, float]
    tree: Tree


def product_game() -> Game:
    """The question's steps as a game for one: 400 is a guess, A1 leads to 408, A2 to 357, B1 begins anew.

    >>> product_game().propose("A"), product_game().value("A1a")
    ([('A1', 0.5), ('A2', 0.5)], 0.95)
    """

    def propose(state: str) -> list[tuple[str, float]]:
        after = STEPS.get(state, ())
        return [(step, 1 / len(after)) for step in after]

    return Game(propose, REWARD.__getitem__, lambda state: state in ("A1a", "A2a"), 1.0)


def told(game: Game, trees: list[Tree], rule: SelectionRule) -> list[Iteration]:
    """What happened between each two trees of `solve`, whose states must differ from one another.

    >>> game, rule = product_game(), lambda q, n, p, N: ucb1(q, n, N, c=1.0)
    >>> second = told(game, solve(game, QUESTION, 2, rule), rule)[1]
    >>> [(fork.state, {k: round(v, 4) for k, v in fork.scores.items()}) for fork in second.forks]
    [('17 × 24', {'A': 1.7326, 'B': 1.0326})]
    >>> second.leaf, second.born
    ('A', {'A1': 0.9, 'A2': 0.3})

    O(iterations · nodes).
    """
    iterations = []
    for before, after in pairwise(trees):
        # a leaf without a next step bears nothing: it is the one whose visits rose, and it is closed now
        known = len(before.states)
        leaf = int(after.parent[known]) if len(after.states) > known else _revisited(before, after)
        usable = open_nodes(before)
        forks = []
        for node in path_to(before, leaf)[:-1]:
            kids, scores = children(before, node), child_scores(before, node, rule, game.sign)
            seen = {before.states[k]: float(s) if usable[k] else None for k, s in zip(kids, scores, strict=True)}
            forks.append(Fork(before.states[node], seen))
        born = {after.states[k]: float(game.value(after.states[k])) for k in range(known, len(after.states))}
        iterations.append(Iteration(forks, before.states[leaf], born, after))
    return iterations


def walk(simulations: int = 5, c: float = 1.0) -> tuple[list[Iteration], Any]:
    """The search for 17 × 24, iteration by iteration, and the path of its answer; None where none was found.

    >>> iterations, answer = walk()
    >>> [iteration.leaf for iteration in iterations], answer
    (['17 × 24', 'A', 'A1', 'B', 'A2'], ['17 × 24', 'A', 'A1', 'A1a'])

    ValueError: simulations < 0 or c < 0.
    """

    def rule(q: Any, n: Any, p: Any, N: Any) -> np.ndarray:
        return ucb1(q, n, N, c)

    game = product_game()
    trees = solve(game, QUESTION, simulations, rule)
    best = best_solution(trees[-1], game)
    answer = None if best is None else [trees[-1].states[node] for node in path_to(trees[-1], best)]
    return told(game, trees, rule), answer


def _revisited(before: Tree, after: Tree) -> int:
    return int(np.flatnonzero(after.visits > before.visits)[-1])
