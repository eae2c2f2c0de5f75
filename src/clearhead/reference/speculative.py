"""Speculative decoding: a small model drafts, the large one accepts or corrects, and the text is the large one's.

Symbols are Leviathan, Kalman and Matias 2023's (ICML): p is the target's distribution, q the draft's, γ tokens are
drafted per call of the target, α is the probability that one of them is accepted.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array, is_distribution
from clearhead.reference.decoding import draw

Model = Callable[[tuple[int, ...]], Any]
"""The tokens so far -> the probability of each next token ("V")."""


def accept_probability(p: Float[Array, "*B V"], q: Float[Array, "*B V"]) -> Float[Array, "*B V"]:
    """min(1, p_v / q_v): the probability that a drafted v is accepted; 1 where the draft never proposes v.

    >>> accept_probability(np.array([0.25, 0.75]), np.array([0.5, 0.5])).tolist()
    [0.5, 1.0]

    O(V). Leviathan et al. 2023, section 2.3. ValueError: p or q is no distribution.
    """
    _check(p, q)
    return np.minimum(p, q) / np.where(q > 0, q, 1) + (q == 0)


def acceptance_rate(p: Float[Array, "*B V"], q: Float[Array, "*B V"]) -> Float[Array, "*B"]:
    """β = Σ_v q_v min(1, p_v / q_v) = Σ_v min(p_v, q_v) = 1 - TV(p, q): how likely a drafted token is accepted.

    >>> float(acceptance_rate(np.array([0.25, 0.75]), np.array([0.5, 0.5])))
    0.75

    O(V). Leviathan et al. 2023, theorem 3.5. ValueError: p or q is no distribution.
    """
    _check(p, q)
    return np.minimum(p, q).sum(-1)


def acceptance_rate_vjp(
    p: Float[Array, "*B V"], q: Float[Array, "*B V"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B V"], Float[Array, "*B V"]]:
    """(1[p < q], 1[q < p]) dy, and half to each where p = q."""
    share = np.where(p == q, 0.5, p < q)
    return share * dy[..., None], (1 - share) * dy[..., None]


def residual(p: Float[Array, "*B V"], q: Float[Array, "*B V"]) -> Float[Array, "*B V"]:
    """p'_v = max(0, p_v - q_v) / Σ_u max(0, p_u - q_u): where a token comes from when the draft's was refused.

    Where p = q nothing is ever refused, and p itself stands in.

    >>> residual(np.array([0.25, 0.5, 0.25]), np.array([0.5, 0.5, 0.0])).tolist()
    [0.0, 0.0, 1.0]

    O(V). Leviathan et al. 2023, section 2.3. ValueError: p or q is no distribution.
    """
    _check(p, q)
    missing = np.maximum(p - q, 0)
    total = missing.sum(-1, keepdims=True)
    return np.where(total > 0, missing / np.where(total > 0, total, 1), p)


def speculative_distribution(p: Float[Array, "*B V"], q: Float[Array, "*B V"]) -> Float[Array, "*B V"]:
    """q_v min(1, p_v / q_v) + (1 - β) p'_v, accepted or corrected: it is p_v, since 1 - β = Σ max(0, p - q).

    >>> speculative_distribution(np.array([0.25, 0.75]), np.array([0.5, 0.5])).tolist()
    [0.25, 0.75]

    O(V). Leviathan et al. 2023, appendix A.1. ValueError: p or q is no distribution.
    """
    accepted = q * accept_probability(p, q)
    return accepted + (1 - accepted.sum(-1, keepdims=True)) * residual(p, q)


def speculative_outcomes(target: Model, draft: Model, gamma: int) -> dict[tuple[int, ...], float]:
    """The exact probability of everything that one call can add to a text, by going through all drafts and verdicts.

    γ tokens are drafted; the accepted ones stand, then follows a correction or, where all stood, a token of the
    target's own: 1 to γ + 1 tokens. Completed by the target to γ + 1 tokens they have the target's distribution.

    >>> p, q = np.array([0.25, 0.75]), np.array([0.5, 0.5])
    >>> speculative_outcomes(lambda y: p, lambda y: q, 1)
    {(1,): 0.25, (0, 0): 0.0625, (0, 1): 0.1875, (1, 0): 0.125, (1, 1): 0.375}

    O(V^(γ+1)). Leviathan et al. 2023, algorithm 1. ValueError: γ < 1, or a distribution that is none.
    """
    _check_gamma(gamma)
    outcomes: dict[tuple[int, ...], float] = {}
    standing: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(gamma):
        longer: dict[tuple[int, ...], float] = {}
        for y, p_y in standing.items():
            p, q = target(y), draft(y)
            accepted = p_y * q * accept_probability(p, q)
            refused = (p_y - accepted.sum()) * residual(p, q)
            longer |= {(*y, v): float(accepted[v]) for v in np.flatnonzero(accepted).tolist()}
            outcomes |= {(*y, v): float(refused[v]) for v in np.flatnonzero(refused).tolist()}
        standing = longer
    for y, p_y in standing.items():
        outcomes |= {(*y, v): p_y * float(p) for v, p in enumerate(target(y)) if p > 0}
    return outcomes


def speculative_step(target: Model, draft: Model, gamma: int, rng: np.random.Generator) -> tuple[int, ...]:
    """What one call adds to a text: the drafted tokens up to the first refused one, and a token in its place or after.

    >>> speculative_step(lambda y: np.array([0.0, 1.0]), lambda y: np.array([0.0, 1.0]), 3, np.random.default_rng(0))
    (1, 1, 1, 1)

    O(γV) and γ + 1 positions of the target at once. Leviathan et al. 2023, algorithm 1. ValueError: γ < 1.
    """
    _check_gamma(gamma)
    drafted: tuple[int, ...] = ()
    for _ in range(gamma):
        drafted = (*drafted, int(draw(draft(drafted), rng)))
    for n in range(gamma):
        y, v = drafted[:n], drafted[n]
        p, q = target(y), draft(y)
        if rng.random() >= accept_probability(p, q)[v]:
            return (*y, int(draw(residual(p, q), rng)))
    return (*drafted, int(draw(target(drafted), rng)))


def expected_tokens(alpha: Float[Array, "*B"], gamma: int) -> Float[Array, "*B"]:
    """Tokens per call of the target: Σ_{i=0}^{γ} αⁱ = (1 - α^(γ+1)) / (1 - α), were acceptances independent.

    >>> expected_tokens(np.array([0.0, 0.5, 1.0]), 3).tolist()
    [1.0, 1.875, 4.0]

    O(γ). Leviathan et al. 2023, equation 1. ValueError: α outside [0, 1] or γ < 1.
    """
    _check_gamma(gamma)
    _check_alpha(alpha)
    return (alpha[..., None] ** np.arange(gamma + 1)).sum(-1)


def expected_tokens_vjp(alpha: Float[Array, "*B"], gamma: int, dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """dα = dy Σ_{i=1}^{γ} i αⁱ⁻¹."""
    i = np.arange(1, gamma + 1)
    return dy * (i * alpha[..., None] ** (i - 1)).sum(-1)


def speculative_speedup(alpha: Float[Array, "*B"], gamma: int, c: float) -> Float[Array, "*B"]:
    """Expected tokens per call / (γ c + 1), where a run of the draft costs c runs of the target.

    >>> float(speculative_speedup(np.array(0.5), 3, 0.25)), float(speculative_speedup(np.array(0.0), 1, 1.0))
    (1.0714285714285714, 0.5)

    O(γ). Leviathan et al. 2023, theorem 3.8. ValueError: c < 0, or as expected_tokens.
    """
    if not c >= 0:
        raise ValueError(f"c = {c}, the draft's cost as a share of the target's, must be 0 or more")
    return expected_tokens(alpha, gamma) / (gamma * c + 1)


def speculative_speedup_vjp(
    alpha: Float[Array, "*B"], gamma: int, c: float, dy: Float[Array, "*B"]
) -> Float[Array, "*B"]:
    """expected_tokens' gradient, divided by γ c + 1."""
    return expected_tokens_vjp(alpha, gamma, dy / (gamma * c + 1))


def _check(p: Array, q: Array) -> None:
    for x in (p, q):
        if not is_distribution(x):
            raise ValueError("probabilities must be 0 or more and sum to 1 along the last axis; divide by their sum")


def _check_gamma(gamma: int) -> None:
    if gamma < 1:
        raise ValueError(f"gamma = {gamma}, the tokens drafted per call, must be 1 or more")


def _check_alpha(alpha: Array) -> None:
    if not ((alpha >= 0) & (alpha <= 1)).all():
        raise ValueError("alpha is a probability and must be between 0 and 1")
