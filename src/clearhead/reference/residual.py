"""Residual blocks: a layer that adds to its input, and what the addition does to gradients through depth."""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def residual_block(x: Float[Array, "*B D"], w1: Float[Array, "D F"], w2: Float[Array, "F D"]) -> Float[Array, "*B D"]:
    """y = x + max(x W1, 0) W2: with W2 = 0 it is the identity, so that depth costs nothing to begin with.

    >>> residual_block(np.array([[1.0, -2.0]]), np.eye(2), np.eye(2)).tolist()
    [[2.0, -2.0]]

    O(D F) a row. He et al. 2016, equation 1.
    """
    return x + np.maximum(x @ w1, 0) @ w2


def residual_block_vjp(
    x: Float[Array, "*B D"], w1: Float[Array, "D F"], w2: Float[Array, "F D"], dy: Float[Array, "*B D"]
) -> tuple[Float[Array, "*B D"], Float[Array, "D F"], Float[Array, "F D"]]:
    """dx = dy + dz W1ᵀ with dz = (dy W2ᵀ) 1[x W1 > 0]: whatever the branch does, dy arrives as it is."""
    dx, dw1, dw2 = _branch_vjp(x, w1, w2, dy)
    return dy + dx, dw1, dw2


def projected_block(
    x: Float[Array, "*B D"], w1: Float[Array, "D F"], w2: Float[Array, "F M"], p: Float[Array, "D M"]
) -> Float[Array, "*B M"]:
    """y = x P + max(x W1, 0) W2: a linear map on the shortcut where input and output differ in width.

    >>> projected_block(np.array([[1.0, 2.0]]), np.zeros((2, 3)), np.zeros((3, 1)), np.ones((2, 1))).tolist()
    [[3.0]]

    O(D F + F M + D M) a row. He et al. 2016, equation 2.
    """
    return x @ p + np.maximum(x @ w1, 0) @ w2


def projected_block_vjp(
    x: Float[Array, "*B D"],
    w1: Float[Array, "D F"],
    w2: Float[Array, "F M"],
    p: Float[Array, "D M"],
    dy: Float[Array, "*B M"],
) -> tuple[Float[Array, "*B D"], Float[Array, "D F"], Float[Array, "F M"], Float[Array, "D M"]]:
    """As residual_block_vjp with dy Pᵀ in dy's place in dx, and dP = xᵀ dy."""
    dx, dw1, dw2 = _branch_vjp(x, w1, w2, dy)
    return dy @ p.T + dx, dw1, dw2, _rows(x).T @ _rows(dy)


def gradient_through(
    depth: int, width: int, scale: float, skip: bool, rng: np.random.Generator
) -> Float[Array, "depth"]:
    """‖dL/dx_l‖ before each of `depth` blocks for a unit gradient after the last, with the shortcut or without it.

    The branches have normal weights of standard deviation √(2/width) and `scale` / √width.

    >>> plain, short = (gradient_through(40, 32, 0.5, skip, np.random.default_rng(0)) for skip in (False, True))
    >>> bool(plain[0] < 1e-8), bool(short[0] > 1)
    (True, True)

    O(depth · width²). He et al. 2016 (Identity mappings), equation 5.
    """
    x, inputs, weights = rng.normal(size=(1, width)), [], []
    for _ in range(depth):
        w1 = rng.normal(size=(width, width)) * np.sqrt(2 / width)
        w2 = rng.normal(size=(width, width)) * scale / np.sqrt(width)
        inputs.append(x)
        weights.append((w1, w2))
        x = (x if skip else 0) + np.maximum(x @ w1, 0) @ w2
    g, norms = rng.normal(size=(1, width)), []
    g = g / np.linalg.norm(g)
    for x, (w1, w2) in zip(reversed(inputs), reversed(weights), strict=True):
        g = (g if skip else 0) + _branch_vjp(x, w1, w2, g)[0]
        norms.append(float(np.linalg.norm(g)))
    return np.array(norms[::-1])


def _branch_vjp(x: Array, w1: Array, w2: Array, dy: Array) -> tuple[Array, Array, Array]:
    """Of max(x W1, 0) W2."""
    z = x @ w1
    dz = (dy @ w2.T) * (z > 0)
    return dz @ w1.T, _rows(x).T @ _rows(dz), _rows(np.maximum(z, 0)).T @ _rows(dy)


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])
