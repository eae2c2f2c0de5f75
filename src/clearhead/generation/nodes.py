"""Handles: the whole numbers that callers hold, each naming an end in one opened prompt's tree.

Prompts that begin alike share slots, so a slot does not say whose it is; a node does, and usage is counted by tree.
A number is never given out twice, so that a node used after its release is an error and not somebody else's text.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Int

from clearhead.errors import UserError
from clearhead.generation.language_model import Usage
from clearhead.generation.usage import UsageCounter


class Held(Protocol):
    """What lies in the slots; it is kept as long as a slot is acquired more often than released."""

    def acquire(self, slots: Int[np.ndarray, "N"]) -> None: ...

    def release(self, slots: Int[np.ndarray, "N"]) -> None: ...


@dataclass
class NodeRef:
    slot: int
    tree: int
    refcount: int = 0


class Nodes:
    """node <-> (slot, tree), with a reference count; the slot is held as long as the count is positive."""

    def __init__(self, trie: Held) -> None:
        self._trie = trie
        self._refs: dict[int, NodeRef] = {}
        self._names: dict[tuple[int, int], int] = {}
        self._in_tree: defaultdict[int, set[int]] = defaultdict(set)
        self._given = 0

    def acquire(self, slots: Iterable[int], trees: Iterable[int]) -> list[int]:
        """One reference to each (slot, tree); equal pairs are the same node."""
        nodes = [self._name(slot, tree) for slot, tree in zip(slots, trees, strict=True)]
        for node in nodes:
            self._refs[node].refcount += 1
        return nodes

    def find(self, nodes: Sequence[int]) -> list[NodeRef]:
        try:
            return [self._refs[node] for node in nodes]
        except KeyError as missing:
            raise UserError(
                f"node {missing.args[0]} is not open: it was released or never given out; fork a node to keep it longer"
            ) from None

    def release(self, nodes: Sequence[int]) -> list[int]:
        """Give back one reference for each entry, all or none; the trees that have no node left."""
        refs = self.find(nodes)
        for node, times in Counter(nodes).items():
            if times > (given := self._refs[node].refcount):
                raise UserError(f"node {node} is released {times} times, but only {given} references to it are out")
        gone = []
        for node, ref in zip(nodes, refs, strict=True):
            ref.refcount -= 1
            if ref.refcount == 0:
                del self._refs[node], self._names[ref.slot, ref.tree]
                self._in_tree[ref.tree].remove(node)
                gone.append(ref.slot)
        self._trie.release(np.array(gone, np.int32))
        empty = sorted({ref.tree for ref in refs if not self._in_tree[ref.tree]})
        for tree in empty:
            del self._in_tree[tree]
        return empty

    def of_trees(self, trees: Iterable[int]) -> list[int]:
        """Every node of these trees, as often as it is referred to."""
        return [node for tree in trees for node in self._in_tree[tree] for _ in range(self._refs[node].refcount)]

    def _name(self, slot: int, tree: int) -> int:
        node = self._names.get((slot, tree))
        if node is None:
            node = self._given
            self._given += 1
            self._names[slot, tree] = node
            self._refs[node] = NodeRef(slot, tree)
            self._in_tree[tree].add(node)
            self._trie.acquire(np.array([slot]))
        return node


class Opened:
    """The part of a `LanguageModel` that hands nodes out and takes them back, the same wherever its texts lie."""

    def __init__(self, held: Held, usage: UsageCounter) -> None:
        self._nodes, self._usage = Nodes(held), usage

    def fork(self, node: int) -> int:
        """One more reference to the same node, released on its own."""
        (ref,) = self._nodes.find([node])
        return self._nodes.acquire([ref.slot], [ref.tree])[0]

    def release(self, nodes: Sequence[int]) -> None:
        """Give references back; what nobody refers to is forgotten."""
        for tree in self._nodes.release(nodes):
            self._usage.close(tree)

    def close(self, nodes: Sequence[int]) -> None:
        """Release every reference to every node of the opened prompts that these nodes grew from."""
        self.release(self._nodes.of_trees({ref.tree for ref in self._nodes.find(nodes)}))

    def usage(self, node: int | None = None) -> Usage:
        """Of the opened prompt that `node` grew from, or of everything."""
        return self._usage.total if node is None else self._usage.usage(self._nodes.find([node])[0].tree)
