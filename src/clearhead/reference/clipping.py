"""Gradients cut down to size: entry by entry, or all together by their norm."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def clip_by_value(g: Float[Array, "*N"], limit: float) -> Float[Array, "*N"]:
    """min(max(g, -c), c): no entry is longer than c. The direction changes, for only the long entries are cut.

    >>> clip_by_value(np.array([0.5, -3.0, 2.0]), 1.0).tolist()
    [0.5, -1.0, 1.0]

    O(N). Mikolov 2012, section 3.3.2. ValueError: c not above 0, NaN among the entries.
    """
    _check(limit)
    if np.isnan(g).any():
        raise ValueError("the gradient holds NaN, which no limit mends; leave this step out")
    return np.clip(g, -limit, limit)


def clip_by_value_vjp(g: Float[Array, "*N"], limit: float, dy: Float[Array, "*N"]) -> Float[Array, "*N"]:
    """dy where |g| ≤ c, and 0 where the entry was cut."""
    return np.where(np.abs(g) <= limit, dy, 0.0)


def global_norm(gradients: Sequence[Float[Array, "..."]]) -> float:
    """‖g‖ = √(Σ g²) over every entry of every array, as if they were one vector.

    >>> global_norm([np.array([[3.0]]), np.array([0.0, 4.0])])
    5.0
    >>> round(global_norm([np.array([3e200]), np.array([4e200])]) / 1e200, 6)
    5.0

    O(N). Pascanu, Mikolov and Bengio 2013, section 3.2. ValueError: NaN or an infinity among the entries.
    """
    if not all(np.isfinite(g).all() for g in gradients):
        raise ValueError("a gradient holds NaN or an infinity, so its norm says nothing; leave this step out")
    largest = max((float(np.abs(g).max(initial=0.0)) for g in gradients), default=0.0)
    if largest == 0:
        return 0.0
    return largest * float(np.sqrt(sum(float(((g / largest) ** 2).sum()) for g in gradients)))


def clip_by_norm(gradients: Sequence[Float[Array, "..."]], limit: float) -> tuple[Float[Array, "..."], ...]:
    """g ← g min(1, c / ‖g‖) with one norm for all arrays: the step gets shorter, its direction stays.

    torch divides by ‖g‖ + 1e-6 and so ends a little below c; here the norm is c exactly.

    >>> [g.round(6).tolist() for g in clip_by_norm([np.array([3.0]), np.array([0.0, 4.0])], 1.0)]
    [[0.6], [0.0, 0.8]]

    O(N). Pascanu, Mikolov and Bengio 2013, algorithm 1. ValueError: c not above 0, or as global_norm.
    """
    _check(limit)
    size = global_norm(gradients)
    return tuple(g * (limit / size) if size > limit else np.array(g) for g in gradients)


def clip_by_norm_vjp(
    gradients: Sequence[Float[Array, "..."]], limit: float, dy: Sequence[Float[Array, "..."]]
) -> tuple[Float[Array, "..."], ...]:
    """dg = (c / ‖g‖) (dy - u Σ u dy) with u = g / ‖g‖ where it was cut: what points along g is lost; else dy."""
    size = global_norm(gradients)
    if size <= limit:
        return tuple(dy)
    along = sum(float((g / size * d).sum()) for g, d in zip(gradients, dy, strict=True))
    return tuple(limit / size * (d - g / size * along) for g, d in zip(gradients, dy, strict=True))


def _check(limit: float) -> None:
    if not limit > 0:
        raise ValueError(f"limit = {limit} must be above 0, or nothing is left of the gradient")
