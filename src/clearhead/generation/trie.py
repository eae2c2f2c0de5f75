"""The trie of token slots: which token stands where, after which others, and for how long somebody needs it.

Whole numbers only. What a model computed along the trie is kept elsewhere (cache.py), so several models may share one.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Int

from clearhead.generation.sampling import chained

ROOT = 0  # the empty text: a slot without a token, at depth -1
NOBODY = 0  # as a child, the root is nobody's
TABLE_UP_TO = 1024  # tokens in a vocabulary whose children are found in a table, one int32 for each slot and token


class Children:
    """(parent, token) -> slot, for many pairs at once: a table for small vocabularies, a dictionary for large ones."""

    def __init__(self, vocab: int, slots: int) -> None:
        self._vocab = vocab
        self._table = np.zeros(slots * vocab, np.int32) if vocab <= TABLE_UP_TO else None
        self._dict: dict[int, int] = {}

    def grow(self, slots: int) -> None:
        if self._table is not None:
            self._table = resized(self._table, slots * self._vocab)

    def keys(self, parents: Int[np.ndarray, "N"], tokens: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
        return parents.astype(np.int64) * self._vocab + tokens

    def get(self, keys: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
        if self._table is not None:
            return self._table[keys]
        return np.fromiter((self._dict.get(key, NOBODY) for key in keys.tolist()), np.int32, len(keys))

    def set(self, keys: Int[np.ndarray, "N"], slots: Int[np.ndarray, "N"]) -> None:
        if self._table is not None:
            self._table[keys] = slots
        else:
            self._dict.update(zip(keys.tolist(), slots.tolist(), strict=True))

    def clear(self, keys: Int[np.ndarray, "N"]) -> None:
        if self._table is not None:
            self._table[keys] = NOBODY
        else:
            for key in keys.tolist():
                del self._dict[key]


class TokenTrie:
    """Every token of every text that is in use has one slot, shared by all texts that begin alike.

    `refcount[s]` counts the references to s: its children, and those of `acquire`. At 0 the slot is free for another.

        "ab", "ac" held    root 0 - a 1 - b 2     paths[2] = 1 2 2 2 ...   (its ancestors, then itself to the end)
                                       \\ c 3     paths[3] = 1 3 3 3 ...

    A new slot copies its parent's path: O(depth). All else is O(1) a token, in a few array operations for many.
    """

    def __init__(self, vocab: int, slots: int = 1024, width: int = 64, most: int = 1 << 31) -> None:
        """`slots` at first, twice as many whenever they are full, and never more than `most`."""
        self.vocab, self.most, slots = vocab, most, min(slots, most)
        self.on_free: list[Callable[[np.ndarray], None]] = []  # told which slots are about to lose their tokens
        self.token = np.zeros(slots, np.int32)
        self.parent = np.zeros(slots, np.int32)
        self.depth = np.full(slots, -1, np.int32)
        self.refcount = np.zeros(slots, np.int32)
        self.hash = np.zeros(slots, np.uint64)
        self.paths = np.zeros((slots, width), np.int32)
        self._children = Children(vocab, slots)
        self._free = np.arange(slots - 1, 0, -1, dtype=np.int32)  # a stack; the root is never on it
        self._n_free = slots - 1
        self.refcount[ROOT] = 1

    @property
    def slots(self) -> int:
        """How many there are, used and free."""
        return len(self.token)

    @property
    def used(self) -> int:
        return self.slots - self._n_free

    def children(self, parents: Int[np.ndarray, "N"], tokens: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
        """The slot of each token after its parent, made where there is none.

        A new slot is held by nobody: hold it or one of its descendants before the next `release`.
        """
        keys, first, inverse = np.unique(self._children.keys(parents, tokens), return_index=True, return_inverse=True)
        slots = self._children.get(keys)
        missing = np.flatnonzero(slots == NOBODY)
        if len(missing):
            slots[missing] = self._make(parents[first[missing]], tokens[first[missing]])
            self._children.set(keys[missing], slots[missing])
        return slots[inverse]

    def insert(self, parents: Int[np.ndarray, "N"], texts: Sequence[Sequence[int]]) -> Int[np.ndarray, "N"]:
        """The slot of each text's last token when it is written after its parent, made where needed."""
        at = parents.astype(np.int32)
        lengths = np.array([len(text) for text in texts], np.int64)
        tokens = np.zeros((len(texts), max(lengths, default=0)), np.int32)
        for row, text in zip(tokens, texts, strict=True):
            row[: len(text)] = text
        for column in range(tokens.shape[1]):
            rows = np.flatnonzero(lengths > column)
            at[rows] = self.children(at[rows], tokens[rows, column])
        return at

    def longest(self, text: Sequence[int]) -> int:
        """The slot of the longest beginning of a text that is there already."""
        at = np.array([ROOT], np.int32)
        for token in text:
            after = self._children.get(self._children.keys(at, np.array([token], np.int32)))
            if after[0] == NOBODY:
                break
            at = after
        return int(at[0])

    def tokens(self, slot: int) -> Int[np.ndarray, "S"]:
        """The whole text that ends at a slot."""
        return self.token[self.paths[slot, : self.depth[slot] + 1]]

    def acquire(self, slots: Int[np.ndarray, "N"]) -> None:
        np.add.at(self.refcount, slots, 1)

    def release(self, slots: Int[np.ndarray, "N"]) -> None:
        """Take back one reference for each entry; slots that nobody refers to any more are freed, from leaf to root."""
        while len(slots):
            np.subtract.at(self.refcount, slots, 1)
            assert (self.refcount[slots] >= 0).all(), "a slot was released more often than held"
            dead = np.unique(slots[self.refcount[slots] == 0])
            for notify in self.on_free:
                notify(dead)
            slots = self.parent[dead]
            self._children.clear(self._children.keys(slots, self.token[dead]))
            self._free[self._n_free : self._n_free + len(dead)] = dead
            self._n_free += len(dead)

    def _make(self, parents: Int[np.ndarray, "N"], tokens: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
        n = len(parents)
        while self._n_free < n:
            self._grow()
        self._n_free -= n
        new = self._free[self._n_free : self._n_free + n][::-1].copy()
        depth = self.depth[parents] + 1
        while depth.max() >= self.paths.shape[1]:
            self.paths = np.concatenate((self.paths, np.repeat(self.paths[:, -1:], self.paths.shape[1], 1)), 1)
        path = self.paths[parents]
        own = np.arange(path.shape[1]) >= depth[:, None]
        self.paths[new] = np.where(own, new[:, None], path)
        self.token[new], self.parent[new], self.depth[new], self.refcount[new] = tokens, parents, depth, 0
        self.hash[new] = chained(self.hash[parents], tokens)
        np.add.at(self.refcount, parents, 1)
        return new

    def _grow(self) -> None:
        old, new = self.slots, min(2 * self.slots, self.most)
        assert new > old, "whoever limits the slots makes room first"
        self.token, self.parent = resized(self.token, new), resized(self.parent, new)
        self.depth, self.refcount = resized(self.depth, new), resized(self.refcount, new)
        self.hash, self.paths = resized(self.hash, new), resized(self.paths, new)
        self._free = resized(self._free, new)
        self._children.grow(new)
        self._free[self._n_free : self._n_free + new - old] = np.arange(new - 1, old - 1, -1)
        self._n_free += new - old


class SlotFlags:
    """One bit for each slot of a trie, False for a new one."""

    def __init__(self, trie: TokenTrie) -> None:
        self._trie = trie
        self._bits = np.zeros(trie.slots, bool)
        trie.on_free.append(self.clear)

    def __getitem__(self, slots: Int[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
        self._fit()
        return self._bits[slots]

    def set(self, slots: Int[np.ndarray, "N"]) -> None:
        self._fit()
        self._bits[slots] = True

    def clear(self, slots: Int[np.ndarray, "N"]) -> None:
        self._fit()
        self._bits[slots] = False

    def _fit(self) -> None:
        if len(self._bits) < self._trie.slots:
            self._bits = resized(self._bits, self._trie.slots)


def resized(array: np.ndarray, length: int) -> np.ndarray:
    """The array with zeros after it, `length` long on its first axis."""
    grown = np.zeros((length, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
