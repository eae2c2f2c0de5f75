"""Scheduled sampling: which read tokens are the model's own, and that none is the loss as it was."""

import torch

from clearhead.models.seq2seq import Seq2Seq, Seq2SeqConfig
from clearhead.text.pairs import Pair, pair_batch
from clearhead.training.scheduled_sampling import mixed, scheduled_loss
from clearhead.training.step import language_model_loss, to_tensors

PAIRS = [Pair([5, 6, 7], [8, 9, 8, 9]), Pair([4], [3])]


def batch_of(sampled: float):  # type: ignore[no-untyped-def]
    return to_tensors(pair_batch(PAIRS * 50, 1, 1, sampled), torch.device("cpu"))


def test_all_is_every_token_after_the_start_and_nothing_of_the_padding() -> None:
    batch = batch_of(1.0)
    said = torch.full_like(batch.tokens, 2)
    assert mixed(batch, said)[:2].tolist() == [[1, 2, 2, 2, 2], [1, 2, 0, 0, 0]]
    assert torch.equal(mixed(batch_of(0.0), said), batch.tokens)


def test_what_is_read_was_said_at_the_place_before() -> None:
    batch = batch_of(1.0)
    said = torch.arange(5).expand(100, 5)
    assert mixed(batch, said)[0].tolist() == [1, 0, 1, 2, 3]


def test_the_share_is_about_what_was_asked_for() -> None:
    torch.manual_seed(0)
    batch = batch_of(0.3)
    changed = (mixed(batch, torch.full_like(batch.tokens, 2)) == 2).sum().item()
    assert 50 < changed < 100  # of 250


def test_nothing_sampled_is_the_usual_loss_and_something_is_not() -> None:
    model = Seq2Seq(Seq2SeqConfig(12, "luong-dot", 8))
    torch.nn.init.normal_(model.head.weight)
    usual = language_model_loss(model, batch_of(0.0))
    assert torch.equal(scheduled_loss(model, batch_of(0.0)), usual)
    loss = scheduled_loss(model, batch_of(1.0))
    assert not torch.equal(loss, usual)
    loss.backward()
    assert model.embed.weight.grad is not None and model.embed.weight.grad.abs().sum() > 0
