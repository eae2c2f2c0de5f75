"""The MLP sublayer, which works on every token alone: with GELU as in GPT-2, and gated by SiLU as in Llama."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.activations import gelu_tanh, gelu_tanh_vjp, silu, silu_vjp


class MLP(NamedTuple):
    """The weights of `gelu_mlp`; a gradient of it has the same fields."""

    w_1: Float[Array, "D F"]
    b_1: Float[Array, " F"]
    w_2: Float[Array, "F D"]
    b_2: Float[Array, " D"]


class GatedMLP(NamedTuple):
    """The weights of `swiglu_mlp`; a gradient of it has the same fields."""

    w_gate: Float[Array, "D F"]
    w_up: Float[Array, "D F"]
    w_down: Float[Array, "F D"]


def gelu_mlp(x: Float[Array, "*B D"], w: MLP) -> Float[Array, "*B D"]:
    """GELU(x W₁ + b₁) W₂ + b₂, with GELU by its tanh approximation.

    >>> one, zero = np.ones((1, 1)), np.zeros(1)
    >>> gelu_mlp(np.array([[1.0]]), MLP(one, zero, 2 * one, zero)).round(4).tolist()
    [[1.6824]]

    O(D F) per token. Vaswani et al. 2017, equation 2, with the GELU of Radford et al. 2018, section 4.1.
    """
    return gelu_tanh(x @ w.w_1 + w.b_1) @ w.w_2 + w.b_2


def gelu_mlp_vjp(x: Float[Array, "*B D"], w: MLP, dy: Float[Array, "*B D"]) -> tuple[Float[Array, "*B D"], MLP]:
    """dh = dy W₂ᵀ, da = GELU'(a) dh, dx = da W₁ᵀ, and dW = (what went in)ᵀ (what came back)."""
    a = x @ w.w_1 + w.b_1
    da = gelu_tanh_vjp(a, dy @ w.w_2.T)
    return da @ w.w_1.T, MLP(_outer(x, da), _total(da), _outer(gelu_tanh(a), dy), _total(dy))


def swiglu_mlp(x: Float[Array, "*B D"], w: GatedMLP) -> Float[Array, "*B D"]:
    """(SiLU(x W_gate) · x W_up) W_down: a second projection says how much of each unit passes.

    >>> one = np.ones((1, 1))
    >>> swiglu_mlp(np.array([[2.0]]), GatedMLP(one, one, one)).round(4).tolist()
    [[3.5232]]

    O(D F) per token, with three matrices instead of two. Shazeer 2020, equation 6; Touvron et al. 2023, section 2.2.
    """
    return (silu(x @ w.w_gate) * (x @ w.w_up)) @ w.w_down


def swiglu_mlp_vjp(
    x: Float[Array, "*B D"], w: GatedMLP, dy: Float[Array, "*B D"]
) -> tuple[Float[Array, "*B D"], GatedMLP]:
    """With g = x W_gate and u = x W_up: dh = dy W_downᵀ, dg = SiLU'(g) u dh, du = SiLU(g) dh."""
    g, u = x @ w.w_gate, x @ w.w_up
    dh = dy @ w.w_down.T
    dg, du = silu_vjp(g, u * dh), silu(g) * dh
    return dg @ w.w_gate.T + du @ w.w_up.T, GatedMLP(_outer(x, dg), _outer(x, du), _outer(silu(g) * u, dy))


def _outer(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """xᵀ dy, summed over every token."""
    return x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])


def _total(dy: np.ndarray) -> np.ndarray:
    return dy.sum(tuple(range(dy.ndim - 1)))
