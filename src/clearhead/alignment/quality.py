"""How good a reward model is, measured against the truth: ranking, calibration, and finding the first wrong step.

Only evaluation comes here; `check_step` knows what no label and no search may see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


def auc(scores: Float[np.ndarray, "N"], truth: Bool[np.ndarray, "N"]) -> float:
    """Chance that a random positive scores above a random negative, ties counting one half; NaN if one side is empty.

    The Mann-Whitney form: (sum of the positives' ranks - P(P+1)/2) / (P·Q), mid-ranks for ties. O(N log N).

    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mid_ranks[inverse][truth].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def right_first(
    scores: Float[np.ndarray, "N"], problem: Int[np.ndarray, "N"], right: Bool[np.ndarray, "N"]
) -> Float[np.ndarray, "P"]:
    """Of each problem that has both, how often a right sample scores above a wrong one, ties counting one half.

    This is the comparison that search makes. AUC over all problems asks another question, and a model that only knows
    which problems are easy answers it well.

    >>> right_first(np.array([0.9, 0.8, 0.2, 0.1]), np.array([0, 0, 1, 1]), np.array([False, True, True, False]))
    array([0., 1.])
    """
    shares = []
    for p in np.unique(problem):
        good, bad = scores[(problem == p) & right], scores[(problem == p) & ~right]
        if len(good) and len(bad):
            gap = good[:, None] - bad[None]
            shares.append(float((gap > 0).mean() + 0.5 * (gap == 0).mean()))
    return np.array(shares)


def brier(scores: Float[np.ndarray, "N"], truth: Bool[np.ndarray, "N"]) -> float:
    """Mean squared distance between the promised probability and what came true (Brier 1950)."""
    return float(np.mean((scores - truth) ** 2))


@dataclass(frozen=True)
class Bin:
    """One point of a reliability diagram: what was promised, what came true, how often."""

    predicted: float
    observed: float
    count: float


def calibration(scores: Float[np.ndarray, "N"], truth: Bool[np.ndarray, "N"], bins: int = 10) -> list[Bin]:
    """Equal-width bins over [0, 1], empty ones left out.

    >>> calibration(np.array([0.05, 0.95, 0.95]), np.array([False, True, False]), bins=2)
    [Bin(predicted=0.05, observed=0.0, count=1), Bin(predicted=0.95, observed=0.5, count=2)]
    """
    which = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        Bin(float(scores[which == b].mean()), float(truth[which == b].mean()), int((which == b).sum()))
        for b in range(bins)
        if (which == b).any()
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean gap between promise and outcome, weighted by how often it was made."""
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.predicted - b.observed) for b in bins) / total if total else float("nan")


def first_wrong(valid: Sequence[bool]) -> int | None:
    """Index of the first False, None if there is none.

    >>> first_wrong([True, False, False]), first_wrong([True])
    (1, None)
    """
    return next((i for i, ok in enumerate(valid) if not ok), None)
