"""The options by which verbs constrain a text, one of which may be given."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearhead.errors import UserError

if TYPE_CHECKING:
    from clearhead.generation.language_model import Constraint

OPTIONS = {
    "json_schema": ("FILE", "JSON that a schema describes; `-` reads it from standard input."),
    "regex": ("EXPR", "Text that this regular expression (of Rust) matches as a whole."),
    "choices": ("A,B,C", "One of these texts, word for word; quote one that has a comma."),
    "grammar": ("FILE", "Text of this Lark grammar."),
}


def constraint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that arrive as None where they are left out; `constraint_of` reads them."""
    for name, (metavar, told) in reversed(OPTIONS.items()):
        command = click.option("--" + name.replace("_", "-"), metavar=metavar, help=told)(command)
    return command


def constraint_of(given: dict[str, Any], prompt: str | None = None) -> "Constraint | None":
    """What the options ask for, taken out of `given`. UserError for two of them, or a file that cannot be read."""
    from clearhead.generation.language_model import Constraint, choices

    found = {name: text for name in OPTIONS if (text := given.pop(name)) is not None}
    if len(found) > 1:
        both = " and ".join("--" + name.replace("_", "-") for name in found)
        raise UserError(f"{both} cannot both constrain a text; leave one out")
    for name, text in found.items():
        if name == "choices":
            return choices(next(csv.reader([text]), []))
        if name == "regex":
            return Constraint("regex", text)
        if text == "-" and prompt == "-":
            raise UserError("standard input cannot be both the prompt and the schema; put one into a file")
        source = _read(text, name)
        if name == "grammar":
            return Constraint("lark", source)
        try:
            json.loads(source)
        except (ValueError, RecursionError) as error:
            raise UserError(f"the schema in {text} is not JSON: {error}") from None
        return Constraint("json-schema", source)
    return None


def _read(name: str, option: str) -> str:
    try:
        return (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"--{option.replace('_', '-')} {name} cannot be read: {told}") from None
