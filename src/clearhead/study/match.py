"""How alike texts are: the cosine of their words' and syllables' weights, rare ones counting more.

Salton and Buckley 1988, table 2: term frequency times inverse document frequency.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

WORD = re.compile(r"\w+")


def terms(text: str) -> Iterator[str]:
    """Words, and their runs of three letters, so that a changed ending changes little.

    >>> list(terms("Two norms"))
    ['two', '#two', 'norms', '#nor', '#orm', '#rms']
    """
    for word in WORD.findall(text.lower()):
        yield word
        yield from (f"#{word[i : i + 3]}" for i in range(max(1, len(word) - 2)))


def similarity(a: Sequence[str], b: Sequence[str]) -> Float[np.ndarray, "N M"]:
    """The cosine of each text of a with each of b, from 0 to 1; texts without a word are like none.

    >>> similarity(["the norm of a vector"], ["a vector's norm", "dropout"]).round(1).tolist()
    [[0.6, 0.0]]
    """
    counts = [Counter(terms(text)) for text in (*a, *b)]
    known = {term: i for i, term in enumerate(sorted(set().union(*counts)))} if counts else {}
    weights = np.zeros((len(counts), len(known)))
    for row, count in zip(weights, counts, strict=True):
        for term, n in count.items():
            row[known[term]] = 1 + np.log(n)
    seen = (weights > 0).sum(0)
    weights *= np.log(1 + len(counts) / np.maximum(seen, 1))
    weights /= np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-12)
    return weights[: len(a)] @ weights[len(a) :].T
