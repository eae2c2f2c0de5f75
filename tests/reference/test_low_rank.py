"""Rank, SVD, low rank, LoRA and eigenvalues against NumPy, SciPy and torch."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg
from against import check_vjp, close

from clearhead.reference.low_rank import (
    best_low_rank,
    condition_number,
    lora,
    lora_vjp,
    low_rank_error,
    low_rank_parameters,
    merge,
    merge_vjp,
    power_iteration,
    rank,
    svd,
)

RNG = np.random.default_rng(0)
A = RNG.normal(size=(6, 4))
X, W, DOWN, UP = RNG.normal(size=(2, 3, 6)), A, RNG.normal(size=(6, 2)), RNG.normal(size=(2, 4))


def test_svd() -> None:
    u, s, v = svd(A)
    close(s, scipy.linalg.svdvals(A))
    close((u * s) @ v.T, A)
    close(u.T @ u, np.eye(4))
    close(v.T @ v, np.eye(4))
    close(s**2, np.linalg.eigvalsh(A.T @ A)[::-1])


@pytest.mark.parametrize("r", [0, 1, 2, 3, 4, 7])
def test_no_matrix_of_the_same_rank_is_nearer(r: int) -> None:
    nearest = best_low_rank(A, r)
    error = np.linalg.norm(A - nearest)
    assert rank(nearest) == min(r, 4)
    close(1 + error, 1 + low_rank_error(A, r))  # both may be rounding alone
    if 0 < r < 4:
        u, s, v = scipy.sparse.linalg.svds(A, k=r, rng=0)
        close((u * s) @ v, nearest, 1e-9)
        close(np.linalg.norm(A - nearest, 2), svd(A).s[r])
        for _ in range(20):  # neighbors of rank r, and others
            other = (nearest + 0.1 * RNG.normal(size=A.shape)) @ (q := np.linalg.qr(RNG.normal(size=(4, r)))[0]) @ q.T
            assert np.linalg.norm(A - other) > error


def test_rank() -> None:
    assert rank(DOWN @ UP) == np.linalg.matrix_rank(DOWN @ UP) == 2
    assert rank(A) == 4 and rank(np.zeros((3, 2))) == 0 and rank(np.zeros((0, 3))) == 0
    assert rank(np.diag([1.0, 1e-17])) == 1 and rank(np.diag([1.0, 1e-14])) == 2
    nilpotent = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert rank(nilpotent) == 1 and np.count_nonzero(np.linalg.eigvals(nilpotent)) == 0


def test_lora() -> None:
    check_vjp(lora, lora_vjp, X, W, DOWN, UP, 8.0, peer=lambda x, w, a, b, s: x @ w + s / 2 * (x @ a) @ b)
    check_vjp(merge, merge_vjp, W, DOWN, UP, 8.0, peer=lambda w, a, b, s: w + s / 2 * a @ b)
    close(X @ merge(W, DOWN, UP, 8.0), lora(X, W, DOWN, UP, 8.0))
    close(lora(X, W, DOWN, np.zeros_like(UP), 8.0), X @ W)
    assert rank(merge(W, DOWN, UP, 8.0) - W) == 2
    assert low_rank_parameters(4096, 4096, 8) * 256 == 4096 * 4096  # 0.4% of the layer


def test_eigenvalues() -> None:
    symmetric = A.T @ A
    value, vector = power_iteration(symmetric, 500, np.random.default_rng(1))
    close(value, np.linalg.eigvalsh(symmetric)[-1], 1e-10)
    close(symmetric @ vector, value * vector, 1e-6)
    assert power_iteration(np.zeros((2, 2)), 5, np.random.default_rng(0))[0] == 0


def test_conditions() -> None:
    close(condition_number(A), np.linalg.cond(A))
    close(condition_number(A.T @ A), np.linalg.cond(A) ** 2, 1e-9)
    assert condition_number(np.array([[1.0, 0.0], [0.0, 0.0]])) == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_low_rank(A, -1), "r = -1"),
        (lambda: low_rank_error(A, -2), "r = -2"),
        (lambda: low_rank_parameters(3, 4, 0), "rank 0"),
        (lambda: lora(X, W, DOWN[:, :0], UP[:0], 1.0), "rank 0"),
        (lambda: power_iteration(np.array([[0.0, 1.0], [0.0, 0.0]]), 3, RNG), "symmetric"),
        (lambda: condition_number(np.zeros((0, 2))), "empty"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_smallest_factors() -> None:
    assert low_rank_parameters(1, 1, 1) == 2
