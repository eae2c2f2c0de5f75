"""Vectors and matrices against NumPy, SciPy and torch, at the edges, and far out."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from against import check_vjp, close
from scipy.spatial import distance

from clearhead.reference.linear_algebra import (
    chain_cost,
    cosine,
    cosine_vjp,
    dot,
    dot_vjp,
    matmul,
    matmul_cost,
    matmul_vjp,
    norm,
    norm_vjp,
    normalize,
    normalize_vjp,
    projection,
    projection_vjp,
    scalar_projection,
    scalar_projection_vjp,
)

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 3, 4))


def unit(x):
    return torch.nn.functional.normalize(x, dim=-1)


def test_values_and_gradients() -> None:
    check_vjp(dot, dot_vjp, A, B, peer=lambda a, b: (a * b).sum(-1))
    check_vjp(cosine, cosine_vjp, A, B, peer=lambda a, b: torch.cosine_similarity(a, b, -1))
    check_vjp(normalize, normalize_vjp, A, peer=unit)
    check_vjp(scalar_projection, scalar_projection_vjp, A, B, peer=lambda a, b: (a * unit(b)).sum(-1))
    check_vjp(projection, projection_vjp, A, B, peer=lambda a, b: (a * unit(b)).sum(-1, keepdim=True) * unit(b))
    check_vjp(matmul, matmul_vjp, A, RNG.normal(size=(2, 4, 5)), peer=torch.matmul)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, 7.0, math.inf])
def test_norms(p: float) -> None:
    check_vjp(norm, norm_vjp, A, p, peer=lambda x, p: torch.linalg.vector_norm(x, p, dim=-1))
    close(norm(A, p), np.linalg.norm(A, p, axis=-1))
    close(norm(A - B, p)[0, 0], distance.minkowski(A[0, 0], B[0, 0], p) if p < math.inf else abs(A - B)[0, 0].max())
    assert (norm(A + B, p) <= norm(A, p) + norm(B, p) + 1e-12).all()  # the triangle inequality
    close(norm(-3 * A, p), 3 * norm(A, p))


def test_norms_fall_towards_the_largest_entry() -> None:
    lengths = [norm(A, p) for p in (1, 2, 4, 16, 64, math.inf)]
    assert all((a >= b - 1e-12).all() for a, b in pairwise(lengths))
    close(lengths[-2], lengths[-1], 0.03)


def test_far_out_and_at_zero() -> None:
    close(norm(np.array([3e200, 4e200])), 5e200)
    close(norm(np.array([3e-200, 4e-200])) * 1e200, 5.0)
    assert norm(np.zeros(3)) == norm(np.zeros(0)) == 0
    assert norm_vjp(np.zeros(3), 2.0, np.array(1.0)).tolist() == [0, 0, 0]
    assert norm_vjp(np.zeros(2), math.inf, np.array(1.0)).tolist() == [0, 0]
    assert norm_vjp(np.array([2.0, -2.0, 1.0]), math.inf, np.array(1.0)).tolist() == [0.5, -0.5, 0]  # a tie


def test_angles() -> None:
    assert cosine(A, A).max() <= 1 and cosine(A, -A).min() >= -1
    close(cosine(A, 1e6 * B), cosine(A, B))
    close(1 - cosine(A[0, 0], B[0, 0]), distance.cosine(A[0, 0], B[0, 0]))
    close(dot(A, B), norm(A) * norm(B) * cosine(A, B))
    assert np.abs(dot(A - projection(A, B), B)).max() < 1e-14  # what is left is orthogonal
    close(norm(projection(A, B)), np.abs(scalar_projection(A, B)))


def test_costs() -> None:
    assert matmul_cost(2, 3, 5) == 30
    assert chain_cost([10, 30, 5, 60]) == 4500  # (10·30)(30·5) first; the other way 27,000
    assert chain_cost([30, 35, 15, 5, 10, 20, 25]) == 15125  # Cormen et al. 2022, figure 14.5
    assert chain_cost([7, 9]) == 0
    close(matmul(A[0], B[0].T).T, matmul(B[0], A[0].T))  # (AB)ᵀ = BᵀAᵀ


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: norm(A, 0.5), "p = 0.5"),
        (lambda: cosine(A, np.zeros_like(A)), "no direction"),
        (lambda: normalize(np.zeros(2)), "no direction"),
        (lambda: projection(A, np.zeros_like(A)), "no direction"),
        (lambda: matmul_cost(2, -1, 3), "2, -1, 3"),
        (lambda: chain_cost([4]), "no matrix"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
