"""Words and their vectors, asked: how alike two are, who is nearest, what is to c as b is to a."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.config import nearest
from clearhead.errors import UserError

TOGETHER = 512  # analogies in one product


class Neighbor(NamedTuple):
    word: str
    cosine: float


@dataclass(frozen=True)
class VectorSpace:
    words: tuple[str, ...]
    vectors: Float[np.ndarray, "V D"]

    @cached_property
    def ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def unit(self) -> Float[np.ndarray, "V D"]:
        """Every vector at length 1, but one of zeros."""
        return self.vectors / np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-12)

    def id_of(self, word: str) -> int:
        """UserError: the word has no vector."""
        found = self.ids.get(word, self.ids.get(word.lower()))
        if found is None:
            raise UserError(f"{word!r:.60} has no vector{nearest(word, self.words[:50_000])}")
        return found

    def similarity(self, a: str, b: str) -> float:
        """The cosine."""
        return float(self.unit[self.id_of(a)] @ self.unit[self.id_of(b)])

    def nearest(self, word: str, top: int) -> list[Neighbor]:
        i = self.id_of(word)
        return self._largest(self.unit @ self.unit[i], [i], top)

    def analogy(self, a: str, b: str, c: str, top: int) -> list[Neighbor]:
        """Words nearest to b - a + c, those three left out. Mikolov et al. 2013c, section 4 (3CosAdd)."""
        ids = [self.id_of(word) for word in (a, b, c)]
        query = self.unit[ids[1]] - self.unit[ids[0]] + self.unit[ids[2]]
        return self._largest(self.unit @ (query / max(float(np.linalg.norm(query)), 1e-12)), ids, top)

    def _largest(self, cosines: Float[np.ndarray, "V"], without: Sequence[int], top: int) -> list[Neighbor]:
        cosines = cosines.copy()
        cosines[list(without)] = -np.inf
        order = np.argsort(-cosines, kind="stable")[:top]
        return [Neighbor(self.words[i], float(cosines[i])) for i in order if cosines[i] > -np.inf]

    def solved(self, questions: Int[np.ndarray, "N 4"]) -> Int[np.ndarray, "N"]:
        """Whether b - a + c is nearest to d, the three left out, for rows a b c d of ids."""
        right = []
        for start in range(0, len(questions), TOGETHER):
            a, b, c, d = questions[start : start + TOGETHER].T
            cosines = (self.unit[b] - self.unit[a] + self.unit[c]) @ self.unit.T
            for asked in (a, b, c):
                cosines[np.arange(len(a)), asked] = -np.inf
            right.append(cosines.argmax(1) == d)
        return np.concatenate(right).astype(int) if right else np.zeros(0, int)

    def plane(self, ids: Sequence[int]) -> Float[np.ndarray, "N 2"]:
        """The two principal components of these words' unit vectors: the plane that shows most of their spread."""
        centered = self.unit[list(ids)] - self.unit[list(ids)].mean(0)
        u, s, _ = np.linalg.svd(centered, full_matrices=False)
        return u[:, :2] * s[:2]


def spearman(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """The correlation of ranks, equal values sharing theirs; NaN where one of them never varies.

    >>> round(spearman(np.array([1.0, 2, 3]), np.array([1.0, 4, 9])), 6)
    1.0
    """
    a, b = (_ranks(values) - (len(values) - 1) / 2 for values in (x, y))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else float("nan")


def _ranks(values: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    return (first + (counts - 1) / 2)[place]
