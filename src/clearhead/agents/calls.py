"""Actions carried out: whatever a model asks for and whatever a tool does, every action gets its observation.

Deliberately not here: what a tool does (agents/toolbox), and what is made of the observations (the loop).
"""

import importlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from types import ModuleType
from typing import Any, TypeVar

from clearhead.agents.steps import Action, Observation
from clearhead.agents.tools import Tool, ToolError
from clearhead.errors import UserError
from clearhead.terminal import spelled

Approve = Callable[[Action, Tool], bool]

PACKAGE, REFERENCES = "jsonschema", "referencing"
TOGETHER = 16  # calls at once, of one step
HANGING = 32  # threads of one tool; where there are more, its calls hang, and it is called no more
CHECK_SECONDS = 5.0  # for the arguments
SAID = 500  # characters of an error's message


def deny(action: Action, tool: Tool) -> bool:
    """Where nobody can be asked."""
    return False


def allow(action: Action, tool: Tool) -> bool:
    """Where all was allowed beforehand."""
    return True


def carry_out(actions: Sequence[Action], tools: Mapping[str, Tool], approve: Approve) -> list[Observation]:
    """One observation for each action, in order. UserError: the package that checks arguments is missing.

    `approve` is asked in this thread before a tool that writes is called with right arguments, and for no other. Calls
    that only read are made at once; where one of them writes, all are made one after the other.
    """
    _library(PACKAGE)
    if any(action.tool in tools and tools[action.tool].writes for action in actions):
        return [_approved(action, tools, approve) for action in actions]
    return _together(actions, partial(_observation, tools), partial(_seconds, tools))


def _approved(action: Action, tools: Mapping[str, Tool], approve: Approve) -> Observation:
    tool = tools.get(action.tool)
    if tool is not None and tool.writes:
        [said] = _together([action], partial(_objection, tools), lambda _: CHECK_SECONDS)
        if isinstance(said, Observation) or said:
            return said if isinstance(said, Observation) else _failed(action, said)
        if not approve(action, tool):
            return _failed(action, f"{tool.name} changes something, and this call was not allowed")
    return _together([action], partial(_observation, tools), partial(_seconds, tools))[0]


def as_text(value: Any, most: int) -> str:
    r"""A result as text that steers no terminal: as it is, or as JSON; beyond `most` characters it is cut, and says so.

    TypeError, ValueError, RecursionError: JSON does not hold it.

    >>> as_text({"a": [1, None]}, 80), as_text("x\x1b[2J", 80), as_text("abcdef", 4)
    ('{"a": [1, null]}', 'x\\x1b[2J', 'abcd\n[cut: 4 of 6 characters]')
    """
    text = str.__str__(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = spelled(text[:most])[:most]
    return str(shown) if len(text) <= most else f"{shown}\n[cut: {most:,} of {len(text):,} characters]"


def objections(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """What is wrong with the arguments of a call, in a few words; "" where they are as the schema has them."""
    error = _library(PACKAGE).exceptions.best_match(_checker(json.dumps(schema)).iter_errors(arguments))
    if error is None:
        return ""
    at = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return f"{at.removeprefix('.')}: {error.message:.{SAID}}" if at else f"{error.message:.{SAID}}"


@lru_cache(maxsize=256)
def _checker(text: str) -> Any:
    """Of a schema as JSON: no reference in it is fetched, and no expression is run, since one may take for ever."""
    schema = json.loads(text)
    kind = _library(PACKAGE).validators.validator_for(schema, _library(PACKAGE).Draft202012Validator)
    kind.check_schema(schema)
    return kind(without_patterns(schema), registry=_library(REFERENCES).Registry())


def without_patterns(schema: Any) -> Any:
    """The schema without its regular expressions, which whoever wrote it checks again.

    >>> without_patterns({"properties": {"pattern": {"type": "string", "pattern": "(a+)+"}}})
    {'properties': {'pattern': {'type': 'string'}}}
    """
    if isinstance(schema, list):
        return [without_patterns(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    left = {key: part for key, part in schema.items() if key != "pattern" or not isinstance(part, str)}
    if "patternProperties" in left:
        for key in ("patternProperties", "additionalProperties", "unevaluatedProperties"):
            left.pop(key, None)
    return {key: without_patterns(part) for key, part in left.items()}


def _objection(tools: Mapping[str, Tool], action: Action) -> str:
    """Why the call is not made; "" where it may be."""
    tool = tools.get(action.tool)
    if tool is None:
        return f"there is no tool {action.tool:.80}; there is {', '.join(tools) or 'none'}"
    if sum(thread.name == f"tool {tool.name}" for thread in threading.enumerate()) > HANGING:
        return f"{tool.name} is called no more: {HANGING} of its calls still hang"
    try:
        said = objections(tool.schema, action.arguments)
    except Exception as error:  # the schema is another's
        said = f"its schema cannot be used ({type(error).__name__})"
    return f"wrong arguments for {tool.name}: {said}" if said else ""


def _observation(tools: Mapping[str, Tool], action: Action) -> Observation:
    """What the call brings, whatever it does."""
    if said := _objection(tools, action):
        return _failed(action, said)
    tool = tools[action.tool]
    try:
        value = tool.call(**action.arguments)
    except (ToolError, UserError) as error:
        return Observation(as_text(str(error), tool.output), action.id, False)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, too
        return _failed(action, f"{tool.name} failed: {type(error).__name__}: {_message(error)}")
    try:
        return Observation(as_text(value, tool.output), action.id)
    except Exception:
        return _failed(action, f"{tool.name} gave a {type(value).__name__} that neither text nor JSON can hold")


def _message(error: BaseException) -> str:
    try:
        return str(error)[:SAID]
    except Exception:
        return "without a message"


def _failed(action: Action, said: str) -> Observation:
    return Observation(as_text(said, 2 * SAID), action.id, False)


T = TypeVar("T")


def _together(
    actions: Sequence[Action], function: Callable[[Action], T], seconds: Callable[[Action], float]
) -> list[T | Observation]:
    """What the function gives for each action, in order; the observation that its time is over where it is.

    Each runs in a thread of its own, `TOGETHER` at once. One whose time is over is left behind: it cannot be ended, but
    nobody waits for it, not even the end of the program. A single one without a limit needs no thread.
    """
    if len(actions) == 1 and seconds(actions[0]) == math.inf:
        return [function(actions[0])]
    found = list[T | Observation]()
    for start in range(0, len(actions), TOGETHER):
        running = [(action, *_started(action, function)) for action in actions[start : start + TOGETHER]]
        begun = time.monotonic()
        for action, done, given in running:
            allowed = seconds(action)
            if done.wait(min(max(0.0, begun + allowed - time.monotonic()), threading.TIMEOUT_MAX)):
                found.append(given[0] if given else _failed(action, f"{action.tool:.80} failed"))
            else:
                said = f"{action.tool:.80} was not done after {allowed:g} seconds"
                found.append(_failed(action, f"{said}; it goes on in the background, and its result is lost"))
    return found


def _started(action: Action, function: Callable[[Action], T]) -> tuple[threading.Event, list[T]]:
    """(set when it has ended, what it gave)."""
    done, given = threading.Event(), list[T]()

    def work() -> None:
        try:
            given.append(function(action))
        finally:
            done.set()

    threading.Thread(target=work, name=f"tool {action.tool:.80}", daemon=True).start()
    return done, given


def _seconds(tools: Mapping[str, Tool], action: Action) -> float:
    return tools[action.tool].seconds if action.tool in tools else CHECK_SECONDS


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"tools need the package {name}: pip install 'clearhead[agents]'") from None
