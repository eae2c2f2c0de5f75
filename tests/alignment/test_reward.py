"""The reward model: where labels stand, what the loss is, and that values are read at the ends of steps."""

import itertools
import math
import random

import numpy as np
import pytest
import torch

from clearhead.alignment.labels import (
    RewardBatch,
    RewardEpochs,
    by_problem,
    pack_groups,
    reward_model_loss,
    share_ranked,
    split_paths,
)
from clearhead.alignment.reward import OUTCOME, PROCESS, RewardModel, pair_loss, reward_loss, scored_document
from clearhead.alignment.rollouts import UNLABELED, LabeledPath
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.tokenizer import END, CharTokenizer

TOKENIZER = CharTokenizer("\n+12=")
NONE = UNLABELED
DONE = LabeledPath("1+1", ("1=1", "=2"), True, (0.5, 0.75, 1.0))
CUT = LabeledPath("2+1", ("2",), False, (NONE, 0.25))


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
    document = scored_document(TOKENIZER, LabeledPath("1+1", ("",), True, (0.5, 0.0)))
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
    """The loss is least where the chance equals the label: that is what makes values calibrated."""
    grid = torch.linspace(-4, 4, 801)
    losses = torch.stack([reward_loss(torch.stack([g, g])[None], torch.tensor([[NONE, 0.3]])) for g in grid])
    assert torch.sigmoid(grid[losses.argmin()]).item() == pytest.approx(0.3, abs=0.005)


def test_a_pair_costs_what_bradley_and_terry_say() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    pairs, weights = torch.tensor([[2, 0], [3, 1], [0, 0]]), torch.tensor([1.0, 0.5, 0.0])
    expected = math.log(1 + math.exp(-(1.0 - 0.0))) + 0.5 * math.log(1 + math.exp(-(-1.0 - 2.0)))
    assert pair_loss(logits, pairs, weights).item() == pytest.approx(expected, rel=1e-6)


RIGHT = LabeledPath("1+1", ("1=1", "=2"), True, (0.5, 0.75, 1.0))
WRONG = LabeledPath("1+1", ("1=1", "=1"), True, (0.5, 0.75, 0.0))
ELSEWHERE = LabeledPath("1+1", ("2",), False, (0.5, 0.25))
OTHER = LabeledPath("2+1", ("=2",), True, (1.0, 0.0))


def packed(*groups: list[LabeledPath], rows: int = 3, length: int = 24) -> RewardBatch:
    documents = [[scored_document(TOKENIZER, path) for path in group] for group in groups]
    return pack_groups(documents, rows, length, random.Random(0))


def test_packing_keeps_every_label_at_its_token_and_a_shared_state_has_one() -> None:
    batch = packed([RIGHT, WRONG, ELSEWHERE], [OTHER])
    found = []
    for row in range(len(batch.tokens)):
        for segment in range(1, batch.segments[row].max() + 1):
            at = batch.segments[row] == segment
            process = [float(label) for label in batch.labels[row][at][:, PROCESS] if label != NONE]
            found.append((TOKENIZER.decode(batch.tokens[row][at].tolist()), process))
    assert sorted(found) == [
        ("1+1\n1=1\n=1", [0.0]),  # its first two states are those of the right one, which came first
        ("1+1\n1=1\n=2", [0.5, 0.75, 1.0]),
        ("1+1\n2\n", [0.25]),
        ("2+1\n=2", [1.0, 0.0]),
    ]
    assert (batch.labels[batch.segments == 0] == NONE).all(), "padding has no labels"


def test_only_right_solutions_are_written_on() -> None:
    batch = packed([RIGHT, WRONG, ELSEWHERE], [OTHER])
    written = [TOKENIZER.decode([t for t in row.tolist() if t > 0]) for row in batch.targets]
    assert sorted(filter(None, written)) == ["1=1\n=2"]
    row, at = np.argwhere(batch.targets == END)[0]
    assert TOKENIZER.decode(batch.tokens[row, : at + 1].tolist()).endswith("1+1\n1=1\n=2")


def test_pairs_are_of_one_problem_and_as_many_steps_and_the_better_comes_first() -> None:
    batch = packed([RIGHT, WRONG, ELSEWHERE], [OTHER])
    labels = batch.labels.reshape(-1)
    used = batch.pairs[batch.weights > 0]
    found = sorted((better % 2, float(labels[better]), float(labels[worse])) for better, worse in used.tolist())
    assert found == [(OUTCOME, 1.0, 0.0), (PROCESS, 0.75, 0.25), (PROCESS, 1.0, 0.0)]
    process = batch.weights[(batch.weights > 0)]
    assert process.sum() == pytest.approx(2), "every problem counts 1 for each head"


def test_more_pairs_than_places_keep_their_weight_on_average() -> None:
    wrong = [LabeledPath("1+1", (f"={i:b}".replace("0", "2"),), True, (0.5, 0.0)) for i in range(40)]
    right = [LabeledPath("1+1", (f"1={i:b}".replace("0", "2"),), True, (0.5, 1.0)) for i in range(40)]
    documents = [scored_document(TOKENIZER, path) for path in [*right, *wrong]]
    totals = [pack_groups([documents], 50, 24, random.Random(i)).weights.sum() for i in range(5)]
    assert np.mean(totals) == pytest.approx(2, rel=0.05)


def test_a_batch_depends_on_seed_and_index_alone_and_an_epoch_shows_every_problem_once() -> None:
    asked = ["".join(letters) for letters in itertools.product("12+", repeat=2)]
    paths = [LabeledPath("=" + problem, ("=2",), True, (1.0, 1.0)) for problem in asked]
    problems = by_problem(TOKENIZER, paths, 24)
    epochs = RewardEpochs(problems, rows=1, length=24, seed=3)
    assert epochs.at_once == 3
    shown = [sorted(i for at in range(3) for i in epochs._drawn(3 * epoch + at)) for epoch in range(2)]
    assert shown == [list(range(9))] * 2
    assert (epochs.batch(4).tokens == RewardEpochs(problems, 1, 24, 3).batch(4).tokens).all()
    assert any((epochs.batch(i).tokens != RewardEpochs(problems, 1, 24, 4).batch(i).tokens).any() for i in range(5))


def test_a_document_too_long_for_a_row_is_left_out() -> None:
    assert [len(group) for group in by_problem(TOKENIZER, [RIGHT, WRONG, ELSEWHERE], 8)] == [1]


def test_held_out_paths_share_no_problem_with_the_rest() -> None:
    paths = [LabeledPath(str(i % 20), ("1",), True, (0.5, 1.0)) for i in range(60)]
    train, held_out = split_paths(paths, 0.25, 100, seed=0)
    assert len({p.problem for p in held_out}) == 5
    assert not {p.problem for p in held_out} & {p.problem for p in train}
    assert len(train) + len(held_out) == 60
    assert len({p.problem for p in split_paths(paths, 0.25, 2, seed=0)[1]}) == 2


@pytest.fixture
def model() -> RewardModel:
    config = DecoderConfig(vocab=TOKENIZER.vocab_size, max_positions=32, **PRESETS["tiny"])  # type: ignore[arg-type]
    return RewardModel(Decoder(config, seed=2))


def test_a_new_model_says_one_half(model: RewardModel) -> None:
    assert model.scorer(torch.randn(3, 32)).sigmoid().tolist() == [[0.5, 0.5]] * 3


def test_it_learns_which_step_is_good(model: RewardModel) -> None:
    """Two steps that differ in one character, always followed by success and failure: values must part."""
    paths = [
        LabeledPath("1+1", ("1=1",), False, (NONE, 1.0)),
        LabeledPath("1+1", ("1=2",), False, (NONE, 0.0)),
    ]
    held_out = [packed(paths, rows=1, length=16)]
    batch = RewardBatch(*(torch.from_numpy(array) for array in held_out[0]))  # type: ignore[arg-type]
    assert share_ranked(model, held_out, PROCESS) == 0.5, "a new model finds all alike"
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
    assert share_ranked(model, held_out, PROCESS) == 1.0
    assert math.isnan(share_ranked(model, held_out, OUTCOME)), "no finished solution to compare"
    assert PROCESS == 1 and OUTCOME == 0
