"""What is asked of the engine, what it remembers while it answers, and what it tells: an event for every token.

`Request` and `TokenEvent` are for those who ask, `RequestGroup` and `Sample` the engine's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from clearhead.errors import UserError
from clearhead.generation.beam import Hypothesis
from clearhead.generation.constraint import Grammar, Matcher
from clearhead.generation.language_model import Constraint, SamplingParams
from clearhead.generation.sampling import Token
from clearhead.generation.stopping import FinishReason, StopRule


@dataclass(frozen=True)
class Bias:
    """What the logits are changed by before anything else: b - frequency · c - presence · [c > 0].

    `added` names tokens and their b; c counts how often the text has drawn each token. OpenAI's API reference.
    """

    added: tuple[tuple[int, float], ...] = ()
    presence: float = 0.0
    frequency: float = 0.0


@dataclass(frozen=True)
class Request:
    """n samples after one prompt, or with `beams` the n likeliest texts that beam search finds.

    `top_logprobs`: how many of the likeliest tokens are told at each position. With beams, nothing is drawn: only
    `max_tokens` counts of the sampling. Every text is one that the `constraint` allows. `coverage_penalty` is for beams
    of an encoder-decoder, whose prompt is the source.
    """

    prompt_ids: Sequence[int]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    seed: int = 0
    stop: tuple[str, ...] = ()
    n: int = 1
    top_logprobs: int = 0
    beams: int = 0
    length_penalty: float = 0.0
    constraint: Constraint | None = None
    bias: Bias | None = None
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.prompt_ids):
            raise UserError("an empty prompt has nothing to continue; give at least one character")
        if self.n < 1:
            raise UserError(f"n = {self.n} samples cannot be drawn; n must be at least 1")
        if self.beams < 0 or not 0 <= self.length_penalty < float("inf"):
            raise UserError(
                f"beams = {self.beams} must be at least 1, and length penalty = {self.length_penalty} at least 0"
            )
        if not 0 <= self.coverage_penalty < float("inf") or (self.coverage_penalty and not self.beams):
            raise UserError(f"coverage penalty = {self.coverage_penalty} must be at least 0, and needs beams")
        if self.beams and self.bias:
            raise UserError("a beam search takes no bias: it draws nothing; leave one of them out")
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


@dataclass(eq=False)
class Sample:
    """A text while it is written: what came after the prompt, and where it ends in the backend."""

    group: "RequestGroup"
    index: int
    seq: int
    ids: list[int] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)  # of a beam, whose texts are told when the search is over
    log_p: float = 0.0  # of a beam
    matcher: Matcher | None = None  # where it stands in its constraint


@dataclass(eq=False)
class RequestGroup:
    """The samples of one request that have not ended; all are `steps` tokens long."""

    id: int
    request: Request
    new: int  # tokens at most
    filters: SamplingParams  # without `max_tokens`: equal for all that draw alike
    rule: StopRule
    account: int
    at: int | None
    grammar: Grammar | None = None
    samples: list[Sample] = field(default_factory=list)
    steps: int = 0
    found: list[Hypothesis] = field(default_factory=list)  # by beams: the best texts that ended

    @property
    def width(self) -> int:
        """Samples that it begins with."""
        return 1 if self.request.beams else self.request.n

    @property
    def promised(self) -> int:
        """Tokens that it may yet write."""
        return (self.request.beams or len(self.samples) or self.request.n) * (self.new - self.steps)

    @property
    def left(self) -> int:
        """Tokens that each text may have after the next one."""
        return self.new - self.steps - 1

    @property
    def length(self) -> int:
        """Tokens of each text, prompt and all."""
        return len(self.request.prompt_ids) + self.steps

    def begin(self, seq: int) -> None:
        matchers = [self.grammar.begin() if self.grammar else None for _ in range(self.width)]
        self.samples = [Sample(self, index, seq, matcher=matcher) for index, matcher in enumerate(matchers)]
