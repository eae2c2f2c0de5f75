"""Chats as the text that a model was trained on: its chat template, applied to messages.

Deliberately not here: Jinja, which runs a stranger's program and has a process of its own (chat_worker).
"""

import json
import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from clearhead.errors import UserError
from clearhead.text import chat_worker

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

    `tool_use` is another one for chats with tools, where a model has two.
    """

    source: str
    tokens: Mapping[str, str] = field(default_factory=dict)
    tool_use: str | None = None
    seconds: float = SECONDS
    _worker: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

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
        reply = self._ask(json.dumps(request).encode() + b"\n")
        if "error" in reply:
            raise UserError(f"the chat template fails: {reply['error']}; mend it, or the messages")
        return Rendered(reply["text"], [(start, end) for start, end in reply["spans"]])

    def close(self) -> None:
        """End the process; the next chat starts another."""
        if self._worker is not None:
            _end(self._worker)
            self._worker = None

    def _ask(self, request: bytes) -> dict[str, Any]:
        if self._worker is None:
            self._worker = _start()
            weakref.finalize(self, _end, self._worker)
        reply = None
        try:
            reply = _exchange(self._worker, request, time.monotonic() + self.seconds)
        finally:
            if reply is None:  # it is lost, whatever it was doing
                self.close()
        if reply is None:
            raise UserError(
                f"the chat template did not end within {self.seconds:g} seconds and {chat_worker.MEMORY >> 20} MB; "
                "it is broken or hostile, use another"
            )
        answer: dict[str, Any] = json.loads(reply)
        return answer


def _start() -> "subprocess.Popen[bytes]":
    """A worker, without what this process has open, and in a session that a Ctrl-C here does not reach."""
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(chat_worker.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _exchange(worker: "subprocess.Popen[bytes]", request: bytes, deadline: float) -> bytes | None:
    """One line out, one line in; None when the worker ends or the time does."""
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(request)
        worker.stdin.flush()
    except BrokenPipeError:
        return None
    reply = b""
    while not reply.endswith(b"\n"):
        ready, _, _ = select.select([worker.stdout], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(worker.stdout.fileno(), 1 << 20) if ready else b""
        if not part:
            return None
        reply += part
    return reply


def _end(worker: "subprocess.Popen[bytes]") -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()
