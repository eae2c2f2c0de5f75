"""Learning-rate schedules: what the peak rate is multiplied by at each step. All warm up linearly."""

import math
from typing import Literal

Schedule = Literal["wsd", "constant", "linear", "cosine"]


def lr_multiplier(step: int, steps: int, warmup: int, decay_start: float, schedule: Schedule = "wsd") -> float:
    """At step 1 .. steps.

    wsd        warm up, hold, and from decay_start · steps on fall in a line to 0 (Hu et al. 2024, MiniCPM, section 4)
    constant   hold to the end
    linear     fall in a line from the first step
    cosine     ½ (1 + cos π t), t from 0 at the end of the warm-up to 1 (Loshchilov and Hutter 2017, equation 5)

    >>> [lr_multiplier(step, steps=10, warmup=2, decay_start=0.6) for step in (1, 2, 6, 7, 10)]
    [0.5, 1.0, 1.0, 1.0, 0.25]
    >>> [round(lr_multiplier(step, 10, 2, 0.6, "cosine"), 2) for step in (1, 2, 3, 7, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    warm = min(1.0, step / max(warmup, 1))
    left = (steps - (step - 1)) / steps  # share of the run that is not done yet, this step included
    if schedule == "constant":
        return warm
    if schedule == "linear":
        return min(warm, left)
    if schedule == "cosine":
        t = max(0.0, (step - 1 - warmup) / max(1, steps - warmup))
        return min(warm, (1 + math.cos(math.pi * t)) / 2)
    return min(warm, left / (1 - decay_start))
