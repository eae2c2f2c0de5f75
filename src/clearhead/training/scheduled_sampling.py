"""Scheduled sampling: some of the target tokens that a model reads in training are its own, as all will be later.

In parallel, Duckworth et al. 2019: what the model says after the true tokens takes the place of some of them, and it is
trained on the mixture. Bengio et al. 2015 drew token by token, each after the mixture so far; this costs one more pass
for all positions at once and works for transformers too.
"""

from typing import Any

import torch
from torch import Tensor

from clearhead.text.packing import IGNORE_INDEX
from clearhead.training.step import hidden_states, language_model_loss


def scheduled_loss(model: Any, batch: Any) -> Tensor:
    """The loss on a batch in which about `batch.sampled` of the read tokens are the likeliest in the model's eyes."""
    with torch.no_grad():
        said = model.logits(hidden_states(model, batch)).argmax(-1)
    return language_model_loss(model, batch._replace(tokens=mixed(batch, said)))


def mixed(batch: Any, said: Tensor) -> Tensor:
    """The read tokens, some replaced by what was said a position before; never the start, never padding."""
    tokens = batch.tokens.clone()
    counts = batch.targets[:, 1:] != IGNORE_INDEX
    own = counts & (torch.rand(counts.shape, device=tokens.device) < batch.sampled)
    tokens[:, 1:] = torch.where(own, said[:, :-1], tokens[:, 1:])
    return tokens
