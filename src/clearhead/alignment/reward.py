"""The reward models: one backbone, two heads, both read where a step ends.

The outcome head learns from finished solutions only: right or wrong (Cobbe et al. 2021, section 4.2). The process head
learns at the end of every step how often the model finishes from there (Lightman et al. 2023; labels: rollouts.py).
Both are probabilities, so both are trained by cross-entropy, and a label may be any share between 0 and 1. What search
asks is which of two states of one problem is better, and cross-entropy over all problems is mostly about which problems
are easy: so pairs of states of the same problem are compared as well, by their Bradley-Terry likelihood.
"""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from clearhead.alignment.rollouts import UNLABELED, LabeledPath
from clearhead.kernels.attention import Attend
from clearhead.models.decoder import Decoder
from clearhead.text.prompt_format import step_tokens
from clearhead.text.protocol import Tokenizer

OUTCOME, PROCESS = 0, 1


class RewardModel(nn.Module):
    """Hidden state at the end of a step -> logits of (outcome, process). It starts at zero: every probability is ½."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.head = nn.Linear(decoder.config.d_model, 2, bias=True)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Int[Tensor, "*B"], positions: Int[Tensor, "*B"], attend: Attend) -> Float[Tensor, "*B 2"]:
        return self.scorer(self.decoder(tokens, positions, attend))

    def scorer(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B 2"]:
        return self.head(hidden.to(self.head.weight.dtype))


class Scored(NamedTuple):
    """Token ids, and for each token whether it ends a step, with the labels of (outcome, process) there.

    UNLABELED elsewhere, and where there is no label.
    """

    tokens: list[int]
    asked: int  # tokens of the prompt
    ends: list[bool]
    outcome: list[float]
    process: list[float]


def scored_document(tokenizer: Tokenizer, path: LabeledPath) -> Scored:
    """The text of a labeled path with its labels at the ends of the steps.

    The outcome label is that of a finished solution, at its last token.
    """
    pieces = step_tokens(tokenizer, path.problem, path.steps, path.done)
    tokens, ends, outcome, process = [], [], [], []
    for piece, label in zip(pieces, path.labels, strict=True):
        tokens += piece
        ends += [False] * (len(piece) - 1) + [True]
        process += [UNLABELED] * (len(piece) - 1) + [label]
        outcome += [UNLABELED] * len(piece)
    if path.done:
        outcome[-1] = path.labels[-1]
    return Scored(tokens, len(pieces[0]), ends, outcome, process)


def reward_loss(logits: Float[Tensor, "*B 2"], labels: Float[Tensor, "*B 2"]) -> Float[Tensor, ""]:
    """Cross-entropy -[y ln p + (1-y) ln(1-p)]: each head's mean over its labeled positions, and the two summed."""
    known = labels != UNLABELED
    each = F.binary_cross_entropy_with_logits(logits.float(), labels.clamp(min=0), reduction="none") * known
    return (each.flatten(0, -2).sum(0) / known.flatten(0, -2).sum(0).clamp(min=1)).sum()


def pair_loss(
    logits: Float[Tensor, "*B 2"], pairs: Int[Tensor, "P 2"], weights: Float[Tensor, "P"]
) -> Float[Tensor, ""]:
    """Σ w -ln σ(z_better - z_worse) (Bradley and Terry 1952), of places in the flat logits."""
    z = logits.float().flatten()
    return (weights * -F.logsigmoid(z[pairs[:, 0]] - z[pairs[:, 1]])).sum()
