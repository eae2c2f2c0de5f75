"""Examples to tune a model with: chats or prompts with responses, and which of their tokens the model is to write.

A row is {"messages": [{"role": ..., "content": ...}, ...]} or {"prompt": ..., "response": ...}, and with either may go
"system" and "tools". Only what the assistant
writes is learned, together with the token that ends its turn. Deliberately not here: packing, and the loss.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from clearhead.errors import UserError
from clearhead.text.begin import continuation_tokens, prompt_tokens
from clearhead.text.chat import ChatTemplate
from clearhead.text.control import Control, chat_read
from clearhead.text.corpus import BOM, refuse_packed
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer, TokenSpan

ANSWERS = ("response", "completion")  # two names that are in use
BINARY = 1000  # characters, among which a zero byte says that a file is no text
TABLES = {".csv": "CSV", ".tsv": "TSV", ".parquet": "Parquet"}
AS_JSON = re.compile(r"arguments\s*(\|\s*(tojson|items)|\.items\(|is mapping)|\|\s*tojson")  # what takes an object
OPENED = re.compile(r"<(\w+)>\s*(</\1>\s*)?$")  # such as <think> at the end of a prompt
Message = Mapping[str, Any]
T = TypeVar("T")
Span = tuple[int, int]


@dataclass(frozen=True)
class ChatRow:
    """One line of a file: a chat, whose last message is the assistant's, and the tools that it was told of."""

    line: int
    messages: tuple[Message, ...]
    tools: tuple[Any, ...] = ()

    @property
    def opening(self) -> str:
        """What the first user said: rows that share it belong on one side of a split."""
        return next((str(m["content"]) for m in self.messages if m["role"] == "user"), "")

    @property
    def variables(self) -> dict[str, Any]:
        """What the template is told besides the messages."""
        return {"tools": list(self.tools)} if self.tools else {}


class Example(NamedTuple):
    """Token ids, and which of them the model is to write."""

    tokens: list[int]
    loss_mask: list[bool]


def read_rows(path: Path) -> tuple[list[ChatRow], list[str]]:
    """The rows of a JSONL file, and one line of complaint for each that cannot be used."""
    return read_lines(path, row_of, "{'prompt': ..., 'response': ...}")


def read_lines(path: Path, row_of: Callable[[int, str], T], like: str) -> tuple[list[T], list[str]]:
    """`row_of(number, line)` of every line of a JSONL file, whose UserErrors become lines of complaint."""
    refuse_packed(path)
    if path.suffix.lower() in TABLES:
        raise UserError(f"{path} is {TABLES[path.suffix.lower()]}; write one JSON object a line, such as {like}")
    try:
        text = path.read_bytes().decode("utf-8-sig").replace(BOM, "")  # files that were put together have one inside
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a JSONL file of chats or prompts") from None
    except UnicodeDecodeError as error:
        at = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {at}: this is not UTF-8 text; save the file as UTF-8") from None
    binary = "\0" in text[:BINARY]
    if binary or text.lstrip().startswith("["):
        raise UserError(f"{path} is {'binary' if binary else 'a JSON array'}; write one object a line, such as {like}")
    rows: list[T] = []
    wrong: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(row_of(number, line))
            except UserError as error:
                wrong.append(f"{path}, line {number}: {error}")
    if not rows and not wrong:
        raise UserError(f"{path} is empty; give one JSON object a line, such as {like}")
    return rows, wrong


def row_of(number: int, line: str) -> ChatRow:
    """The row that a line of JSON holds; UserError, without the place, for what cannot be learned from."""
    fields = fields_of(line, "{'messages': [...]} or {'prompt': ..., 'response': ...}")
    if "messages" in fields:
        messages = _up_to_an_answer(messages_of(fields["messages"], "messages"))
    else:
        answer = next((name for name in ANSWERS if name in fields), "response")
        messages = [{"role": "user", "content": text_of(fields, "prompt")}]
        messages.append({"role": "assistant", "content": text_of(fields, answer)})
    messages, tools = framed(fields, messages)
    return ChatRow(number, tuple(messages), tools)


def fields_of(line: str, like: str) -> dict[str, Any]:
    """The object that a line of JSON is."""
    try:
        fields = json.loads(line)
    except ValueError:
        raise UserError("this is not JSON; write one object a line") from None
    except RecursionError:
        raise UserError("this JSON is nested too deeply") from None
    if not isinstance(fields, dict):
        raise UserError(f"this is not an object; write {like}")
    return fields


def framed(fields: Mapping[str, Any], messages: list[Message]) -> tuple[list[Message], tuple[Any, ...]]:
    """The messages behind the row's own system message, if it has one, and its tools."""
    if fields.get("system") not in (None, ""):
        if any(message["role"] == "system" for message in messages):
            raise UserError("there is a system message and a field 'system' as well; leave out one of them")
        messages = [{"role": "system", "content": text_of(fields, "system")}, *messages]
    tools = fields.get("tools") or []
    if not isinstance(tools, list):
        raise UserError(f"tools is {tools!r:.60}; it must be a list")
    return messages, tuple(tools)


def text_of(fields: Mapping[str, Any], name: str) -> str:
    if name not in fields:
        names = ", ".join(map(repr, fields))[:100] or "none"
        raise UserError(f"there is neither 'messages' nor {name!r} among its fields ({names})")
    if not isinstance(fields[name], str) or not fields[name].strip():
        raise UserError(f"{name} is {fields[name]!r:.60}; it must be text that is not empty")
    return fields[name]


def messages_of(given: Any, name: str) -> list[Message]:
    """A chat, checked."""
    if not isinstance(given, list) or not given:
        raise UserError(f"{name} is {given!r:.60}; it must be a list of messages")
    for i, message in enumerate(given, start=1):
        if not isinstance(message, dict):
            raise UserError(f"message {i} is {message!r:.60}; write {{'role': ..., 'content': ...}}")
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str) or not role.strip():
            raise UserError(f"message {i} has no role; give it one, such as user or assistant")
        calls = role == "assistant" and bool(message.get("tool_calls"))
        if not (isinstance(content, str) and content.strip()) and not (calls and content in (None, "")):
            raise UserError(f"message {i}, of the {role}, has the content {content!r:.60}; it must be text, not empty")
    return given


def _up_to_an_answer(given: list[Message]) -> list[Message]:
    """The messages up to the assistant's last: nothing is learned from what follows it."""
    last = max((i for i, message in enumerate(given) if message["role"] == "assistant"), default=-1)
    if last < 0:
        raise UserError("no message is the assistant's; there is nothing to learn")
    return given[: last + 1]


def examples(
    row: ChatRow, tokenizer: Tokenizer, template: ChatTemplate | None, control_tokens: bool = False
) -> list[Example]:
    """The row as tokens: one example, or one for each answer where the template rewrites earlier turns.

    Without a template a prompt and its response are plain text, and the tokenizer's end token closes them. With one,
    control tokens that are spelled in a message are text (control.py), unless `control_tokens`.
    """
    if template is None:
        return [plain_example(row, tokenizer)]
    if not isinstance(tokenizer, SubwordTokenizer):
        raise UserError("a chat template needs a tokenizer with special tokens, and the model's has none")
    if control_tokens:
        return [with_loss_mask(tokenizer, text, tokenizer.pieces(text, special=True), spans)
                for text, spans in answers(template, row)]  # fmt: skip
    control = Control.of(tokenizer, template)
    tools = tuple(control.marked(list(row.tools)))
    row = dataclasses.replace(row, messages=tuple(map(control.message, row.messages)), tools=tools)
    found = []
    for rendered, marked in answers(template, row):
        read = control.read(rendered)
        starts, ends = ([len(control.unmarked(rendered[:at])) for at in places] for places in zip(*marked, strict=True))
        spans = list(zip(starts, ends, strict=True))
        found.append(with_loss_mask(tokenizer, read.text, read.pieces, spans))
    return found


def plain_example(row: ChatRow, tokenizer: Tokenizer) -> Example:
    """Prompt and response one after the other, as the model sees them when it is asked to go on."""
    if [message["role"] for message in row.messages] != ["user", "assistant"]:
        raise UserError(
            "the model has no chat template, so it learns from a prompt and a response alone; this is a longer chat"
        )
    asked, answered = (message["content"] for message in row.messages)
    prompt, response = prompt_tokens(tokenizer, asked), continuation_tokens(tokenizer, asked, answered)
    if tokenizer.end_id is not None:
        response = [*response, tokenizer.end_id]
    return Example([*prompt, *response], [False] * len(prompt) + [True] * len(response))


def answers(template: ChatTemplate, row: ChatRow) -> list[tuple[str, list[Span]]]:
    """Texts to train on, and where in each the assistant writes.

    A template that marks it with {% generation %} is believed. Else an answer is what rendering the chat with it adds
    to rendering the chat before it, and these are stretches of the whole chat as long as each text begins the next. A
    template that rewrites earlier turns breaks that: then every answer has a text of its own, the one that the model
    would have read when it gave that answer.
    """
    variables = row.variables
    row = dataclasses.replace(row, messages=tuple(with_arguments(message, template) for message in row.messages))
    whole = template.render(row.messages, **variables)
    if whole.written:
        return [(whole.text, whole.written)]
    found: list[tuple[str, Span]] = []
    for i in (i for i, message in enumerate(row.messages) if message["role"] == "assistant"):
        before = template.render(row.messages[:i], add_generation_prompt=True, **variables).text
        after = template.render(row.messages[: i + 1], **variables).text
        if not after.startswith(before):
            before = OPENED.sub("", before)  # a prompt that opens thoughts goes before an answer without any as well
        if not after.startswith(before):
            raise UserError(
                f"the chat template writes message {i + 1} differently from the prompt it answers; "
                "use a template that marks it with {% generation %}"
            )
        found.append((after, (len(before), len(after))))
    if all(whole.text.startswith(text) for text, _ in found):
        return [(whole.text, [span for _, span in found])]
    return [(text, [span]) for text, span in found]


def with_arguments(message: Message, template: ChatTemplate) -> Message:
    """Tool calls with their arguments as an object, which most templates write as JSON themselves.

    A text that is JSON would be written as JSON once more. A template that writes the text as it is gets the text.
    """
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or not AS_JSON.search(template.tool_use or template.source):
        return message
    return {**message, "tool_calls": [_with_object(call) for call in calls]}


def _with_object(call: Any) -> Any:
    if not isinstance(call, dict):
        return call
    if isinstance(call.get("function"), dict):
        return {**call, "function": _with_object(call["function"])}
    try:
        told = json.loads(call["arguments"]) if isinstance(call.get("arguments"), str) else None
    except (ValueError, RecursionError):
        return call
    return {**call, "arguments": told} if isinstance(told, dict) else call


def with_loss_mask(
    tokenizer: SubwordTokenizer, text: str, pieces: Sequence[TokenSpan], spans: Sequence[Span]
) -> Example:
    """A rendered chat with its tokens: those with a character in a span are learned, up to the one that ends the turn.

    A special token with only white space after it in the span ends the turn, and that white space is the template's.
    Where there is none, a special token right behind the span ends it, and at the end of the text the tokenizer's own.
    """
    mask = [False] * len(pieces)
    for start, end in spans:
        inside = [i for i, piece in enumerate(pieces) if piece.end > start and piece.start < end]
        closing = max((i for i in inside if pieces[i].id in tokenizer.specials), default=None)
        if closing is not None and not text[pieces[closing].end : end].strip():
            inside = [i for i in inside if i <= closing]
        elif inside and inside[-1] + 1 < len(pieces) and pieces[inside[-1] + 1].id in tokenizer.specials:
            inside.append(inside[-1] + 1)
        for i in inside:
            mask[i] = True
    tokens = [piece.id for piece in pieces]
    if mask and mask[-1] and tokens[-1] not in tokenizer.specials and tokenizer.end_id is not None:
        return Example([*tokens, tokenizer.end_id], [*mask, True])
    return Example(tokens, mask)


class Turn(NamedTuple):
    """What the model reads before an answer, as text and as tokens, what was said last in it, and the answer."""

    prompt: str
    tokens: list[int]
    question: str
    answer: str


def turns(
    row: ChatRow, tokenizer: Tokenizer, template: ChatTemplate | None, control_tokens: bool = False
) -> Iterator[Turn]:
    """One for each answer of the row."""
    for i, message in enumerate(row.messages):
        if message["role"] == "assistant" and isinstance(message.get("content"), str):
            before = row.messages[:i]
            question = str(before[-1]["content"]) if before else ""
            if template is None or not isinstance(tokenizer, SubwordTokenizer):
                prompt = "".join(str(m["content"]) for m in before)
                tokens = prompt_tokens(tokenizer, prompt)
            elif control_tokens:
                prompt = template.render(before, add_generation_prompt=True, **row.variables).text
                tokens = tokenizer.encode(prompt, special=True)
            else:
                read = chat_read(tokenizer, template, before, own=True, **row.variables)
                prompt, tokens = read.text, [piece.id for piece in read.pieces]
            yield Turn(prompt, tokens, question, message["content"])
