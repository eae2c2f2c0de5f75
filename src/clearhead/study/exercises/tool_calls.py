"""Reading tool calls out of a model's text."""

import json
from typing import Any

import numpy as np

from clearhead.study.practice.exercise import Exercise

OPEN, CLOSE = "<tool_call>", "</tool_call>"


def _oracle(text: str, tools: dict[str, list[str]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for piece in text.split(OPEN)[1:]:
        body, closed, _ = piece.partition(CLOSE)
        try:
            call = json.loads(body) if closed else None
        except ValueError:
            call = None
        found.append(_judged(call, tools))
    return found


def _judged(call: Any, tools: dict[str, list[str]]) -> dict[str, Any]:
    if (
        not isinstance(call, dict)
        or not isinstance(call.get("name"), str)
        or not isinstance(call.get("arguments"), dict)
    ):
        return {"error": "malformed"}
    if call["name"] not in tools:
        return {"error": "unknown tool"}
    if set(call["arguments"]) != set(tools[call["name"]]):
        return {"error": "wrong arguments"}
    return {"name": call["name"], "arguments": call["arguments"]}


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    calls = [
        '{"name": "add", "arguments": {"a": 1, "b": 2}}', ' {"arguments": {"q": "x } y"}, "name": "search"}\n',
        '{"name": "search", "arguments": {"q": "{\\"name\\": 1}"}}', '{"name": "add", "arguments": {"a": 1}}',
        '{"name": "add", "arguments": {"a": 1, "b": 2, "c": 3}}', '{"name": "rm", "arguments": {}}', '{"name": "add"}',
        "{'name': 'add', 'arguments': {'a': 1, 'b': 2}}", "[]", "null", '{"name": 3, "arguments": {}}',
        '{"name": "now", "arguments": {}}', '{"name": "now", "arguments": []}',
    ]  # fmt: skip
    parts = ["Let me think. "]
    for _ in range(n.K):
        parts += [
            OPEN,
            calls[int(rng.integers(len(calls)))],
            CLOSE,
            str(rng.choice(["", " then ", "\n{}\n", '{"name": "now"}'])),
        ]
    if rng.random() < 0.2:
        parts += [OPEN, '{"name": "now", "arguments"']  # the model was cut short
    return {"text": "".join(parts), "tools": {"add": ["a", "b"], "search": ["q"], "now": []}}


exercise = Exercise(
    title="Parsing tool calls",
    section="Agents",
    statement="""
A model writes calls as <tool_call>{"name": ..., "arguments": {...}}</tool_call>, with other text around and
between. tools maps the name of each tool to the names of its arguments, all of them required. Return one dictionary
for each <tool_call>, in order: {"name": ..., "arguments": {...}} for a good one, else {"error": ...} with
"malformed" (no JSON, no object, no closing tag, a name that is no string or arguments that are no object), "unknown
tool", or "wrong arguments" (missing or too many). Bad text must never raise.
""",
    signature='def tool_calls(text: str, tools: "dict[str, list[str]]") -> "list[dict]":',
    sizes={"K": (1, 4)},
    draw=_draw,
    edges=lambda rng: [
        {"text": "no call at all, {}", "tools": {"now": []}},
        {"text": "a<tool_call>{</tool_call>b<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>", "tools": {"now": []}},
        {"text": "<tool_call>{\"name\": \"now\", \"arguments\": {}}", "tools": {"now": []}},
        {"text": "<tool_call>{\"name\": \"s\", \"arguments\": {\"q\": \"a}} b\"}}</tool_call>", "tools": {"s": ["q"]}},
        {"text": "<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 1}}</tool_call><tool_call>{\"name\": \"no\", \"arguments\": {}}</tool_call>", "tools": {"add": ["a", "b"]}},
        {"text": "<tool_call>{\"name\": \"s\", \"arguments\": {\"q\": 1, \"r\": 2}}</tool_call><tool_call>[1]</tool_call>", "tools": {"s": ["q"]}},
        {"text": "<tool_call>{\"name\": [\"s\"], \"arguments\": {}}</tool_call><tool_call>{\"name\": \"s\", \"arguments\": [\"q\"]}</tool_call>", "tools": {"s": ["q"]}},
    ],
    oracle=_oracle,
    hints=(
        "Cut the text at the tags and leave the braces to the JSON parser: strings may hold braces.",
        "json.loads raises ValueError on bad text, and gives lists, numbers and None too. Check types before you index.",
        "for piece in text.split('<tool_call>')[1:]: body, closed, _ = piece.partition('</tool_call>'); then json.loads.",
    ),
    solution="""
import json

def tool_calls(text, tools):
    found = []
    for piece in text.split("<tool_call>")[1:]:
        body, closed, _ = piece.partition("</tool_call>")
        try:
            call = json.loads(body)
        except ValueError:
            call = None
        if not closed or not isinstance(call, dict):
            found.append({"error": "malformed"})
            continue
        name, arguments = call.get("name"), call.get("arguments")
        if not isinstance(name, str) or not isinstance(arguments, dict):
            found.append({"error": "malformed"})
        elif name not in tools:
            found.append({"error": "unknown tool"})
        elif set(arguments) != set(tools[name]):
            found.append({"error": "wrong arguments"})
        else:
            found.append({"name": name, "arguments": arguments})
    return found
""",
    torch="""
import json
import re
import torch

def read(body, tools):
    try:
        call = json.loads(body)
        name, arguments = call["name"], call["arguments"]
        assert isinstance(name, str) and isinstance(arguments, dict)
    except (ValueError, KeyError, TypeError, AssertionError):
        return {"error": "malformed"}
    if name not in tools:
        return {"error": "unknown tool"}
    fits = sorted(arguments) == sorted(tools[name])
    return {"name": name, "arguments": arguments} if fits else {"error": "wrong arguments"}

def tool_calls(text, tools):
    return [read(body, tools) if tag else {"error": "malformed"}
            for body, tag in re.findall("<tool_call>(.*?)(</tool_call>|$|(?=<tool_call>))", text, re.S)]
""",
    wrong={
        "a call without its closing tag is let through": ("not closed or not isinstance", "not isinstance"),
        "bad calls are skipped, where each needs an error of its own": ('            found.append({"error": "malformed"})\n            continue', "            continue"),
        "arguments too many are let through": ("set(arguments) != set(tools[name])", "not set(tools[name]) <= set(arguments)"),
        "missing arguments are let through": ("set(arguments) != set(tools[name])", "not set(arguments) <= set(tools[name])"),
        "arguments are not checked at all": ("set(arguments) != set(tools[name])", "False"),
        "unknown tools are let through": ("name not in tools", "False", "set(arguments) != set(tools[name])", "name in tools and set(arguments) != set(tools[name])"),
        "bad JSON raises": ("except ValueError", "except KeyError"),
        "JSON that is no object raises": ("not closed or not isinstance(call, dict)", "not closed or call is None"),
        "a pattern that ends at the first closing brace": '''
import json
import re

def tool_calls(text, tools):
    found = []
    for body in re.findall(r"<tool_call>(.*?}})", text, re.S):
        try:
            call = json.loads(body)
            known = call["name"] in tools
            found.append(call if known else {"error": "unknown tool"})
        except (ValueError, KeyError, TypeError):
            found.append({"error": "malformed"})
    return found
''',
    },
)  # fmt: skip
