"""What every search shares: many roots in lock-step, batched expansion, each root's own budget and anytime curve.

A root's outcome never depends on the roots beside it: the seed of an expansion comes from the root's key and the
node's index, every root stops by its own spending, and nothing is averaged over the batch. What is deliberately not
here: which leaf is expanded next; and any checker, for search may ask the value function alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from clearhead.errors import UserError
from clearhead.reasoning.curve import Point
from clearhead.reasoning.tree import Tree, add_children, backup, new_tree, path_to
from clearhead.reasoning.votes import Aggregate, last


class Proposal(NamedTuple):
    """A next state and how strongly it was proposed. States are hashable; equal siblings are merged."""

    state: Any
    prior: float


@dataclass(frozen=True)
class SearchProblem:
    """What is searched: the roots, the steps, the scorer, and what may be spent on each root.

    The functions take batches over all roots; no result of one state may depend on the others in its batch.
    """

    roots: Sequence[Any]
    keys: Sequence[str]  # the root's name, from which its seeds come: not its place in the batch
    propose: Callable[[Sequence[Any], Sequence[int]], Sequence[Sequence[Proposal]]]  # (states, a seed for each)
    value: Callable[[Sequence[Any]], np.ndarray]  # within [0, 1]; finished states as well
    is_done: Callable[[Any], bool]
    cost: Callable[[int], int] | None = None  # what root i has spent so far; None counts the states scored
    limit: int | None = None  # a root that has spent this much stops
    expansion_cost: int | None = None  # where no expansion costs more, it is said here and `limit` is never exceeded
    seed: int = 0
    watch: "Callable[[Result], None] | None" = None  # told after each round of expansions; what it raises ends it


Choose = Callable[[Tree, int], int | None]
"""(tree, row) -> the node of the finished solution to answer with; None if there is none."""


def best_done(tree: Tree, row: int) -> int | None:
    """The finished solution with the highest score, the first of equals."""
    done = np.flatnonzero(tree.done[row])
    return int(done[tree.score[row, done].argmax()]) if len(done) else None


@dataclass(frozen=True)
class Result:
    """Of each root: its tree, the curve of (cost so far, best finished state so far, its score), the chosen node."""

    tree: Tree
    curves: list[list[Point]]  # one point after each of the root's expansions
    chosen: list[int | None]

    def answer(self, row: int) -> Any | None:
        """The chosen finished state; None if the root finished none."""
        node = self.chosen[row]
        return None if node is None else self.tree.states[row][node]


class Run:
    """One search in progress: the trees, what each root has spent, and its curve so far."""

    def __init__(self, problem: SearchProblem, aggregate: Aggregate = last, choose: Choose = best_done) -> None:
        assert len(problem.roots) == len(problem.keys), "one key for each root"
        self.problem = problem
        self.aggregate = aggregate
        self.choose = choose
        done = np.array([problem.is_done(root) for root in problem.roots], bool)
        self.tree = new_tree(problem.roots, _evaluated(problem, problem.roots), done)
        self.limit = math.inf if problem.limit is None else problem.limit
        self.spent = [self._cost(row) for row in range(len(problem.roots))]
        self._max_cost = [0] * len(problem.roots)  # what an expansion of this root cost at most, so far
        self.curves: list[list[Point]] = [[] for _ in problem.roots]
        self._record(range(len(problem.roots)))

    def affordable(self, row: int, at_most: int, ceiling: float = math.inf) -> int:
        """How many of `at_most` expansions this root may start at once before its spending reaches ceiling or limit.

        Where the cost of an expansion is not known beforehand, the most expensive so far stands for it, and one
        is always granted below the limit: it is passed by the last expansion alone, if they cost alike.
        """
        left = min(ceiling, self.limit) - self.spent[row]
        if left <= 0 or left == math.inf:
            return at_most if left > 0 else 0
        if self.problem.expansion_cost is not None:
            return int(min(at_most, left // self.problem.expansion_cost))
        return int(min(at_most, max(1, left // self._max_cost[row]))) if self._max_cost[row] else min(at_most, 1)

    def expand(self, rows: Int[np.ndarray, "leaves"], leaves: Int[np.ndarray, "leaves"]) -> None:
        """Propose steps from these leaves in one batch, score all of them in another, and hang them into the trees."""
        problem, where = self.problem, list(zip(rows.tolist(), leaves.tolist(), strict=True))
        states = [self.tree.states[row][leaf] for row, leaf in where]
        seeds = [derive_seed(problem.seed, problem.keys[row], leaf) for row, leaf in where]
        families = [_merge(proposals) for proposals in problem.propose(states, seeds)]
        assert len(families) == len(where), "one list of proposals for each state"
        found = _evaluated(problem, [state for family, _ in families for state in family])
        start = 0
        for (row, leaf), (family, priors) in zip(where, families, strict=True):
            values = found[start : start + len(family)]
            start += len(family)
            before = self.tree.raw_value[row, path_to(self.tree, row, leaf)[1:]]
            steps = np.column_stack([np.tile(before, (len(family), 1)), values])
            scores = self.aggregate(steps)
            done = np.array([problem.is_done(state) for state in family], bool)
            self.tree = add_children(self.tree, row, leaf, family, priors, values, scores, done)

    def backup(self, rows: Int[np.ndarray, "leaves"], leaves: Int[np.ndarray, "leaves"]) -> None:
        """Carry the new values to the roots and note what each root has spent and would answer now."""
        backup(self.tree, rows, leaves)
        touched, counts = np.unique(rows, return_counts=True)
        for row, count in zip(touched.tolist(), counts.tolist(), strict=True):
            spent = self._cost(row)
            cost = -(-(spent - self.spent[row]) // count)
            promised = self.problem.expansion_cost
            assert promised is None or cost <= promised, f"an expansion cost {cost}, not {promised} at most"
            self._max_cost[row] = max(self._max_cost[row], cost)
            self.spent[row] = spent
        self._record(touched.tolist())
        if self.problem.watch is not None:
            self.problem.watch(self.result())

    def result(self) -> Result:
        return Result(self.tree, self.curves, [self.choose(self.tree, row) for row in range(len(self.spent))])

    def _cost(self, row: int) -> int:
        return len(self.tree.states[row]) if self.problem.cost is None else self.problem.cost(row)

    def _record(self, rows: Sequence[int]) -> None:
        for row in rows:
            node = self.choose(self.tree, row)
            if node is None:
                self.curves[row].append(Point(self.spent[row], None, None))
            else:
                score = float(self.tree.score[row, node])
                self.curves[row].append(Point(self.spent[row], self.tree.states[row][node], score))


def derive_seed(seed: int, key: str, node: int) -> int:
    """63 bits from the run's seed, the root's key and the node's index: the same wherever and whenever it is asked."""
    digest = blake2b(f"{seed}|{node}|{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _merge(proposals: Sequence[Proposal]) -> tuple[list[Any], np.ndarray]:
    """Equal states become one child with the sum of their priors; the priors of a family sum to 1."""
    total: dict[Any, float] = {}
    for state, prior in proposals:
        total[state] = total.get(state, 0.0) + prior
    priors = np.array(list(total.values()), float)
    assert (priors >= 0).all(), "a prior is a probability or a count"
    mass = priors.sum()
    return list(total), priors / mass if mass > 0 else np.full(len(total), 1 / max(len(total), 1))


def _evaluated(problem: SearchProblem, states: Sequence[Any]) -> np.ndarray:
    if not states:
        return np.zeros(0)
    values = np.asarray(problem.value(states), float)
    assert values.shape == (len(states),), f"{len(states)} states, but values of shape {values.shape}"
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise UserError(f"the value function gave {values[wrong][0]}, a value is in [0, 1]: check the reward model")
    return values
