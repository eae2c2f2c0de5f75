"""Rows to align a model with: prompts with a chosen and a rejected answer, or prompts alone.

{"prompt": ..., "chosen": ..., "rejected": ...}    each a text, or a list of messages
{"chosen": [...], "rejected": [...]}               two chats that begin alike
{"prompt": ...} or {"messages": [...]}             what is asked, where a reward says what an answer is worth

With any of them may go "system" and "tools", as in sft_data. Deliberately not here: rewards, and the loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from clearhead.errors import UserError
from clearhead.text.begin import prompt_tokens
from clearhead.text.chat import ChatTemplate
from clearhead.text.control import chat_read
from clearhead.text.protocol import Tokenizer
from clearhead.text.sft_data import ChatRow, Message, examples, fields_of, framed, messages_of, text_of
from clearhead.text.subword import SubwordTokenizer

LIKE_PAIRS = "{'prompt': ..., 'chosen': ..., 'rejected': ...}"
LIKE_PROMPTS = "{'prompt': ...}"
Tokens = tuple[int, ...]


class PairRow(NamedTuple):
    """Two chats that differ in the assistant's last message alone."""

    chosen: ChatRow
    rejected: ChatRow


@dataclass(frozen=True)
class PromptRow:
    """A chat whose last message is not the assistant's, the tools it was told of, and all fields of its line."""

    line: int
    messages: tuple[Message, ...]
    tools: tuple[Any, ...]
    fields: Mapping[str, Any]

    @property
    def opening(self) -> str:
        """What the first user said: rows that share it belong on one side of a split."""
        return next((str(m["content"]) for m in self.messages if m["role"] == "user"), "")


def pair_row(number: int, line: str) -> PairRow:
    """The pair that a line of JSON holds; UserError, without the place, for what nothing can be learned from."""
    fields = fields_of(line, LIKE_PAIRS)
    for name in ("chosen", "rejected"):
        if name not in fields:
            raise UserError(f"there is no {name!r} among its fields ({', '.join(map(repr, fields))[:100] or 'none'})")
    if fields["chosen"] == fields["rejected"]:
        raise UserError("chosen and rejected are the same, and tell nothing apart")
    prompt = _prompt(fields) if "prompt" in fields else []
    found = [framed(fields, [*prompt, *_answer(fields[name], name, bool(prompt))]) for name in ("chosen", "rejected")]
    (one, tools), (other, _) = found
    if one[:-1] != other[:-1] or len(one) < 2:
        raise UserError("chosen and rejected do not share their prompt: they must differ in the last message alone")
    return PairRow(ChatRow(number, tuple(one), tools), ChatRow(number, tuple(other), tools))


def prompt_row(number: int, line: str) -> PromptRow:
    """The prompt that a line of JSON holds; an answer at its end is left away."""
    fields = fields_of(line, LIKE_PROMPTS)
    if "messages" in fields:
        messages = messages_of(fields["messages"], "messages")
        while messages and messages[-1]["role"] == "assistant":
            messages = messages[:-1]
    else:
        messages = _prompt(fields)
    if not messages:
        raise UserError("nothing is asked: no message is left before the assistant's")
    framed_messages, tools = framed(fields, messages)
    return PromptRow(number, tuple(framed_messages), tools, fields)


def _prompt(fields: Mapping[str, Any]) -> list[Message]:
    given = fields.get("prompt")
    return messages_of(given, "prompt") if isinstance(given, list) else [
        {"role": "user", "content": text_of(fields, "prompt")}
    ]  # fmt: skip


def _answer(given: Any, name: str, asked: bool) -> list[Message]:
    """The messages of one side: a text is the assistant's."""
    if isinstance(given, str):
        if not asked:
            raise UserError(f"{name} is a text and there is no prompt; give one, or whole chats")
        return [{"role": "assistant", "content": text_of({name: given}, name)}]
    messages = messages_of(given, name)
    if messages[-1]["role"] != "assistant":
        raise UserError(f"the last message of {name} is the {messages[-1]['role']}'s; it must be the assistant's")
    return messages


def pair_tokens(
    row: PairRow, tokenizer: Tokenizer, template: ChatTemplate | None, control_tokens: bool = False
) -> tuple[Tokens, Tokens, Tokens]:
    """The tokens of the prompt, of the chosen and of the rejected answer, each with what ends the turn."""
    sides = [last_answer(side, tokenizer, template, control_tokens) for side in row]
    (prompt, chosen), (other, rejected) = sides
    if prompt != other:
        raise UserError("the prompt has other tokens before the chosen answer than before the rejected one")
    if chosen == rejected:
        raise UserError("chosen and rejected are the same tokens, and tell nothing apart")
    return prompt, chosen, rejected


def last_answer(
    row: ChatRow, tokenizer: Tokenizer, template: ChatTemplate | None, control_tokens: bool = False
) -> tuple[Tokens, Tokens]:
    """A chat's tokens before the assistant's last message, and those of the message."""
    example = examples(row, tokenizer, template, control_tokens)[-1]
    end = next((i for i in range(len(example.tokens), 0, -1) if example.loss_mask[i - 1]), 0)
    start = next((i for i in range(end, 0, -1) if not example.loss_mask[i - 1]), 0)
    if not 0 < start < end:
        raise UserError("the chat template leaves nothing of the answer to learn; use another")
    return tuple(example.tokens[:start]), tuple(example.tokens[start:end])


def asked_tokens(
    row: PromptRow, tokenizer: Tokenizer, template: ChatTemplate | None, control_tokens: bool = False
) -> tuple[str, Tokens]:
    """What the model reads before it answers, as text and as tokens."""
    if template is None or not isinstance(tokenizer, SubwordTokenizer):
        text = "".join(str(message["content"]) for message in row.messages)
        return text, tuple(prompt_tokens(tokenizer, text))
    variables = {"tools": list(row.tools)} if row.tools else {}
    if control_tokens:
        text = template.render(row.messages, add_generation_prompt=True, **variables).text
        return text, tuple(tokenizer.encode(text, special=True))
    read = chat_read(tokenizer, template, row.messages, own=True, **variables)
    return read.text, tuple(piece.id for piece in read.pieces)
