"""A language model that follows a script: what it writes after each text, with what chance. Tokens are characters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clearhead.generation.language_model import Continuation, SamplingParams, Usage

Script = Mapping[str, Mapping[str, float]]
"""text so far -> {what may follow, up to a newline, or to "$" which ends the text: its chance}."""


@dataclass
class ScriptedModel:
    """`LanguageModel` by table look-up. A sample depends on its node, seed and index alone, as the protocol asks."""

    script: Script
    context: int = 1 << 20
    texts: dict[int, str] = field(default_factory=dict)
    tree: dict[int, int] = field(default_factory=dict)
    written: dict[int, set[str]] = field(default_factory=dict)  # of each tree: every beginning that was generated

    def fits(self, prompt: str) -> bool:
        return len(prompt) < self.context

    def open(self, prompts: Sequence[str]) -> list[int]:
        return [self._node(prompt, None) for prompt in prompts]

    def fork(self, node: int) -> int:
        return self._node(self.texts[node], self.tree[node])

    def extend(
        self, nodes: Sequence[int], n: int, sampling: SamplingParams, seeds: Sequence[int], stop: str | None = "\n"
    ) -> list[list[Continuation]]:
        return [
            [self._sample(node, np.random.default_rng([seed, i]), sampling, stop) for i in range(n)]
            for node, seed in zip(nodes, seeds, strict=True)
        ]

    def _sample(self, node: int, rng: np.random.Generator, sampling: SamplingParams, stop: str | None) -> Continuation:
        start, logprob = self.texts[node], 0.0
        text = start
        while True:
            options = self.script[text]
            chances = np.array(list(options.values()))
            pick = chances.argmax() if sampling.greedy else rng.choice(len(chances), p=chances / chances.sum())
            piece = list(options)[pick]
            logprob += math.log(chances[pick] / chances.sum())
            text += piece
            if piece.endswith("$") or (stop and piece.endswith(stop)):
                break
        end = min(len(start) + sampling.max_tokens, self.context)
        truncated, text = len(text) > end, text[:end]
        tree = self.tree[node]
        self.written[tree] |= {text[:length] for length in range(len(start) + 1, len(text) + 1)}
        written = text[len(start) :] if truncated else text[len(start) : -1]
        done = text.endswith("$") and not truncated
        return Continuation(self._node(text, tree), written, logprob, len(text) - len(start), done, truncated)

    def _node(self, text: str, tree: int | None) -> int:
        node = len(self.texts)
        self.texts[node] = text
        self.tree[node] = node if tree is None else tree
        self.written.setdefault(self.tree[node], set())
        return node

    def score(self, nodes: Sequence[int], texts: Sequence[str]) -> list[float]:
        raise NotImplementedError

    def release(self, nodes: Sequence[int]) -> None: ...

    def close(self, nodes: Sequence[int]) -> None:
        for node in nodes:
            del self.written[self.tree[node]]

    def usage(self, node: int | None = None) -> Usage:
        assert node is not None
        return Usage(generated=len(self.written[self.tree[node]]))


@dataclass
class ScriptedRewardModel:
    """Values by a table on (problem, steps); each text is read once, a character a token. Unknown ones get ½."""

    process: Mapping[tuple[str, ...], float]
    outcome: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    read: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)

    def values(self, solutions: Sequence) -> np.ndarray:
        for solution in solutions:
            self.read.setdefault(solution.problem, set()).update(
                solution.steps[:length] for length in range(1, len(solution.steps) + 1)
            )
        rows = [
            (self.outcome.get(solution.steps, 0.5), self.process.get(solution.steps, 0.5)) for solution in solutions
        ]
        return np.array(rows, float).reshape(-1, 2)

    def tokens(self, problem: str) -> int:
        return sum(len(steps[-1]) + 1 for steps in self.read.get(problem, ()))

    def forget(self, problems: Sequence[str]) -> None:
        for problem in problems:
            self.read.pop(problem, None)
