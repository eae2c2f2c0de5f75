"""The nonlinearities between layers, without which a stack of layers is one layer: ReLU and its smooth kin.

Each takes any array and works on every number alone. None overflows, and where one saturates it does so exactly.
"""

import math

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def relu(z: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """max(0, z).

    >>> relu(np.array([-2.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 3.0]

    O(1) each. Nair and Hinton 2010, section 2.
    """
    return np.maximum(z, 0.0)


def relu_vjp(z: Float[Array, "*B"], dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """dy where z > 0, else 0: a unit that is below 0 on all the data is dead, for nothing ever reaches its weights."""
    return np.where(z > 0, dy, 0.0)


def leaky_relu(z: Float[Array, "*B"], slope: float = 0.01) -> Float[Array, "*B"]:
    """z where z > 0, else slope · z; for a slope of at most 1 that is max(slope · z, z).

    >>> leaky_relu(np.array([-2.0, 3.0])).tolist()
    [-0.02, 3.0]

    O(1) each. Maas, Hannun and Ng 2013, equation 2.
    """
    return np.where(z > 0, z, slope * z)


def leaky_relu_vjp(z: Float[Array, "*B"], slope: float, dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """dy where z > 0, else slope · dy."""
    return np.where(z > 0, dy, slope * dy)


def sigmoid(z: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """σ(z) = 1 / (1 + e^-z), by e^z / (1 + e^z) where z < 0, so that neither overflows.

    >>> sigmoid(np.array([0.0, 10_000.0, -10_000.0])).tolist()
    [0.5, 1.0, 0.0]

    O(1) each. Bishop 2006, equation 4.59.
    """
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def sigmoid_vjp(z: Float[Array, "*B"], dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """σ(z) σ(-z) dy, at most a quarter of dy."""
    return dy * sigmoid(z) * sigmoid(-z)


def tanh(z: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """tanh z = 2 σ(2z) - 1: a sigmoid from -1 to 1, of slope 1 at 0.

    >>> tanh(np.array([0.0, 0.5, 10_000.0])).round(4).tolist()
    [0.0, 0.4621, 1.0]

    O(1) each. Goodfellow, Bengio and Courville 2016, section 6.3.2.
    """
    return np.tanh(z)


def tanh_vjp(z: Float[Array, "*B"], dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """(1 - tanh² z) dy."""
    return dy * (1 - np.tanh(z) ** 2)


def gelu(z: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """z Φ(z), with Φ(z) = ½ erfc(-z / √2) the chance that a standard normal number is below z.

    It falls to -0.17 at z = -0.75 before it rises: unlike ReLU it is not monotone.

    >>> gelu(np.array([-10_000.0, 0.0, 1.0, 10_000.0])).round(4).tolist()
    [-0.0, 0.0, 0.8413, 10000.0]

    O(1) each. Hendrycks and Gimpel 2016, section 2.
    """
    return z * _normal_below(z)


def gelu_vjp(z: Float[Array, "*B"], dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """(Φ(z) + z φ(z)) dy, with φ(z) = e^(-z²/2) / √(2π)."""
    return dy * (_normal_below(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi))


def gelu_tanh(z: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """½ z (1 + tanh u) with u = √(2/π) (z + 0.044715 z³), which is z σ(2u): GELU without erf, to within 0.0005.

    >>> gelu_tanh(np.array([-10_000.0, 0.0, 1.0, 10_000.0])).round(4).tolist()
    [-0.0, 0.0, 0.8412, 10000.0]

    O(1) each. Hendrycks and Gimpel 2016, section 2.
    """
    return z * sigmoid(2 * _u(z))


def gelu_tanh_vjp(z: Float[Array, "*B"], dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """(s + 2 z u' s (1 - s)) dy, with s = σ(2u) and u' = √(2/π) (1 + 3 · 0.044715 z²)."""
    s, rest = sigmoid(2 * _u(z)), sigmoid(-2 * _u(z))
    derivative = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z)
    return dy * (s + 2 * z * derivative * s * rest)


def silu(z: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """z σ(z), also called swish.

    >>> silu(np.array([-10_000.0, 0.0, 1.0, 10_000.0])).round(4).tolist()
    [-0.0, 0.0, 0.7311, 10000.0]

    O(1) each. Hendrycks and Gimpel 2016, section 4; Ramachandran, Zoph and Le 2017, section 4.
    """
    return z * sigmoid(z)


def silu_vjp(z: Float[Array, "*B"], dy: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """(σ(z) + z σ(z) σ(-z)) dy."""
    s = sigmoid(z)
    return dy * (s + z * s * sigmoid(-z))


def _normal_below(z: Array) -> Array:
    """Φ(z). By erfc, not 1 + erf, which would lose the digits of the lower tail."""
    values = [math.erfc(-v / math.sqrt(2)) / 2 for v in np.ravel(z).tolist()]
    return np.array(values, np.float64).reshape(np.shape(z))


def _u(z: Array) -> Array:
    return math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
