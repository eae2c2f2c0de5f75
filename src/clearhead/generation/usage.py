"""Token counts: of each opened prompt's tree, and of everything."""

import numpy as np
from jaxtyping import Bool, Int, Integer

from clearhead.generation.language_model import Usage

Count = int | Integer[np.ndarray, "N"] | Bool[np.ndarray, "N"]


class UsageCounter:
    """A row of counts for each open tree; the number of a closed tree is used again."""

    def __init__(self) -> None:
        self._counts = np.zeros((64, 4), np.int64)
        self._total = [0, 0, 0, 0]
        self._free = list(range(64))

    def open(self) -> int:
        if not self._free:
            rows = len(self._counts)
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
            self._free = list(range(rows, 2 * rows))
        tree = self._free.pop()
        self._counts[tree] = 0
        return tree

    def close(self, tree: int) -> None:
        self._free.append(tree)

    def add(
        self,
        trees: Int[np.ndarray, "N"],
        *,
        generated: Count = 0,
        computed: Count = 0,
        unique: Count = 0,
        reused: Count = 0,
    ) -> None:
        """Charge each entry of `trees` with its amounts, or all with the same."""
        for column, amount in enumerate((generated, computed, unique, reused)):
            if isinstance(amount, int) and amount == 0:
                continue
            total = amount * len(trees) if isinstance(amount, int) else int(amount.sum())
            self._total[column] += total
            if len(trees) == 1:  # of one text at a time, without the price of arrays
                self._counts[trees[0], column] += total
            else:
                np.add.at(self._counts[:, column], trees, amount)

    def usage(self, tree: int) -> Usage:
        return Usage(*self._counts[tree].tolist())

    @property
    def total(self) -> Usage:
        return Usage(*self._total)
