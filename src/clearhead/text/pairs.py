"""Pairs of a source and a target as batches: rows padded to the longest of each side.

Deliberately not here: where pairs come from (pipeline.pairs), and the mask that the lengths stand for (training.step).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.text.packing import IGNORE_INDEX, Batch, Document, lay_out, sizes


class Pair(NamedTuple):
    """Token ids, without what begins and ends the target."""

    source: Sequence[int]
    target: Sequence[int]


class PairBatch(NamedTuple):
    """Position t reads tokens[t] and learns targets[t], the token after it. `sampled`: the share of read tokens that
    are the model's own (training.scheduled_sampling).

    Pairs  a b c -> x y  and  d -> z  with the start S and the end E:

    tokens   S x y    source   a b c    targets   x y  E
             S z 0             d 0 0              z E -1
    """

    tokens: Int[np.ndarray, "B T"]
    source: Int[np.ndarray, "B S"]
    lengths: Int[np.ndarray, "B"]
    targets: Int[np.ndarray, "B T"]
    sampled: Float[np.ndarray, ""]


def pair_batch(pairs: Sequence[Pair], start: int, end: int, sampled: float = 0.0) -> PairBatch:
    """What an encoder-decoder learns from."""
    lengths = np.array([len(pair.source) for pair in pairs])
    T = 1 + max(len(pair.target) for pair in pairs)
    source = np.zeros((len(pairs), lengths.max()), np.int64)
    tokens, targets = np.zeros((len(pairs), T), np.int64), np.full((len(pairs), T), IGNORE_INDEX)
    for row, pair in enumerate(pairs):
        n = len(pair.target)
        source[row, : len(pair.source)] = pair.source
        tokens[row, : n + 1] = [start, *pair.target]
        targets[row, : n + 1] = [*pair.target, end]
    return PairBatch(tokens, source, lengths, targets, np.array(sampled, np.float32))


def concatenated(pairs: Sequence[Pair], end: int) -> Batch:
    """What a decoder learns from: source, end, target, end, a row each; the target and its end are learned."""
    documents = [Document([*pair.source, end], [*pair.target, end]) for pair in pairs]
    return lay_out(documents, range(len(pairs)), len(pairs), max(sizes(documents, 1 << 30)))


@dataclass
class PairStream:
    """Endless batches of pairs; which ones depends on the seed and the step alone.

    `chunk` batches are drawn at a time and pairs of about one length put together, so that little is padding.
    """

    pairs: Sequence[Pair]
    rows: int
    seed: int
    chunk: int = 16
    _last: tuple[int, list[list[int]]] | None = field(default=None, init=False, repr=False)

    def batch(self, step: int) -> list[Pair]:
        index, within = divmod(step, self.chunk)
        if self._last is None or self._last[0] != index:
            self._last = (index, self._drawn(index))
        return [self.pairs[i] for i in self._last[1][within]]

    def _drawn(self, index: int) -> list[list[int]]:
        rng = np.random.default_rng([self.seed & ((1 << 63) - 1), index])
        drawn = rng.integers(len(self.pairs), size=self.chunk * self.rows).tolist()
        drawn.sort(key=lambda i: (len(self.pairs[i].target), len(self.pairs[i].source)))
        batches = [drawn[at : at + self.rows] for at in range(0, len(drawn), self.rows)]
        return [batches[i] for i in rng.permutation(self.chunk)]
