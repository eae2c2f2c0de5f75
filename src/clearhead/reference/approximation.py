"""Universal approximation, shown where it can be drawn: one hidden layer of ReLUs follows any function on an interval.

What the theorem says: for a continuous function on a bounded closed set and any error there is a width that is enough.
What it does not say: how wide (in D dimensions a grid of N points a side takes N^D of them), that descent finds the
weights, what happens between or beyond the points that were seen, or anything of functions that jump.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.dense import Network, two_layer


def interpolate(x: Float[Array, "N"], y: Float[Array, "N"]) -> Network:
    """The network y_0 + Σ_i c_i ReLU(x - x_i), with c_i the change of slope at x_i, passes through every (x_i, y_i).

    N - 1 hidden units, one for each piece: it is straight between the points, constant before the first, and goes on
    in its last direction for ever.

    >>> net = interpolate(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0]))
    >>> net.b_1.tolist(), net.w_2[:, 0].tolist(), net.b_2.tolist()
    ([-0.0, -1.0], [2.0, -3.0], [1.0])
    >>> evaluate(net, np.array([-5.0, 0.0, 0.5, 2.0, 4.0])).tolist()
    [1.0, 1.0, 2.0, 2.0, 0.0]

    O(N). Leshno et al. 1993 for any nonlinearity but a polynomial; the construction is the linear spline of de Boor
    2001, chapter III. ValueError: fewer than two points, or places that do not rise.
    """
    if len(x) < 2:
        raise ValueError(f"{len(x)} points make no piece of a line; there must be at least two")
    if not (np.diff(x) > 0).all():
        raise ValueError("places must rise strictly: sort them and leave one of equal ones")
    slopes = np.diff(y) / np.diff(x)
    changes = np.diff(slopes, prepend=0.0)
    return Network(np.ones((1, len(slopes))), -x[:-1], changes[:, None], y[:1])


def evaluate(net: Network, x: Float[Array, "N"]) -> Float[Array, "N"]:
    """ŷ(x) of a network with one input and one output.

    >>> evaluate(interpolate(np.array([0.0, 1.0]), np.array([0.0, 2.0])), np.array([0.25])).tolist()
    [0.5]

    O(N F).
    """
    return two_layer(x[:, None], net).y_hat[:, 0]


def error_by_width(
    f: Callable[[np.ndarray], np.ndarray], low: float, high: float, widths: Sequence[int], places: int = 2001
) -> Float[Array, "widths"]:
    """max |f - ŷ| on `places` points of [low, high], for networks of each width through evenly spaced points of f.

    At most M h² / 8 with M = max |f''| and h = (high - low) / width, so twice the width leaves a quarter of the error;
    at most ω(h), the most that f changes over a distance h, for any continuous f.

    >>> error_by_width(np.sin, 0.0, np.pi, [2, 4, 8]).round(4).tolist()
    [0.2105, 0.0704, 0.0188]

    O(places · Σ widths). de Boor 2001, chapter III, equation 2. ValueError: low >= high, or a width below 1.
    """
    if not low < high or min(widths) < 1:
        raise ValueError(f"low = {low} must be below high = {high}, and every width at least 1, in {list(widths)}")
    at = np.linspace(low, high, places)
    errors = []
    for width in widths:
        x = np.linspace(low, high, width + 1)
        errors.append(np.abs(f(at) - evaluate(interpolate(x, f(x)), at)).max())
    return np.array(errors)
