"""Attention between sequences and a whole encoder-decoder, against torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close
from torch import nn
from trees import check_tree_vjp

from clearhead.reference.recurrent import Weights
from clearhead.reference.seq2seq import (
    Translator,
    additive_scores,
    additive_scores_vjp,
    attend,
    attend_vjp,
    dot_scores,
    dot_scores_vjp,
    general_scores,
    general_scores_vjp,
    translate_loss,
    translate_loss_vjp,
)

RNG = np.random.default_rng(1)
Q, K = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4))
MASK = np.arange(5) < np.array([5, 3])[:, None]


def test_scores() -> None:
    wq, wk, v = RNG.normal(size=(4, 6)), RNG.normal(size=(4, 6)), RNG.normal(size=6)

    def concat(q, k, wq, wk, v):  # Luong's form: one matrix on the two side by side
        both = torch.cat([q[:, :, None].expand(-1, -1, 5, -1), k[:, None].expand(-1, 3, -1, -1)], -1)
        return (both @ torch.cat([wq, wk])).tanh() @ v

    check_vjp(additive_scores, additive_scores_vjp, Q, K, wq, wk, v, peer=concat)
    check_vjp(dot_scores, dot_scores_vjp, Q, K, peer=lambda q, k: q @ k.mT)
    check_vjp(general_scores, general_scores_vjp, Q, K, RNG.normal(size=(4, 4)), peer=lambda q, k, w: q @ w @ k.mT)


def test_contexts() -> None:
    def peer(scores, values, mask):
        return scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1) @ values

    check_vjp(attend, attend_vjp, dot_scores(Q, K), K, MASK, peer=peer)
    padded = K.copy()
    padded[1, 3:] = 1e6
    close(attend(dot_scores(Q, padded), padded, MASK), attend(dot_scores(Q, K), K, MASK))
    nothing = attend(dot_scores(Q, K), K, np.zeros_like(MASK))
    assert not nothing.any()
    assert not attend_vjp(dot_scores(Q, K), K, np.zeros_like(MASK), Q)[0].any()
    sharp = attend(1e4 * dot_scores(Q, K), K, MASK)
    close(sharp[0], K[0][dot_scores(Q, K)[0].argmax(-1)])


def model(attention: bool, words: int = 6, width: int = 3, units: int = 2) -> Translator:
    def gates() -> Weights:
        return Weights(
            *(RNG.normal(size=s) for s in ((width, 3 * units), (units, 3 * units), (3 * units,), (3 * units,)))
        )

    score = RNG.normal(size=(units, units)) if attention else np.zeros((0, 0))
    combine = RNG.normal(size=((2 if attention else 1) * units, units))
    tables = RNG.normal(size=(words, width)), RNG.normal(size=(words, width))
    return Translator(*tables, gates(), gates(), score, combine, RNG.normal(size=(units, words)))


SOURCE, LENGTHS = np.array([[1, 2, 3, 4], [5, 1, 0, 0]]), np.array([4, 2])
GIVEN, WANTED = np.array([[0, 3, 2], [0, 1, 1]]), np.array([[3, 2, 5], [1, 1, 5]])


def run(weights, x, h):
    module = nn.GRU(x.shape[-1], h.shape[-1], batch_first=True).double()
    names = {"weight_ih_l0": weights.w.T, "weight_hh_l0": weights.u.T, "bias_ih_l0": weights.b, "bias_hh_l0": weights.c}
    return torch.func.functional_call(module, names, (x, h[None]))[0]


@pytest.mark.parametrize("attention", [True, False])
def test_every_gradient_of_an_encoder_decoder(attention: bool) -> None:
    def peer(w, source, lengths, given, wanted):
        states = run(w.encoder, w.source[source], torch.zeros(2, 2).double())
        outputs = run(w.decoder, w.target[given], states[torch.arange(2), lengths - 1])
        if attention:
            scores = outputs @ w.score @ states.mT
            hidden = torch.arange(4) >= lengths[:, None]
            context = scores.masked_fill(hidden[:, None], -torch.inf).softmax(-1) @ states
            outputs = torch.cat([context, outputs], -1)
        return F.cross_entropy((outputs @ w.combine).tanh().matmul(w.out).mT, wanted)

    check_tree_vjp(translate_loss, translate_loss_vjp, model(attention), SOURCE, LENGTHS, GIVEN, WANTED, peer=peer)


@pytest.mark.parametrize("attention", [True, False])
def test_padding_changes_nothing(attention: bool) -> None:
    w = model(attention)
    other = SOURCE.copy()
    other[1, 2:] = 3
    close(translate_loss(w, other, LENGTHS, GIVEN, WANTED), translate_loss(w, SOURCE, LENGTHS, GIVEN, WANTED))


def test_it_learns_to_copy_and_attention_helps() -> None:
    def learn(attention: bool) -> float:
        rng = np.random.default_rng(3)
        w = model(attention, words=5, width=6, units=8)
        w = Translator(*(0.4 * p if isinstance(p, np.ndarray) else Weights(*(0.4 * q for q in p)) for p in w))
        for _ in range(250):
            source = rng.integers(1, 5, (16, 5))
            given = np.column_stack([np.zeros(16, int), source[:, :-1]])
            d = translate_loss_vjp(w, source, np.full(16, 5), given, source, np.array(1.0))
            w = Translator(*(
                p - 0.5 * g if isinstance(p, np.ndarray) else Weights(*(a - 0.5 * b for a, b in zip(p, g, strict=True)))
                for p, g in zip(w, d, strict=True)
            ))  # fmt: skip
        source = rng.integers(1, 5, (64, 5))
        given = np.column_stack([np.zeros(64, int), source[:, :-1]])
        return float(translate_loss(w, source, np.full(64, 5), given, source))

    assert learn(True) < min(learn(False), np.log(4)) - 0.3


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((SOURCE, np.array([4, 0]), GIVEN, WANTED), "lengths run from 0 to 4; they must be 1 to 4"),
        ((SOURCE, np.array([5, 2]), GIVEN, WANTED), "lengths run from 2 to 5"),
        ((SOURCE - 1, LENGTHS, GIVEN, WANTED), "source runs from -1 to 4"),
        ((SOURCE + 1, LENGTHS, GIVEN, WANTED), "source runs from 1 to 6"),
        ((SOURCE, LENGTHS, GIVEN - 1, WANTED), "given runs from -1"),
        ((SOURCE, LENGTHS, GIVEN + 3, WANTED), "given runs from 3 to 6"),
        ((SOURCE, LENGTHS, GIVEN[:, :0], WANTED[:, :0]), "no words"),
        ((SOURCE, LENGTHS, GIVEN, WANTED + 1), "0 to 5"),
    ],
)
def test_bad_input_is_named(inputs, message: str) -> None:
    for call in (translate_loss, lambda *a: translate_loss_vjp(*a, np.array(1.0))):
        with pytest.raises(ValueError, match=message):
            call(model(True), *inputs)
