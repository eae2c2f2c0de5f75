import json
from random import Random

import numpy as np
import pytest

from clearhead.reasoning.tree import (
    NO_PARENT,
    ROOT,
    Tree,
    add_children,
    backup,
    best_value,
    child_slots,
    mean_value,
    new_tree,
    path_to,
    to_dict,
)


def grow(tree: Tree, row: int, node: int, values: list[float], done: list[bool] | None = None) -> Tree:
    """Children with these values, named after their parent."""
    states = [f"{tree.states[row][node]}{i}" for i in range(len(values))]
    flags = np.array(done if done is not None else [False] * len(values), bool)
    given = np.array(values, float)
    return add_children(tree, row, node, states, np.full(len(values), 0.5), given, given, flags)


def one_root(value: float = 0.5, capacity: int = 64) -> Tree:
    return new_tree(["r"], np.array([value]), np.array([False]), capacity)


def carry(tree: Tree, *where: tuple[int, int]) -> None:
    rows, leaves = np.array(where).T
    backup(tree, rows, leaves)


def test_backup_by_hand():
    tree = grow(one_root(), 0, ROOT, [0.9, 0.2])
    carry(tree, (0, ROOT))
    tree = grow(tree, 0, 1, [0.6, 0.3, 0.0], [True, False, False])
    carry(tree, (0, 1))
    # root: 0.5 + 0.9 + 0.2 + 0.6 + 0.3 + 0.0 = 2.5 over 6 values; node 1: 0.9 + 0.6 + 0.3 + 0.0 = 1.8 over 4
    assert tree.visits[0, :6].tolist() == [6, 4, 1, 1, 1, 1]
    assert tree.value_sum[0, :6] == pytest.approx([2.5, 1.8, 0.2, 0.6, 0.3, 0.0])
    assert mean_value(tree, np.array([0]), np.array([1])) == pytest.approx(0.45)
    # the best leaf below node 1 is worth 0.6, whatever node 1 itself had promised
    assert tree.best[0, :6].tolist() == [0.6, 0.6, 0.2, 0.6, 0.3, 0.0]
    assert best_value(tree, np.array([0]), np.array([ROOT])) == 0.6
    # open leaves: 2, 4, 5; node 3 is done
    assert tree.open[0, :6].tolist() == [3, 2, 1, 0, 1, 1]
    assert tree.parent[0, :6].tolist() == [NO_PARENT, 0, 0, 1, 1, 1]
    assert tree.depth[0, :6].tolist() == [0, 1, 1, 2, 2, 2]
    assert list(tree.children(0, 1)) == [3, 4, 5]
    assert np.isnan(tree.raw_value[0, 6:]).all()


def test_a_dead_end_is_a_visit_worth_nothing_and_closes():
    tree = grow(one_root(), 0, ROOT, [0.9, 0.2])
    carry(tree, (0, ROOT))
    tree = grow(tree, 0, 1, [])
    carry(tree, (0, 1))
    assert (tree.visits[0, 1], tree.value_sum[0, 1], tree.best[0, 1], tree.open[0, 1]) == (2, 0.9, 0.0, 0)
    assert (tree.visits[0, ROOT], tree.best[0, ROOT], tree.open[0, ROOT]) == (4, 0.2, 1)


def random_forest(seed: int, rows: int = 3, expansions: int = 12, capacity: int = 4) -> Tree:
    """Several rows grown in batches, several leaves of a row at once."""
    rng = Random(seed)
    tree = new_tree(["r"] * rows, np.array([rng.random() for _ in range(rows)]), np.zeros(rows, bool), capacity)
    for _ in range(expansions):
        where = []
        for row in range(rows):
            nodes = range(len(tree.states[row]))
            leaves = [n for n in nodes if not tree.done[row, n] and tree.open[row, n] and not tree.n_children[row, n]]
            where += [(row, leaf) for leaf in rng.sample(leaves, min(len(leaves), rng.choice([0, 1, 3])))]
        for row, leaf in where:
            values = [rng.random() for _ in range(rng.randrange(5))]
            tree = grow(tree, row, leaf, values, [rng.random() < 0.2 for _ in values])
        if where:
            carry(tree, *where)
    return tree


@pytest.mark.parametrize("seed", range(8))
def test_every_number_agrees_with_a_recount(seed: int):
    tree = random_forest(seed)
    dead_ends = 0
    for row, states in enumerate(tree.states):
        for node in reversed(range(len(states))):
            children = list(tree.children(row, node))
            assert all(tree.parent[row, child] == node < child for child in children)
            # a node that was tried and got no children is neither done nor open
            dead = not children and not tree.done[row, node] and not tree.open[row, node]
            dead_ends += dead
            assert tree.visits[row, node] == 1 + dead + sum(tree.visits[row, child] for child in children)
            assert tree.value_sum[row, node] == pytest.approx(
                tree.raw_value[row, node] + sum(tree.value_sum[row, child] for child in children)
            )
            leaf = 0.0 if dead else tree.raw_value[row, node]
            assert tree.best[row, node] == max((tree.best[row, child] for child in children), default=leaf)
            if children:
                assert tree.open[row, node] == sum(tree.open[row, child] for child in children)
    assert dead_ends or seed  # the first forest has some, so the clause above is exercised


def test_growing_wider_changes_nothing():
    narrow, wide = random_forest(3, capacity=1), random_forest(3, capacity=4096)
    for row, states in enumerate(narrow.states):
        for name in ("parent", "visits", "value_sum", "best", "raw_value", "prior", "open", "done", "depth", "score"):
            used = slice(0, len(states))
            assert np.array_equal(getattr(narrow, name)[row, used], getattr(wide, name)[row, used]), name
        assert np.isnan(narrow.raw_value[row, len(states) :]).all()


def test_leaves_of_one_row_together_or_one_by_one():
    def opened() -> Tree:
        tree = grow(one_root(), 0, ROOT, [0.9, 0.2])
        carry(tree, (0, ROOT))
        return tree

    together = grow(grow(opened(), 0, 1, [0.5, 0.25]), 0, 2, [0.125])
    carry(together, (0, 1), (0, 2))
    apart = opened()
    for node, values in ((1, [0.5, 0.25]), (2, [0.125])):
        apart = grow(apart, 0, node, values)
        carry(apart, (0, node))
    for name in ("visits", "value_sum", "best", "open"):
        assert np.array_equal(getattr(together, name), getattr(apart, name)), name
    assert (apart.visits[0, ROOT], apart.open[0, ROOT], apart.best[0, ROOT]) == (6, 3, 0.5)


def test_a_finished_node_or_an_expanded_one_takes_no_children():
    tree = grow(one_root(), 0, ROOT, [0.9, 0.2], [True, False])
    with pytest.raises(AssertionError, match="finished"):
        grow(tree, 0, 1, [0.1])
    with pytest.raises(AssertionError, match="once"):
        grow(tree, 0, ROOT, [0.1])


def test_child_slots_are_padded_with_real_slots():
    tree = new_tree(["a", "b"], np.array([0.5, 0.5]), np.array([False, False]))
    tree = grow(grow(tree, 0, ROOT, [0.1, 0.2, 0.3]), 1, ROOT, [0.4])
    slots, real = child_slots(tree, np.array([0, 1]), np.array([ROOT, ROOT]))
    assert slots.tolist() == [[1, 2, 3], [1, ROOT, ROOT]]
    assert real.tolist() == [[True, True, True], [True, False, False]]


def test_path_to():
    tree = grow(grow(one_root(), 0, ROOT, [0.9, 0.2]), 0, 2, [0.5])
    assert path_to(tree, 0, 3) == [ROOT, 2, 3]
    assert path_to(tree, 0, ROOT) == [ROOT]


def test_to_dict_is_plain_nested_data():
    tree = grow(one_root(), 0, ROOT, [0.75, 0.25])
    carry(tree, (0, ROOT))
    tree = grow(tree, 0, 2, [0.5], [True])
    carry(tree, (0, 2))
    told = json.loads(json.dumps(to_dict(tree, 0, str.upper, chosen=3), allow_nan=False))
    assert told["text"] == "R" and told["visits"] == 4 and told["mean_value"] == 0.5 and told["chosen"]
    first, second = told["children"]
    assert (first["text"], first["chosen"], first["children"]) == ("R0", False, [])
    assert second["children"] == [
        {
            "text": "R10",
            "visits": 1,
            "mean_value": 0.5,
            "prior": 0.5,
            "raw_value": 0.5,
            "done": True,
            "chosen": True,
            "children": [],
        }
    ]
    assert not to_dict(tree, 0, str)["chosen"]


def test_a_long_chain_needs_no_recursion():
    tree = one_root()
    for node in range(3000):
        tree = add_children(tree, 0, node, ["x"], np.ones(1), np.ones(1), np.ones(1), np.zeros(1, bool))
    told, length = to_dict(tree, 0, str), 0
    while told["children"]:
        (told,) = told["children"]
        length += 1
    assert length == 3000 == len(path_to(tree, 0, 3000)) - 1
