"""The reward model: where labels stand, what the loss is, and that verdicts are read at the ends of steps."""

import math

import numpy as np
import pytest
import torch

from clearhead.alignment.labels import Epochs, RewardBatch, batches, pack_labelled, reward_model_loss, split_paths
from clearhead.alignment.reward import OUTCOME, PROCESS, RewardModel, chances, reward_loss, scored_document
from clearhead.alignment.rollouts import UNLABELLED, LabelledPath
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.tokenizer import END, CharTokenizer

TOKENIZER = CharTokenizer("\n+12=")
NONE = UNLABELLED
DONE = LabelledPath("1+1", ("1=1", "=2"), True, (0.5, 0.75, 1.0))
CUT = LabelledPath("2+1", ("2",), False, (NONE, 0.25))


def test_labels_stand_at_the_ends_of_prompt_and_steps() -> None:
    document = scored_document(TOKENIZER, DONE)
    newline = TOKENIZER.encode("\n")
    assert document.tokens == [*TOKENIZER.encode("1+1\n1=1\n=2"), END]
    assert [i for i, label in enumerate(document.process) if label != NONE] == [3, 7, 10]
    assert document.tokens[3:4] == document.tokens[7:8] == newline
    assert [label for label in document.process if label != NONE] == [0.5, 0.75, 1.0]
    assert [label for label in document.outcome if label != NONE] == [1.0]
    assert document.outcome[-1] == 1.0


def test_an_unfinished_solution_has_no_outcome() -> None:
    document = scored_document(TOKENIZER, CUT)
    assert document.tokens == TOKENIZER.encode("2+1\n2\n")
    assert set(document.outcome) == {NONE}
    assert document.process[-1] == 0.25


def test_a_model_that_ends_at_once_has_written_one_empty_step() -> None:
    document = scored_document(TOKENIZER, LabelledPath("1+1", ("",), True, (0.5, 0.0)))
    assert document.tokens == [*TOKENIZER.encode("1+1\n"), END]
    assert document.process[-2:] == [0.5, 0.0]
    assert document.outcome[-1] == 0.0


def test_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0], [9.0, 9.0]])
    labels = torch.tensor([[1.0, 0.25], [NONE, 0.0], [NONE, NONE]])
    s = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    outcome = -math.log(s(0.0))
    process = (-(0.25 * math.log(s(2.0)) + 0.75 * math.log(1 - s(2.0))) - math.log(1 - s(-1.0))) / 2
    assert reward_loss(logits, labels).item() == pytest.approx(outcome + process, rel=1e-6)


def test_the_loss_has_no_gradient_where_there_is_no_label_and_survives_no_labels_at_all() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    labels = torch.tensor([[1.0, NONE], [NONE, 0.5], [NONE, NONE], [NONE, 0.0]])
    reward_loss(logits, labels).backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == (labels != NONE).tolist()
    assert reward_loss(torch.randn(3, 2), torch.full((3, 2), NONE)).item() == 0.0


def test_soft_labels_pull_to_the_share_itself() -> None:
    """The loss is least where the chance equals the label: that is what makes verdicts calibrated."""
    grid = torch.linspace(-4, 4, 801)
    losses = torch.stack([reward_loss(torch.stack([g, g])[None], torch.tensor([[NONE, 0.3]])) for g in grid])
    assert torch.sigmoid(grid[losses.argmin()]).item() == pytest.approx(0.3, abs=0.005)


def test_packing_keeps_every_label_at_its_token() -> None:
    documents = [scored_document(TOKENIZER, path) for path in (DONE, CUT, DONE, CUT, CUT)]
    packed = pack_labelled(documents, 24)
    found = []
    for row in range(len(packed.tokens)):
        for segment in range(1, packed.segments[row].max() + 1):
            at = packed.segments[row] == segment
            found.append((packed.tokens[row][at].tolist(), packed.labels[row][at].tolist()))
    expected = [(d.tokens, np.float32(list(zip(d.outcome, d.process, strict=True))).tolist()) for d in documents]
    assert sorted(found) == sorted(expected)
    assert (packed.labels[packed.segments == 0] == NONE).all(), "padding has no labels"


def test_epochs_show_every_row_once_and_depend_on_seed_and_index_alone() -> None:
    packed = RewardBatch(*(np.arange(10).reshape(5, 2) for _ in range(3)), np.zeros((5, 2, 2), np.float32))
    epochs = Epochs(packed, rows=2, seed=3)
    seen = np.concatenate([epochs.batch(i).tokens[:, 0] for i in range(5)])  # two epochs of five rows
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 2, 4, 6, 8]
    assert (epochs.batch(3).tokens == Epochs(packed, 2, 3).batch(3).tokens).all()
    assert any((epochs.batch(i).tokens != Epochs(packed, 2, 4).batch(i).tokens).any() for i in range(5))


def test_held_out_paths_share_no_problem_with_the_rest() -> None:
    paths = [LabelledPath(str(i % 20), ("1",), True, (0.5, 1.0)) for i in range(60)]
    train, held_out = split_paths(paths, 0.25, seed=0)
    assert len({p.problem for p in held_out}) == 5
    assert not {p.problem for p in held_out} & {p.problem for p in train}
    assert len(train) + len(held_out) == 60


@pytest.fixture
def model() -> RewardModel:
    config = DecoderConfig(vocab=TOKENIZER.vocab_size, max_positions=32, **PRESETS["tiny"])  # type: ignore[arg-type]
    return RewardModel(Decoder(config, seed=2))


def test_a_new_model_says_one_half(model: RewardModel) -> None:
    assert chances(model.judge(torch.randn(3, 32))).tolist() == [[0.5, 0.5]] * 3


def test_it_learns_which_step_is_good(model: RewardModel) -> None:
    """Two steps that differ in one character, always followed by success and failure: verdicts must part."""
    paths = [
        LabelledPath("1+1", ("1=1",), False, (NONE, 1.0)),
        LabelledPath("1+1", ("1=2",), False, (NONE, 0.0)),
    ]
    batch = batches(TOKENIZER, paths, 16, 1, 0).packed
    batch = RewardBatch(*(torch.from_numpy(array) for array in batch))  # type: ignore[arg-type]
    with torch.no_grad():  # a policy that has learned something: from all zeros the two gradients would cancel
        for weight in model.decoder.blocks.parameters():
            weight.normal_(std=0.2, generator=torch.Generator().manual_seed(weight.numel()))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = reward_model_loss(model, batch)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert PROCESS == 1 and OUTCOME == 0
