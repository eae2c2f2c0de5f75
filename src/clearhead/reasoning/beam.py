"""Beam search over steps: every level is expanded as a whole, and only the best `width` states go on.

What is deliberately not here: beam search over tokens, which is decoding, not search over values.
"""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from clearhead.reasoning.lockstep import Choose, Result, Run, SearchProblem, best_done
from clearhead.reasoning.tree import ROOT, Tree
from clearhead.reasoning.votes import Aggregate, last


def itself(state: Any) -> Hashable:
    """The sameness of states that are the same when they are equal."""
    return state


def search(
    problem: SearchProblem,
    *,
    width: int,
    depth: int,
    aggregate: Aggregate = last,
    same: Callable[[Any], Hashable] = itself,
    choose: Choose = best_done,
) -> Result:
    """Keep the `width` best open states of each level, at most `depth` levels down.

    States are ranked by the aggregate of the values on their steps (`last`: the newest alone). Of those with equal
    `same(state)` the best stays. Finished states leave the beam and wait as candidates for the answer; they take no
    place in it. Where the budget does not pay for a whole level, its best states come first.
    """
    assert width >= 1, "a beam needs a place"
    run = Run(problem, aggregate, choose)
    level = [_keep(run.tree, row, [ROOT], width, same) for row in range(len(problem.roots))]
    for _ in range(depth):
        grown: list[list[int]] = [[] for _ in level]
        while True:  # as much of the level as each root can pay for at once
            paid = [nodes[: run.affordable(row, len(nodes))] for row, nodes in enumerate(level)]
            batch = [(row, node) for row, nodes in enumerate(paid) for node in nodes]
            if not batch:
                break
            rows, nodes = (np.array(column) for column in zip(*batch, strict=True))
            run.expand(rows, nodes)
            run.backup(rows, nodes)
            for row, node in batch:
                grown[row] += run.tree.children(row, node)
                level[row].remove(node)
        level = [_keep(run.tree, row, nodes, width, same) for row, nodes in enumerate(grown)]
        if not any(level):
            break
    return run.result()


def _keep(tree: Tree, row: int, nodes: list[int], width: int, same: Callable[[Any], Hashable]) -> list[int]:
    """The best open nodes, best first, each sameness once."""
    kept: dict[Hashable, int] = {}
    for node in sorted(nodes, key=lambda node: -tree.score[row, node]):
        if not tree.done[row, node]:
            kept.setdefault(same(tree.states[row][node]), node)
    return list(kept.values())[:width]
