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
