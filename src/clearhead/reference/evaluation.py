"""Measuring a model that is sampled: pass@k, its error bars, and how far a judge may be believed."""

from math import comb

import numpy as np


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
