"""A reward model learned from preferences: of two answers to one prompt the chosen one is to score higher.

Bradley and Terry 1952, as in Ouyang et al. 2022, equation 1; formulas: reference.preference. A score means nothing by
itself: only the difference of two scores of one prompt does, which is all that group advantages look at.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from clearhead.alignment.answers import Answer, Prompt
from clearhead.alignment.dpo import Pair, PairBatch, pair_batch
from clearhead.kernels.attention import Attend, causal_attend
from clearhead.models.decoder import Decoder
from clearhead.text.packing import IGNORE_INDEX

AT_ONCE = 16  # answers that are read together


class PreferenceModel(nn.Module):
    """A text -> its score, read where the language model beneath is about to end it. All scores are 0 at the start."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.head = nn.Linear(decoder.config.d_model, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Int[Tensor, "*B"], positions: Int[Tensor, "*B"], attend: Attend) -> Float[Tensor, "*B"]:
        hidden = self.decoder(tokens, positions, attend)
        return self.head(hidden.to(self.head.weight.dtype)).squeeze(-1).float()


def scores(model: Any, batch: Any) -> Float[Tensor, "N"]:
    """The score of each answer of a batch of pairs: at the place that predicts its last token."""
    loss_mask = batch.targets != IGNORE_INDEX
    values = model(batch.tokens, batch.positions, causal_attend(batch.segments))[loss_mask]
    places, n = torch.arange(len(values), device=values.device), len(batch.log_ref)
    last = torch.zeros(n, dtype=torch.long, device=values.device)
    last = last.scatter_reduce(0, batch.answer[loss_mask], places, "amax")  # an answer's places follow one another
    return values[last]


def preference_loss(model: Any, batch: Any) -> Tensor:
    """Mean over the pairs of -ln σ(score of the chosen answer - that of the rejected one)."""
    found = scores(model, batch)
    return -F.logsigmoid(found[0::2] - found[1::2]).mean()


def batch_of(pairs: Sequence[Pair], length: int) -> PairBatch:
    """The pairs in rows; there is no reference to compare with."""
    return pair_batch(pairs, np.zeros((len(pairs), 2)), length)


@torch.no_grad()
def share_preferred(model: nn.Module, pairs: Sequence[Pair], length: int, device: torch.device) -> float:
    """How often the chosen answer scores higher."""
    found = [_read(model, batch_of(pairs[at : at + AT_ONCE], length), device) for at in range(0, len(pairs), AT_ONCE)]
    each = np.concatenate([*found, np.zeros(0)])
    return float((each[0::2] > each[1::2]).mean()) if len(each) else float("nan")


@torch.no_grad()
def rewards(
    model: nn.Module, prompts: Sequence[Prompt], answers: Sequence[Answer], length: int, device: torch.device
) -> list[float]:
    """The scores of answers; equal ones are read once."""
    texts = list(dict.fromkeys((p.tokens, a.tokens) for p, a in zip(prompts, answers, strict=True)))
    known: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    for at in range(0, len(texts), AT_ONCE):
        some = texts[at : at + AT_ONCE]
        batch = batch_of([Pair(prompt, answer, answer) for prompt, answer in some], length)
        known |= dict(zip(some, _read(model, batch, device)[0::2].tolist(), strict=True))
    return [known[p.tokens, a.tokens] for p, a in zip(prompts, answers, strict=True)]


def _read(model: nn.Module, batch: PairBatch, device: torch.device) -> Float[np.ndarray, "N"]:
    training = model.training
    model.eval()
    tensors = PairBatch(*(torch.as_tensor(array, device=device) for array in batch))  # type: ignore[arg-type]
    found: np.ndarray = scores(model, tensors).double().cpu().numpy()
    model.train(training)
    return found
