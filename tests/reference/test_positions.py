"""Positions against torch and transformers, and the property each of them is used for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

from clearhead.reference.attention import biased_attention, causal_mask
from clearhead.reference.positions import (
    alibi_bias,
    alibi_slopes,
    angles,
    halves_of_pairs,
    lookup,
    lookup_vjp,
    rotary,
    rotary_vjp,
    sinusoidal,
    sinusoidal_shift,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 8))
PLACES = np.array([4, 0, 7])


def llama(x, positions, base):
    """The rotation as transformers does it for Llama, in float64."""
    theta = positions[..., None] * base ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    theta = torch.cat((theta, theta), -1)[None]
    return apply_rotary_pos_emb(x, x, theta.cos(), theta.sin(), unsqueeze_dim=0)[0][0]


def meta(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The rotation as the paper and Meta's Llama have it: neighbors are the parts of a complex number."""
    theta = torch.tensor(positions[..., None] * 10_000.0 ** (-np.arange(0, 8, 2) / 8))
    z = torch.view_as_complex(torch.tensor(x).reshape(*x.shape[:-1], 4, 2))
    return torch.view_as_real(z * torch.polar(torch.ones_like(theta), theta)).flatten(-2).numpy()


def test_values_and_gradients() -> None:
    for base in (10_000.0, 100.0):
        check_vjp(rotary, rotary_vjp, X, PLACES, base, peer=llama)
    check_vjp(rotary, rotary_vjp, X, np.array([[1, 5, 2], [9, 0, 3]]), 10_000.0)
    check_vjp(lookup, lookup_vjp, X[0], np.array([[2, 0], [2, 2]]), peer=lambda t, i: F.embedding(i, t))


def test_sinusoids_are_those_of_the_paper() -> None:
    for p, c in ((0, 0), (3, 0), (3, 1), (100, 6), (100, 7)):  # the formula, entry by entry
        wave = np.cos if c % 2 else np.sin
        assert abs(sinusoidal(np.array([p]), 8)[0, c] - wave(p / 10_000 ** ((c - c % 2) / 8))) < 1e-12
    theirs = MarianSinusoidalPositionalEmbedding(50, 8).double()
    theirs.weight.data = theirs.create_weight().double()  # float32 by way of float64, and sines before cosines
    close(sinusoidal(np.arange(50), 8)[:, halves_of_pairs(8)], theirs.weight.detach().numpy(), 1e-6)


def test_a_shift_is_a_linear_map() -> None:
    for k in (1, 13, -4):
        close(sinusoidal(np.arange(9), 8) @ sinusoidal_shift(k, 8).T, sinusoidal(np.arange(9) + k, 8))
        close(sinusoidal_shift(k, 8) @ sinusoidal_shift(k, 8).T, np.eye(8))
    pe = sinusoidal(np.arange(9), 8)
    for d in (0, 3):  # so PE(p)·PE(p + d) depends on d alone
        close(np.diag(pe @ pe.T, d), np.full(9 - d, np.cos(angles(np.array(d), 8)).sum()))


def test_rotated_scores_depend_on_the_distance_alone() -> None:
    q, k = RNG.normal(size=(2, 1, 8))

    def score(m: int, n: int) -> float:
        return (rotary(q, np.array([m])) @ rotary(k, np.array([n])).T).item()

    for m, n in ((0, 0), (5, 2), (2, 5)):
        close(score(m, n), score(m + 1000, n + 1000), 1e-11)
    assert abs(score(5, 2) - score(2, 5)) > 0.1  # the direction counts too
    close(np.linalg.norm(rotary(X, PLACES), axis=-1), np.linalg.norm(X, axis=-1))


def test_the_papers_pairs_and_the_halves_are_one_rotation_in_two_orders() -> None:
    halves = halves_of_pairs(8)
    close(rotary(X[..., halves], PLACES), meta(X, PLACES)[..., halves])
    q, k = meta(X[0], PLACES), meta(X[1], PLACES)
    close(rotary(X[0][:, halves], PLACES) @ rotary(X[1][:, halves], PLACES).T, q @ k.T)
    assert np.abs(rotary(X, PLACES) - meta(X, PLACES)).max() > 0.1  # a forgotten conversion is not noticed by shapes


def test_alibi_is_blooms() -> None:
    for H in (1, 2, 3, 8, 12, 112):
        theirs = build_alibi_tensor(torch.ones(1, 6), H, torch.float64).numpy()  # slope · key position
        close(alibi_slopes(H), theirs[:, 0, 1], 1e-6)  # made in float32 over there
        q, k, v = RNG.normal(size=(3, H, 6, 4))
        close(
            biased_attention(q, k, v, alibi_bias(H, 6, 6), causal_mask(6, 6)),
            biased_attention(q, k, v, theirs.repeat(6, 1), causal_mask(6, 6)),  # a row's constant changes no softmax
            1e-6,
        )
    assert alibi_slopes(8).tolist() == [2.0**-h for h in range(1, 9)]  # section 3 of the paper
    assert alibi_bias(2, 1, 4).tolist() == alibi_bias(2, 4, 4)[:, 3:].tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rotary(np.zeros((1, 3)), np.array([0])), "C = 3"),
        (lambda: sinusoidal(np.array([0]), 5), "C = 5"),
        (lambda: halves_of_pairs(7), "C = 7"),
        (lambda: angles(np.array([0]), 0), "C = 0"),
        (lambda: angles(np.array([0]), 2, -1.0), "base = -1.0"),
        (lambda: lookup(np.zeros((4, 2)), np.array([4])), "rows 0 to 3"),
        (lambda: lookup(np.zeros((4, 2)), np.array([-1])), "from -1"),
        (lambda: alibi_slopes(0), "H = 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
