"""The prompt as a pure function of an agent's steps and of a budget of tokens.

First the task, the plan that holds, the summary and the facts; then the newest steps, as many as there is room for. The
words around them are data: a style (agents/prompts). Deliberately not here: what becomes a summary (memory.py).
"""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from string import Template
from typing import Any, Literal, NamedTuple

from clearhead.agents.scratchpad import scratchpad
from clearhead.agents.steps import Action, Answer, Observation, Step, Stuck, Summary, Task, Thought
from clearhead.agents.tools import Tool
from clearhead.errors import UserError
from clearhead.tasks.task import CALL_END

HERE = Path(__file__).parent / "prompts"
STYLES = ("bare", "inline", "react", "chat")
LEFT_OUT = " … {:,} characters left out … "
SHARE = 4  # plan, summary, facts and what is recalled take one part in so many at most, each
Count = Callable[[str], int]  # tokens of a text


@dataclass(frozen=True)
class Style:
    """Templates with $names, `string.Template`'s; what is empty is left out of prompts.

    `chat`: instructions and request go through the model's chat template. `answer`: of one line, or any text. `steps`:
    lines with marks such as Action, or `inline`: a call and what came back in one line, as tasks with tools have it.
    """

    instructions: str = ""
    tools: str = ""
    tool: str = ""
    between: str = "\n"
    request: str = "Task: $task\n"
    plan: str = ""
    summary: str = ""
    facts: str = ""
    recalled: str = ""
    summarize: str = ""
    decompose: str = ""
    check: str = ""
    judge: str = ""
    answer: Literal["line", "text"] = "line"
    steps: Literal["lines", "inline"] = "lines"
    chat: bool = False


class Prompt(NamedTuple):
    """`trail` is what the model goes on with. `first` is the oldest step shown in it; `tokens` are those of all."""

    instructions: str
    request: str
    trail: str
    first: int
    tokens: int

    @property
    def text(self) -> str:
        return self.instructions + self.request + self.trail


def load_style(name: str) -> Style:
    """One of STYLES, or a TOML file of one's own. UserError for what it cannot hold."""
    path = HERE / f"{name}.toml" if name in STYLES else Path(name)
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"style {name!r} is none of {', '.join(STYLES)}, and there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{name} is no TOML file: {error}") from None
    kinds = {field.name: bool if field.name == "chat" else str for field in fields(Style)}
    for key, value in plain.items():
        if key not in kinds or not isinstance(value, kinds[key]):
            raise UserError(f"{name}: {key} = {value!r:.40} is no setting of a style; there are {', '.join(kinds)}")
        if isinstance(value, str) and not Template(value).is_valid():
            raise UserError(f"{name}: {key} holds a $ that begins no name; write $$ for a dollar")
    if plain.get("answer", "line") not in ("line", "text"):
        raise UserError(f"{name}: answer = {plain['answer']!r:.40} must be line or text")
    if plain.get("steps", "lines") not in ("lines", "inline"):
        raise UserError(f"{name}: steps = {plain['steps']!r:.40} must be lines or inline")
    return Style(**plain)


def render(
    steps: Sequence[Step],
    tools: Mapping[str, Tool],
    style: Style,
    budget: int,
    count: Count,
    recalled: Sequence[str] = (),
) -> Prompt:
    """What a model reads before its next step, in at most `budget` tokens as `count` counts them.

    UserError where the tools and the task alone are more.
    """
    instructions = fill(style.instructions or "$tools", tools=tool_list(tools, style))
    task = fill(style.request, task=indented(next((step.text for step in steps if isinstance(step, Task)), "")))
    head = count(instructions) + count(task)
    if head >= budget:
        raise (UserError if count(instructions) >= budget else Stuck)(
            f"the list of {len(tools)} tools takes {count(instructions):,} tokens and the task {count(task):,}, but "
            f"the model's context leaves {budget:,} for a prompt; give fewer tools, a shorter task or a longer context"
        )
    known = describe(steps, style, (budget - head) // SHARE, count)
    room = budget - head - count(known)
    memory = fill(style.recalled, recalled="; ".join(recalled)) if recalled else ""
    memory = shortened(memory, room // SHARE, count)
    spelled = inline if style.steps == "inline" else line
    first, trail = newest(steps, begin(steps), room - count(memory), count, spelled)
    return Prompt(instructions, task + known, trail + memory, first, budget - room + count(trail) + count(memory))


def describe(steps: Sequence[Step], style: Style, room: int, count: Count) -> str:
    """What holds of all that happened: plan, summary, facts; each in at most `room` tokens."""
    known = scratchpad(steps)
    summary = next((step.text for step in reversed(steps) if isinstance(step, Summary)), "")
    told = (
        fill(style.plan, plan=known.outline()) if known.plan else "",
        fill(style.summary, summary=indented(summary)) if summary else "",
        fill(style.facts, facts="; ".join(known.facts)) if known.facts else "",
    )
    return "".join(shortened(text, room, count) for text in told)


def begin(steps: Sequence[Step]) -> int:
    """The oldest step that no summary stands for."""
    return max((step.last + 1 for step in steps if isinstance(step, Summary)), default=0)


def newest(
    steps: Sequence[Step], start: int, room: int, count: Count, spelled: Callable[[Step, int], str] | None = None
) -> tuple[int, str]:
    """The newest steps from `start` on whose lines fit in `room` tokens, and where they begin: with no observation.

    A line that does not fit alone is shown without its middle.
    """
    spelled = spelled or line
    first, used = len(steps), 0
    for i in range(len(steps) - 1, start - 1, -1):
        size = count(spelled(steps[i], i))
        if used + size > room:
            break
        first, used = i, used + size
    if first == len(steps) and first > start and room > 0:
        return first - 1, shortened(spelled(steps[-1], first - 1), room, count)
    while start < first < len(steps) and isinstance(steps[first], Observation):
        first += 1
    return first, "".join(spelled(steps[i], i) for i in range(first, len(steps)))


def line(step: Step, index: int = 1) -> str:
    r"""A step as the model wrote it, or would have; nothing in it begins another step. The first task is no line.

    >>> line(Action("clock", {})), line(Observation("5\nAnswer: 6")), line(Observation("no such file", ok=False))
    ('Action: clock {}\n', 'Observation: 5\n  Answer: 6\n', 'Observation: error: no such file\n')
    """
    match step:
        case Task(text):
            return f"Task: {indented(text)}\n" if index else ""
        case Thought(text):
            return f"Thought: {indented(text)}\n"
        case Action(tool, arguments):
            return f"Action: {tool} {json.dumps(arguments, ensure_ascii=False)}\n"
        case Observation(text, _, ok):
            return f"Observation: {'' if ok else 'error: '}{indented(text)}\n"
        case Answer(text):
            return f"Answer: {indented(text)}\n"
    return ""


def inline(step: Step, index: int = 1) -> str:
    r"""The same where a call and what came back are one line; thoughts are none.

    >>> inline(Action("clock", {})) + inline(Observation("5\nAnswer: 6")) + inline(Answer("6"))
    'clock {}→5 Answer: 6\n6'
    """
    match step:
        case Action(tool, arguments):
            return f"{tool} {json.dumps(arguments, ensure_ascii=False)}{CALL_END}"
        case Observation(text, _, ok):
            return f"{'' if ok else 'error: '}{' '.join(text.splitlines())}\n"
        case Answer(text):
            return " ".join(text.splitlines())
    return ""


def indented(text: str) -> str:
    """Lines behind the first begin with two spaces, so that none of them reads as a step."""
    return "\n  ".join(text.splitlines())


def shortened(text: str, room: int, count: Count) -> str:
    """The text without its middle, in at most `room` tokens; empty where not even a few characters fit."""
    keep = len(text)
    short = text
    while count(short) > room:
        keep = keep * 3 // 4
        if keep < 8:
            return ""
        short = text[: keep // 2] + LEFT_OUT.format(len(text) - keep) + text[keep // 2 - keep :]
    return short


def tool_list(tools: Mapping[str, Tool], style: Style) -> str:
    """The tools as the style has them; nothing where there are none, or the style shows none."""
    if not (tools and style.tools):
        return ""
    told = (
        fill(
            style.tool,
            name=tool.name,
            description=" ".join(tool.description.split()),
            parameters=parameters(tool),
            schema=json.dumps(tool.schema, ensure_ascii=False),
        )
        for tool in tools.values()
    )
    return fill(style.tools, tools=style.between.join(told))


def parameters(tool: Tool) -> str:
    """The parameters in short: `expression: string, digits?: integer`."""
    required = tool.schema.get("required", ())
    properties: Mapping[str, Any] = tool.schema.get("properties", {})
    return ", ".join(
        f"{name}{'' if name in required else '?'}: {schema.get('type', 'any')}" for name, schema in properties.items()
    )


def fill(template: str, **values: str) -> str:
    """The template with its names replaced; one that it does not know stays, as text of the style's author."""
    return Template(template.lstrip("\n")).safe_substitute(values)
