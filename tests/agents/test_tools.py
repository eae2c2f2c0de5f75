"""A function as a tool: its schema, and functions that can be none."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jsonschema
import pytest

from clearhead.agents.calls import objections
from clearhead.agents.tools import Tool, schema_of, tool
from clearhead.errors import UserError


def place(
    x: int, names: list[str], how: Literal["fast", "slow"] = "fast", at: dict[str, float] | None = None
) -> Annotated[str, "where"]:
    """Place it."""
    return f"{x}{names}{how}{at}"


def test_a_function_is_a_tool() -> None:
    made = tool(place)
    assert (made.name, made.description, made.writes) == ("place", "Place it.", False)
    assert made.schema == {
        "type": "object",
        "properties": {
            "x": {"type": "integer"},
            "names": {"type": "array", "items": {"type": "string"}},
            "how": {"enum": ["fast", "slow"], "default": "fast"},
            "at": {
                "anyOf": [{"type": "object", "additionalProperties": {"type": "number"}}, {"type": "null"}],
                "default": None,
            },
        },
        "required": ["x", "names"],
        "additionalProperties": False,
    }
    jsonschema.Draft202012Validator.check_schema(dict(made.schema))
    assert made.call(x=1, names=[]) == "1[]fastNone"


def test_a_parameter_is_described() -> None:
    assert schema_of(Annotated[int, "how many"], "here") == {"type": "integer", "description": "how many"}
    assert schema_of(Annotated[int, 5], "here") == {"type": "integer"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"x": 1, "names": ["a"]}, ""),
        ({"x": 1, "names": [], "at": {"a": 1}}, ""),
        ({"x": 1.5, "names": []}, "x: 1.5 is not of type 'integer'"),
        ({"x": "1", "names": []}, "x: '1' is not of type"),
        ({"x": True, "names": []}, "x: True is not of type"),
        ({"x": 1}, "'names' is a required property"),
        ({"x": 1, "names": [1]}, "names[0]: 1 is not of type"),
        ({"x": 1, "names": [], "how": "well"}, "how: 'well' is not one of"),
        ({"x": 1, "names": [], "more": 1}, "'more' was unexpected"),
        ({"x": 1, "names": [], "at": {"a": "b"}}, "at"),
    ],
)
def test_the_schema_takes_what_the_signature_takes(arguments: dict[str, Any], said: str) -> None:
    found = objections(tool(place).schema, arguments)
    assert said in found and bool(found) == bool(said)


def untyped(x):  # type: ignore[no-untyped-def]
    return x


def positional(x: int, /) -> int:
    return x


def many(*x: int) -> int:
    return len(x)


def named(**x: int) -> int:
    return len(x)


def strange(x: complex) -> str:
    return str(x)


def keyed(x: dict[int, str]) -> str:
    return str(x)


def unknown(x: "NoSuchType") -> int:  # type: ignore[name-defined]
    return 0


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (untyped, "parameter x has no type"),
        (positional, "parameter x must be one that can be given by name"),
        (many, "by name"),
        (named, "by name"),
        (strange, "which JSON cannot hold"),
        (keyed, "which JSON cannot hold"),
        (unknown, "NoSuchType"),
    ],
)
def test_a_function_that_can_be_no_tool(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        tool(function)
    assert f"tool {function.__name__}" in str(error.value)


@pytest.mark.parametrize("name", ["", "a b", "a-b", "1a", "a\n"])
def test_a_name_that_a_tool_cannot_have(name: str) -> None:
    with pytest.raises(UserError, match="a tool cannot be called"):
        Tool(name, "", {}, print)


@pytest.mark.parametrize(
    "hint", [int, str, list[int], int | None, Annotated[list[Literal[1, 2]], "x"], Annotated[int, []]]
)
def test_every_schema_is_one(hint: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(hint, "here"))
