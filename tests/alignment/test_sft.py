"""Packed examples: what is a target, that neighbors do not matter, and that every example has its turn."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clearhead.alignment.sft import Epochs, answer_loss, lay_out_examples
from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.packing import Batch, fill_rows
from clearhead.text.sft_data import Example
from clearhead.training.step import language_model_loss, mean_loss, to_tensors

CPU = torch.device("cpu")
TINY = DecoderConfig(vocab=50, **PRESETS["tiny"])  # type: ignore[arg-type]


def noisy(seed: int = 1) -> Decoder:
    decoder = Decoder(TINY, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return decoder


def example(rng: random.Random, longest: int = 14) -> Example:
    tokens = [rng.randrange(2, 50) for _ in range(rng.randint(3, longest))]
    loss_mask = [False] + [rng.random() < 0.5 for _ in tokens[2:]] + [True]
    return Example(tokens, loss_mask)


def some(n: int, seed: int = 0) -> list[Example]:
    rng = random.Random(seed)
    return [example(rng) for _ in range(n)]


def pack_examples(examples: Sequence[Example], length: int) -> Batch:
    """All of them in as few rows as `fill_rows` finds."""
    placed = fill_rows([len(e.tokens) - 1 for e in examples], length)
    return lay_out_examples(examples, placed, max(placed) + 1, length)


def test_a_position_learns_the_token_after_it_where_that_is_the_assistants() -> None:
    two = [Example([10, 11, 12, 13, 14], [False, True, False, False, True]), Example([20, 21], [False, True])]
    batch = pack_examples(two, 6)
    assert batch.tokens.tolist() == [[10, 11, 12, 13, 20, 0]]
    assert batch.targets.tolist() == [[11, -1, -1, 14, 21, -1]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 0, 0]]
    assert batch.segments.tolist() == [[1, 1, 1, 1, 2, 0]]


def test_a_token_does_not_see_its_neighbors_in_the_row() -> None:
    decoder = noisy()
    first, *others = some(4)
    rows = []
    for neighbors in (others, [Example([e.tokens[0] ^ 1, *e.tokens[1:]], e.loss_mask) for e in others]):
        batch = to_tensors(pack_examples([first, *neighbors], 64), CPU)
        assert batch.tokens.shape[0] == 1
        with torch.no_grad():
            rows.append((batch, decoder.logits(decoder(batch.tokens, batch.positions, causal_attend(batch.segments)))))
    (a, a_logits), (b, b_logits) = rows
    changed = (a.tokens != b.tokens)[0].nonzero().flatten().tolist()
    assert len(changed) == 3
    (start,) = (i for i in range(64) if a.tokens[0, i : i + len(first.tokens) - 1].tolist() == first.tokens[:-1])
    own = slice(start, start + len(first.tokens) - 1)
    assert torch.equal(a_logits[0, own], b_logits[0, own])
    assert not torch.equal(a_logits[0, changed[0]], b_logits[0, changed[0]])  # the change does matter where it is
    alone = torch.tensor([first.tokens[:-1]])
    positions = torch.arange(alone.shape[1])[None]
    with torch.no_grad():
        expected = decoder.logits(decoder(alone, positions, causal_attend()))
    torch.testing.assert_close(a_logits[:, own], expected, rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_mean_over_the_answers_tokens() -> None:
    decoder, batch = noisy(), to_tensors(pack_examples(some(12), 20), CPU)
    torch.testing.assert_close(answer_loss(decoder, batch), language_model_loss(decoder, batch))
    answer_loss(decoder, batch).backward()
    gradient = decoder.embed.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_the_mean_counts_every_token_alike() -> None:
    decoder, examples = noisy(), some(9)
    batches = [pack_examples(examples[:2], 20), pack_examples(examples[2:], 20)]
    total = count = 0.0
    for e in examples:
        tokens = torch.tensor([e.tokens[:-1]])
        with torch.no_grad():
            hidden = decoder(tokens, torch.arange(tokens.shape[1])[None], causal_attend())
            log_p = F.log_softmax(decoder.logits(hidden)[0], -1)
        for i, on in enumerate(e.loss_mask[1:]):
            total -= on * log_p[i, e.tokens[i + 1]].item()
            count += on
    assert mean_loss(decoder, batches, answer_loss, CPU) == pytest.approx(total / count, rel=1e-5)


def answers(batch: object) -> Counter:
    """Every document of a batch, as the tokens that it reads."""
    found: Counter = Counter()
    for tokens, segments in zip(batch.tokens, batch.segments, strict=True):  # type: ignore[attr-defined]
        for segment in set(segments.tolist()) - {0}:
            found[tuple(tokens[segments == segment].tolist())] += 1
    return found


def test_every_example_comes_once_an_epoch() -> None:
    examples = some(37)
    epochs = Epochs(examples, rows=3, length=20, seed=5)
    expected = Counter(tuple(e.tokens[:-1]) for e in examples)
    orders = []
    for epoch in range(3):
        batches = [epochs.batch(epoch * epochs.steps + i) for i in range(epochs.steps)]
        assert sum((answers(batch) for batch in batches), Counter()) == expected
        sizes = [len(batch.tokens) for batch in batches]
        assert max(sizes) <= 3 and max(sizes) - min(sizes) <= 1
        assert all((batch.targets >= 0).any() for batch in batches)
        orders.append(str(batches))
    assert len(set(orders)) == 3


def test_a_batch_depends_on_the_seed_and_its_number_alone() -> None:
    examples = some(30)
    one, other = Epochs(examples, 2, 20, 5), Epochs(examples, 2, 20, 5)
    late = one.batch(one.steps * 2 + 1)
    for i in range(other.steps * 2 + 1):
        other.batch(i)
    assert all(np.array_equal(a, b) for a, b in zip(late, other.batch(other.steps * 2 + 1), strict=True))
    elsewhere = Epochs(examples, 2, 20, 6).batch(one.steps * 2 + 1)
    assert not np.array_equal(late.tokens, elsewhere.tokens)


def test_no_examples_and_too_long_ones_are_told() -> None:
    with pytest.raises(UserError, match="no example"):
        Epochs([], 2, 20, 0).batch(0)
    with pytest.raises(UserError, match="does not fit"):
        Epochs(some(3), 2, 2, 0).batch(0)
