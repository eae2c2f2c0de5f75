"""Softmax and its kin against torch and SciPy, at the edges, and far out."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
import torch.nn.functional as F
from against import check_vjp, close

from clearhead.reference.softmax import (
    apply_temperature,
    apply_temperature_vjp,
    cross_entropy,
    cross_entropy_between,
    cross_entropy_vjp,
    entropy,
    entropy_vjp,
    kl,
    kl_vjp,
    log_softmax,
    log_softmax_vjp,
    log_sum_exp,
    log_sum_exp_vjp,
    softmax,
    softmax_vjp,
)

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(3, 5)) * 3
P, Q = RNG.dirichlet(np.ones(5), 3), RNG.dirichlet(np.ones(5), 3)
FAR = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]])
NEG = -np.inf


def test_values_and_gradients() -> None:
    check_vjp(softmax, softmax_vjp, Z, peer=lambda z: z.softmax(-1))
    check_vjp(log_softmax, log_softmax_vjp, Z, peer=lambda z: z.log_softmax(-1))
    check_vjp(log_sum_exp, log_sum_exp_vjp, Z, peer=lambda z: z.logsumexp(-1))
    check_vjp(apply_temperature, apply_temperature_vjp, Z, 0.7, peer=lambda z, t: (z / t).softmax(-1))
    target = np.array([0, 4, 2])
    check_vjp(cross_entropy, cross_entropy_vjp, Z, target, peer=lambda z, t: F.cross_entropy(z, t, reduction="none"))


def test_entropy_and_divergence() -> None:
    close(entropy(P), scipy.stats.entropy(P, axis=-1))
    close(kl(P, Q), scipy.stats.entropy(P, Q, axis=-1))
    close(cross_entropy_between(P, Q), -(P * np.log(Q)).sum(-1))
    p = torch.tensor(P, requires_grad=True)
    q = torch.tensor(Q, requires_grad=True)
    dy = np.array([1.0, -2.0, 0.5])  # p off the simplex is no distribution, so differences do not apply
    for mine, f in ((entropy_vjp(P, dy), -(p * p.log()).sum(-1)), (kl_vjp(P, Q, dy), (p * (p / q).log()).sum(-1))):
        theirs = torch.autograd.grad(f, [p, q], torch.tensor(dy), allow_unused=True)
        for got, want in zip(mine if isinstance(mine, tuple) else [mine], theirs, strict=False):
            close(got, want.numpy())


def test_far_out_nothing_overflows() -> None:
    close(softmax(FAR), scipy.special.softmax(FAR, -1))
    close(log_softmax(FAR), scipy.special.log_softmax(FAR, -1))
    close(log_sum_exp(FAR), scipy.special.logsumexp(FAR, -1))
    close(apply_temperature(FAR, 1e-6), np.array([[1, 0, 0], [1 / 3] * 3, [1 / 3] * 3]))


def test_what_is_ruled_out_has_no_probability() -> None:
    z = np.array([[0.0, NEG], [NEG, NEG]])
    assert softmax(z).tolist() == [[1, 0], [0, 0]]
    assert log_softmax(z).tolist() == [[0, NEG], [NEG, NEG]]
    assert log_sum_exp(z).tolist() == [0, NEG]
    assert apply_temperature(z, 0.0).tolist() == [[1, 0], [0, 0]]
    assert softmax_vjp(z, np.ones((2, 2))).tolist() == [[0, 0], [0, 0]]


def test_edges() -> None:
    assert apply_temperature(np.array([1.0, 3.0, 3.0]), 0.0).tolist() == [0, 0.5, 0.5]
    assert apply_temperature_vjp(Z, 0.0, Z).tolist() == np.zeros_like(Z).tolist()
    assert softmax(np.array([-7.0])).tolist() == [1.0]
    assert softmax(np.zeros((0, 4))).shape == (0, 4)
    assert entropy(np.array([0.0, 1.0])) == 0
    one, two = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert kl(one, two) == np.inf == cross_entropy_between(one, two)
    assert kl(one, np.array([0.5, 0.5])) == np.log(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: softmax(np.zeros((2, 0))), "no classes"),
        (lambda: log_sum_exp(np.array([np.nan])), "NaN"),
        (lambda: softmax(np.array([np.inf])), "inf"),
        (lambda: apply_temperature(Z, -1.0), "temperature = -1.0"),
        (lambda: entropy(np.array([0.5, 0.6])), "sum to 1"),
        (lambda: kl(P, -Q), "sum to 1"),
        (lambda: cross_entropy(Z, np.array([0, 5, 1])), "0 to 4"),
        (lambda: cross_entropy(Z, np.array([0, -1, 1])), "0 to 4"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_probabilities_in_float32_are_probabilities() -> None:
    """Softmaxes of 50 classes in float32 sum to 1 within some 1e-7, and half of them not within 1e-9."""
    z = np.random.default_rng(0).normal(size=(200, 50)).astype(np.float32) * 3
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    close(entropy(p), entropy(p.astype(np.float64) / p.astype(np.float64).sum(-1, keepdims=True)), 1e-5)
    for wrong in (p * np.float32(1.001), p.astype(np.float64)):
        with pytest.raises(ValueError, match="sum to 1"):
            entropy(wrong)
