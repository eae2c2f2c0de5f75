"""One answer from many samples: votes, and the exact probability that they are right.

An answer is any hashable value, None where a sample did not arrive at one: it has no vote. The probabilities are of
samples drawn independently; mistakes that are made together do not cancel.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array, is_distribution


def weighted_vote(answers: Sequence[Hashable], weights: Sequence[float]) -> Hashable | None:
    """argmax_a Σ_i w_i 1[a_i = a]; the answer that came first among equals, None where nobody answered.

    >>> weighted_vote(["408", "357", "357"], [0.9, 0.2, 0.3])
    '408'

    O(N). Li et al. 2023, section 3, with a verifier's scores as weights. ValueError: lengths differ, a weight < 0.
    """
    if len(answers) != len(weights) or not all(w >= 0 for w in weights):
        raise ValueError(f"{len(answers)} answers need as many weights, each 0 or more; got {list(weights)}")
    totals: dict[Hashable, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            totals[answer] = totals.get(answer, 0.0) + weight
    return max(totals, key=totals.__getitem__, default=None)


def self_consistency(answers: Sequence[Hashable]) -> Hashable | None:
    """argmax_a Σ_i 1[a_i = a], over reasoning paths that were sampled from one prompt.

    >>> self_consistency(["408", None, "357", None, "408", None])
    '408'

    O(N). Wang et al. 2023, section 2.
    """
    return weighted_vote(answers, [1.0] * len(answers))


def majority_probability(p: Float[Array, "*B"], n: int) -> Float[Array, "*B"]:
    """P(more than half of n are right) = Σ_{k > n/2} C(n, k) pᵏ (1 - p)ⁿ⁻ᵏ, a tie being won half of the time.

    It rises to 1 with n where p > ½, and falls to 0 where p < ½. An even n is worth no more than n - 1.

    >>> [majority_probability(np.array([0.6, 0.4]), n).round(4).tolist() for n in (1, 3, 4)]
    [[0.6, 0.4], [0.648, 0.352], [0.648, 0.352]]

    O(n). Condorcet 1785, as in Grofman, Owen and Feld 1983, theorem I. ValueError: n < 1 or p outside [0, 1].
    """
    _check(p, n)
    k = np.arange(n + 1)
    won = np.where(2 * k == n, 0.5, 2 * k > n)
    return (won * _binomial(p, n)).sum(-1)


def majority_probability_vjp(p: Float[Array, "*B"], n: int, dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """dp = (2m + 1) P(exactly m of 2m are right) dy with m = ⌊(n - 1) / 2⌋: it counts where all hangs on one."""
    _check(p, n)
    m = (n - 1) // 2
    return (2 * m + 1) * _binomial(p, 2 * m)[..., m] * dy


def vote_distribution(p: Float[Array, "K"], n: int) -> Float[Array, "K"]:
    """P(answer a wins the vote of n), for K answers of probability p_a, exactly; equals share the win.

    The vote goes to the likeliest answer as n grows: with ⅖ for the right one and ⅕ for each of three others it is
    right though no majority is, and a favorite mistake makes it wrong for ever.

    >>> [round(float(vote_distribution(np.array([0.4, 0.2, 0.2, 0.2]), n)[0]), 4) for n in (1, 5, 25)]
    [0.4, 0.5094, 0.7994]

    O(K C(n + K - 1, n)): a sum over all counts. Feller 1968, section VI.9. ValueError: n < 1, p no distribution.
    """
    _check(p, n)
    if not is_distribution(p):
        raise ValueError("probabilities must sum to 1; divide by their sum")
    factorial = _log_factorial(n)
    won = np.zeros_like(p)
    for counts in _counts(n, len(p)):
        possible = p[counts > 0]
        if (possible > 0).all():
            ways = factorial[n] - factorial[counts].sum()
            first = counts == counts.max()
            won += first / first.sum() * np.exp(ways + (counts[counts > 0] * np.log(possible)).sum())
    return won


def _counts(n: int, answers: int) -> Iterator[Array]:
    """All ways to write n as an ordered sum of `answers` whole numbers, by stars and bars."""
    bars = list(range(answers - 1))
    while True:
        edges = [-1, *bars, n + answers - 1]
        yield np.diff(edges) - 1
        movable = [i for i, bar in enumerate(bars) if bar < n + i]
        if not movable:
            return
        i = movable[-1]
        bars[i:] = range(bars[i] + 1, bars[i] + 1 + len(bars) - i)


def _binomial(p: Array, n: int) -> Array:
    """C(n, k) pᵏ (1 - p)ⁿ⁻ᵏ for k = 0 to n, by logarithms, so that no factor overflows."""
    k, factorial = np.arange(n + 1), _log_factorial(n)
    p = p[..., None]
    certain = (p == 0) | (p == 1)
    inside = np.where(certain, 0.5, p)
    log_p = factorial[n] - factorial - factorial[::-1] + k * np.log(inside) + (n - k) * np.log1p(-inside)
    return np.where(certain, k == n * p, np.exp(log_p))


def _log_factorial(n: int) -> Array:
    """log 0! to log n!."""
    return np.concatenate([[0.0], np.log(np.arange(1, n + 1)).cumsum()])


def _check(p: Array, n: int) -> None:
    if n < 1:
        raise ValueError(f"n = {n} votes must be 1 or more")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities must be between 0 and 1")
