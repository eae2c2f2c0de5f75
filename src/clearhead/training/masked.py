"""Masked-language-model training: which tokens are hidden and how, and the loss on them.

Devlin et al. 2019, section 3.1, task 1. The loop is the one of all training; batches come from packing or shards.
"""

from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from clearhead.kernels.attention import bidirectional_attend
from clearhead.text.packing import IGNORE_INDEX, Batch

RATE = 0.15  # of the tokens
MASKED, RANDOM = 0.8, 0.1  # of those chosen; the rest stay as they are


def mask_tokens(
    batch: Batch, mask_id: int, vocab: int, rng: np.random.Generator, rate: float = RATE,
    special: frozenset[int] = frozenset(),
) -> Batch:  # fmt: skip
    """The batch with some tokens hidden and those alone as targets, in their own places.

    A chosen token becomes the mask in 80 % of cases and one of the ids below `vocab` in 10 %. Padding and `special`
    tokens are never chosen. With the same generator, the same tokens.

    tokens   a b c d e 0        a M c d x 0
    targets                    -1 b -1 d e -1     b masked, d left as it is, e exchanged
    """
    eligible = (batch.segments > 0) & ~np.isin(batch.tokens, list(special))
    chosen = eligible & (rng.random(batch.tokens.shape) < rate)
    how = rng.random(batch.tokens.shape)
    drawn = rng.integers(0, vocab, batch.tokens.shape)
    tokens = np.where(chosen & (how < MASKED), mask_id, batch.tokens)
    tokens = np.where(chosen & (how >= MASKED) & (how < MASKED + RANDOM), drawn, tokens)
    return batch._replace(tokens=tokens, targets=np.where(chosen, batch.tokens, IGNORE_INDEX))


def masked_loss(model: Any, batch: Any) -> Tensor:
    """Mean of -log p(token) over the hidden ones, each seen from all of its document."""
    logits = model.logits(model(batch.tokens, batch.positions, bidirectional_attend(batch.segments))).float()
    return F.cross_entropy(logits.flatten(0, -2), batch.targets.flatten(), ignore_index=IGNORE_INDEX)
