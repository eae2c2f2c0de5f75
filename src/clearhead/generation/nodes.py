"""Handles: the whole numbers that callers hold, each naming a place in one opened prompt's tree.

Prompts that begin alike share slots, so a slot does not say whose it is; a node does, and usage is counted by tree.
A number is never given out twice, so that a node used after its release is an error and not somebody else's text.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clearhead.errors import UserError
from clearhead.generation.trie import TokenTrie


@dataclass
class Place:
    slot: int
    tree: int
    references: int = 0


class Nodes:
    """node <-> (slot, tree), with a count of references; the slot is held as long as the count is positive."""

    def __init__(self, trie: TokenTrie) -> None:
        self._trie = trie
        self._places: dict[int, Place] = {}
        self._names: dict[tuple[int, int], int] = {}
        self._in_tree: defaultdict[int, set[int]] = defaultdict(set)
        self._given = 0

    def give(self, slots: Iterable[int], trees: Iterable[int]) -> list[int]:
        """One reference to each place; equal places are the same node."""
        nodes = [self._name(slot, tree) for slot, tree in zip(slots, trees, strict=True)]
        for node in nodes:
            self._places[node].references += 1
        return nodes

    def find(self, nodes: Sequence[int]) -> list[Place]:
        try:
            return [self._places[node] for node in nodes]
        except KeyError as missing:
            raise UserError(
                f"node {missing.args[0]} is not open: it was released or never given out; fork a node to keep it longer"
            ) from None

    def take(self, nodes: Sequence[int]) -> list[int]:
        """Take one reference for each entry, all or none; the trees that have no node left."""
        places = self.find(nodes)
        for node, times in Counter(nodes).items():
            if times > (given := self._places[node].references):
                raise UserError(f"node {node} is released {times} times, but only {given} references to it are out")
        gone = []
        for node, place in zip(nodes, places, strict=True):
            place.references -= 1
            if place.references == 0:
                del self._places[node], self._names[place.slot, place.tree]
                self._in_tree[place.tree].remove(node)
                gone.append(place.slot)
        self._trie.release(np.array(gone, np.int32))
        empty = sorted({place.tree for place in places if not self._in_tree[place.tree]})
        for tree in empty:
            del self._in_tree[tree]
        return empty

    def of_trees(self, trees: Iterable[int]) -> list[int]:
        """Every node of these trees, as often as it is referred to."""
        return [node for tree in trees for node in self._in_tree[tree] for _ in range(self._places[node].references)]

    def _name(self, slot: int, tree: int) -> int:
        node = self._names.get((slot, tree))
        if node is None:
            node = self._given
            self._given += 1
            self._names[slot, tree] = node
            self._places[node] = Place(slot, tree)
            self._in_tree[tree].add(node)
            self._trie.hold(np.array([slot]))
        return node
