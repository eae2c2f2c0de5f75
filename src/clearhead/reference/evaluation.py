"""How good an answer, a ranking or a search is: pass@k, the area under the ROC curve, BM25."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k): the probability that one of k samples is right, when c of n drawn ones were.

    >>> pass_at_k(4, 1, 2), pass_at_k(5, 5, 1)
    (0.5, 1.0)

    O(k). Chen et al. 2021 (Codex), equation 1. ValueError: unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"n = {n}, c = {c}, k = {k}; it must be 0 <= c <= n and 1 <= k <= n")
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def roc_auc(score: Float[Array, "N"], label: Int[Array, "N"]) -> float:
    """P(s⁺ > s⁻) + P(s⁺ = s⁻) / 2 over all pairs of a positive (label 1) and a negative (label 0) example.

    >>> roc_auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([1, 1, 0, 0]))
    0.875

    O(N²). Hanley and McNeil 1982. ValueError: one of the classes is missing.
    """
    positive, negative = score[label == 1], score[label == 0]
    if not len(positive) or not len(negative):
        raise ValueError(f"{len(positive)} positive and {len(negative)} negative examples; there must be some of both")
    above = positive[:, None] - negative
    return float((above > 0).mean() + (above == 0).mean() / 2)


def bm25(
    query: Sequence[str], documents: Sequence[Sequence[str]], k1: float = 1.5, b: float = 0.75
) -> Float[Array, "N"]:
    """Σ over the words of the query of idf f (k₁ + 1) / (f + k₁ (1 - b + b |d| / mean |d|)), for each document.

    f is how often the word is in the document, and idf = log(1 + (N - n + 0.5) / (n + 0.5)) with n of the N documents
    holding it.

    >>> bm25(["cat"], [["cat", "sat"], ["dog", "sat"]]).round(4).tolist()
    [0.6931, 0.0]

    O(N |query| + words). Robertson and Zaragoza 2009, section 3; the 1 inside the logarithm is Lucene's, which keeps
    every weight positive. ValueError: no documents, or all of them empty.
    """
    lengths = np.array([len(document) for document in documents], float)
    if not lengths.sum():
        raise ValueError("there must be a document with a word in it")
    counts = [Counter(document) for document in documents]
    norm = k1 * (1 - b + b * lengths / lengths.mean())
    scores = np.zeros(len(documents))
    for word in query:
        f = np.array([count[word] for count in counts], float)
        n = (f > 0).sum()
        scores += np.log(1 + (len(documents) - n + 0.5) / (n + 0.5)) * f * (k1 + 1) / np.where(f > 0, f + norm, 1.0)
    return scores
