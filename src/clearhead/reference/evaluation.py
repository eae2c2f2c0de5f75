"""Measuring: pass@k with its error bars, how far a judge may be believed, the area under a curve, BM25's scores."""

from collections import Counter
from collections.abc import Sequence
from math import comb

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array


def pass_at_k(n: int, right: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k): the probability that k of n samples, c of them right, hold a right one. Unbiased.

    >>> pass_at_k(10, 1, 1), round(pass_at_k(10, 1, 5), 6)
    (0.1, 0.5)

    O(k). Chen et al. 2021, arXiv 2107.03374, equation 1. ValueError: not 0 ≤ c ≤ n or not 1 ≤ k ≤ n.
    """
    if not (0 <= right <= n and 1 <= k <= n):
        raise ValueError(f"right = {right} must be 0 to n = {n}, and k = {k} 1 to n")
    return (comb(n, k) - comb(n - right, k)) / comb(n, k)


def plug_in_pass_at_k(n: int, right: int, k: int) -> float:
    """1 - (1 - c/n)^k, which is too low on average: a convex function of an unbiased estimate.

    >>> plug_in_pass_at_k(10, 1, 5) < pass_at_k(10, 1, 5)
    True
    """
    return float(1 - (1 - right / n) ** k)


def standard_error(p: float, n: int) -> float:
    """√(p (1 - p) / n) of a share of n independent questions.

    >>> round(standard_error(0.5, 164), 3)
    0.039

    O(1). Miller 2024, arXiv 2411.00640, section 2.1. ValueError: p not 0 to 1, n below 1.
    """
    if not (0 <= p <= 1 and n >= 1):
        raise ValueError(f"p = {p} must be 0 to 1 and n = {n} 1 or more")
    return float(np.sqrt(p * (1 - p) / n))


def paired_error(a: np.ndarray, b: np.ndarray) -> float:
    """The standard error of mean(a - b) for two models on the same questions.

    >>> a, b = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, 0, 0])
    >>> round(paired_error(a, b), 3)
    0.25

    O(n). Miller 2024, arXiv 2411.00640, section 4.2.
    """
    difference = a - b
    return float(difference.std(ddof=1) / np.sqrt(len(difference)))


def corrected_rate(judged: float, sensitivity: float, specificity: float) -> float:
    """(judged - (1 - specificity)) / (sensitivity + specificity - 1): the true share behind what a judge says.

    >>> round(corrected_rate(0.60, 0.9, 0.8), 4)
    0.5714

    O(1). Rogan and Gladen 1978, doi 10.1093/oxfordjournals.aje.a112510. ValueError: a judge no better than chance.
    """
    if not sensitivity + specificity > 1:
        raise ValueError(f"sensitivity {sensitivity} and specificity {specificity} must sum to more than 1")
    return float(np.clip((judged - (1 - specificity)) / (sensitivity + specificity - 1), 0.0, 1.0))


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
