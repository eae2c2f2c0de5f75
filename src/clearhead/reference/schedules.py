"""The learning rate's course: what the peak rate is multiplied by once t steps have been taken.

Each is a function of the step alone, so a run that resumes needs no memory of it. A loop that counts its steps from 1
and asks for t = 1 has a first step that moves; at t = 0 every warm-up stands at 0.
"""

import numpy as np


def warm_up(t: float, warmup: float) -> float:
    """min(1, t / W): straight up from 0 to the peak in W steps, then level.

    Adam's first steps are of full length even on noise (minibatch.py), and a deep post-LN network changes most under
    them (norm_placement.py); short ones bridge the time until its averages mean something.

    >>> [warm_up(t, 4) for t in (0, 1, 4, 100)]
    [0.0, 0.25, 1.0, 1.0]

    O(1). Goyal et al. 2017, section 2.2. ValueError: t or W below 0.
    """
    _check(t, warmup)
    return min(1.0, t / warmup) if warmup > 0 else 1.0


def linear(t: float, warmup: float, steps: float) -> float:
    """t / W up to t = W, then (S - t) / (S - W) down to 0 at t = S, and 0 from there on.

    >>> [linear(t, warmup=2, steps=10) for t in (1, 2, 6, 10, 11)]
    [0.5, 1.0, 0.5, 0.0, 0.0]

    O(1). Devlin et al. 2019 (BERT), appendix A.2. ValueError: t below 0, W not in [0, S].
    """
    return min(warm_up(t, warmup), 1 - _fallen(t, warmup, steps))


def cosine(t: float, warmup: float, steps: float, floor: float = 0.0) -> float:
    """t / W up to t = W, then φ + (1 - φ) (1 + cos π (t - W) / (S - W)) / 2 down to the floor φ, and φ from there on.

    >>> [round(cosine(t, warmup=2, steps=10, floor=0.1), 4) for t in (1, 2, 4, 6, 10, 11)]
    [0.5, 1.0, 0.8682, 0.55, 0.1, 0.1]

    O(1). Loshchilov and Hutter 2017, equation 5, without restarts. ValueError: as linear, or φ not in [0, 1].
    """
    if not 0 <= floor <= 1:
        raise ValueError(f"floor = {floor} must be in [0, 1]; it is a share of the peak rate")
    wave = (1 + np.cos(np.pi * _fallen(t, warmup, steps))) / 2
    return min(warm_up(t, warmup), float(floor + (1 - floor) * wave))


def inverse_square_root(t: float, warmup: float) -> float:
    """min(t / W, √(W / t)): it needs no end to be known in advance.

    Vaswani et al. write D^-½ min(t^-½, t W^-1.5), which is this with a peak rate of 1 / √(D W).

    >>> [inverse_square_root(t, warmup=4) for t in (0, 2, 4, 16, 400)]
    [0.0, 0.5, 1.0, 0.5, 0.1]

    O(1). Vaswani et al. 2017, equation 3. ValueError: t below 0, W not above 0.
    """
    _check(t, warmup)
    if warmup == 0:
        raise ValueError("warmup = 0 must be above 0; the fall is measured in it")
    return warm_up(t, warmup) if t < warmup else float(np.sqrt(warmup / t))


def trapezoid(t: float, warmup: float, steps: float, fall: float) -> float:
    """min(t / W, 1, (S - t) / F): up in W steps, level, and down to 0 in the last F, wherever the run is to end.

    >>> [trapezoid(t, warmup=2, steps=10, fall=4) for t in (1, 2, 6, 7, 9, 10)]
    [0.5, 1.0, 1.0, 0.75, 0.25, 0.0]

    O(1). Zhai et al. 2022, section 3.5; Hägele et al. 2024, section 3. ValueError: t or F below 0, W + F above S.
    """
    _check(t, warmup)
    if not 0 <= fall <= steps - warmup:
        raise ValueError(f"fall = {fall} must be in [0, {steps - warmup}], what the warm-up leaves of {steps} steps")
    if t >= steps:
        return 0.0
    return min(warm_up(t, warmup), (steps - t) / fall) if fall > 0 else warm_up(t, warmup)


def _fallen(t: float, warmup: float, steps: float) -> float:
    """The share of the way down that lies behind: 0 up to t = W, 1 from t = S on."""
    _check(t, warmup)
    if warmup > steps:
        raise ValueError(f"warmup = {warmup} exceeds steps = {steps}; the peak would lie behind the end")
    if t >= steps:
        return 1.0
    return 0.0 if t < warmup else (t - warmup) / (steps - warmup)


def _check(t: float, warmup: float) -> None:
    if not t >= 0 or not warmup >= 0:
        raise ValueError(f"t = {t} and warmup = {warmup} must both be 0 or more")
