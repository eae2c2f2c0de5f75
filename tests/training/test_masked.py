"""What is hidden, how often and how; the loss against the library's; and an encoder that learns from it."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from clearhead.models.encoder import Encoder, EncoderConfig
from clearhead.text.packing import IGNORE_INDEX, Batch, Document, pack
from clearhead.training.loop import TrainConfig, train
from clearhead.training.masked import mask_tokens, masked_loss
from clearhead.training.step import to_tensors

MASK, VOCAB, END = 20, 20, 19


def batch(rows: int = 200, length: int = 50, padding: int = 7) -> Batch:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, VOCAB, (rows, length))
    segments = np.ones_like(tokens)
    segments[:, length - padding :] = 0
    return Batch(tokens, np.tile(np.arange(length), (rows, 1)), segments, tokens)


def test_fifteen_of_a_hundred_are_hidden_eighty_ten_ten() -> None:
    given = batch()
    found = mask_tokens(given, MASK, VOCAB, np.random.default_rng(1), special=frozenset({END}))
    chosen = found.targets != IGNORE_INDEX
    assert np.array_equal(found.targets[chosen], given.tokens[chosen])
    assert np.array_equal(found.tokens[~chosen], given.tokens[~chosen]), "what is not hidden stays"
    assert not chosen[given.segments == 0].any() and not chosen[given.tokens == END].any()
    eligible = (given.segments > 0) & (given.tokens != END)
    assert chosen[eligible].mean() == pytest.approx(0.15, abs=0.015)
    masked, same = found.tokens[chosen] == MASK, found.tokens[chosen] == given.tokens[chosen]
    assert masked.mean() == pytest.approx(0.8, abs=0.04)
    assert same.mean() == pytest.approx(0.1 + 0.1 / VOCAB, abs=0.03)
    others = found.tokens[chosen][~masked & ~same]
    assert set(others.tolist()) == set(range(VOCAB))
    again = mask_tokens(given, MASK, VOCAB, np.random.default_rng(1), special=frozenset({END}))
    assert np.array_equal(again.tokens, found.tokens)


def test_the_loss_is_over_the_hidden_tokens_of_each_document_alone() -> None:
    model = Encoder(EncoderConfig(21, d_model=16, n_heads=2, d_ff=32, n_layers=2, max_positions=16), seed=1).double()
    documents = [Document([], [3, 4, 5, 6]), Document([], [7, 8, 9])]
    found = mask_tokens(pack(documents, 8), MASK, VOCAB, np.random.default_rng(3), rate=0.6)
    rows = to_tensors(found, torch.device("cpu"))
    losses = []
    for segment in (1, 2):
        here = rows.segments[0] == segment
        logits = model.logits(model(rows.tokens[0][here][None]))[0].float()
        losses.append(cross_entropy(logits, rows.targets[0][here], ignore_index=IGNORE_INDEX, reduction="sum"))
    count = (found.targets != IGNORE_INDEX).sum()
    assert count > 2 and set(found.segments[found.targets != IGNORE_INDEX].tolist()) == {1, 2}
    assert masked_loss(model, rows).item() == pytest.approx(sum(losses).item() / count, rel=1e-6)


def test_an_encoder_learns_what_stands_between_its_neighbors() -> None:
    """Token i is followed by i + 1: one that is hidden is known from the left as from the right, the first one too."""

    def rows(i: int) -> Batch:
        rng = np.random.default_rng([i, 7])
        tokens = (rng.integers(0, 8, (32, 1)) + np.arange(8)) % 8
        given = Batch(tokens, np.tile(np.arange(8), (32, 1)), np.ones_like(tokens), tokens)
        return mask_tokens(given, 8, 8, rng, rate=0.3)

    model = Encoder(EncoderConfig(9, d_model=32, n_heads=2, d_ff=64, n_layers=2, max_positions=8), seed=0)
    config = TrainConfig(steps=150, batch_size=32, seq_len=8, adam_lr=0.01, warmup=10, compile="off", dtype="float32")
    unseen = to_tensors(rows(10**6), torch.device("cpu"))
    before = masked_loss(model, unseen).item()
    train(config, model, rows, masked_loss, prefetch=0)
    assert before == pytest.approx(np.log(9), abs=0.2)
    assert masked_loss(model.eval(), unseen).item() < 0.6 * before
