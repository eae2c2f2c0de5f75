"""Rotary positions beyond the length of training: interpolation, the NTK-aware base, and YaRN.

Frequencies are in radians per position, one for each pair of channels, from the fastest to the slowest. `factor` is the
new length over the old one. Deliberately not here: the rotation itself (`positions.py`).
"""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def frequencies(C: int, base: float = 10_000.0) -> Float[Array, "{C}//2"]:
    """ω_i = base^(-2i / C).

    >>> frequencies(4, 100.0).round(6).tolist()
    [1.0, 0.1]

    O(C). Su et al. 2021, arXiv 2104.09864, equation 15. ValueError: an odd or empty C, or base ≤ 0.
    """
    if C < 2 or C % 2:
        raise ValueError(f"C = {C} channels do not form pairs; it must be even and 2 or more")
    if not base > 0:
        raise ValueError(f"base = {base} must be above 0")
    return base ** (-2.0 * np.arange(C // 2) / C)


def interpolated(omega: Float[Array, "P"], factor: float) -> Float[Array, "P"]:
    """ω / factor: position `factor` m is turned as m was. Every pair slows down alike, the fast ones too.

    >>> interpolated(np.array([1.0, 0.5]), 4.0).tolist()
    [0.25, 0.125]

    O(P). Chen et al. 2023, arXiv 2306.15595, equation 4. ValueError: a factor below 1.
    """
    _check_factor(factor)
    return omega / factor


def ntk_base(base: float, factor: float, C: int) -> float:
    """base · factor^(C / (C - 2)): the slowest pair is slowed by exactly `factor`, the fastest not at all.

    >>> round(float(frequencies(8, 1e4)[-1] / frequencies(8, ntk_base(1e4, 4.0, 8))[-1]), 6)
    4.0

    O(1). bloc97 2023; Peng et al. 2023, arXiv 2309.00071, section 3.1. ValueError: a factor below 1, C < 4.
    """
    _check_factor(factor)
    if C < 4:
        raise ValueError(f"C = {C} leaves no pair to slow; it must be 4 or more")
    return base * factor ** (C / (C - 2))


def yarn(
    omega: Float[Array, "P"], factor: float, trained: int, slow: float = 1.0, fast: float = 32.0
) -> Float[Array, "P"]:
    """ω (γ + (1 - γ) / factor): pairs that turn more than `fast` times in `trained` positions stay (γ = 1), those that
    turn less than `slow` times are interpolated (γ = 0), and γ rises linearly with the turns between.

    >>> yarn(np.array([1.0, 1e-5]), 4.0, 4096).tolist()
    [1.0, 2.5e-06]

    O(P). Peng et al. 2023, arXiv 2309.00071, equations 17 to 21. ValueError: a factor below 1, not 0 < slow < fast.
    """
    _check_factor(factor)
    if not 0 < slow < fast:
        raise ValueError(f"slow = {slow} and fast = {fast} must be above 0 and rise")
    turns = omega * trained / (2 * np.pi)
    kept = np.clip((turns - slow) / (fast - slow), 0.0, 1.0)
    return omega * (kept + (1 - kept) / factor)


def yarn_scale(factor: float) -> float:
    """0.1 ln factor + 1, by which YaRN multiplies q and k each: scores grow by its square.

    >>> yarn_scale(1.0), round(yarn_scale(32.0), 4)
    (1.0, 1.3466)

    O(1). Peng et al. 2023, arXiv 2309.00071, equation 22. ValueError: a factor below 1.
    """
    _check_factor(factor)
    return float(0.1 * np.log(factor) + 1)


def _check_factor(factor: float) -> None:
    if not factor >= 1:
        raise ValueError(f"factor = {factor} must be 1 or more")
