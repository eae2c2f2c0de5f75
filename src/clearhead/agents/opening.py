"""Prompts opened in a model of ours: as text, or with the frame that its chat template puts around them.

In a chat the instructions and the request are messages, and all steps one turn of the assistant, begun and not ended.
What a message or a step spells like a control token stays text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from clearhead.agents.prompt import Count, Prompt
from clearhead.generation.local import LocalEngine
from clearhead.text.chat import ChatTemplate
from clearhead.text.control import chat_tokens
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer

REMEMBERED = 1 << 14  # lines whose length is known


def counter(tokenizer: Tokenizer) -> Count:
    """Tokens of a text; lines come again at every step, so their lengths are remembered."""

    readable = spelled(tokenizer) if isinstance(tokenizer, CharTokenizer) else None

    @lru_cache(maxsize=REMEMBERED)
    def count(text: str) -> int:
        return len(tokenizer.encode_after(readable(text) if readable else text)) if text else 0

    return count


def spelled(tokenizer: CharTokenizer) -> Callable[[str], str]:
    """Texts without the characters that a small alphabet lacks; with bytes it lacks none."""
    known = set(tokenizer.alphabet)
    return lambda text: text if tokenizer.byte_fallback else "".join(char for char in text if char in known)


@dataclass
class ChatOpener:
    """Nodes of prompts in an engine, framed by the template. `frame` is how many tokens that adds."""

    engine: LocalEngine
    template: ChatTemplate

    def __post_init__(self) -> None:
        self._head = lru_cache(maxsize=8)(self._tokens)

    def __call__(self, prompts: Sequence[Prompt]) -> list[int]:
        after = self.engine.tokenizer.encode_after
        return self.engine.open_tokens(
            [[*self._head(p.instructions, p.request), *(after(p.trail) if p.trail else ())] for p in prompts]
        )

    @property
    def frame(self) -> int:
        return len(self._tokens("a", "a"))

    def _tokens(self, instructions: str, request: str) -> list[int]:
        messages = [{"role": "user", "content": request.strip()}]
        if instructions:
            messages.insert(0, {"role": "system", "content": instructions.strip()})
        tokenizer = self.engine.tokenizer
        if isinstance(tokenizer, SubwordTokenizer):
            return chat_tokens(tokenizer, self.template, messages)[0]
        return tokenizer.encode(self.template.render(messages, add_generation_prompt=True).text)
