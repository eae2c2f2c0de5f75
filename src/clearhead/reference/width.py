"""What one step of training does to a layer's outputs as the layer grows wider, by the rule for its learning rate."""

from typing import NamedTuple

import numpy as np


class Change(NamedTuple):
    """Root mean squares of a layer's outputs at initialization, and of what one step changes in them."""

    output: float
    change: float


def adam_step_change(width: int, lr: float, rng: np.random.Generator) -> Change:
    """A hidden layer y = x W, W of variance 1/width, after one step of Adam, lr · sign(x dyᵀ): x of size 1 an entry.

    The step is aligned with x, so each output changes by lr · Σ|x_i|, of the order lr · width. At a learning rate of
    1/width it does not depend on the width, which is muP's rule for hidden matrices.

    >>> rng = np.random.default_rng(0)
    >>> [round(adam_step_change(n, 0.01, rng).change / n, 2) for n in (64, 1024)]
    [0.01, 0.01]

    O(width²). Yang et al. 2022, arXiv 2203.03466, appendix J. ValueError: width below 1.
    """
    if width < 1:
        raise ValueError(f"width = {width} must be 1 or more")
    x, dy = rng.normal(size=(2, width))
    w = rng.normal(size=(width, width)) / np.sqrt(width)
    step = -lr * np.sign(np.outer(x, dy))
    return Change(float(np.sqrt(np.mean((x @ w) ** 2))), float(np.sqrt(np.mean((x @ step) ** 2))))
