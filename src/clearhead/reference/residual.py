"""Residual blocks: what a block computes is added to what it was given.

The Jacobian is I + J in the place of J. The product of (I + J_l) over L blocks holds every product of any of the J_l,
the empty one, I, included: so the gradient does not vanish with the J. It is no guarantee: where J has the eigenvalue
-1 a block lets nothing through, and where J is large the gradient explodes. With branches that let a share s of the
mean square through, it grows by 1 + s a block: e^(s L) at worst, and bounded where s is made 1 / L.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.activations import relu, relu_vjp
from clearhead.reference.initialization import Layer, he, lecun


class Branch(NamedTuple):
    """The weights of F; a gradient of it has the same fields."""

    w_1: Float[Array, "D F"]
    w_2: Float[Array, "F K"]


def branch(x: Float[Array, "*B D"], w: Branch) -> Float[Array, "*B K"]:
    """F(x) = ReLU(x W₁) W₂: the block without its skip.

    >>> branch(np.array([2.0]), Branch(np.array([[1.0, -1.0]]), np.array([[3.0], [5.0]]))).tolist()
    [6.0]

    O(F (D + K)) a row. He et al. 2016a, equation 1, without biases.
    """
    return relu(x @ w.w_1) @ w.w_2


def branch_vjp(x: Float[Array, "*B D"], w: Branch, dy: Float[Array, "*B K"]) -> tuple[Float[Array, "*B D"], Branch]:
    """dz = dy W₂ᵀ where z = x W₁ > 0; (dz W₁ᵀ, (xᵀ dz, ReLU(z)ᵀ dy))."""
    z = x @ w.w_1
    dz = relu_vjp(z, dy @ w.w_2.T)
    return dz @ w.w_1.T, Branch(_outer(x, dz), _outer(relu(z), dy))


def residual(x: Float[Array, "*B D"], w: Branch) -> Float[Array, "*B D"]:
    """y = x + F(x): with F = 0 the block does nothing, so that deeper can always be as good as shallower.

    >>> residual(np.array([2.0]), Branch(np.array([[1.0, -1.0]]), np.array([[3.0], [5.0]]))).tolist()
    [8.0]

    O(D F) a row. He et al. 2016a, equation 1. ValueError: F changes the width, which takes a projection.
    """
    if w.w_2.shape[1] != x.shape[-1]:
        raise ValueError(f"the branch gives {w.w_2.shape[1]} numbers for {x.shape[-1]}: use residual_projected")
    return x + branch(x, w)


def residual_vjp(x: Float[Array, "*B D"], w: Branch, dy: Float[Array, "*B D"]) -> tuple[Float[Array, "*B D"], Branch]:
    """dx = dy + F's: the gradient arrives as it is, and with it what went through the branch."""
    dx, dw = branch_vjp(x, w, dy)
    return dy + dx, dw


def residual_projected(x: Float[Array, "*B D"], w: Branch, w_s: Float[Array, "D K"]) -> Float[Array, "*B K"]:
    """y = x W_s + F(x): where the width changes, a matrix takes the place of the identity.

    >>> grow = Branch(np.array([[1.0]]), np.array([[3.0, 0.0]]))
    >>> residual_projected(np.array([2.0]), grow, np.array([[1.0, -1.0]])).tolist()
    [8.0, -2.0]

    O(F (D + K) + D K) a row. He et al. 2016a, equation 2.
    """
    return x @ w_s + branch(x, w)


def residual_projected_vjp(
    x: Float[Array, "*B D"], w: Branch, w_s: Float[Array, "D K"], dy: Float[Array, "*B K"]
) -> tuple[Float[Array, "*B D"], Branch, Float[Array, "D K"]]:
    """dx = dy W_sᵀ + F's, dW_s = xᵀ dy: what lies outside the projection's range is lost again."""
    dx, dw = branch_vjp(x, w, dy)
    return dy @ w_s.T + dx, dw, _outer(x, dy)


def plain_stack(D: int, L: int, scale: float, rng: np.random.Generator) -> list[Layer]:
    """L blocks x ↦ F(x) of random weights, F letting scale² of the mean square through; see through_depth.

    >>> len(plain_stack(4, 3, 1.0, np.random.default_rng(0)))
    3

    O(L D²). He et al. 2015, section 2.2. ValueError: D < 1.
    """
    return [_layer(w, skip=False) for w in _random(D, L, scale, rng)]


def residual_stack(D: int, L: int, scale: float, rng: np.random.Generator) -> list[Layer]:
    """The same blocks with their skips: x ↦ x + F(x), each adding scale² of the mean square.

    >>> from clearhead.reference.initialization import through_depth
    >>> rng = np.random.default_rng(0)
    >>> x, dy = rng.normal(size=(2, 8, 100))
    >>> plain, skipping = plain_stack(100, 50, 0.14, rng), residual_stack(100, 50, 0.14, rng)
    >>> [float(through_depth(x, layers, dy).gradients[0].round(1)) for layers in (plain, skipping)]
    [0.0, 1.5]

    O(L D²). Veit, Wilber and Belongie 2016, section 3; Zhang, Dauphin and Ma 2019, section 2. ValueError: D < 1.
    """
    return [_layer(w, skip=True) for w in _random(D, L, scale, rng)]


def _random(D: int, L: int, scale: float, rng: np.random.Generator) -> list[Branch]:
    return [Branch(lecun(D, D, rng), scale * he(D, D, rng)) for _ in range(L)]


def _layer(w: Branch, skip: bool) -> Layer:
    if skip:
        return Layer(lambda x: residual(x, w), lambda x, dy: residual_vjp(x, w, dy)[0])
    return Layer(lambda x: branch(x, w), lambda x, dy: branch_vjp(x, w, dy)[0])


def _outer(x: Array, dy: Array) -> Array:
    """xᵀ dy, summed over every row."""
    return x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
