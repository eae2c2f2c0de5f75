"""The search tree: one record of arrays for all roots of a batch, and the few functions that touch it.

B is the batch of roots, N the node slots of each, K the children of a node. What is deliberately not here: which leaf
comes next (mcts, halving, beam, tree_of_thought) and what may be spent (lockstep).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

ROOT = 0
NO_PARENT = -1  # the root's parent


@dataclass(frozen=True)
class Tree:
    """B trees side by side. Slots are filled in the order of birth, so a parent's index is below its children's.

    A node is scored before it is added and is expanded at most once, so its children are one run of slots. The
    functions below write into the arrays in place; where a row has run full, `add_children` returns a wider record.
    """

    states: list[list[Any]]  # of each root, opaque; its length is the number of slots in use
    parent: Int[np.ndarray, "B N"]
    depth: Int[np.ndarray, "B N"]
    first_child: Int[np.ndarray, "B N"]
    n_children: Int[np.ndarray, "B N"]
    visits: Int[np.ndarray, "B N"]  # values given at this node or below it
    value_sum: Float[np.ndarray, "B N"]  # of those values
    best: Float[np.ndarray, "B N"]  # the value on the best leaf below
    prior: Float[np.ndarray, "B N"]  # the proposer's share for this child among its siblings
    raw_value: Float[np.ndarray, "B N"]  # the value function's value on this node alone; NaN in an empty slot
    score: Float[np.ndarray, "B N"]  # the raw values from the first step to here, aggregated: what answers compete by
    done: Bool[np.ndarray, "B N"]  # a finished solution
    open: Int[np.ndarray, "B N"]  # leaves at or below this node that can still be expanded

    def children(self, row: int, node: int) -> range:
        start = int(self.first_child[row, node])
        return range(start, start + int(self.n_children[row, node]))


def new_tree(
    states: Sequence[Any], values: Float[np.ndarray, "B"], done: Bool[np.ndarray, "B"], capacity: int = 64
) -> Tree:
    """One scored root for each state. Its value is its first visit; its prior is 1."""
    shape = (len(states), capacity)
    tree = Tree(
        states=[[state] for state in states],
        parent=np.full(shape, NO_PARENT),
        depth=np.zeros(shape, int),
        first_child=np.zeros(shape, int),
        n_children=np.zeros(shape, int),
        visits=np.zeros(shape, int),
        value_sum=np.zeros(shape),
        best=np.zeros(shape),
        prior=np.zeros(shape),
        raw_value=np.full(shape, np.nan),
        score=np.full(shape, np.nan),
        done=np.zeros(shape, bool),
        open=np.zeros(shape, int),
    )
    tree.prior[:, ROOT] = 1.0
    _set_values(tree, (slice(None), ROOT), values, values, done)
    return tree


def add_children(
    tree: Tree,
    row: int,
    node: int,
    states: Sequence[Any],
    priors: Float[np.ndarray, "K"],
    values: Float[np.ndarray, "K"],
    scores: Float[np.ndarray, "K"],
    done: Bool[np.ndarray, "K"],
) -> Tree:
    """Hang scored children under an open leaf; `backup` then tells its ancestors. O(K), amortized."""
    assert not tree.done[row, node], "a finished solution has no next step"
    assert tree.n_children[row, node] == 0, "a node is expanded once"
    start = len(tree.states[row])
    stop = start + len(states)
    while stop > tree.parent.shape[1]:
        tree = _doubled(tree)
    here = (row, slice(start, stop))
    tree.states[row].extend(states)
    tree.first_child[row, node] = start
    tree.n_children[row, node] = len(states)
    tree.parent[here] = node
    tree.depth[here] = tree.depth[row, node] + 1
    tree.prior[here] = priors
    _set_values(tree, here, values, scores, done)
    return tree


def _set_values(tree: Tree, here: Any, values: np.ndarray, scores: np.ndarray, done: np.ndarray) -> None:
    """The first value on new nodes."""
    tree.raw_value[here] = tree.value_sum[here] = tree.best[here] = values
    tree.score[here] = scores
    tree.visits[here] = 1
    tree.done[here] = done
    tree.open[here] = ~done


def _doubled(tree: Tree) -> Tree:
    """The same trees with twice the slots, the new ones empty."""
    empty = {"parent": NO_PARENT, "raw_value": np.nan, "score": np.nan}
    arrays = {field.name: getattr(tree, field.name) for field in fields(tree) if field.name != "states"}
    wider: dict[str, Any] = {
        name: np.concatenate([array, np.full_like(array, empty.get(name, 0))], axis=1) for name, array in arrays.items()
    }
    return replace(tree, **wider)


def child_slots(
    tree: Tree, rows: Int[np.ndarray, "nodes"], nodes: Int[np.ndarray, "nodes"]
) -> tuple[Int[np.ndarray, "nodes K"], Bool[np.ndarray, "nodes K"]]:
    """The children of each node, padded with the root to the longest family, and which of them are real."""
    count = tree.n_children[rows, nodes][:, None]
    offset = np.arange(count.max(initial=0))[None, :]
    real = offset < count
    return np.where(real, tree.first_child[rows, nodes][:, None] + offset, ROOT), real


def ancestors(
    tree: Tree, rows: Int[np.ndarray, "nodes"], nodes: Int[np.ndarray, "nodes"]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The nodes, their parents, and so on to the roots: (rows, nodes, which of the starting nodes they lie above)."""
    which = np.arange(len(rows))
    while len(which):
        yield rows, nodes, which
        nodes = tree.parent[rows, nodes]
        left = nodes != NO_PARENT
        rows, nodes, which = rows[left], nodes[left], which[left]


def backup(tree: Tree, rows: Int[np.ndarray, "leaves"], leaves: Int[np.ndarray, "leaves"]) -> None:
    """Carry the values on the leaves' new children to the leaves and all their ancestors.

    N ← N + k,  W ← W + Σ v(child),  best ← max over children of best. A leaf that got no children is a dead end: one
    more visit, worth 0, because nothing can be completed from it. A row may occur several times.
    """
    families = [(row, slice(kids.start, kids.stop)) for row, kids in _families(tree, rows, leaves)]
    # each family is summed alone: a sum over padded rows would round differently beside other roots
    value = np.array([tree.raw_value[family].sum() for family in families])
    opened = np.array([tree.open[family].sum() for family in families], int) - 1  # the leaf itself is open no more
    count = np.maximum(tree.n_children[rows, leaves], 1)
    for r, node, which in ancestors(tree, rows, leaves):
        np.add.at(tree.visits, (r, node), count[which])
        np.add.at(tree.value_sum, (r, node), value[which])
        np.add.at(tree.open, (r, node), opened[which])
        kids, real = child_slots(tree, r, node)
        tree.best[r, node] = np.where(real, tree.best[r[:, None], kids], 0.0).max(axis=1, initial=0.0)


def _families(tree: Tree, rows: np.ndarray, nodes: np.ndarray) -> list[tuple[int, range]]:
    return [(row, tree.children(row, node)) for row, node in zip(rows.tolist(), nodes.tolist(), strict=True)]


def mean_value(tree: Tree, rows: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Q = W / N, the mean of all values at or below a node (Kocsis & Szepesvári 2006).

    What a random continuation is worth, and steady when values are noisy. One good step among nineteen bad siblings
    hardly shows in it, so with wide families it needs many expansions to go deep.
    """
    return tree.value_sum[rows, nodes] / np.maximum(tree.visits[rows, nodes], 1)


def best_value(tree: Tree, rows: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Q = the value on the best leaf below a node (max-backup).

    A solution is text that we choose ourselves: no opponent and no chance decides the next step, so a node is worth as
    much as its best continuation, however many bad ones were tried beside it. The price: the maximum of many noisy
    values is too high, so this one trusts the value function more.
    """
    return tree.best[rows, nodes]


def path_to(tree: Tree, row: int, node: int) -> list[int]:
    """The nodes from the root to `node`, both included."""
    path = [node]
    while tree.parent[row, path[-1]] != NO_PARENT:
        path.append(int(tree.parent[row, path[-1]]))
    return path[::-1]


def to_dict(tree: Tree, row: int, describe: Callable[[Any], str], chosen: int | None = None) -> dict[str, Any]:
    """One root's tree as plain nested data for a report; `chosen` marks the nodes on the way to the answer."""
    marked = set() if chosen is None else set(path_to(tree, row, chosen))
    nodes: list[dict[str, Any]] = [
        {
            "text": describe(state),
            "visits": int(tree.visits[row, node]),
            "mean_value": float(tree.value_sum[row, node] / tree.visits[row, node]),
            "prior": float(tree.prior[row, node]),
            "raw_value": float(tree.raw_value[row, node]),
            "done": bool(tree.done[row, node]),
            "chosen": node in marked,
            "children": [],
        }
        for node, state in enumerate(tree.states[row])
    ]
    for node in range(1, len(nodes)):  # no recursion: a chain of steps may be longer than Python's stack
        nodes[int(tree.parent[row, node])]["children"].append(nodes[node])
    return nodes[ROOT]
