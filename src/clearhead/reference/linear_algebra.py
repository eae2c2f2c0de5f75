"""Vectors and matrices: dot product, angle, projection, norms, and the product of matrices with what it costs.

Deliberately not here: rank, singular values and eigenvalues (low_rank.py).
"""

import math

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def dot(a: Float[Array, "*B D"], b: Float[Array, "*B D"]) -> Float[Array, "*B"]:
    """a · b = Σ_i a_i b_i = ‖a‖ ‖b‖ cos θ: 0 where they are orthogonal, and of either length as much as of the angle.

    >>> float(dot(np.array([1.0, 2.0]), np.array([3.0, -1.0])))
    1.0

    O(D). Strang 2016, section 1.2.
    """
    return (a * b).sum(-1)


def dot_vjp(
    a: Float[Array, "*B D"], b: Float[Array, "*B D"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B D"], Float[Array, "*B D"]]:
    """(dy b, dy a)."""
    return dy[..., None] * b, dy[..., None] * a


def norm(x: Float[Array, "*B D"], p: float = 2.0) -> Float[Array, "*B"]:
    """‖x‖_p = (Σ |x_i|^p)^(1/p), for p = ∞ its limit max |x_i|.

    Without the absolute value an odd p would let entries of opposite signs cancel: (1, -1) would have length 0.

    >>> [round(float(norm(np.array([3.0, -4.0]), p)), 4) for p in (1, 2, 3, math.inf)]
    [7.0, 5.0, 4.4979, 4.0]

    O(D); divided by the largest entry first, so that no power overflows. Horn and Johnson 2013, section 5.2.
    ValueError: p < 1, below which the triangle inequality fails.
    """
    if not p >= 1:
        raise ValueError(f"p = {p} must be 1 or more: below 1 the triangle inequality fails")
    largest = np.abs(x).max(-1, initial=0.0)
    if p == math.inf:
        return largest
    scale = np.where(largest > 0, largest, 1.0)
    return scale * (np.abs(x / scale[..., None]) ** p).sum(-1) ** (1 / p)


def norm_vjp(x: Float[Array, "*B D"], p: float, dy: Float[Array, "*B"]) -> Float[Array, "*B D"]:
    """dx_i = dy sign(x_i) (|x_i| / ‖x‖_p)^(p - 1); at 0, a kink, 0; for p = ∞ shared by the largest entries."""
    n = norm(x, p)[..., None]
    safe = np.where(n > 0, n, 1.0)
    if p == math.inf:
        top = (np.abs(x) == n) & (n > 0)
        return dy[..., None] * np.sign(x) * top / np.maximum(top.sum(-1, keepdims=True), 1)
    return dy[..., None] * np.sign(x) * (np.abs(x) / safe) ** (p - 1)


def normalize(x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
    """x / ‖x‖₂: the same direction with length 1.

    >>> normalize(np.array([3.0, -4.0])).tolist()
    [0.6, -0.8]

    O(D). ValueError: the zero vector, which has no direction.
    """
    return x / _length(x)[..., None]


def normalize_vjp(x: Float[Array, "*B D"], dy: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
    """dx = (dy - y (y · dy)) / ‖x‖ with y = x / ‖x‖: what points along x changes nothing."""
    y = normalize(x)
    return (dy - y * dot(y, dy)[..., None]) / _length(x)[..., None]


def cosine(a: Float[Array, "*B D"], b: Float[Array, "*B D"]) -> Float[Array, "*B"]:
    """cos θ = a · b / (‖a‖ ‖b‖), within [-1, 1]: the dot product of the directions.

    >>> float(cosine(np.array([1.0, 0.0]), np.array([5.0, 5.0])).round(4))
    0.7071

    O(D). Salton and McGill 1983, section 4.1. ValueError: a zero vector.
    """
    return np.clip(dot(normalize(a), normalize(b)), -1.0, 1.0)


def cosine_vjp(
    a: Float[Array, "*B D"], b: Float[Array, "*B D"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B D"], Float[Array, "*B D"]]:
    """da = dy (b̂ - â cos θ) / ‖a‖, and the same for b: a change of length changes nothing."""
    u, v = normalize(a), normalize(b)
    return normalize_vjp(a, dy[..., None] * v), normalize_vjp(b, dy[..., None] * u)


def scalar_projection(a: Float[Array, "*B D"], b: Float[Array, "*B D"]) -> Float[Array, "*B"]:
    """comp_b(a) = ‖a‖ cos θ = a · b / ‖b‖: how far a reaches along b, negative where it points away.

    >>> a, b = np.array([2.0, 3.0]), np.array([-4.0, 0.0])
    >>> float(scalar_projection(a, b)), float(dot(a, b)) == float(scalar_projection(a, b) * norm(b))
    (-2.0, True)

    O(D). Strang 2016, section 4.2. ValueError: b = 0.
    """
    return dot(a, normalize(b))


def scalar_projection_vjp(
    a: Float[Array, "*B D"], b: Float[Array, "*B D"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B D"], Float[Array, "*B D"]]:
    """(dy b̂, the gradient of a · b̂ through b̂)."""
    return dy[..., None] * normalize(b), normalize_vjp(b, dy[..., None] * a)


def projection(a: Float[Array, "*B D"], b: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
    """proj_b(a) = (a · b̂) b̂: the point of the line through b that is nearest to a.

    What is left, a - proj_b(a), is orthogonal to b.

    >>> projection(np.array([2.0, 3.0]), np.array([4.0, 0.0])).tolist()
    [2.0, 0.0]

    O(D). Strang 2016, section 4.2. ValueError: b = 0.
    """
    return scalar_projection(a, b)[..., None] * normalize(b)


def projection_vjp(
    a: Float[Array, "*B D"], b: Float[Array, "*B D"], dy: Float[Array, "*B D"]
) -> tuple[Float[Array, "*B D"], Float[Array, "*B D"]]:
    """da = proj_b(dy); db through both places of b̂."""
    u = normalize(b)
    du = dot(dy, u)[..., None] * a + dot(a, u)[..., None] * dy
    return projection(dy, b), normalize_vjp(b, du)


def matmul(a: Float[Array, "*B N D"], b: Float[Array, "*B D M"]) -> Float[Array, "*B N M"]:
    """C_nm = Σ_d A_nd B_dm: every row of A against every column of B.

    A layer reads it as N samples with D features against M neurons.

    >>> matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])).tolist()
    [[11.0]]

    O(N D M); see matmul_cost. Strang 2016, section 2.4. ValueError: inner sizes that differ.
    """
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"the inner sizes differ: {a.shape[-1]} columns against {b.shape[-2]} rows; transpose one")
    return np.einsum("...nd,...dm->...nm", a, b)


def matmul_vjp(
    a: Float[Array, "*B N D"], b: Float[Array, "*B D M"], dc: Float[Array, "*B N M"]
) -> tuple[Float[Array, "*B N D"], Float[Array, "*B D M"]]:
    """(dC Bᵀ, Aᵀ dC): the only arrangements in which the sizes fit."""
    return matmul(dc, b.swapaxes(-1, -2)), matmul(a.swapaxes(-1, -2), dc)


def matmul_cost(n: int, d: int, m: int) -> int:
    """N D M multiply-adds for (N x D) times (D x M); as FLOPs twice that, and (2D - 1) N M if sums are counted exactly.

    >>> matmul_cost(512, 768, 3072)
    1207959552

    ValueError: a negative size.
    """
    if min(n, d, m) < 0:
        raise ValueError(f"sizes {n}, {d}, {m} must be 0 or more")
    return n * d * m


def chain_cost(sizes: list[int]) -> int:
    """The fewest multiply-adds of a product of matrices, of which the i-th is sizes[i] x sizes[i+1].

    Brackets change the cost, not the result: with a vector at the end, work from the end.

    >>> chain_cost([1000, 1000, 1000, 1]), matmul_cost(1000, 1000, 1000) + matmul_cost(1000, 1000, 1)
    (2000000, 1001000000)

    O(n³). Cormen et al. 2022, section 14.2. ValueError: fewer than two sizes.
    """
    n = len(sizes) - 1
    if n < 1:
        raise ValueError(f"{len(sizes)} sizes describe no matrix; a product of n matrices has n + 1")
    cost = [[0] * n for _ in range(n)]
    for span in range(1, n):
        for i in range(n - span):
            j = i + span
            cost[i][j] = min(
                cost[i][k] + cost[k + 1][j] + matmul_cost(sizes[i], sizes[k + 1], sizes[j + 1]) for k in range(i, j)
            )
    return cost[0][n - 1]


def _length(x: Array) -> Array:
    length = norm(x)
    if not (length > 0).all():
        raise ValueError("a vector of length 0 has no direction; leave it out or add something to it")
    return length
