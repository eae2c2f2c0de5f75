"""Which card is which question, when wording, numbers or order have changed a little.

The same words are the same card. What is left over is paired by how alike question and answer are: cosines of the
counts of three-letter pieces, rare pieces weighing more, so that "What is" says nothing. The best pair first, one to
one, and nothing below a threshold. Deliberately not here: what happens to the cards.
"""

import math
import re
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

THRESHOLD = 0.55  # of likeness, from 0 to 1; two questions of one chapter have rarely more than 0.4
TELLING = 25  # characters from which an answer speaks for its question
PIECES = 2048  # columns that pieces are hashed to
WORD = re.compile(r"\w+")
ROWS = 512  # old texts compared at a time, so that memory stays bounded


class Text(NamedTuple):
    """What a card and an item have in common."""

    section: tuple[str, ...]
    question: str
    answer: str


def pair(old: Sequence[Text], new: Sequence[Text]) -> dict[int, int]:
    """For each place in `new` that has one, its place in `old`; what stands first in `old` goes first.

    >>> old = [Text((), "What has a trunk?", ""), Text((), "What barks at night?", "A dog.")]
    >>> new = [Text((), "What is it that barks at night?", "A dog."), Text((), "What has a trunk?", "An elephant.")]
    >>> pair(old, new)
    {1: 0, 0: 1}
    """
    found: dict[int, int] = {}
    for same in (lambda text: (text.section, text.question, text.answer), lambda text: text[:2], lambda text: text[1]):
        waiting: dict[object, deque[int]] = defaultdict(deque)
        taken = set(found.values())
        for i, text in enumerate(old):
            if i not in taken:
                waiting[same(text)].append(i)
        for j, text in enumerate(new):
            if j not in found and waiting[same(text)]:
                found[j] = waiting[same(text)].popleft()
    taken = set(found.values())
    left_old = [i for i in range(len(old)) if i not in taken]
    left_new = [j for j in range(len(new)) if j not in found]
    used: set[int] = set()
    if not left_old or not left_new:
        return found
    common = Counter(piece for text in [*old, *new] for piece in set(_pieces(text.question)))
    for _, i, j in sorted(_alike([old[i] for i in left_old], [new[j] for j in left_new], common), reverse=True):
        if i not in used and left_new[j] not in found:
            used.add(i)
            found[left_new[j]] = left_old[i]
    return found


def _alike(old: Sequence[Text], new: Sequence[Text], common: Counter[int]) -> Iterator[tuple[float, int, int]]:
    """(likeness, place in old, place in new) of every pair that reaches the threshold; `common`: in how many questions.

    Likeness is that of the questions, or of question and answer together where this is more: a question may be
    written anew above an answer that stays, and the other way round. A short answer ("TODO") says nothing.
    """
    for start, found in _compared(old, new, common):
        for i, j in zip(*np.nonzero(found >= THRESHOLD), strict=True):
            yield float(found[i, j]), start + int(i), int(j)


def likeness(old: Sequence[Text], new: Sequence[Text]) -> np.ndarray:
    """How alike every old text is to every new one, from 0 to 1."""
    common = Counter(piece for text in [*old, *new] for piece in set(_pieces(text.question)))
    return np.concatenate([found for _, found in _compared(old, new, common)])


def _compared(old: Sequence[Text], new: Sequence[Text], common: Counter[int]) -> Iterator[tuple[int, np.ndarray]]:
    """(first place in old, likeness) of some rows at a time."""
    questions = _vectors([text.question for text in [*old, *new]], common)
    answers = _vectors([text.answer if len(text.answer) >= TELLING else "" for text in [*old, *new]], Counter())
    for start in range(0, len(old), ROWS):
        rows = slice(start, min(start + ROWS, len(old)))
        by_question = questions[rows] @ questions[len(old) :].T
        by_both = 0.4 * by_question + 0.6 * (answers[rows] @ answers[len(old) :].T)
        yield start, np.maximum(by_question, by_both)


def _vectors(texts: Sequence[str], common: Counter[int]) -> np.ndarray:
    """One row of length 1 for each text, or of zeros for one without a piece; common pieces weigh less."""
    most = max(common.values(), default=1)
    weights = np.array([math.log(1 + most / max(common[piece], 1)) for piece in range(PIECES)], np.float32)
    rows = np.empty((len(texts), PIECES), np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[:] = np.bincount(np.array(_pieces(text), int), minlength=PIECES)
    rows *= weights
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _pieces(text: str) -> list[int]:
    words = f" {' '.join(WORD.findall(text.lower()))} "
    return [_hashed(words[i : i + 3]) for i in range(len(words) - 2)]


@lru_cache(maxsize=1 << 16)
def _hashed(piece: str) -> int:
    return zlib.crc32(piece.encode()) % PIECES
