"""A chat with one model: its turns, the text that its template makes of them, and what of that is computed already.

The whole chat is rendered for every turn, as any template demands, and the engine computes what it has not seen: the
new turn. Deliberately not here: a terminal (cli/chat.py).
"""

from collections.abc import Generator, Sequence
from dataclasses import replace

from clearhead.errors import UserError
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import Text, TextStream
from clearhead.text.chat import ChatTemplate
from clearhead.text.control import chat_tokens
from clearhead.text.subword import SubwordTokenizer, readable

ROOM_FOR_ANSWER = 4  # one part in so many of the context, at least, where more tokens are asked for than it has
Message = dict[str, str]


class Conversation:
    """Ask by `say`, go through what it returns, and the answer is in `messages`, or the part that there was time for.

    `dropped` counts the turns that the context had no room for any more; `forgotten` those of the last `say` alone.
    Control tokens that are spelled in a message are text, `spelled` of them in what was said last, unless
    `control_tokens` lets a message end its turn and begin others.
    """

    def __init__(
        self, engine: Engine, template: ChatTemplate, system: str | None = None, control_tokens: bool = False
    ) -> None:
        self.engine, self.tokenizer, self.template = engine, engine.tokenizer, template
        self.control_tokens, self.spelled = control_tokens, 0
        self.messages: list[Message] = []
        self.dropped = self.forgotten = 0
        self.last: Text | None = None
        self.read = 0  # tokens of the prompt that the last answer had to compute
        self._turns = 0
        self.restart(system)

    def restart(self, system: str | None) -> None:
        """Begin again, with other instructions or none."""
        self.messages = [{"role": "system", "content": readable(system)}] if system else []
        self.dropped = self.forgotten = self._turns = 0

    @property
    def system(self) -> str | None:
        return self.messages[0]["content"] if self.messages and self.messages[0]["role"] == "system" else None

    def say(self, message: str, sampling: SamplingParams, seed: int, stop: Sequence[str] = ()) -> Generator[str]:
        """The answer in pieces. Whatever ends it early, the chat can go on; a message that cannot be read is not kept.

        Each answer draws with numbers of its own, all decided by the seed.
        """
        if self.messages and self.messages[-1]["role"] == "user":  # it was stopped before the answer began
            self.messages.pop()
        before = list(self.messages), self.dropped
        self.messages.append({"role": "user", "content": readable(message)})
        try:
            prompt = self._fitted(sampling.max_tokens)
            sampling = replace(sampling, max_tokens=min(sampling.max_tokens, self._context - len(prompt)))
            stream = TextStream(self.engine, Request(prompt, sampling, seed + self._turns, tuple(stop)), after=False)
        except BaseException:
            (self.messages, self.dropped), self.forgotten = before, 0
            raise
        return self._answer(stream)

    def _answer(self, stream: TextStream) -> Generator[str]:
        before = self.engine.usage.total
        self._turns += 1
        try:
            yield from stream
        finally:
            self.last = stream.text
            computed = (self.engine.usage.total - before).computed
            self.read = computed - max(0, len(self.last.tokens) - 1)
            self.messages.append({"role": "assistant", "content": self.last.text})

    @property
    def _context(self) -> int:
        return self.engine.backend.max_positions

    def _fitted(self, wanted: int) -> list[int]:
        """The chat as tokens, without its oldest turns where there would be no room for an answer."""
        room = self._context - min(wanted, self._context // ROOM_FOR_ANSWER)
        self.forgotten = 0
        while len(prompt := self._tokens()) > room:
            oldest = self._oldest()
            if oldest is None:
                raise UserError(
                    f"the message and its instructions are {len(prompt)} tokens long, but the model's context is "
                    f"{self._context} and an answer needs {self._context - room} of it; send a shorter one"
                )
            del self.messages[oldest]
            self.forgotten += 1
            self.dropped += 1
        return prompt

    def _oldest(self) -> slice | None:
        """The first question with its answer, None if there is only the new one."""
        first = 1 if self.system is not None else 0
        questions = [i for i, message in enumerate(self.messages) if message["role"] == "user" and i > first]
        return slice(first, questions[0]) if questions else None

    def _tokens(self) -> list[int]:
        if isinstance(self.tokenizer, SubwordTokenizer) and not self.control_tokens:
            ids, self.spelled = chat_tokens(self.tokenizer, self.template, self.messages, own=True)
            return ids
        text = self.template.render(self.messages, add_generation_prompt=True).text
        if isinstance(self.tokenizer, SubwordTokenizer):
            return self.tokenizer.encode(text, special=True)
        return self.tokenizer.encode(text)
