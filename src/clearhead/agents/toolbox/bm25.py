"""BM25: which texts a query is about, by the words that they share (Robertson and Zaragoza 2009, equation 3.15)."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from math import log

import snowballstemmer

K1, B = 1.2, 0.75  # saturation of a count; how much long texts are held against them
WORD = re.compile(r"[^\W_]+")
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # in camelCase
STEMMER = snowballstemmer.stemmer("english")


def terms(text: str) -> list[str]:
    """The stems of its words.

    >>> terms("Multiplying the numRows of row_sums")
    ['multipli', 'the', 'num', 'row', 'of', 'row', 'sum']
    """
    return [_stem(word) for word in WORD.findall(HUMP.sub(" ", text).casefold())]


@lru_cache(maxsize=2**16)
def _stem(word: str) -> str:
    return str(STEMMER.stemWord(word))


class Index:
    """Texts, ready to be searched: for each term the texts that have it, and how often."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.lengths = list[int]()
        for i, text in enumerate(texts):
            counts = Counter(terms(text))
            self.lengths.append(counts.total())
            for term, count in counts.items():
                self.postings[term].append((i, count))
        self.mean_length = sum(self.lengths) / max(1, len(texts)) or 1.0

    def idf(self, term: str) -> float:
        """ln(1 + (N - n + 0.5) / (n + 0.5)): the rarer a term, the more it says; never negative."""
        n = len(self.postings.get(term, ()))
        return log(1 + (len(self.lengths) - n + 0.5) / (n + 0.5))

    def search(self, query: str, most: int) -> list[tuple[int, float]]:
        """(number of the text, score) of the best, the best first; only texts that share a term with the query.

        score = sum over terms of idf tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length)); O(postings of the terms)

        >>> Index(["the cat sat", "the dog ran", "a bird"]).search("dogs", 2)[0][0]
        1
        """
        scores: dict[int, float] = defaultdict(float)
        for term in dict.fromkeys(terms(query)):
            idf = self.idf(term)
            for i, tf in self.postings.get(term, ()):
                norm = K1 * (1 - B + B * self.lengths[i] / self.mean_length)
                scores[i] += idf * tf * (K1 + 1) / (tf + norm)
        return sorted(scores.items(), key=lambda found: (-found[1], found[0]))[:most]
