"""Monte-Carlo tree search over steps of reasoning: select, expand, backup, for all roots in lock-step.

Four things set it apart from the textbook listing. Every child is scored when it is born, so nothing is ever chosen
unseen; finished solutions and dead ends are not entered again, nor subtrees that hold nothing else; a visit is a
value, at the root as well; and the answer is a finished solution or nothing. There are no random rollouts: the value
function stands in for them, as in Silver et al. 2017.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Int

from clearhead.reasoning.lockstep import Choose, Result, Run, SearchProblem, best_done
from clearhead.reasoning.tree import ROOT, Tree, ancestors, child_slots, mean_value
from clearhead.reasoning.votes import Aggregate, last

SelectionRule = Callable[[Any, Any, Any, Any], np.ndarray]
"""(q "B K" Q, n "B K" visits, p "B K" prior, N "B 1" parent's visits) -> "B K"; the highest is selected."""

QValue = Callable[[Tree, np.ndarray, np.ndarray], np.ndarray]
"""(tree, rows, nodes) -> q: tree.mean_value or tree.best_value."""


def ucb1(c: float = 1.4) -> SelectionRule:
    """q + c √(ln N / n), an unvisited child first (UCT: Kocsis & Szepesvári 2006; UCB1: Auer et al. 2002, c = √2).

    >>> ucb1(1.0)(np.array([0.0, 0.5]), np.array([1, 4]), None, np.e)
    array([1., 1.])
    """

    def rule(q: Any, n: Any, p: Any, N: Any) -> np.ndarray:
        return np.where(n > 0, q + c * np.sqrt(np.log(np.maximum(N, 1)) / np.maximum(n, 1)), np.inf)

    return rule


def puct(c: float = 0.5) -> SelectionRule:
    """q + c p √N / (1 + n): exploration follows the proposer's prior (Silver et al. 2017, Methods).

    Their Σ_b N(s, b) is here N, the parent's visits, which counts the value on the parent itself as well. Values
    are in [0, 1], half as wide as in games, and every child has one from birth: a smaller c than theirs suits.
    """

    def rule(q: Any, n: Any, p: Any, N: Any) -> np.ndarray:
        return q + c * p * np.sqrt(N) / (1 + n)

    return rule


def greedy() -> SelectionRule:
    """q alone; with `best_value` this is best-first search."""

    def rule(q: Any, n: Any, p: Any, N: Any) -> np.ndarray:
        return q

    return rule


def search(
    problem: SearchProblem,
    *,
    simulations: int,
    rule: SelectionRule,
    leaves_per_simulation: int = 1,
    q_value: QValue = mean_value,
    aggregate: Aggregate = last,
    choose: Choose = best_done,
) -> Result:
    """Expand up to `leaves_per_simulation` leaves of every root, `simulations` times.

    A root drops out when its budget is spent or its tree holds no open leaf. O(simulations · depth · K) for each root.
    """
    run = Run(problem, aggregate, choose)
    for _ in range(simulations):
        wanted = [
            run.affordable(row, min(leaves_per_simulation, leaves_left))
            for row, leaves_left in enumerate(run.tree.open[:, ROOT].tolist())
        ]
        rows = np.repeat(np.arange(len(wanted)), np.array(wanted, int))
        if not len(rows):
            break
        leaves = select(run.tree, rows, np.full_like(rows, ROOT), rule, q_value)
        run.expand(rows, leaves)
        run.backup(rows, leaves)
    return run.result()


def select(
    tree: Tree, rows: Int[np.ndarray, "leaves"], starts: Int[np.ndarray, "leaves"], rule: SelectionRule, q_value: QValue
) -> Int[np.ndarray, "leaves"]:
    """A different open leaf below every (row, start), best child by best child.

    A row that occurs again comes in a later wave, which sees the paths of the earlier ones as visits whose value is
    still out: they make a child look more visited but not worse (Liu et al. 2020, WU-UCT), and as every path takes one
    open leaf, a node has one left exactly when it has more open leaves than pending visits.
    """
    pending = np.zeros_like(tree.visits)
    leaves = starts.copy()
    for wave in _waves(rows):
        leaves[wave] = _descend(tree, rows[wave], starts[wave], pending, rule, q_value)
        for r, node, _ in ancestors(tree, rows[wave], leaves[wave]):
            pending[r, node] += 1
    return leaves


def _descend(
    tree: Tree, rows: np.ndarray, starts: np.ndarray, pending: np.ndarray, rule: SelectionRule, q_value: QValue
) -> np.ndarray:
    """All rows, each at most once, one level further down until every one stands on a leaf."""
    nodes = starts.copy()
    inner = np.flatnonzero(tree.n_children[rows, nodes])
    while len(inner):
        r, node = rows[inner], nodes[inner]
        kids, real = child_slots(tree, r, node)  # B K
        r = r[:, None]
        usable = real & (tree.open[r, kids] > pending[r, kids])
        assert usable.any(axis=1).all(), "a start without an open leaf"
        N = tree.visits[r, node[:, None]] + pending[r, node[:, None]]
        n = tree.visits[r, kids] + pending[r, kids]
        scores = rule(q_value(tree, r, kids), n, tree.prior[r, kids], N)
        pick = np.where(usable, scores, -np.inf).argmax(axis=1)
        nodes[inner] = kids[np.arange(len(inner)), pick]
        inner = inner[tree.n_children[rows[inner], nodes[inner]] > 0]
    return nodes


def _waves(rows: np.ndarray) -> list[np.ndarray]:
    """Indices of `rows` in groups in which no row occurs twice: first occurrences, second ones, ..."""
    seen: dict[int, int] = {}
    waves: list[list[int]] = []
    for i, row in enumerate(rows.tolist()):
        turn = seen.get(row, 0)
        seen[row] = turn + 1
        if turn == len(waves):
            waves.append([])
        waves[turn].append(i)
    return [np.array(wave) for wave in waves]
