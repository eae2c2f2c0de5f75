"""The learning rate's course: warm up, hold, fall to zero."""


def scale(step: int, steps: int, warmup: int, decay_from: float) -> float:
    """What the peak rate is multiplied by at step 1 .. steps: a trapezoid whose fall starts at decay_from · steps.

    >>> [scale(step, steps=10, warmup=2, decay_from=0.6) for step in (1, 2, 6, 7, 10)]
    [0.5, 1.0, 1.0, 1.0, 0.25]
    """
    left = (steps - (step - 1)) / steps  # share of the run that is not done yet, this step included
    return min(1.0, step / max(warmup, 1), left / (1 - decay_from))
