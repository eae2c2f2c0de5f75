"""Rank, singular values and eigenvalues, the best approximation of low rank, and LoRA as an update of low rank.

NumPy's SVD is the tool, not the subject; the eigenvalues by power iteration are our own. What a condition number does
to gradient descent stands in descent.py.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


class SVD(NamedTuple):
    """A = U diag(s) Vᵀ with orthonormal columns in U and V, s falling."""

    u: Float[Array, "N R"]
    s: Float[Array, "R"]
    v: Float[Array, "D R"]


def svd(a: Float[Array, "N D"]) -> SVD:
    """The thin singular value decomposition, R = min(N, D).

    >>> svd(np.array([[3.0, 0.0], [0.0, -4.0]])).s.tolist()
    [4.0, 3.0]

    O(N D min(N, D)). Strang 2016, section 7.2.
    """
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return SVD(u, s, vt.T)


def rank(a: Float[Array, "N D"]) -> int:
    """How many singular values exceed rounding, σ_1 max(N, D) ε: the number of independent rows, or columns.

    Not the number of non-zero eigenvalues: [[0, 1], [0, 0]] has none, and rank 1.

    >>> rank(np.array([[1.0, 2.0], [2.0, 4.0]])), rank(np.array([[0.0, 1.0], [0.0, 0.0]]))
    (1, 1)

    O(N D min(N, D)). Golub and Van Loan 2013, section 5.4.1.
    """
    s = svd(a).s
    return int((s > s.max(initial=0.0) * max(a.shape) * np.finfo(float).eps).sum())


def best_low_rank(a: Float[Array, "N D"], r: int) -> Float[Array, "N D"]:
    """Σ_{i ≤ r} σ_i u_i v_iᵀ: no matrix of rank r is nearer, in the Frobenius or the spectral norm.

    >>> best_low_rank(np.array([[3.0, 0.0], [0.0, 1.0]]), 1).tolist()
    [[3.0, 0.0], [0.0, 0.0]]

    O(N D min(N, D)). Eckart and Young 1936. ValueError: r < 0.
    """
    if r < 0:
        raise ValueError(f"r = {r} must be 0 or more")
    u, s, v = svd(a)
    return (u[:, :r] * s[:r]) @ v[:, :r].T


def low_rank_error(a: Float[Array, "N D"], r: int) -> float:
    """‖A - A_r‖_F = √(Σ_{i > r} σ_i²): what the best approximation of rank r leaves out.

    >>> round(low_rank_error(np.array([[3.0, 0.0], [0.0, 1.0]]), 1), 12)
    1.0

    Eckart and Young 1936. ValueError: r < 0.
    """
    if r < 0:
        raise ValueError(f"r = {r} must be 0 or more")
    return float(np.sqrt((svd(a).s[r:] ** 2).sum()))


def low_rank_parameters(n: int, d: int, r: int) -> int:
    """r (N + D): the numbers in an N x r and an r x D factor, fewer than N D while r < N D / (N + D).

    >>> low_rank_parameters(1000, 1000, 50)
    100000

    ValueError: a size below 1.
    """
    if min(n, d, r) < 1:
        raise ValueError(f"sizes {n}, {d} and rank {r} must be 1 or more")
    return r * (n + d)


def lora(
    x: Float[Array, "*B D"],
    w: Float[Array, "D M"],
    a: Float[Array, "D R"],
    b: Float[Array, "R M"],
    alpha: float,
) -> Float[Array, "*B M"]:
    """y = x W + (α / r) (x A) B: the frozen weight and an update of rank r beside it.

    B starts at zero, so that training starts at the pretrained model. The paper writes columns, W + B A.

    >>> x, w, a = np.ones((1, 2)), np.eye(2), np.ones((2, 1))
    >>> lora(x, w, a, np.zeros((1, 2)), 8.0).tolist(), lora(x, w, a, np.ones((1, 2)), 8.0).tolist()
    ([[1.0, 1.0]], [[17.0, 17.0]])

    O(D M + r (D + M)) a row. Hu et al. 2021, section 4.1. ValueError: rank 0.
    """
    return x @ w + _scale(a, alpha) * ((x @ a) @ b)


def lora_vjp(
    x: Float[Array, "*B D"],
    w: Float[Array, "D M"],
    a: Float[Array, "D R"],
    b: Float[Array, "R M"],
    alpha: float,
    dy: Float[Array, "*B M"],
) -> tuple[Float[Array, "*B D"], Float[Array, "D M"], Float[Array, "D R"], Float[Array, "R M"]]:
    """dx = dy (W + s A B)ᵀ, dW = xᵀ dy (not taken while W is frozen), dA = s xᵀ dy Bᵀ, dB = s (x A)ᵀ dy."""
    s, rows, d_rows = _scale(a, alpha), x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dw = rows.T @ d_rows
    return dy @ merge(w, a, b, alpha).T, dw, s * dw @ b.T, s * (rows @ a).T @ d_rows


def merge(w: Float[Array, "D M"], a: Float[Array, "D R"], b: Float[Array, "R M"], alpha: float) -> Float[Array, "D M"]:
    """W + (α / r) A B: the same function with no cost beside the pretrained layer's.

    >>> merge(np.eye(2), np.ones((2, 1)), np.ones((1, 2)), 0.5).tolist()
    [[1.5, 0.5], [0.5, 1.5]]

    O(r D M), once. Hu et al. 2021, section 4.1. ValueError: rank 0.
    """
    return w + _scale(a, alpha) * (a @ b)


def merge_vjp(
    w: Float[Array, "D M"], a: Float[Array, "D R"], b: Float[Array, "R M"], alpha: float, dy: Float[Array, "D M"]
) -> tuple[Float[Array, "D M"], Float[Array, "D R"], Float[Array, "R M"]]:
    """(dy, s dy Bᵀ, s Aᵀ dy)."""
    s = _scale(a, alpha)
    return dy, s * dy @ b.T, s * a.T @ dy


def power_iteration(a: Float[Array, "N N"], steps: int, rng: np.random.Generator) -> tuple[float, Float[Array, "N"]]:
    """x ← A x / ‖A x‖: the eigenvalue of largest size, xᵀ A x, and its eigenvector, for a symmetric A.

    The error falls as (|λ_2| / |λ_1|)^steps, the eigenvalue's as its square.

    >>> value, vector = power_iteration(np.diag([1.0, -5.0, 2.0]), 60, np.random.default_rng(0))
    >>> round(value, 9), np.abs(vector).round(9).tolist()
    (-5.0, [0.0, 1.0, 0.0])

    O(steps N²). Trefethen and Bau 1997, lecture 27. ValueError: A is not symmetric.
    """
    if a.shape[0] != a.shape[1] or not np.allclose(a, a.T):
        raise ValueError("power iteration as written here needs a symmetric matrix; for others use AᵀA")
    x = rng.normal(size=(a.shape[0],))
    for _ in range(steps):
        y = a @ x
        length = np.linalg.norm(y)
        if length == 0:  # x lies in the kernel: an eigenvector of 0
            break
        x = y / length
    x = x / np.linalg.norm(x)
    return float(x @ a @ x), x


def condition_number(a: Float[Array, "N D"]) -> float:
    """κ = σ_max / σ_min: how much a relative error in b can grow in the solution of A x = b; ∞ if A is singular.

    >>> round(condition_number(np.diag([10.0, 0.1])), 6)
    100.0

    O(N D min(N, D)). Trefethen and Bau 1997, lecture 12. ValueError: an empty matrix.
    """
    s = svd(a).s
    if not s.size:
        raise ValueError(f"a matrix of shape {a.shape} is empty and has no condition number")
    return float(s[0] / s[-1]) if s[-1] > 0 else float("inf")


def _scale(a: Array, alpha: float) -> float:
    if a.shape[1] == 0:
        raise ValueError("an update of rank 0 is none; the rank must be 1 or more")
    return alpha / a.shape[1]
