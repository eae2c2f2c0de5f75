"""The gated causal convolution of two taps, by which language models saw far before attention did.

Layers whose taps are 1, 2, 4, ... apart double at each layer what a position sees: L layers see 2^L tokens.
"""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.activations import sigmoid


def gated_convolution(
    x: Float[Array, "B T D"],
    w: Float[Array, "D twice_F"],
    u: Float[Array, "D twice_F"],
    b: Float[Array, "twice_F"],
    apart: int,
) -> Float[Array, "B T F"]:
    """y_t = a σ(g), with a and g side by side in x_t W + x_{t-apart} U + b; zeros stand before a row.

    >>> w, u = np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])
    >>> gated_convolution(np.array([[[2.0], [4.0], [6.0]]]), w, u, np.zeros(2), apart=2)[0, :, 0].tolist()
    [0.0, 0.0, 1.0]

    O(4 T D F) a row. Dauphin et al. 2017, equation 1; the taps apart of van den Oord et al. 2016, section 2.1.
    """
    a, g = np.split(x @ w + _earlier(x, apart) @ u + b, 2, -1)
    return a * sigmoid(g)


def gated_convolution_vjp(
    x: Float[Array, "B T D"],
    w: Float[Array, "D twice_F"],
    u: Float[Array, "D twice_F"],
    b: Float[Array, "twice_F"],
    apart: int,
    dy: Float[Array, "B T F"],
) -> tuple[Float[Array, "B T D"], Float[Array, "D twice_F"], Float[Array, "D twice_F"], Float[Array, "twice_F"]]:
    """With z = (a, g): da = dy σ(g), dg = dy a σ(g) (1 - σ(g)); dx_t = dz_t Wᵀ + dz_{t+apart} Uᵀ."""
    before = _earlier(x, apart)
    a, g = np.split(x @ w + before @ u + b, 2, -1)
    gate = sigmoid(g)
    dz = np.concatenate([dy * gate, dy * a * gate * (1 - gate)], -1)
    later = np.zeros_like(dz)
    later[:, : max(x.shape[1] - apart, 0)] = dz[:, apart:]
    axes = ((0, 1), (0, 1))
    return dz @ w.T + later @ u.T, np.tensordot(x, dz, axes), np.tensordot(before, dz, axes), dz.sum((0, 1))


def _earlier(x: Float[Array, "B T D"], apart: int) -> Float[Array, "B T D"]:
    """x_{t-apart}, and zeros where there was nothing yet."""
    found = np.zeros_like(x)
    found[:, apart:] = x[:, : max(x.shape[1] - apart, 0)]
    return found
