"""Chats as the text that a model was trained on: its chat template, applied to messages.

Deliberately not here: Jinja, which runs a stranger's program and has a process of its own (chat_worker).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from clearhead.errors import UserError
from clearhead.text import chat_worker
from clearhead.text.bounded import Bounded

SECONDS = 20.0  # for one chat, the start of the process included; a long one takes milliseconds
CHATML = (  # for models that come without a template; Qwen, SmolLM and many others use the same
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class Rendered(NamedTuple):
    """The text of a chat, and which stretches of it the template marks as written by the model, if it marks any."""

    text: str
    written: list[tuple[int, int]]


@dataclass(eq=False)
class ChatTemplate:
    """A template, and the special tokens that it may name: bos_token, eos_token and so on.

    `tool_use` is another one for chats with tools, where a model has two. `control_tokens` are added tokens that are no
    text in a message (control.py), None: those that the template writes.
    """

    source: str
    tokens: Mapping[str, str] = field(default_factory=dict)
    tool_use: str | None = None
    control_tokens: tuple[str, ...] | None = None
    seconds: float = SECONDS
    _process: Bounded = field(default_factory=lambda: Bounded(chat_worker.__file__), init=False, repr=False)

    def render(
        self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = False, **variables: Any
    ) -> Rendered:
        """The text of `messages`; with `add_generation_prompt` it ends where the assistant is to write.

        Other `variables`, such as `tools`, go to the template as they are; what a message has no value for is left out,
        and tools and documents are none, as transformers has it. UserError when the template fails.
        """
        for i, message in enumerate(messages):
            if not isinstance(message.get("role"), str):
                raise UserError(f"message {i + 1} of the chat has no role; give it one, such as user or assistant")
        told = {
            "tools": None, "documents": None, **self.tokens, **variables,
            "messages": [{key: value for key, value in message.items() if value is not None} for message in messages],
            "add_generation_prompt": add_generation_prompt,
        }  # fmt: skip
        source = self.source if self.tool_use is None or told["tools"] is None else self.tool_use
        request = {"template": source, "variables": told, "seconds": self.seconds}
        reply = self._ask(json.dumps(request).encode())
        if "error" in reply:
            raise UserError(f"the chat template fails: {reply['error']}; mend it, or the messages")
        return Rendered(reply["text"], [(start, end) for start, end in reply["spans"]])

    def close(self) -> None:
        """End the process; the next chat starts another."""
        self._process.close()

    def _ask(self, request: bytes) -> dict[str, Any]:
        reply = self._process.ask(request, self.seconds)
        if reply is None:
            raise UserError(
                f"the chat template did not end within {self.seconds:g} seconds and {chat_worker.MEMORY >> 20} MB; "
                "it is broken or hostile, use another"
            )
        answer: dict[str, Any] = json.loads(reply)
        return answer
