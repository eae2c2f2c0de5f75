"""Labelled paths as training batches for the reward model."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from clearhead.alignment.reward import Scored, reward_loss, scored_document
from clearhead.alignment.rollouts import UNLABELLED, LabelledPath
from clearhead.kernels.attention import causal_attend
from clearhead.text.packing import Document, pack
from clearhead.text.tokenizer import PAD, CharTokenizer


class RewardBatch(NamedTuple):
    """Packed rows (see text.packing.Batch) with the labels of both heads where a step ends, UNLABELLED elsewhere."""

    tokens: Int[np.ndarray, "B T"]
    positions: Int[np.ndarray, "B T"]
    segments: Int[np.ndarray, "B T"]
    labels: Float[np.ndarray, "B T 2"]


def pack_labelled(documents: Sequence[Scored], length: int) -> RewardBatch:
    """All documents in as few rows as possible, the labels beside their tokens.

    A label travels as its place in a table of values, laid out by the same packing as the tokens.
    """
    values = sorted({label for d in documents for label in (*d.outcome, *d.process)} | {UNLABELLED})
    place = {label: i for i, label in enumerate(values)}
    assert values[0] == UNLABELLED, "padding is filled with 0, which must mean no label"
    batch = pack([Document(d.tokens, [PAD]) for d in documents], length)
    outcome = pack([Document([place[v] for v in d.outcome], [0]) for d in documents], length).tokens
    process = pack([Document([place[v] for v in d.process], [0]) for d in documents], length).tokens
    labels = np.array(values, np.float32)[np.stack([outcome, process], axis=-1)]
    return RewardBatch(batch.tokens, batch.positions, batch.segments, labels)


@dataclass(frozen=True)
class Epochs:
    """`batch(i)`: the i-th batch of rows shuffled anew for each epoch; depends on seed and i alone."""

    packed: RewardBatch
    rows: int
    seed: int

    def batch(self, i: int) -> RewardBatch:
        total = len(self.packed.tokens)
        epoch, start = divmod(i * self.rows, total)
        taken = self._order(epoch)[start : start + self.rows]
        while len(taken) < self.rows:
            epoch += 1
            taken += self._order(epoch)[: self.rows - len(taken)]
        return RewardBatch(*(array[taken] for array in self.packed))

    def _order(self, epoch: int) -> list[int]:
        order = list(range(len(self.packed.tokens)))
        random.Random(f"{self.seed}/{epoch}").shuffle(order)
        return order


def split_paths(
    paths: Sequence[LabelledPath], held_out: float, seed: int
) -> tuple[list[LabelledPath], list[LabelledPath]]:
    """(train, held out), by problem, so that no state of a held-out problem is learned."""
    problems = sorted({path.problem for path in paths})
    random.Random(seed).shuffle(problems)
    apart = set(problems[: round(held_out * len(problems))])
    return [p for p in paths if p.problem not in apart], [p for p in paths if p.problem in apart]


def batches(tokenizer: CharTokenizer, paths: Sequence[LabelledPath], length: int, rows: int, seed: int) -> Epochs:
    return Epochs(pack_labelled([scored_document(tokenizer, path) for path in paths], length), rows, seed)


def reward_model_loss(model: Any, batch: Any) -> Tensor:
    """`reward_loss` of a packed batch, for training.loop."""
    return reward_loss(model(batch.tokens, batch.positions, causal_attend(batch.segments)), batch.labels)


def share_positive(paths: Sequence[LabelledPath]) -> tuple[int, float]:
    """How many states are labelled, and the mean of their labels."""
    labels = [label for path in paths for label in path.labels if label != UNLABELLED]
    return len(labels), float(np.mean(labels)) if labels else float("nan")
