"""What search and agents see of a language model: open a prompt, extend it by a step, score, release, count tokens.

Deliberately not here: how any of it is computed (engine.py), and torch. Texts go in and out, never tokens.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from clearhead.errors import UserError

UNLIMITED = 1 << 20  # tokens, more than any context holds
CONTEXT = "model.max_positions"  # the setting of a recipe that bounds every text


@dataclass(frozen=True)
class SamplingParams:
    """How a token is drawn: repetition penalty, temperature, top-k, top-p and min-p, each on what the last one left.

    temperature 0 is greedy; top_k 0, top_p 1 and min_p 0 keep every token, and a repetition_penalty of 1 spares those
    that the text already has. `max_tokens` bounds one continuation.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    max_tokens: int = 256
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature = {self.temperature} must be a finite number of at least 0 (0: greedy)")
        if self.top_k < 0:
            raise UserError(f"top_k = {self.top_k} must be at least 0 (0: keep all tokens)")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p = {self.top_p} must be above 0 and at most 1 (1: keep all tokens)")
        if not 0 <= self.min_p <= 1:
            raise UserError(f"min_p = {self.min_p} must be between 0 and 1 (0: keep all tokens)")
        if self.max_tokens < 1:
            raise UserError(f"max_tokens = {self.max_tokens} must be at least 1")
        if not 0 < self.repetition_penalty < math.inf:
            raise UserError(f"repetition_penalty = {self.repetition_penalty} must be above 0 (1: no penalty)")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0


GREEDY = SamplingParams(temperature=0.0)


@dataclass(frozen=True)
class Constraint:
    """`text` is a JSON schema, a regular expression in Rust's syntax, or a grammar in llguidance's Lark.

    A JSON text is written as `json.dumps` writes it, its keys in the schema's order.
    """

    kind: Literal["json-schema", "regex", "lark"]
    text: str


def json_schema(schema: Mapping[str, Any]) -> Constraint:
    return Constraint("json-schema", json.dumps(schema))


def choices(texts: Iterable[str]) -> Constraint:
    """One of the texts, word for word.

    >>> choices(["yes", "no?"])
    Constraint(kind='regex', text='yes|no\\\\?')
    """
    found = list(texts)
    if not found or "" in found:
        raise UserError(f"{found} leaves nothing to choose; give at least one text, and no empty one")
    return Constraint("regex", "|".join(re.escape(text) for text in found))


@dataclass(frozen=True)
class Usage:
    """What was spent. `computed - unique` is the work done twice; a cache that keeps its promise leaves it at 0.

    generated   distinct new tokens: one that several samples share at the same position counts once
    computed    token positions pushed through the model
    unique      distinct positions (beginnings of texts) among those, counted apart from the cache's own book-keeping
    reused      tokens that an engine without sharing would have read or generated once more
    """

    generated: int = 0
    computed: int = 0
    unique: int = 0
    reused: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.generated + other.generated,
            self.computed + other.computed,
            self.unique + other.unique,
            self.reused + other.reused,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            self.generated - other.generated,
            self.computed - other.computed,
            self.unique - other.unique,
            self.reused - other.reused,
        )


@dataclass(frozen=True)
class Continuation:
    """One sampled step: the text before the stop string, and the node behind it.

    `logprob` is the sum of log p of its `tokens` tokens (stop string and end token included) at temperature 1 without
    filters. `done`: the model ended the text; `truncated`: `max_tokens` or the model's context did.
    """

    node: int
    text: str
    logprob: float
    tokens: int
    done: bool
    truncated: bool = False


@dataclass
class Tally:
    """Of `drawn` continuations, how many each limit cut off, by the name of the setting."""

    drawn: int = 0
    cuts: Counter[str] = field(default_factory=Counter)

    @property
    def cut(self) -> int:
        return self.cuts.total()

    @property
    def limits(self) -> tuple[str, ...]:
        """The settings that cut something off."""
        return tuple(sorted(+self.cuts))

    def add(self, texts: Sequence[Continuation], most: int, setting: str) -> None:
        """Count texts that a setting gave `most` tokens; one that is shorter and yet cut off met the context's end."""
        self.drawn += len(texts)
        self.cuts.update(setting if text.tokens >= most else CONTEXT for text in texts if text.truncated)


class LanguageModel(Protocol):
    """Nodes are ends of texts. Each node handed out is one reference, to be given back by `release`."""

    def fits(self, prompt: str) -> bool:
        """Does the context hold the prompt and a token more? One that does not fit cannot be opened or goes nowhere."""
        ...

    def open(self, prompts: Sequence[str]) -> list[int]:
        """One node for each prompt."""
        ...

    def fork(self, node: int) -> int:
        """One more reference to the same node, released on its own."""
        ...

    def extend(
        self,
        nodes: Sequence[int],
        n: int,
        sampling: SamplingParams,
        seeds: Sequence[int],
        stop: str | None = "\n",
        constraint: Constraint | None = None,
    ) -> list[list[Continuation]]:
        """n samples for each node, in order, each up to `stop`, the end of the text or a limit.

        With a constraint each is a text that it allows, complete where its limit leaves room for that.
        Equal samples share a node. A sample depends on its node, its seed and its index alone, not on the other rows.
        """
        ...

    def score(self, nodes: Sequence[int], texts: Sequence[str]) -> list[float]:
        """log p(text | node)."""
        ...

    def release(self, nodes: Sequence[int]) -> None:
        """Give references back; what nobody refers to is forgotten."""
        ...

    def close(self, nodes: Sequence[int]) -> None:
        """Release every node of the opened prompts that these nodes grew from."""
        ...

    def usage(self, node: int | None = None) -> Usage:
        """Of the opened prompt that `node` grew from, or of everything."""
        ...
