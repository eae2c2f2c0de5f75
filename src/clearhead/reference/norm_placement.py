"""Where the norm of a residual block stands, before its sublayer or after the sum, and what that does with depth.

A sublayer is any pair (f, f_vjp) on x of one shape. At initialization, with sublayers that keep the variance,
post-LN: every x_l has size 1, and every sublayer is sent a gradient of full size, however many there are: Σ ≈ L / 2.
pre-LN: x_l has size √(1 + l), and sublayer l is sent a gradient of 1 / √(2 + l): Σ of squares ≈ ln L.
So it is under post-LN that a deep network's first steps change it most, and that is where a warm-up is needed. Nothing
fades there by itself; but where sublayers average tokens that are alike, each token's own gradient does, by √2 a block.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.normalization import layer_norm, layer_norm_vjp


class Sublayer(NamedTuple):
    """What a block does beside passing its input on: f(x), and f_vjp(x, dy), the gradient with respect to x."""

    f: Callable[[np.ndarray], np.ndarray]
    f_vjp: Callable[[np.ndarray, np.ndarray], np.ndarray]


class Depth(NamedTuple):
    """Root mean squares along a stack of L blocks."""

    sizes: Float[Array, " N"]  # of x_0 .. x_L
    gradients: Float[Array, " N"]  # of the loss with respect to x_0 .. x_L
    at_sublayers: Float[Array, " L"]  # of the loss with respect to each sublayer's result


def post_ln(
    x: Float[Array, "*B D"], sublayer: Sublayer, weight: Float[Array, " D"], bias: Float[Array, " D"], eps: float = 1e-5
) -> Float[Array, "*B D"]:
    """y = LN(x + f(x)): every block's result has size 1, and the way down leads through every norm.

    >>> double = Sublayer(lambda x: 2 * x, lambda x, dy: 2 * dy)
    >>> post_ln(np.array([1.0, 3.0]), double, np.ones(2), np.zeros(2), eps=0.0).tolist()
    [-1.0, 1.0]

    O(D) beside f. Vaswani et al. 2017, section 3.1. ValueError: as layer_norm.
    """
    return layer_norm(x + sublayer.f(x), weight, bias, eps)


def post_ln_vjp(
    x: Float[Array, "*B D"],
    sublayer: Sublayer,
    weight: Float[Array, " D"],
    bias: Float[Array, " D"],
    eps: float,
    dy: Float[Array, "*B D"],
) -> tuple[Float[Array, "*B D"], Float[Array, " D"], Float[Array, " D"]]:
    """ds through the norm of s = x + f(x), then dx = ds + f_vjp(x, ds)."""
    ds, dweight, dbias = layer_norm_vjp(x + sublayer.f(x), weight, bias, eps, dy)
    return ds + sublayer.f_vjp(x, ds), dweight, dbias


def pre_ln(
    x: Float[Array, "*B D"], sublayer: Sublayer, weight: Float[Array, " D"], bias: Float[Array, " D"], eps: float = 1e-5
) -> Float[Array, "*B D"]:
    """y = x + f(LN(x)): x passes unchanged and grows with depth, so a stack ends with a norm of its own.

    >>> double = Sublayer(lambda x: 2 * x, lambda x, dy: 2 * dy)
    >>> pre_ln(np.array([1.0, 3.0]), double, np.ones(2), np.zeros(2), eps=0.0).tolist()
    [-1.0, 5.0]

    O(D) beside f. Xiong et al. 2020, section 3. ValueError: as layer_norm.
    """
    return x + sublayer.f(layer_norm(x, weight, bias, eps))


def pre_ln_vjp(
    x: Float[Array, "*B D"],
    sublayer: Sublayer,
    weight: Float[Array, " D"],
    bias: Float[Array, " D"],
    eps: float,
    dy: Float[Array, "*B D"],
) -> tuple[Float[Array, "*B D"], Float[Array, " D"], Float[Array, " D"]]:
    """dx = dy + the norm's gradient at f_vjp(LN(x), dy): whatever f does, dy itself arrives."""
    du = sublayer.f_vjp(layer_norm(x, weight, bias, eps), dy)
    dx, dweight, dbias = layer_norm_vjp(x, weight, bias, eps, du)
    return dy + dx, dweight, dbias


def random_linear(D: int, rng: np.random.Generator) -> Sublayer:
    """f(x) = x W with W of independent entries of variance 1 / D, which keeps the variance both ways.

    >>> f, f_vjp = random_linear(500, np.random.default_rng(0))
    >>> round(float(f(np.ones(500)).var()), 1), round(float(f_vjp(np.zeros(500), np.ones(500)).var()), 1)
    (1.1, 1.0)

    O(D²). Glorot and Bengio 2010, equation 12. ValueError: D below 1.
    """
    if D < 1:
        raise ValueError(f"D = {D} must be 1 or more")
    W = rng.normal(size=(D, D)) / np.sqrt(D)
    return Sublayer(lambda x: x @ W, lambda x, dy: dy @ W.T)


def post_ln_depth(
    x: Float[Array, "*B D"], sublayers: Sequence[Sublayer], dy: Float[Array, "*B D"], eps: float = 1e-5
) -> Depth:
    """Sizes of what passes through a stack of post-LN blocks, and of the gradient that comes back from dy at its end.

    >>> rng = np.random.default_rng(0)
    >>> x, dy = rng.normal(size=(2, 8, 200))
    >>> found = post_ln_depth(x, [random_linear(200, rng) for _ in range(32)], dy)
    >>> found.at_sublayers[[0, 15, 31]].round(1).tolist()
    [0.8, 0.7, 0.7]

    O(L) blocks. Xiong et al. 2020, section 3.3. ValueError: as layer_norm.
    """
    return _depth(post_ln, post_ln_vjp, x, sublayers, lambda last: dy, eps)


def pre_ln_depth(
    x: Float[Array, "*B D"], sublayers: Sequence[Sublayer], dy: Float[Array, "*B D"], eps: float = 1e-5
) -> Depth:
    """The same for pre-LN blocks and the norm at their end, at whose result dy arrives.

    >>> rng = np.random.default_rng(0)
    >>> x, dy = rng.normal(size=(2, 8, 200))
    >>> found = pre_ln_depth(x, [random_linear(200, rng) for _ in range(32)], dy)
    >>> found.at_sublayers[[0, 15, 31]].round(1).tolist()
    [0.8, 0.3, 0.2]

    O(L) blocks. Xiong et al. 2020, section 3.3. ValueError: as layer_norm.
    """
    one, zero = np.ones(x.shape[-1]), np.zeros(x.shape[-1])
    return _depth(pre_ln, pre_ln_vjp, x, sublayers, lambda last: layer_norm_vjp(last, one, zero, eps, dy)[0], eps)


def _depth(
    block: Callable[..., np.ndarray],
    block_vjp: Callable[..., tuple[np.ndarray, ...]],
    x: np.ndarray,
    sublayers: Sequence[Sublayer],
    at_end: Callable[[np.ndarray], np.ndarray],
    eps: float,
) -> Depth:
    norm = np.ones(x.shape[-1]), np.zeros(x.shape[-1]), eps
    xs = [x]
    for sublayer in sublayers:
        xs.append(block(xs[-1], sublayer, *norm))
    gradients, arriving = [at_end(xs[-1])], []
    for x_l, (f, f_vjp) in zip(reversed(xs[:-1]), reversed(sublayers), strict=True):

        def watched(x: np.ndarray, dy: np.ndarray, f_vjp: Callable[..., np.ndarray] = f_vjp) -> np.ndarray:
            arriving.append(dy)
            return f_vjp(x, dy)

        gradients.append(block_vjp(x_l, Sublayer(f, watched), *norm, gradients[-1])[0])
    return Depth(_sizes(xs), _sizes(gradients[::-1]), _sizes(arriving[::-1]))


def _sizes(xs: Sequence[np.ndarray]) -> Float[Array, " N"]:
    return np.array([np.sqrt((x**2).mean()) for x in xs])
