"""The recurrent encoder-decoders against the float64 reference, loss and every gradient, row by row without padding."""

from collections import defaultdict
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clearhead.errors import UserError
from clearhead.models.seq2seq import Score, Seq2Seq, Seq2SeqConfig, matched
from clearhead.nn.recurrent import weights_of
from clearhead.reference import recurrent
from clearhead.reference import seq2seq as reference
from clearhead.reference.recurrent import lstm, lstm_vjp
from clearhead.reference.softmax import cross_entropy, cross_entropy_vjp

KINDS = get_args(Score)
VOCAB, D = 11, 4
SOURCE = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 3, 0, 0], [10, 0, 0, 0, 0]])
MASK = SOURCE != 0
TARGET = torch.tensor([[1, 3, 2], [1, 9, 9], [1, 4, 10]])
WANTED = torch.tensor([[3, 2, 5], [9, 9, 1], [4, 10, 1]])


def model_of(kind: Score) -> Seq2Seq:
    model = Seq2Seq(Seq2SeqConfig(VOCAB, kind, D)).double()
    generator = torch.Generator().manual_seed(3)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.6, generator=generator)
    return model


def loss_of(model: Seq2Seq) -> torch.Tensor:
    memory, state = model.encode(SOURCE, MASK)
    logits = model.logits(model.read(TARGET, state, memory, MASK).hidden)
    return F.cross_entropy(logits.flatten(0, 1), WANTED.flatten())


def flat(weights: recurrent.Weights, name: str) -> dict[str, np.ndarray]:
    """The gradient of a layer under torch's names."""
    names = (f"{name}.weight_ih_l0", f"{name}.weight_hh_l0", f"{name}.bias_ih_l0", f"{name}.bias_hh_l0")
    return dict(zip(names, (weights.w.T, weights.u.T, weights.b, weights.c), strict=True))


class Oracle:
    """Loss and gradients of one row, its chain rule written out with the reference's parts alone."""

    def __init__(self, model: Seq2Seq) -> None:
        self.kind, self.w = model.config.attention, {k: p.detach().numpy() for k, p in model.named_parameters()}
        of = {name: weights_of(getattr(model, name)) for name in ("encoder", "decoder")}
        self.layers = {
            name: recurrent.Weights(*(part.detach().numpy().T for part in weights)) for name, weights in of.items()
        }
        self.d: dict[str, Any] = defaultdict(float)

    def scores(self, q: np.ndarray, k: np.ndarray) -> np.ndarray:
        w = self.w
        if self.kind == "luong-dot":
            return reference.dot_scores(q, k)
        if self.kind == "luong-general":
            return reference.general_scores(q, k, w["query.weight"].T)
        return reference.additive_scores(q, k, w["query.weight"].T, w["key.weight"].T, w["v"])

    def scores_vjp(self, q: np.ndarray, k: np.ndarray, de: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w = self.w
        if self.kind == "luong-dot":
            return reference.dot_scores_vjp(q, k, de)
        if self.kind == "luong-general":
            dq, dk, d = reference.general_scores_vjp(q, k, w["query.weight"].T, de)
            self.d["query.weight"] += d.T
            return dq, dk
        dq, dk, d_query, d_key, d_v = reference.additive_scores_vjp(
            q, k, w["query.weight"].T, w["key.weight"].T, w["v"], de
        )
        for name, value in (("query.weight", d_query.T), ("key.weight", d_key.T), ("v", d_v)):
            self.d[name] += value
        return dq, dk

    def row(self, source: np.ndarray, given: np.ndarray, wanted: np.ndarray, share: float) -> float:
        """share · Σ_t -log p(wanted_t); its gradients are added to `d`."""
        table, zero = self.w["embed.weight"], np.zeros((1, D))
        decoder, everything = self.layers["decoder"], np.ones((1, len(source)), bool)
        x = table[source][None]
        states, cell = lstm(x, zero, zero, self.layers["encoder"])
        h, kept = states[:, -1], []
        for word in given:
            read = table[word][None, None]
            if self.kind == "bahdanau":
                context = reference.attend(self.scores(h[:, None], states), states, everything)
                read = np.concatenate([read, context], -1)
            y, after = lstm(read, h, cell, decoder)
            joined = y
            if self.kind not in ("none", "bahdanau"):
                context = reference.attend(self.scores(y, states), states, everything)
            if self.kind != "none":
                joined = np.concatenate([context, y], -1)
            top = np.tanh(joined @ self.w["combine.weight"].T)
            kept.append((word, read, h, cell, y, joined, top))
            h, cell = y[:, 0], after
        loss, dh, dc = 0.0, zero, zero
        d_states = np.zeros_like(states)
        for (word, read, h, cell, y, joined, top), want in reversed(list(zip(kept, wanted, strict=True))):
            logits, target = top @ self.w["head.weight"].T, np.array([[want]])
            loss += share * float(cross_entropy(logits, target).sum())
            d_logits = cross_entropy_vjp(logits, target, np.full((1, 1), share))
            self.d["head.weight"] += d_logits[0].T @ top[0]
            d_mixed = (d_logits @ self.w["head.weight"]) * (1 - top**2)
            self.d["combine.weight"] += d_mixed[0].T @ joined[0]
            d_joined = d_mixed @ self.w["combine.weight"]
            dy, d_context = d_joined[..., -D:], d_joined[..., :-D]
            if self.kind not in ("none", "bahdanau"):
                d_query, d_look = self.look_back(y, states, everything, d_context)
                dy, d_states = dy + d_query, d_states + d_look
            d_read, dh, dc, d_layer = lstm_vjp(read, h, cell, decoder, dy + dh[:, None], dc)
            for name, value in flat(d_layer, "decoder").items():
                self.d[name] += value
            if self.kind == "bahdanau":
                d_query, d_look = self.look_back(h[:, None], states, everything, d_context + d_read[..., D:])
                dh, d_states = dh + d_query[:, 0], d_states + d_look
            self.add_to_table(word, d_read[0, 0, :D])
        d_states[:, -1] += dh
        d_x, _, _, d_layer = lstm_vjp(x, zero, zero, self.layers["encoder"], d_states, dc)
        for name, value in flat(d_layer, "encoder").items():
            self.d[name] += value
        self.add_to_table(source, d_x[0])
        return loss

    def look_back(
        self, q: np.ndarray, states: np.ndarray, mask: np.ndarray, d_context: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        d_scores, from_values = reference.attend_vjp(self.scores(q, states), states, mask, d_context)
        d_query, from_keys = self.scores_vjp(q, states, d_scores)
        return d_query, from_values + from_keys

    def add_to_table(self, words: Any, values: np.ndarray) -> None:
        d = np.zeros_like(self.w["embed.weight"])
        np.add.at(d, words, values)
        self.d["embed.weight"] += d


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradients_are_the_references(kind: Score) -> None:
    model = model_of(kind)
    loss = loss_of(model)
    loss.backward()
    oracle, total = Oracle(model), 0.0
    for source, mask, given, wanted in zip(SOURCE, MASK, TARGET, WANTED, strict=True):
        total += oracle.row(source[mask].numpy(), given.numpy(), wanted.numpy(), 1 / WANTED.numel())
    assert loss.item() == pytest.approx(total, rel=1e-12)
    found = {name: weight.grad.numpy() for name, weight in model.named_parameters()}
    assert found.keys() == oracle.d.keys()
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, oracle.d[name], rtol=1e-10, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_one_token_at_a_time_is_the_whole(kind: Score) -> None:
    model = model_of(kind)
    memory, state = model.encode(SOURCE, MASK)
    whole = model.read(TARGET, state, memory, MASK)
    for t in range(TARGET.shape[1]):
        step = model.read(TARGET[:, t : t + 1], state, memory, MASK)
        torch.testing.assert_close(step.hidden[:, 0], whole.hidden[:, t])
        state = step.state
    torch.testing.assert_close(state, whole.state)
    assert (whole.weights is None) == (kind == "none")
    if whole.weights is not None:
        torch.testing.assert_close(whole.weights.sum(-1), torch.ones(3, 3, dtype=torch.float64))
        assert not whole.weights[~MASK[:, None].expand_as(whole.weights)].any()


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted_and_matched(kind: Score) -> None:
    model = model_of(kind)
    assert model.config.parameters == sum(weight.numel() for weight in model.parameters())
    assert matched(kind, 400, 700_000).parameters == pytest.approx(700_000, rel=0.01)


def test_impossible_settings_are_told() -> None:
    for wrong in ({"d_model": 0}, {"dropout": 1.0}, {"start": VOCAB}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            Seq2SeqConfig(VOCAB, **wrong)
