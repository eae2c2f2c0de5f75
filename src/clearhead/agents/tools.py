"""A typed Python function is a tool: its signature and docstring become the schema that a model's calls obey.

Deliberately not here: the tools themselves (agents/toolbox), and who may call them (the loop).
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union

from clearhead.errors import UserError

SECONDS, OUTPUT = 20.0, 4000  # a call's time, and the characters of its result that are kept
PLAIN: Mapping[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


class ToolError(Exception):
    """A tool that cannot do what it was asked, in words for the model; it becomes an observation."""


@dataclass(frozen=True)
class Tool:
    """`schema`: JSON Schema of the arguments, an object. `call(**arguments)` gives anything; ToolError says why not.

    `writes`: it changes something outside, so a call needs approval. `seconds`, `output`: what a call may take;
    infinite seconds for one that always ends by itself, and soon.
    """

    name: str
    description: str
    schema: Mapping[str, Any] = field(hash=False)
    call: Callable[..., Any] = field(compare=False)
    writes: bool = False
    seconds: float = SECONDS
    output: int = OUTPUT

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise UserError(f"a tool cannot be called {self.name!r}; take letters, digits and _")


def tool(function: Callable[..., Any], *, writes: bool = False, seconds: float = SECONDS) -> Tool:
    """The function as a tool. UserError for a parameter without a type, or of one that JSON cannot hold.

    >>> def area(width: float, height: float = 1.0) -> float:
    ...     "The area of a rectangle."
    ...     return width * height
    >>> tool(area).schema["required"], tool(area).schema["properties"]["height"]
    (['width'], {'type': 'number', 'default': 1.0})
    """
    name = function.__name__
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise UserError(f"tool {name}: {error}; its types must be known where it is defined") from None
    properties: dict[str, Any] = {}
    required = []
    for parameter in inspect.signature(function).parameters.values():
        where = f"tool {name}: parameter {parameter.name}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise UserError(f"{where} must be one that can be given by name")
        if parameter.name not in hints:
            raise UserError(f"{where} has no type; write one, such as {parameter.name}: str")
        properties[parameter.name] = schema_of(hints[parameter.name], where)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            properties[parameter.name]["default"] = parameter.default
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return Tool(name, inspect.getdoc(function) or "", schema, function, writes, seconds)


def schema_of(hint: Any, where: str) -> dict[str, Any]:
    """The JSON Schema of a type; `Annotated[int, "how many"]` describes a parameter.

    >>> schema_of(list[Literal["a", "b"]], "here")
    {'type': 'array', 'items': {'enum': ['a', 'b']}}
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and hint in PLAIN:
        return {"type": PLAIN[hint]}
    if origin is typing.Annotated:
        words = [text for text in inner[1:] if isinstance(text, str)]
        return schema_of(inner[0], where) | ({"description": words[0]} if words else {})
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is list and len(inner) == 1:
        return {"type": "array", "items": schema_of(inner[0], where)}
    if origin is dict and inner and inner[0] is str:
        return {"type": "object", "additionalProperties": schema_of(inner[1], where)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if part is type(None) else schema_of(part, where) for part in inner]}
    raise UserError(
        f"{where} has the type {hint!r:.60}, which JSON cannot hold; take str, int, float, bool, list or dict"
    )
