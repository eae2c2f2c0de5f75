"""What is asked of the engine and what it answers: a request, and an event for every token of every sample."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.sampling import Token

FinishReason = Literal["end", "stop", "tokens", "context"]
"""The model's own end, a stop string, the number of tokens asked for, or the model's context."""


@dataclass(frozen=True)
class Request:
    """n samples after one prompt, or with `beams` the n likeliest texts that beam search finds.

    `top_logprobs`: how many of the likeliest tokens are told at each position. With beams, nothing is drawn: only
    `max_tokens` counts of the sampling.
    """

    prompt_ids: Sequence[int]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    seed: int = 0
    stop: tuple[str, ...] = ()
    n: int = 1
    top_logprobs: int = 0
    beams: int = 0
    length_penalty: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.prompt_ids):
            raise UserError("an empty prompt has nothing to continue; give at least one character")
        if self.n < 1:
            raise UserError(f"n = {self.n} samples cannot be drawn; n must be at least 1")
        if self.beams < 0 or not 0 <= self.length_penalty < float("inf"):
            raise UserError(
                f"beams = {self.beams} must be at least 1, and length penalty = {self.length_penalty} at least 0"
            )
        if self.beams and self.n > self.beams:
            raise UserError(f"n = {self.n} texts cannot come from {self.beams} beams; raise beams to {self.n} or more")


class TokenEvent(NamedTuple):
    """One more token of a sample, and with the last one why it is the last.

    `seq` is where the text now ends in the engine's backend. The engine holds that of a finished sample until its
    next step: whoever needs it longer holds it too. Of a beam it is -1: those texts are let go of.
    """

    request: int
    sample: int
    token: Token
    finish: FinishReason | None
    seq: int
