"""Constraints in the words of each server, and whether a text that came back keeps to one.

Servers leave out what they do not know, without a word. So every text is held against the constraint here.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from clearhead.generation.constraint import Grammar
from clearhead.generation.language_model import Constraint, choices
from clearhead.text.tokenizer import CharTokenizer

BYTES = CharTokenizer("", byte_fallback=True)


class Form(NamedTuple):
    """How a constraint is said to a server."""

    server: str
    fields: Callable[[Constraint], Mapping[str, Any]]


def forms(constraint: Constraint) -> list[Form]:
    """The forms for this kind, those first that most servers know."""
    if constraint.kind == "json-schema":
        return JSON_FORMS
    if constraint.kind == "lark":
        return LARK_FORMS
    return [*REGEX_FORMS, *([CHOICE_FORM] if as_choices(constraint) else [])]


def as_choices(constraint: Constraint) -> list[str] | None:
    """The texts that `choices` was given; None for any other expression.

    >>> as_choices(choices(["a|b", "no?"])), as_choices(Constraint("regex", "a+|b"))
    (['a|b', 'no?'], None)
    """
    texts = [re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in re.split(r"(?<!\\)\|", constraint.text)]
    return texts if "" not in texts and choices(texts) == constraint else None


def held(constraint: Constraint, text: str, whole: bool) -> tuple[str, bool] | None:
    """The text as the constraint has it, and whether nothing can follow; None if it is none of its texts.

    JSON may be spaced in any way; what is returned is spaced as `json.dumps` does. `whole` False: the beginning of one.
    """
    if constraint.kind == "json-schema":
        if not whole:
            return text, False  # spaced in whatever way
        try:
            text = json.dumps(json.loads(text), ensure_ascii=False)
        except (ValueError, RecursionError):
            return None
    state, ids = _grammar(constraint).start.deep_copy(), BYTES.encode(text)
    if state.try_consume_tokens(ids) < len(ids):
        return None
    complete = bool(state.is_stopped())
    return (text, complete) if complete or state.is_accepting() or not whole else None


@lru_cache(maxsize=64)
def _grammar(constraint: Constraint) -> Grammar:
    return Grammar(constraint, BYTES)


def _schema(constraint: Constraint) -> Any:
    return json.loads(constraint.text)


def _gbnf(constraint: Constraint) -> str:
    return "root ::= " + " | ".join(json.dumps(text, ensure_ascii=False) for text in as_choices(constraint) or [])


JSON_FORMS = [
    Form("OpenAI, vLLM, SGLang, llama.cpp", lambda of: {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": _schema(of)}}
    }),
    Form("vLLM", lambda of: {"structured_outputs": {"json": _schema(of)}}),
    Form("vLLM before 0.12", lambda of: {"guided_json": _schema(of)}),
    Form("llama.cpp", lambda of: {"json_schema": _schema(of)}),
    Form("SGLang", lambda of: {"json_schema": of.text}),
]  # fmt: skip
REGEX_FORMS = [
    Form("vLLM", lambda of: {"structured_outputs": {"regex": of.text}}),
    Form("vLLM before 0.12", lambda of: {"guided_regex": of.text}),
    Form("SGLang", lambda of: {"regex": of.text}),
]
CHOICE_FORM = Form("llama.cpp", lambda of: {"grammar": _gbnf(of)})
LARK_FORMS = [
    Form("vLLM", lambda of: {"structured_outputs": {"grammar": of.text}}),
    Form("vLLM before 0.12", lambda of: {"guided_grammar": of.text}),
    Form("llama.cpp with llguidance", lambda of: {"grammar": f"%llguidance {{}}\n{of.text}"}),
]
