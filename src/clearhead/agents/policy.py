"""Policies: what an agent does next, as a function of its steps. One that asks a model, one that follows a script.

ReAct is the loop with `ModelPolicy`; plan-and-solve is the same loop with the policy of planner.py around it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from clearhead.agents.grammar import called, inline_grammar, next_id, read_inline, read_step, step_grammar
from clearhead.agents.memory import Memory, extracted, leaving, room_of_summary, told
from clearhead.agents.prompt import Count, Prompt, Style, begin, fill, render, shortened
from clearhead.agents.steps import Step, Stuck, Summary
from clearhead.agents.tools import Tool
from clearhead.errors import UserError
from clearhead.generation.language_model import Constraint, Continuation, LanguageModel, SamplingParams

Open = Callable[[Sequence[Prompt]], list[int]]  # nodes of prompts, in a way that fits the model
STRIDE = 1_000_003  # between the seeds of episodes, so that none meets another's steps
ONE_LINE = r"[^\x00-\x1f\x7f]{1,400}"
TRIES = 3  # of a step whose text is none, as happens where an endpoint does not hold to a grammar


class Decision(NamedTuple):
    """The next steps of an episode, and what they cost: tokens of the prompt, tokens written, tokens computed."""

    steps: tuple[Step, ...]
    prompt: int = 0
    generated: int = 0
    computed: int = 0
    seconds: float = 0.0


class Policy(Protocol):
    def __call__(self, episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        """For each episode its next steps: thoughts, then actions or an answer; or a plan; or a summary."""
        ...


@dataclass
class Scripted:
    """Says what it was told to, one entry a turn of any episode."""

    script: Sequence[Sequence[Step]]
    said: int = 0

    def __call__(self, episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        found = [Decision(tuple(self.script[self.said + i])) for i in range(len(episodes))]
        self.said += len(episodes)
        return found


@dataclass
class ModelPolicy:
    """A language model's next step, drawn under the grammar of its tools, for any number of episodes at once.

    A step depends on the episode's steps and the seed alone. The texts of the last call are held until the next one is
    opened, so what a prompt shares with them is not computed again. `context`: tokens of a prompt and of a step.
    """

    model: LanguageModel
    tools: Mapping[str, Tool]
    style: Style
    count: Count
    context: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    seed: int = 0
    memory: Memory | None = None
    open: Open | None = None
    _held: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.sampling = replace(self.sampling, max_tokens=max(1, min(self.sampling.max_tokens, self.context // 2)))
        inline = self.style.steps == "inline"
        self._grammar_of, self._steps_of = (inline_grammar, read_inline) if inline else (step_grammar, read_step)
        self.grammar = self._grammar_of(self.tools, self.style.answer)

    @property
    def budget(self) -> int:
        return self.context - self.sampling.max_tokens

    def prompt(self, steps: Sequence[Step]) -> Prompt:
        recalled = self.memory.recall(steps) if self.memory and self.style.recalled else ()
        return render(steps, self.tools, self.style, self.budget, self.count, recalled)

    def __call__(self, episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        return unless_summarized(self, episodes, self._decide)

    def opened(self, prompts: Sequence[Prompt]) -> list[int]:
        """Nodes of prompts."""
        return self.open(prompts) if self.open else self.model.open([prompt.text for prompt in prompts])

    def request(self, text: str) -> Prompt:
        """A prompt of its own, without tools."""
        short = shortened(text, self.budget, self.count)
        return Prompt("", short, "", 0, self.count(short))

    def proposals(
        self, episodes: Sequence[Sequence[Step]], n: int, sampling: SamplingParams, seeds: Sequence[int]
    ) -> list[list[tuple[Step, ...]]]:
        """Of n next steps of each episode those that can be read, as often as they were drawn."""
        nodes = self.opened([self.prompt(steps) for steps in episodes])
        try:
            rows = self.model.extend(nodes, n, sampling, seeds, None, self.grammar)
        finally:
            self.model.close(nodes)
        found = list[list[tuple[Step, ...]]]()
        for steps, row in zip(episodes, rows, strict=True):
            found.append([])
            for text in row:
                with suppress(UserError):
                    if not text.truncated:
                        found[-1].append(tuple(self._steps_of(text.text, next_id(steps))))
        return found

    def close(self) -> None:
        """Let go of all texts."""
        held, self._held = self._held, []
        if held:
            self.model.close(held)

    def _decide(self, episodes: Sequence[Sequence[Step]], prompts: Sequence[Prompt]) -> list[Decision]:
        started, before = time.perf_counter(), self.model.usage()
        opened = self.opened(prompts)
        self.close()
        self._held = list(opened)
        seeds = [self.seed * STRIDE + len(steps) for steps in episodes]
        rows = self.model.extend(opened, 1, self.sampling, seeds, None, self.grammar)
        texts = [row[0] for row in rows]
        steps = [
            self._read(node, text, next_id(episode), seed)
            for node, text, episode, seed in zip(opened, texts, episodes, seeds, strict=True)
        ]
        spent, share = self.model.usage() - before, len(prompts)
        seconds = (time.perf_counter() - started) / share
        return [
            Decision(tuple(made), prompt.tokens, text.tokens, spent.computed // share, seconds)
            for made, prompt, text in zip(steps, prompts, texts, strict=True)
        ]

    def _read(self, node: int, text: Continuation, first_id: int, seed: int) -> list[Step]:
        """The steps of a text. One that was cut off in a call is drawn again, as that call and nothing else."""
        why = ""
        for i in range(1, TRIES + 1):
            try:
                if not text.truncated:
                    return self._steps_of(text.text, first_id)
                why = f"a step takes more than {self.sampling.max_tokens} tokens; raise --tokens, or the context"
            except UserError as error:
                why = str(error)
            only = called(text.text, self.tools)
            grammar = self._grammar_of(self.tools, self.style.answer, only) if only else self.grammar
            text = self.model.extend([node], 1, self.sampling, [seed + i * 7919], None, grammar)[0][0]
        raise Stuck(why)

    def summary(self, steps: Sequence[Step], prompt: Prompt) -> Decision:
        """Where a prompt has no room for all steps: the oldest leave it, and a summary stands in for them."""
        started, before = time.perf_counter(), self.model.usage()
        last, room = leaving(steps, prompt, self.count), room_of_summary(self.budget)
        if self.style.summarize:
            asked = fill(self.style.summarize, steps=told(steps, last))
            text = self.write(asked, Constraint("regex", ONE_LINE)).strip()
            text = shortened(text, room, self.count)
        else:
            text = extracted(steps, last, room, self.count)
        spent = self.model.usage() - before
        seconds = time.perf_counter() - started
        return Decision((Summary(text, 1, last),), prompt.tokens, spent.generated, spent.computed, seconds)

    def write(self, request: str, constraint: Constraint, seed: int = 0) -> str:
        """What the model answers to a request of its own, without tools."""
        opened = self.opened([self.request(request)])
        try:
            text = self.model.extend(opened, 1, self.sampling, [self.seed * STRIDE + seed], None, constraint)[0][0]
        finally:
            self.model.close(opened)
        if text.truncated:
            raise Stuck(f"the model wrote {self.sampling.max_tokens} tokens and had not ended; raise --tokens")
        return text.text


def unless_summarized(
    policy: ModelPolicy,
    episodes: Sequence[Sequence[Step]],
    decide: Callable[[Sequence[Sequence[Step]], Sequence[Prompt]], list[Decision]],
) -> list[Decision]:
    """A summary for each episode whose prompt shows too little; what is decided for the others, all at once."""
    prompts = [policy.prompt(steps) for steps in episodes]
    found = [
        policy.summary(steps, prompt) if prompt.first > begin(steps) else None
        for steps, prompt in zip(episodes, prompts, strict=True)
    ]
    asked = [i for i, summary in enumerate(found) if summary is None]
    decided = iter(decide([episodes[i] for i in asked], [prompts[i] for i in asked]) if asked else ())
    return [summary or next(decided) for summary in found]
