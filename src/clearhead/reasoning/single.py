"""One problem, searched with plain functions of one state: what is batched over many roots elsewhere."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearhead.errors import UserError
from clearhead.reasoning import beam, mcts, tree_of_thought
from clearhead.reasoning.lockstep import Proposal, SearchProblem
from clearhead.reasoning.tree import Tree, best_value, mean_value, path_to

RULES = {"mcts": (mcts.puct(), mean_value), "ucb": (mcts.ucb1(), mean_value), "best-first": (mcts.greedy(), best_value)}
STRATEGIES = (*RULES, "beam", "depth-first")
DEPTH = 32  # steps of a beam, and of a depth-first search


@dataclass(frozen=True)
class Found:
    """The best finished state, its value, and the states that lead to it, root first; None and () if none was found.

    `scored` counts the states that `value` was asked about.
    """

    state: Any | None
    value: float | None
    path: tuple[Any, ...]
    scored: int
    tree: Tree


def search(
    problem: Hashable,
    propose: Callable[[Any], Iterable[Any]],
    value: Callable[[Any], float],
    is_done: Callable[[Any], bool],
    *,
    strategy: str = "mcts",
    simulations: int = 100,
    width: int = 8,
    threshold: float = 0.0,
    budget: int | None = None,
) -> Found:
    """Search from the state `problem`, deterministic as the functions are.

    `propose(state)` gives the next states, hashable, or a `Proposal` of each with its prior. `value(state)` is in
    [0, 1], of finished states too: the answer is the finished state with the highest. A tree search expands one leaf a
    simulation; "beam" keeps the `width` best of each step instead, and "depth-first" follows the best child until one
    state is finished, and leaves those whose value is not above `threshold`. `budget` bounds the states that are
    scored, which the last expansion may pass.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"strategy = {strategy!r} is unknown; choose among {', '.join(STRATEGIES)}")
    for name, number in (("simulations", simulations), ("width", width), ("budget", 1 if budget is None else budget)):
        if number < 1:
            raise UserError(f"{name} = {number} must be at least 1")

    many = SearchProblem(
        [problem], [repr(problem)], lambda states, seeds: [list(map(_proposal, propose(state))) for state in states],
        lambda states: np.array([value(state) for state in states], float), is_done, limit=budget,
    )  # fmt: skip
    if strategy == "beam":
        result = beam.search(many, width=width, depth=DEPTH)
    elif strategy == "depth-first":
        result = tree_of_thought.depth_first(many, threshold=threshold, depth=DEPTH, solutions=1)
    else:
        rule, q_value = RULES[strategy]
        result = mcts.search(many, simulations=simulations, rule=rule, q_value=q_value)
    node, tree = result.chosen[0], result.tree
    scored = len(tree.states[0])
    if node is None:
        return Found(None, None, (), scored, tree)
    path = tuple(tree.states[0][step] for step in path_to(tree, 0, node))
    return Found(path[-1], float(tree.score[0, node]), path, scored, tree)


def _proposal(given: Any) -> Proposal:
    return given if isinstance(given, Proposal) else Proposal(given, 1.0)
