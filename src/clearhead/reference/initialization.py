"""The first weights of a network, and what becomes of a signal and of its gradient on their way through the depth.

With independent weights of mean 0, a sum of n inputs has the variance n Var(w) E[x²]. Keeping that the same from layer
to layer fixes Var(w); a factor that is off by a little is raised to the power of the depth.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def lecun(D: int, F: int, rng: np.random.Generator) -> Float[Array, "D F"]:
    """Var(w) = 1 / D: z = x W has the mean square of x, where nothing nonlinear follows.

    >>> bool(abs(lecun(100, 1000, np.random.default_rng(0)).var() * 100 - 1) < 0.02)
    True

    O(D F). LeCun et al. 1998, equation 16. ValueError: no inputs.
    """
    _check(D)
    return rng.normal(size=(D, F)) * np.sqrt(1 / D)


def xavier(D: int, F: int, rng: np.random.Generator) -> Float[Array, "D F"]:
    """Var(w) = 2 / (D + F): between 1 / D, which keeps the signal, and 1 / F, which keeps the gradient.

    >>> bool(abs(xavier(100, 1000, np.random.default_rng(0)).var() * 1100 / 2 - 1) < 0.02)
    True

    O(D F). Glorot and Bengio 2010, equation 12. ValueError: no inputs.
    """
    _check(D)
    return rng.normal(size=(D, F)) * np.sqrt(2 / (D + F))


def xavier_uniform(D: int, F: int, rng: np.random.Generator) -> Float[Array, "D F"]:
    """w uniform in ±√(6 / (D + F)), whose variance, a third of the limit's square, is xavier's.

    >>> bool(np.abs(xavier_uniform(2, 4, np.random.default_rng(0))).max() < 1)
    True

    O(D F). Glorot and Bengio 2010, equation 16. ValueError: no inputs.
    """
    _check(D)
    limit = np.sqrt(6 / (D + F))
    return rng.uniform(-limit, limit, (D, F))


def he(D: int, F: int, rng: np.random.Generator) -> Float[Array, "D F"]:
    """Var(w) = 2 / D: ReLU lets half of the mean square through, and the 2 makes up for it.

    >>> bool(abs(he(100, 1000, np.random.default_rng(0)).var() * 100 / 2 - 1) < 0.02)
    True

    O(D F). He et al. 2015, equation 10. ValueError: no inputs.
    """
    _check(D)
    return rng.normal(size=(D, F)) * np.sqrt(2 / D)


def kept(f: Callable[[np.ndarray], np.ndarray], size: float = 1.0) -> float:
    """E[f(z)²] / E[z²] for normal z of mean 0 and variance size²: the share of the mean square that f lets through.

    Var(w) = 1 / (kept · D) keeps signals of that size; ReLU lets half of any size through, tanh ever less of a larger.

    >>> round(kept(lambda z: np.maximum(z, 0)), 6), round(kept(np.tanh), 3), round(kept(np.tanh, 0.1), 3)
    (0.5, 0.394, 0.981)

    O(1): a sum over 10,001 places within 10 deviations. He et al. 2015, section 2.2; Poole et al. 2016, equation 3.
    ValueError: size <= 0.
    """
    if not size > 0:
        raise ValueError(f"size = {size} must be above 0")
    z = np.linspace(-10, 10, 10_001)
    weight = np.exp(-z * z / 2)
    return float(weight @ f(size * z) ** 2 / weight.sum() / size**2)


class Layer(NamedTuple):
    """A map of arrays and its gradient: f(x), and f_vjp(x, dy) with respect to x."""

    f: Callable[[np.ndarray], np.ndarray]
    f_vjp: Callable[[np.ndarray, np.ndarray], np.ndarray]


class Depth(NamedTuple):
    """Root mean squares along L layers."""

    signals: Float[Array, "L+1"]  # of x_0 .. x_L
    gradients: Float[Array, "L+1"]  # of the loss with respect to each of them


def activated(
    w: Float[Array, "D F"],
    f: Callable[[np.ndarray], np.ndarray],
    f_vjp: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Layer:
    """x ↦ f(x W).

    >>> double = activated(2 * np.eye(1), np.tanh, lambda z, dy: dy * (1 - np.tanh(z) ** 2))
    >>> double.f(np.array([[0.5]])).round(4).tolist()
    [[0.7616]]

    O(D F) a row. Goodfellow, Bengio and Courville 2016, section 6.4.
    """
    return Layer(lambda x: f(x @ w), lambda x, dy: f_vjp(x @ w, dy) @ w.T)


def through_depth(x: Float[Array, "*B D"], layers: Sequence[Layer], dy: Float[Array, "*B F"]) -> Depth:
    """The size of x on its way through the layers, and of the gradient dy on its way back.

    ∂L/∂x_0 = J_1ᵀ J_2ᵀ … J_Lᵀ dy: a product, so it vanishes or explodes at a rate per layer.

    >>> half = Layer(lambda x: x / 2, lambda x, dy: dy / 2)
    >>> through_depth(np.ones((1, 3)), [half] * 3, np.ones((1, 3))).gradients.tolist()
    [0.125, 0.25, 0.5, 1.0]

    O(layers), one pass each way. Glorot and Bengio 2010, section 4.2; Pascanu, Mikolov and Bengio 2013, section 2.
    ValueError: an empty x.
    """
    if not x.size:
        raise ValueError(f"x of shape {x.shape} is empty: a mean over nothing is undefined")
    xs = [x]
    for layer in layers:
        xs.append(layer.f(xs[-1]))
    gradients = [dy]
    for layer, before in zip(reversed(layers), reversed(xs[:-1]), strict=True):
        gradients.append(layer.f_vjp(before, gradients[-1]))
    return Depth(_sizes(xs), _sizes(gradients[::-1]))


def _check(D: int) -> None:
    if D < 1:
        raise ValueError(f"D = {D} inputs: there must be at least one")


def _sizes(xs: Sequence[Array]) -> Array:
    return np.array([np.sqrt((x * x).mean()) for x in xs])
