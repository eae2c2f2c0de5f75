"""Beam search over tokens: the likeliest texts and not samples. Pure functions; the engine is the loop around them.

Deliberately not here: beam search over steps of reasoning, which a reward model guides (reasoning/beam.py).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clearhead.generation.sampling import Token
from clearhead.generation.stopping import FinishReason

TINY = math.exp(-30)  # what was never looked at counts as this much


class Hypothesis(NamedTuple):
    """A text that ended or reached the limit: its tokens, log p, and log p / length_penalty, less what is uncovered."""

    tokens: tuple[Token, ...]
    log_p: float
    score: float
    finish: FinishReason


class Candidates(NamedTuple):
    """The likeliest next tokens of one beam, with the log p of the whole texts."""

    log_p: Float[Tensor, "K"]
    ids: Int[Tensor, "K"]


def length_penalty(length: int, alpha: float) -> float:
    """((5 + length) / 6)^α, by which log p is divided: longer texts have a lower one. Wu et al. 2016, equation 14.

    >>> length_penalty(1, 0.6), length_penalty(7, 1.0)
    (1.0, 2.0)
    """
    return ((5 + length) / 6) ** alpha


def coverage_penalty(looked: Float[Tensor, "S"]) -> float:
    """Σ_s log min(Σ_t α_ts, 1), at most 0: source tokens that hardly anything looked at. Wu et al. 2016, equation 14.

    >>> coverage_penalty(torch.tensor([1.7, 1.0, 0.5])) == math.log(0.5)
    True
    """
    return float(looked.double().clamp(TINY, 1).log().sum())


def hypothesis(
    tokens: Sequence[Token], log_p: float, finish: FinishReason, alpha: float, covered: float = 0.0
) -> Hypothesis:
    """`covered`: what the coverage adds to the score."""
    return Hypothesis(tuple(tokens), log_p, log_p / length_penalty(len(tokens), alpha) + covered, finish)


def candidates(logits: Float[Tensor, "V"], banned: Bool[Tensor, "V"], log_p: float, count: int) -> Candidates:
    """The `count` likeliest tokens after a text of that log p. No more can be among the best of all beams."""
    steps = logits.double().log_softmax(-1).masked_fill(banned, float("-inf"))
    values, ids = steps.topk(min(count, int(steps.isfinite().sum())))
    return Candidates(log_p + values, ids)


def best(beams: Sequence[Candidates], count: int) -> list[tuple[int, int, float]]:
    """The likeliest texts that are one token longer: the beam that each grew from, its token, and its log p.

    >>> a, b = torch.tensor([-1.0, -4.0]), torch.tensor([-2.0, -3.0])
    >>> best([Candidates(a, torch.tensor([7, 8])), Candidates(b, torch.tensor([8, 9]))], 3)
    [(0, 7, -1.0), (1, 8, -2.0), (1, 9, -3.0)]
    """
    values, index = torch.cat([beam.log_p for beam in beams]).sort(descending=True, stable=True)
    ids = torch.cat([beam.ids for beam in beams])[index].tolist()
    of = torch.repeat_interleave(torch.tensor([len(beam.ids) for beam in beams]))[index.cpu()].tolist()
    return list(zip(of, ids, values.tolist(), strict=True))[:count]


def is_over(found: Sequence[Hypothesis], log_p: Sequence[float], beams: int, limit: int, alpha: float) -> bool:
    """Whether no text that has not ended can beat those found, which are sorted, best score first.

    log p only falls, the coverage adds 0 at best, and no penalty divides by more than the one at the limit. Sutskever
    et al. 2014, section 3.2.
    """
    hope = max(log_p, default=float("-inf")) / length_penalty(limit, alpha)
    return not log_p or (len(found) == beams and found[-1].score >= hope)
