"""Messages as the tokens of a prompt: contents as text, tools and their calls in the template's own form."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clearhead.server.bodies import Message, OtherPart, Parts
from clearhead.server.errors import refused
from clearhead.server.served import Served
from clearhead.text.control import chat_tokens
from clearhead.text.subword import SubwordTokenizer

NO_TEMPLATE = "has no chat template: it was never taught to take turns; use /v1/completions"


def content_text(content: str | Parts | None, where: str) -> str | None:
    """The text of a content, whose parts go one after the other."""
    if content is None or isinstance(content, str):
        return content
    for part in content:
        if isinstance(part, OtherPart):
            raise refused(f"{where}: a part of type {part.type[:40]!r} cannot be read; this model reads text", where)
    return "".join(part.text for part in content if not isinstance(part, OtherPart))


def plain_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as templates take them: calls with their arguments as tables."""
    found: list[dict[str, Any]] = []
    for i, message in enumerate(messages):
        where = f"messages.{i}"
        content = content_text(message.content, where + ".content")
        if content is None and not message.tool_calls:
            raise refused(f"{where}: a {message.role} message needs a content", where + ".content")
        if message.tool_calls and message.role != "assistant":
            raise refused(f"{where}: only an assistant calls tools", where + ".tool_calls")
        if message.role == "tool" and not message.tool_call_id:
            raise refused(f"{where}: a tool's message needs the tool_call_id that it answers", where + ".tool_call_id")
        role = "system" if message.role == "developer" else message.role
        told: dict[str, Any] = {"role": role, "content": content or "", "name": message.name}
        if message.tool_calls:
            told["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {
                    "name": call.function.name, "arguments": _arguments(call.function.arguments, where)}}
                for call in message.tool_calls
            ]  # fmt: skip
        if message.role == "tool":
            told["tool_call_id"] = message.tool_call_id
        found.append(told)
    return found


def _arguments(text: str, where: str) -> Any:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise refused(f"{where}.tool_calls: arguments must be a JSON object as a string", where + ".tool_calls")
    return found


def prompt_of(served: Served, messages: Sequence[Mapping[str, Any]], **variables: Any) -> list[int]:
    """The tokens of a chat up to where the assistant writes. Control tokens that a message spells stay text."""
    template, tokenizer = served.loaded.template, served.loaded.tokenizer
    if template is None:
        raise refused(f"{served.name} {NO_TEMPLATE}", "model")
    if isinstance(tokenizer, SubwordTokenizer):
        return chat_tokens(tokenizer, template, messages, own=True, **variables)[0]
    return tokenizer.encode(template.render(messages, add_generation_prompt=True, **variables).text)
