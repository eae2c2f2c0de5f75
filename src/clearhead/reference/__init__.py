"""Every formula of the subject in NumPy and float64, each with its gradient: the textbook, and the oracle of the tests.

`f_vjp` stands directly below `f`: it takes the arguments of `f` and the gradient with respect to its result, and gives
the gradient with respect to each differentiable argument, in their order. Nothing here is written to be fast.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray
else:
    Array = np.ndarray | np.generic  # NumPy makes a number of an array that has lost its last axis


def is_distribution(p: Array) -> bool:
    """Whether no entry is below 0 and all along the last axis sum to 1, as closely as numbers of that kind can."""
    slack = max(1e-9, 100 * np.finfo(p.dtype).eps) if np.issubdtype(p.dtype, np.floating) else 0.0
    return bool((p >= 0).all() and np.allclose(p.sum(-1, dtype=np.float64), 1, rtol=0, atol=slack))
