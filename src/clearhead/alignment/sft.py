"""Supervised fine-tuning: batches of packed examples, epoch after epoch, and the loss on the answers in them.

Deliberately not here: chats and which of their tokens are answers (text.sft_data), and the loop.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.text.packing import IGNORE_INDEX, Batch, Document, fill_rows, lay_out, sizes
from clearhead.text.sft_data import Example


def lay_out_examples(examples: Sequence[Example], placed: Sequence[int], rows: int, length: int) -> Batch:
    """The rows, each example in the row that `placed` says; a token is a target where it is learned."""
    batch = lay_out([Document([], e.tokens) for e in examples], placed, rows, length)
    marks = lay_out([Document([], [int(on) for on in e.loss_mask]) for e in examples], placed, rows, length)
    batch.targets[marks.targets != 1] = IGNORE_INDEX  # the mark of the next token, or of none
    return batch


@dataclass(frozen=True)
class Epochs:
    """Every example once an epoch, packed and shuffled anew; batch(i) depends on the seed and i alone.

    The rows of an epoch, as many each time, are dealt out evenly: a batch has `rows` of them, or fewer. The last epoch
    that was asked for is kept.
    """

    examples: Sequence[Example]
    rows: int
    length: int
    seed: int
    _rows: dict[int, list[list[int]]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def lengths(self) -> list[int]:
        return sizes([Document([], example.tokens) for example in self.examples], self.length)

    @cached_property
    def steps(self) -> int:
        """Batches in an epoch."""
        if not self.examples:
            raise UserError("there is no example to learn from; give some")
        return -(-(max(fill_rows(self.lengths, self.length)) + 1) // self.rows)

    def batch(self, i: int) -> Batch:
        epoch, within = divmod(i, self.steps)
        if epoch not in self._rows:
            self._rows.clear()
            self._rows[epoch] = self.packed(epoch)
        chosen = np.array_split(np.arange(len(self._rows[epoch])), self.steps)[within]
        here = [(self.examples[j], k) for k, row in enumerate(chosen) for j in self._rows[epoch][row]]
        return lay_out_examples([e for e, _ in here], [k for _, k in here], len(chosen), self.length)

    def packed(self, epoch: int) -> list[list[int]]:
        """The examples of each row of an epoch."""
        rng = random.Random(f"{self.seed}/{epoch}")
        order = list(range(len(self.examples)))
        rng.shuffle(order)
        placed = fill_rows([self.lengths[j] for j in order], self.length)
        rows: list[list[int]] = [[] for _ in range(max(placed) + 1)]
        for j, row in zip(order, placed, strict=True):
            rows[row].append(j)
        rng.shuffle(rows)
        return rows


def answer_loss(model: Any, batch: Any) -> Tensor:
    """Mean of -log p(token | what the example says before it) over the answers' tokens; no other logit is computed."""
    hidden = model(batch.tokens, batch.positions, causal_attend(batch.segments))
    is_target = batch.targets != IGNORE_INDEX
    return F.cross_entropy(model.logits(hidden[is_target]).float(), batch.targets[is_target])
