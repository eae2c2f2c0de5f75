"""Word vectors against torch, gradient descent, and the tables that they factorize."""

import numpy as np
import pytest
import torch.nn.functional as F
from against import check_vjp, close

from clearhead.reference.activations import sigmoid
from clearhead.reference.embeddings import (
    cooccurrences,
    glove_loss,
    glove_loss_vjp,
    glove_weight,
    negative_sampling,
    negative_sampling_vjp,
    noise_distribution,
    pmi,
    shifted_pmi,
    skip_gram_softmax,
    skip_gram_softmax_vjp,
    sppmi_vectors,
)

RNG = np.random.default_rng(1)
V, U = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))
COUNTS = RNG.integers(0, 150, (5, 5)) * RNG.integers(0, 2, (5, 5))


def test_losses_and_gradients() -> None:
    target = np.array([[0, 4], [2, 2]])
    check_vjp(skip_gram_softmax, skip_gram_softmax_vjp, RNG.normal(size=(2, 2, 3)), U, target,
              peer=lambda v, u, t: -(v @ u.T).log_softmax(-1).gather(-1, t[..., None])[..., 0])  # fmt: skip

    def sampled(v, o, n):
        return -F.logsigmoid((v * o).sum(-1)) - F.logsigmoid(-(n @ v[..., None])[..., 0]).sum(-1)

    check_vjp(negative_sampling, negative_sampling_vjp, V, U, RNG.normal(size=(5, 4, 3)), peer=sampled)

    def glove(w, u, b, c, x, most):
        weight = (x.double() / most).clamp(max=1) ** 0.75
        return (weight * (w @ u.T + b[:, None] + c - x.clamp(min=1).double().log()) ** 2).sum()

    check_vjp(glove_loss, glove_loss_vjp, V, U, RNG.normal(size=5), RNG.normal(size=5), COUNTS, 100.0, peer=glove)


def test_far_out() -> None:
    far = np.full(1, 1e4)
    close(negative_sampling(far, -np.ones(1), np.ones((1, 1))), 2e4)
    assert negative_sampling(far, np.ones(1), -np.ones((2, 1))) == 0


def test_who_stands_beside_whom() -> None:
    text = [0, 1, 2, 0, 3]
    x = cooccurrences([text, [2]], 4, 2)
    for i in range(4):
        for j in range(4):
            pairs = [(a, b) for a in range(5) for b in range(5) if 0 < abs(a - b) <= 2]
            assert x[i, j] == sum(text[a] == i and text[b] == j for a, b in pairs)
    near = cooccurrences([text], 4, 2, weighted=True)
    assert near[0, 2] == 1.5 and near[1, 0] == 1.5 and (near == near.T).all()


def test_noise_and_weights() -> None:
    counts = np.array([1.0, 8.0, 0.0, 100.0])
    close(noise_distribution(counts), counts**0.75 / (counts**0.75).sum())
    close(noise_distribution(counts, 0.0), np.array([1, 1, 0, 1]) / 3)
    close(glove_weight(np.array([1.0, 50.0, 200.0])), [100**-0.75, 0.5**0.75, 1])


def test_pmi() -> None:
    x = cooccurrences([RNG.integers(0, 4, 3000).tolist()], 4, 2)
    joint = x / x.sum()
    close(pmi(x), np.log(joint / np.outer(joint.sum(1), joint.sum(0))))
    assert np.abs(pmi(x)).max() < 0.2  # words drawn independently
    close(shifted_pmi(x, 5), pmi(x) - np.log(5))
    assert pmi(np.eye(2))[0, 1] == -np.inf


def test_negative_sampling_learns_the_shifted_pmi() -> None:
    """With as many dimensions as words, the optimum of the whole objective is reached pair by pair."""
    x = RNG.integers(1, 60, (4, 4)).astype(float)
    k, noise = 3, x.sum(0) / x.sum()
    best = shifted_pmi(x, k)

    def pull(dots):  # the gradient at each pair
        return x * (1 - sigmoid(dots)) - k * x.sum(1, keepdims=True) * noise * sigmoid(dots)

    assert np.abs(pull(best)).max() < 1e-10 < 1e-3 < np.abs(pull(best + 0.1)).min()


def test_glove_learns_the_logarithms() -> None:
    x = RNG.integers(1, 60, (4, 4))
    x = x + x.T
    w, u, b, c = 0.1 * RNG.normal(size=(4, 4)), 0.1 * RNG.normal(size=(4, 4)), np.zeros(4), np.zeros(4)
    for _ in range(4000):
        dw, du, db, dc = glove_loss_vjp(w, u, b, c, x, 100.0, np.array(1.0))
        w, u, b, c = w - 0.02 * dw, u - 0.02 * du, b - 0.02 * db, c - 0.02 * dc
    close(w @ u.T + b[:, None] + c, np.log(x), 1e-3)


def test_words_that_keep_the_same_company_are_near() -> None:
    texts = [[int(RNG.integers(0, 2)), int(RNG.integers(2, 4)), int(RNG.integers(4, 6))] for _ in range(600)]
    vectors = sppmi_vectors(cooccurrences(texts, 6, 1), 1, 3)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = unit @ unit.T
    assert min(near[0, 1], near[2, 3], near[4, 5]) > 0.7 and near[0, 2] < 0.5
    positive = np.maximum(pmi(cooccurrences(texts, 6, 1)), 0)
    whole = sppmi_vectors(cooccurrences(texts, 6, 1), 1, 6)
    close(np.linalg.matrix_power(whole @ whole.T, 2), positive @ positive.T, 1e-9)  # U Σ Uᵀ is the root of M Mᵀ


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cooccurrences([[0]], 1, 0), "window = 0"),
        (lambda: cooccurrences([[3]], 2, 1), "0 to 1"),
        (lambda: cooccurrences([[2]], 2, 1), "0 to 1"),
        (lambda: noise_distribution(np.zeros(2)), "at least one"),
        (lambda: glove_weight(np.ones(1), 0.0), "x_max = 0.0"),
        (lambda: pmi(np.zeros((2, 2))), "no PMI"),
        (lambda: shifted_pmi(np.eye(2), 0), "negatives = 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
