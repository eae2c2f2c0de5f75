"""For tests of agents: tools without effects, a language model that is a function, a tiny one of random weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from clearhead.agents.steps import Action, Observation, Step
from clearhead.agents.tools import Tool, ToolError, tool
from clearhead.agents.transcript import Entry
from clearhead.generation.language_model import Constraint, Continuation, SamplingParams, Usage
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.tokenizer import CharTokenizer

ASCII = CharTokenizer("\n" + "".join(map(chr, range(32, 127))), byte_fallback=True)


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def look(name: str) -> str:
    """What a table holds."""
    table = {"pears": "4", "plums": "9"}
    if name not in table:
        raise ToolError(f"there is no row {name!r}; there are {', '.join(table)}")
    return table[name]


TOOLS: dict[str, Tool] = {"add": tool(add), "look": tool(look)}


@dataclass
class FunctionModel:
    """`LanguageModel` whose next text is a function of the text so far and the seed; a token is a character.

    Sample i has the seed behind it by i. `likelihood` is log p(text | text so far).
    """

    answer: Callable[[str, int], str]
    likelihood: Callable[[str, str], float] | None = None
    texts: dict[int, str] = field(default_factory=dict)
    spent: Usage = field(default_factory=Usage)
    asked: list[str] = field(default_factory=list)

    def fits(self, prompt: str) -> bool:
        return True

    def open(self, prompts: Sequence[str]) -> list[int]:
        first = len(self.asked)
        self.asked += prompts
        nodes = list(range(first, first + len(prompts)))
        self.texts.update(zip(nodes, prompts, strict=True))
        return nodes

    def extend(
        self,
        nodes: Sequence[int],
        n: int,
        sampling: SamplingParams,
        seeds: Sequence[int],
        stop: str | None = "\n",
        constraint: Constraint | None = None,
    ) -> list[list[Continuation]]:
        made = []
        for node, seed in zip(nodes, seeds, strict=True):
            texts = [self.answer(self.texts[node], seed + i) for i in range(n)]
            total = sum(map(len, texts))
            self.spent += Usage(total, total, total, 0)
            made.append([Continuation(node, text, 0.0, len(text), True) for text in texts])
        return made

    def fork(self, node: int) -> int:
        return node

    def score(self, nodes: Sequence[int], texts: Sequence[str]) -> list[float]:
        if self.likelihood is None:
            raise NotImplementedError
        return [self.likelihood(self.texts[node], text) for node, text in zip(nodes, texts, strict=True)]

    def release(self, nodes: Sequence[int]) -> None: ...

    def close(self, nodes: Sequence[int]) -> None:
        for node in set(nodes):
            del self.texts[node]

    def usage(self, node: int | None = None) -> Usage:
        return self.spent


def random_engine(seed: int = 0, context: int = 512) -> LocalEngine:
    """Random weights that like some tokens much more than others."""
    shape = {**PRESETS["tiny"], "max_positions": context}
    model = Decoder(DecoderConfig(vocab=ASCII.vocab_size, **shape), seed)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    for p in model.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return LocalEngine(model, ASCII, dtype=torch.float32)


def called(tool: str, id: int, result: str = "5", ok: bool = True, **arguments: object) -> list[Step]:
    """A call and its observation."""
    return [Action(tool, arguments, id), Observation(result, id, ok)]


@dataclass
class Told:
    """An `emit` that keeps what it is told."""

    entries: list[Entry] = field(default_factory=list)

    def __call__(self, entries: Sequence[Entry]) -> None:
        self.entries += entries

    @property
    def steps(self) -> list[Step]:
        return [entry.step for entry in self.entries]
