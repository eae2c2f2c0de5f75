"""Calls of tools, and answers in a form, as constraints: whatever the model is, what it writes can be read back.

How a call is written is asked of the chat template, by a chat with two of them in it; a template that knows no tools
gets them in the system message, and calls as Hermes writes them. Functions' own schemas bind what they are called with.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clearhead.errors import UserError
from clearhead.generation.language_model import Constraint, json_schema
from clearhead.server.bodies import Function, JsonSchema
from clearhead.server.errors import refused
from clearhead.text.chat import ChatTemplate
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer

AS_DUMPS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
CALLS = 8  # in one answer at most
ANY = {"type": "object"}
INSTRUCTIONS = (
    "You may call these functions, each given with the JSON schema of its arguments:\n{tools}\n"
    'To call one, answer with <tool_call>\n{{"name": NAME, "arguments": ARGUMENTS}}\n</tool_call> alone.'
)


@dataclass(frozen=True)
class CallForm:
    """How a template writes calls: what stands before a name, behind it, between calls, at the end."""

    before: str
    middle: str
    between: str
    after: str


HERMES = CallForm(
    '<tool_call>\n{"name": "', '", "arguments": ', '}\n</tool_call>\n<tool_call>\n{"name": "', "}\n</tool_call>"
)


@dataclass(frozen=True)
class Called:
    """A call that a model wrote."""

    name: str
    arguments: str  # JSON

    @property
    def id(self) -> str:
        return f"call_{secrets.token_hex(12)}"


def knows_tools(template: ChatTemplate) -> bool:
    return template.tool_use is not None or re.search(r"\btools\b", template.source) is not None


def form_of(template: ChatTemplate, tokenizer: Tokenizer, tools: Sequence[Mapping[str, Any]]) -> CallForm:
    """The template's own form of two calls; Hermes' where it cannot be found out."""
    names, marks = ("fq7name", "gq7name"), ('{"aq7": 1}', '{"bq7": 2}')
    asked: dict[str, Any] = {"role": "user", "content": "?"}
    calls = [
        {"id": f"call0000{i}", "type": "function", "function": {"name": name, "arguments": json.loads(mark)}}
        for i, (name, mark) in enumerate(zip(names, marks, strict=True))
    ]
    try:
        start = template.render([asked], add_generation_prompt=True, tools=tools).text
        chat = [asked, {"role": "assistant", "content": "", "tool_calls": calls}]
        whole = template.render(chat, tools=tools).text
    except UserError:
        return HERMES
    found = re.fullmatch(
        f"(.*){names[0]}(.*){re.escape(marks[0])}(.*){names[1]}(.*){re.escape(marks[1])}(.*)",
        whole.removeprefix(start), re.DOTALL,
    )  # fmt: skip
    if not whole.startswith(start) or found is None or found[2] != found[4]:
        return HERMES
    return CallForm(found[1], found[2], found[3], _until_end(found[5], tokenizer))


def _until_end(text: str, tokenizer: Tokenizer) -> str:
    """What stands before the token that ends a turn."""
    ends = [tokenizer.specials[i] for i in tokenizer.end_ids if i in tokenizer.specials] if isinstance(
        tokenizer, SubwordTokenizer) else []  # fmt: skip
    return text[: min((text.find(end) for end in ends if end in text), default=len(text))]


def plain_tool(function: Function) -> dict[str, Any]:
    """A tool as templates take it."""
    told = {"name": function.name, "description": function.description or "", "parameters": function.parameters or ANY}
    return {"type": "function", "function": told}


def in_words(messages: Sequence[dict[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The chat for a template that knows no tools: their list in the system message, calls and results as text."""
    found: list[dict[str, Any]] = []
    for message in messages:
        told = {key: value for key, value in message.items() if key not in ("tool_calls", "tool_call_id")}
        if message.get("tool_calls"):
            told["content"] += written(HERMES, message["tool_calls"])
        if message["role"] == "tool":
            told |= {"role": "user", "content": f"<tool_response>\n{message['content']}\n</tool_response>"}
        found.append(told)
    if tools:
        listed = INSTRUCTIONS.format(tools="\n".join(json.dumps(tool["function"]) for tool in tools))
        if found[0]["role"] == "system":
            found[0]["content"] += "\n\n" + listed
        else:
            found.insert(0, {"role": "system", "content": listed})
    return found


def written(form: CallForm, calls: Sequence[Mapping[str, Any]]) -> str:
    """Calls in a form."""
    parts = [f"{call['function']['name']}{form.middle}{json.dumps(call['function']['arguments'])}" for call in calls]
    return form.before + form.between.join(parts) + form.after


def call_grammar(
    form: CallForm, functions: Sequence[Function], tokenizer: Tokenizer, calls: int, text: Constraint | None, free: bool
) -> Constraint:
    """One call or more of these functions; where the answer is `free`, or a `text` in a form, that instead of them."""
    one = " | ".join(f"tool{i}" for i in range(len(functions)))
    more = f" ({_literal(form.between, tokenizer)} ({one})){{0,{calls - 1}}}" if calls > 1 else ""
    rules = [
        f"start: calls{' | text' if free or text else ''}",
        f"calls: {_literal(form.before, tokenizer)} ({one}){more} {_literal(form.after, tokenizer)}",
    ]
    for i, function in enumerate(functions):
        schema = json.dumps({**(function.parameters or ANY), "x-guidance": AS_DUMPS})
        rules.append(f"tool{i}: {_literal(function.name + form.middle, tokenizer)} %json {schema}")
    if text is not None:
        rules.append(f"text: %json {json.dumps({**json.loads(text.text), 'x-guidance': AS_DUMPS})}")
    elif free:
        rules += ["text: TEXT", r"TEXT: /(?s:.*)/ & ~/" + _expression(form.before) + "(?s:.*)/"]
    return Constraint("lark", "\n".join(rules) + "\n")


def _expression(text: str) -> str:
    """A pattern for the text, within slashes."""
    return re.escape(text).replace("/", r"\/").replace("\n", "n")


def _literal(text: str, tokenizer: Tokenizer) -> str:
    """The text in Lark, its special tokens by their ids."""
    if not text:
        return '""'
    specials = {name: i for i, name in tokenizer.specials.items()} if isinstance(tokenizer, SubwordTokenizer) else {}
    names = [name for name in specials if name in text]
    parts = re.split(f"({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})", text) if names else [text]
    return " ".join(f"<[{specials[part]}]>" if part in specials else json.dumps(part) for part in parts if part)


def read_calls(form: CallForm, text: str) -> list[Called] | None:
    """The calls that a text of the grammar is, None where it is another text or was cut off."""
    if not text.startswith(form.before):
        return None
    found, rest = [], text[len(form.before) :]
    while True:
        name, middle, rest = rest.partition(form.middle)
        try:
            value, end = json.JSONDecoder().raw_decode(rest)
        except (ValueError, RecursionError):
            return None
        if not middle or not isinstance(value, dict):
            return None
        found.append(Called(name, json.dumps(value, ensure_ascii=False)))
        rest = rest[end:]
        if rest == form.after:
            return found
        if not rest.startswith(form.between):
            return None
        rest = rest[len(form.between) :]


def format_constraint(kind: str, told: JsonSchema | None) -> Constraint | None:
    """What `response_format` asks for."""
    if kind == "text":
        return None
    if kind == "json_object":
        return json_schema(ANY)
    if told is None or told.schema_ is None:
        raise refused("response_format: json_schema needs a schema", "response_format")
    return json_schema(told.schema_)
