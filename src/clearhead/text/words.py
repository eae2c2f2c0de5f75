"""Running text as words: a vocabulary by count, and each text as an array of numbers below its size."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from clearhead.errors import UserError

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
BREAK = -1  # between texts
LONGEST = 10_000  # words, after which a text is cut, as gensim does


def words_of(text: str) -> list[str]:
    """
    >>> words_of("The king's men, 3 of_them")
    ['the', "king's", 'men', '3', 'of', 'them']
    """
    return WORD.findall(text.lower())


@dataclass(frozen=True)
class Vocabulary:
    """Words, the most frequent first, and how often each stands in the text."""

    words: tuple[str, ...]
    counts: Int[np.ndarray, "V"]

    @cached_property
    def ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def keep(self, sample: float) -> Float[np.ndarray, "V"]:
        """The probability with which an occurrence stays: √(t/f) + t/f of a word with share f, at most 1; t = 0: all.

        word2vec.c; Mikolov et al. 2013b, equation 5, has √(t/f).
        """
        if not sample:
            return np.ones(len(self.words), np.float32)
        share = self.counts / self.counts.sum()
        return np.minimum(1.0, np.sqrt(sample / share) + sample / share).astype(np.float32)

    def noise(self, power: float = 0.75) -> Float[np.ndarray, "V"]:
        """count^¾ as shares: what negatives are drawn from. Mikolov et al. 2013b, section 2.2."""
        weight = self.counts.astype(float) ** power
        return weight / weight.sum()


def read(texts: Iterable[str], min_count: int, most: int) -> tuple[Vocabulary, Int[np.ndarray, "N"]]:
    """The vocabulary of the texts, and all of them as ids: words that are too rare left out, BREAK behind each text.

    A text of more than LONGEST words is cut.
    """
    found: dict[str, int] = {}
    chunks = list[np.ndarray]()
    for text in texts:
        words = words_of(text)
        for start in range(0, len(words), LONGEST):
            part = [found.setdefault(word, len(found)) for word in words[start : start + LONGEST]]
            chunks.append(np.array([*part, BREAK], np.int32))
    raw = np.concatenate(chunks) if chunks else np.zeros(0, np.int32)
    counts = np.bincount(raw[raw >= 0], minlength=len(found))
    listed = list(found)
    kept = sorted(np.flatnonzero(counts >= min_count).tolist(), key=lambda i: (-counts[i], listed[i]))[:most]
    if len(kept) < 2:
        raise UserError(
            f"{len(kept)} words stand {min_count} times or more in the text of {int(counts.sum()):,}; give more text, "
            "or lower --min-count"
        )
    renumbered = np.full(len(found) + 1, len(found) + 1, np.int64)  # the last place is BREAK's, as -1 reads it
    renumbered[kept] = np.arange(len(kept))
    renumbered[-1] = BREAK
    ids = renumbered[raw]
    vocabulary = Vocabulary(tuple(listed[i] for i in kept), counts[kept])
    return vocabulary, np.ascontiguousarray(ids[ids <= len(kept)].astype(np.int32))
