"""How large first weights must be so that neither activations nor gradients fade or burst with depth.

A layer's output sums n_in terms, so its variance is n_in Var(w) E[x²]; going back, a gradient sums n_out.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array

Function = Callable[[np.ndarray], np.ndarray]


def xavier_std(n_in: int, n_out: int) -> float:
    """√(2 / (n_in + n_out)): between 1/n_in, which keeps the activations, and 1/n_out, which keeps the gradients.

    >>> xavier_std(100, 100)
    0.1

    For what is linear near 0, such as tanh. Glorot and Bengio 2010, equation 12. ValueError: a size below 1.
    """
    _check(n_in, n_out)
    return math.sqrt(2 / (n_in + n_out))


def he_std(n_in: int, slope: float = 0.0) -> float:
    """√(2 / ((1 + a²) n_in)): ReLU leaves half of E[x²], leaky ReLU with slope a (1 + a²) / 2 of it.

    >>> he_std(50), he_std(100, slope=1.0)
    (0.2, 0.1)

    He et al. 2015, equations 10 and 15. ValueError: a size below 1.
    """
    _check(n_in, 1)
    return math.sqrt(2 / ((1 + slope**2) * n_in))


def uniform_bound(std: float) -> float:
    """√3 σ: uniform in [-a, a] has variance a²/3.

    >>> round(uniform_bound(xavier_std(3, 3)), 12)
    1.0

    Glorot and Bengio 2010, equation 16.
    """
    return math.sqrt(3) * std


def truncated_share(limit: float) -> float:
    """The standard deviation of a normal cut off at ±limit σ, as a share of σ; a truncated start is divided by it.

    >>> round(truncated_share(2.0), 4)
    0.8796

    √(1 - 2 z φ(z) / (2 Φ(z) - 1)). Johnson, Kotz and Balakrishnan 1994, section 13.10. ValueError: limit <= 0.
    """
    if not limit > 0:
        raise ValueError(f"limit = {limit} must be above 0")
    density = math.exp(-(limit**2) / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * limit * density / math.erf(limit / math.sqrt(2)))


class Depth(NamedTuple):
    """The root mean square of the activations after each layer, and of the gradients before each."""

    forward: Float[Array, "layers"]
    backward: Float[Array, "layers"]


def through_depth(
    width: int, depth: int, std: float, f: Function, df: Function, rng: np.random.Generator, rows: int = 64
) -> Depth:
    """x ← f(x W), `depth` times, from normal rows, and a normal gradient back through the same layers.

    At a good start both stay near 1. Sigmoid lets a gradient through times σ' <= 1/4, so it fades by then at least.

    >>> relu, step = lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)
    >>> kept = through_depth(256, 30, he_std(256), relu, step, np.random.default_rng(0))
    >>> faded = through_depth(256, 30, 0.01, relu, step, np.random.default_rng(0))
    >>> bool(0.3 < kept.forward[-1] < 3), bool(faded.forward[-1] < 1e-25), bool(faded.backward[0] < 1e-25)
    (True, True, True)

    O(depth · rows · width²). He et al. 2015, section 2.2. ValueError: a size below 1.
    """
    _check(width, depth)
    x, weights, slopes, forward = rng.normal(size=(rows, width)), [], [], []
    for _ in range(depth):
        weights.append(std * rng.normal(size=(width, width)))
        z = x @ weights[-1]
        x = f(z)
        slopes.append(df(z))
        forward.append(_rms(x))
    g, backward = rng.normal(size=x.shape), []
    for w, slope in zip(reversed(weights), reversed(slopes), strict=True):
        g = (g * slope) @ w.T
        backward.append(_rms(g))
    return Depth(np.array(forward), np.array(backward[::-1]))


def gradient_gain(weights: list[Float[Array, "D D"]]) -> tuple[float, float]:
    """The product of the smallest and of the largest singular values: bounds on ‖g W_nᵀ … W_1ᵀ‖ / ‖g‖.

    A largest one above 1 in every layer may burst, one below 1 must fade, exponentially in the depth.

    >>> gradient_gain([2 * np.eye(3)] * 10)
    (1024.0, 1024.0)

    O(layers D³). Pascanu, Mikolov and Bengio 2013, section 2.1.
    """
    values = [np.linalg.svd(w, compute_uv=False) for w in weights]
    return float(np.prod([s[-1] for s in values])), float(np.prod([s[0] for s in values]))


def _rms(x: Array) -> float:
    return float(np.sqrt((x * x).mean()))


def _check(*sizes: int) -> None:
    if min(sizes) < 1:
        raise ValueError(f"sizes {sizes} must all be 1 or more")
