"""Documents into rows: whole documents of different lengths fill rows of one length with hardly any padding.

A document is never split and never sees its neighbors: positions restart and segment numbers tell them apart.
Deliberately not here: tokenization, and the mask that the segments stand for (kernels.attention).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from clearhead.errors import UserError

IGNORE_INDEX = -1  # a position whose next token is not learned: prompt or padding
SLACK = 0.005  # of a chunk of rows, left free so that every document drawn finds its place


class Document(NamedTuple):
    """Token ids; only those of the solution are learned, and of these not what was `given`, where that is said."""

    prompt: Sequence[int]
    solution: Sequence[int]
    given: Sequence[bool] = ()

    @property
    def learned(self) -> int:
        """Tokens that are learned."""
        return len(self.solution) - sum(self.given)


class Batch(NamedTuple):
    """Packed rows. Position t reads tokens[t] and learns targets[t], the token after it; padding has segment 0.

    Documents  a b|c d E  and  p|q E  in a row of 8 (E ends a document, | closes its prompt):

    tokens     a  b  c  d  p  q  0  0
    positions  0  1  2  3  0  1  0  0
    segments   1  1  1  1  2  2  0  0
    targets   -1  c  d  E  q  E -1 -1
    """

    tokens: Int[np.ndarray, "B T"]
    positions: Int[np.ndarray, "B T"]
    segments: Int[np.ndarray, "B T"]
    targets: Int[np.ndarray, "B T"]


def waste(batch: Batch) -> float:
    """Share of the positions that hold padding."""
    return float((batch.segments == 0).mean())


def fill_rows(lengths: Sequence[int], capacity: int, rows: int | None = None) -> list[int]:
    """The row of each item, -1 for none: the longest left opens a row, and those that fill the rest best join it.

    Fleszar and Hindi 2002 (MBS'), the subset sums held as the bits of one integer for each length. Best-fit decreasing
    leaves gaps of almost a document when lengths are alike; this leaves none while any combination closes them.

    >>> fill_rows([3, 5, 2, 4, 2], capacity=8)
    [0, 0, 1, 1, 1]
    """
    items: dict[int, list[int]] = {}
    for item, length in enumerate(lengths):
        items.setdefault(length, []).append(item)
    left = sorted(items, reverse=True)  # lengths that still have items
    placed, opened = [-1] * len(lengths), 0
    while left and (rows is None or opened < rows):
        taken = [left[0], *_closest_sum({n: len(items[n]) - (n == left[0]) for n in left}, capacity - left[0])]
        for length in taken:
            placed[items[length].pop()] = opened
        left = [n for n in left if items[n]]
        opened += 1
    return placed


def _closest_sum(counts: dict[int, int], target: int) -> list[int]:
    """The lengths, each used at most `counts` times, whose sum is the largest that is not above the target."""
    reachable, within = [1], (2 << target) - 1  # bit s of reachable[i]: the first i lengths can sum to s
    for length, count in counts.items():
        sums = reachable[-1]
        for _ in range(min(count, target // length)):
            sums |= sums << length & within
        reachable.append(sums)
    left, chosen = reachable[-1].bit_length() - 1, []
    for i, length in reversed(list(enumerate(counts))):
        while not reachable[i] >> left & 1:
            chosen.append(length)
            left -= length
    return chosen


def sizes(documents: Sequence[Document], length: int) -> list[int]:
    """Positions that each document takes: its last token is only a target. UserError when a row cannot hold one."""
    positions = [len(d.prompt) + len(d.solution) - 1 for d in documents]
    for document, size in zip(documents, positions, strict=True):
        if not 1 <= size <= length or not document.solution:
            raise UserError(
                f"a document of {len(document.prompt)} + {len(document.solution)} tokens does not fit: rows of "
                f"{length} tokens hold 2 to {length + 1}, one of them a solution's; raise the row length or shorten it"
            )
    return positions


def pack(documents: Sequence[Document], length: int) -> Batch:
    """All documents in as few rows of `length` tokens as `fill_rows` finds."""
    placed = fill_rows(sizes(documents, length), length)
    return lay_out(documents, placed, max(placed, default=-1) + 1, length)


def lay_out(documents: Sequence[Document], placed: Sequence[int], rows: int, length: int) -> Batch:
    """The rows, each document in the row that `placed` says."""
    tokens, positions, segments = np.zeros((3, rows, length), np.int64)
    batch = Batch(tokens, positions, segments, np.full((rows, length), IGNORE_INDEX))
    if not documents:
        return batch
    used, count, starts, segment = [0] * rows, [0] * rows, [], []
    for row, size in zip(placed, sizes(documents, length), strict=True):
        starts.append(row * length + used[row])
        used[row] += size
        count[row] += 1
        segment.append(count[row])
    inputs = np.array(sizes(documents, length))
    prompt = np.array([len(d.prompt) for d in documents])
    text = np.concatenate([np.array([*d.prompt, *d.solution]) for d in documents])
    first = np.cumsum(inputs) - inputs  # of each document, among the packed positions
    position = np.arange(inputs.sum()) - np.repeat(first, inputs)
    source = np.repeat(np.cumsum(inputs + 1) - inputs - 1, inputs) + position
    where = np.repeat(np.array(starts), inputs) + position
    batch.tokens.flat[where] = text[source]
    batch.positions.flat[where] = position
    batch.segments.flat[where] = np.repeat(np.array(segment), inputs)
    learned = position >= np.repeat(prompt, inputs) - 1
    if any(d.given for d in documents):
        given = np.concatenate([[False] * len(d.prompt) + [*(d.given or [False] * len(d.solution))] for d in documents])
        learned &= ~given[source + 1]
    batch.targets.flat[where] = np.where(learned, text[source + 1], IGNORE_INDEX)
    return batch


@dataclass
class PackedStream:
    """An endless stream of batches drawn from `draw`; batch(step) depends on the seed and the step alone.

    Documents are drawn and packed for `chunk` batches at a time, and the rows shuffled: a larger chunk packs tighter.
    The last chunk is kept, so reading in order costs each chunk once and resuming anywhere costs one chunk.
    """

    draw: Callable[[random.Random], Document]
    rows: int
    length: int
    seed: int
    chunk: int = 16
    _last: tuple[int, Batch] | None = field(default=None, init=False, repr=False)

    def batch(self, step: int) -> Batch:
        index, within = divmod(step, self.chunk)
        if self._last is None or self._last[0] != index:
            self._last = (index, self._pack_chunk(index))
        return Batch(*(array[within * self.rows : (within + 1) * self.rows] for array in self._last[1]))

    def _pack_chunk(self, index: int) -> Batch:
        rng = random.Random(f"{self.seed}/{index}")
        rows = self.chunk * self.rows
        documents, room = [], rows * self.length * (1 - SLACK)
        while room > 0:
            documents.append(self.draw(rng))
            room -= len(documents[-1].prompt) + len(documents[-1].solution) - 1
        while -1 in (placed := fill_rows(sizes(documents, self.length), self.length, rows)):
            del documents[-placed.count(-1) :]  # the last drawn, whatever their lengths: dropping by length would bias
        order = list(range(rows))
        rng.shuffle(order)
        return Batch(*(array[order] for array in lay_out(documents, placed, rows, self.length)))
