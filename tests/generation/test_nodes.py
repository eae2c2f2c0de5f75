"""Nodes count references, keep the trie's slots alive for exactly as long, and are never given out twice."""

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.generation.nodes import NodeRef, Nodes
from clearhead.generation.trie import ROOT, TokenTrie


def test_a_place_is_one_node_until_its_last_reference_is_taken() -> None:
    trie = TokenTrie(vocab=9)
    nodes = Nodes(trie)
    (slot,) = trie.insert(np.array([ROOT]), [[2, 3]]).tolist()
    a, again = nodes.acquire([slot, slot], [0, 0])
    (other_tree,) = nodes.acquire([slot], [1])
    assert a == again != other_tree
    assert nodes.find([a, other_tree]) == [NodeRef(slot, 0, 2), NodeRef(slot, 1, 1)]
    assert nodes.release([a]) == []
    assert nodes.release([a]) == [0]  # the tree's last node
    with pytest.raises(UserError, match=f"node {a} is not open"):
        nodes.find([a])
    assert trie.used == 1 + 2
    assert nodes.release([other_tree]) == [1]
    assert trie.used == 1


def test_taking_is_all_or_nothing() -> None:
    trie = TokenTrie(vocab=9)
    nodes = Nodes(trie)
    a, b = nodes.acquire(trie.insert(np.array([ROOT, ROOT]), [[2], [3]]).tolist(), [0, 0])
    for wrong in ([a, b, b], [a, 77]):
        with pytest.raises(UserError):
            nodes.release(wrong)
    assert [ref.refcount for ref in nodes.find([a, b])] == [1, 1]
    assert nodes.release([a, b]) == [0]


def test_nodes_of_a_tree_come_once_for_each_reference() -> None:
    trie = TokenTrie(vocab=9)
    nodes = Nodes(trie)
    slots = trie.insert(np.full(3, ROOT), [[2], [3], [4]]).tolist()
    a, b, c = nodes.acquire(slots, [0, 0, 1])
    nodes.acquire(slots[:1], [0])
    assert sorted(nodes.of_trees([0])) == sorted([a, a, b])
    assert nodes.release(nodes.of_trees([0])) == [0]
    assert nodes.find([c])[0].slot == slots[2]
