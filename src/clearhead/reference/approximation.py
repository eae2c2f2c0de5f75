"""Universal approximation on a line: a hidden layer of ReLUs follows a continuous function as closely as one likes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array

Function = Callable[[np.ndarray], np.ndarray]


class Hidden(NamedTuple):
    """y = bias + Σ_k out_k max(x - kink_k, 0): every hidden unit bends the line at one place."""

    bias: float
    kink: Float[Array, "F"]
    out: Float[Array, "F"]


def network(x: Float[Array, "N"], h: Hidden) -> Float[Array, "N"]:
    """The hidden layer has weights 1 and biases -kink.

    >>> network(np.array([0.0, 1.0, 3.0]), Hidden(5.0, np.array([1.0]), np.array([2.0]))).tolist()
    [5.0, 5.0, 9.0]

    O(N F). Goodfellow, Bengio and Courville 2016, section 6.4.1.
    """
    return h.bias + np.maximum(x[:, None] - h.kink, 0) @ h.out


def interpolate(f: Function, low: float, high: float, units: int) -> Hidden:
    """The network through f at units + 1 equal places: each unit adds the change of slope at its kink.

    >>> h = interpolate(lambda x: x**2, 0.0, 2.0, 2)
    >>> h.out.tolist(), network(np.array([0.0, 1.0, 2.0]), h).tolist()  # slope 1, then 2 more
    ([1.0, 2.0], [0.0, 1.0, 4.0])

    O(units). Cybenko 1989 and Hornik 1991 prove it for any width of input. ValueError: no unit, or an empty interval.
    """
    if units < 1 or not low < high:
        raise ValueError(f"units = {units} must be 1 or more, and the interval from {low} to {high} not empty")
    at = np.linspace(low, high, units + 1)
    y = f(at)
    slope = np.diff(y) / np.diff(at)
    return Hidden(float(y[0]), at[:-1], np.diff(slope, prepend=0.0))


def worst_error(f: Function, low: float, high: float, units: int, places: int = 4001) -> float:
    """max |f - network| over the interval, at most (h²/8) max |f″| with h = (high - low) / units.

    Twice as many units leave a quarter of it.

    >>> errors = [worst_error(np.sin, 0.0, 6.0, units) for units in (10, 20, 40)]
    >>> [round(a / b, 1) for a, b in zip(errors, errors[1:])]
    [4.0, 4.0]

    O(places · units). de Boor 2001, chapter III. ValueError: as interpolate.
    """
    x = np.linspace(low, high, places)
    return float(np.abs(f(x) - network(x, interpolate(f, low, high, units))).max())
