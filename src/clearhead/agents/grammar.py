"""A step as a grammar made of the tools, and read back: a call is valid by construction, whatever the model.

Thought: a line, or none
Action: NAME {arguments that NAME's schema allows}      once or several times, until the model writes Observation:
Answer: a text                                          in place of actions
"""

import json
from collections.abc import Mapping, Sequence

from clearhead.agents.steps import Action, Answer, Step, Thought
from clearhead.agents.tools import Tool
from clearhead.errors import UserError
from clearhead.generation.language_model import Constraint
from clearhead.tasks.task import CALL_END

AS_DUMPS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
CALLS = 4  # of one step at most
THOUGHT, ANSWER = 400, 4000  # characters at most
END = "Observation:"  # what a model writes when it has called enough


def step_grammar(tools: Mapping[str, Tool], answer: str = "line", only: str | None = None) -> Constraint:
    """What a next step may be. With `only`, exactly one call of that tool; without tools, an answer."""
    calls = f"call{{1,{CALLS if only is None else 1}}} {json.dumps(END)}"
    names = [only] if only is not None else list(tools)
    rules = [
        f"start: {calls}" if only else f"start: thought? ({calls} | answer)" if tools else "start: thought? answer"
    ]
    if not only:
        ending = r' "\n"' if answer == "line" else ""
        rules += [
            r'thought: "Thought: " THOUGHT "\n"',
            f'answer: "Answer: " ANSWER{ending}',
            _text("THOUGHT", THOUGHT),
        ]
        rules.append(_text("ANSWER", ANSWER, newlines=answer != "line"))
    if names:
        rules.append(f'call: "Action: " ({" | ".join(f"tool{i}" for i in range(len(names)))}) "\\n"')
    for i, name in enumerate(names):
        schema = json.dumps({**tools[name].schema, "x-guidance": AS_DUMPS})
        rules.append(f"tool{i}: {json.dumps(name + ' ')} %json {schema}")
    return Constraint("lark", "\n".join(rules) + "\n")


def _text(name: str, most: int, newlines: bool = False) -> str:
    """Characters that a terminal shows, and in longer texts the ends of lines."""
    return rf"{name}: /[^\x00-\x08{'' if newlines else chr(92) + 'n'}\x0b-\x1f\x7f]{{1,{most}}}/"


def inline_grammar(tools: Mapping[str, Tool], answer: str = "line", only: str | None = None) -> Constraint:
    """The same for steps in one line: a call up to its arrow, or an answer."""
    names = [only] if only is not None else list(tools)
    calls = " | ".join(f"tool{i}" for i in range(len(names)))
    rules = [f"start: {f'({calls}) {json.dumps(CALL_END)}' if names else ''}{' | ' if names and not only else ''}"]
    if not only:
        rules[0] += "ANSWER"
        rules.append(rf"ANSWER: /[^\x00-\x1f\x7f{CALL_END}{{]{{1,{THOUGHT}}}/")
    for i, name in enumerate(names):
        rules.append(
            f"tool{i}: {json.dumps(name + ' ')} %json {json.dumps({**tools[name].schema, 'x-guidance': AS_DUMPS})}"
        )
    return Constraint("lark", "\n".join(rules) + "\n")


def read_inline(text: str, first_id: int) -> list[Step]:
    """The step of such a text. UserError for any other."""
    if not text.endswith(CALL_END):
        return [Answer(text.strip())]
    name, _, arguments = text.removesuffix(CALL_END).partition(" ")
    try:
        told = json.loads(arguments)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise UserError(f"the model wrote {text[:60]!r}, which is no call of a tool")
    return [Action(name, told, first_id)]


def read_step(text: str, first_id: int) -> list[Step]:
    """The steps of a text of the grammar, its calls numbered from `first_id`. UserError for any other text."""
    steps: list[Step] = []
    body, thought = text, ""
    if body.startswith("Thought: "):
        thought, _, body = body.removeprefix("Thought: ").partition("\n")
        steps.append(Thought(thought.strip()))
    if body.startswith("Answer: "):
        return [*steps, Answer(body.removeprefix("Answer: ").strip())]
    lines = body.removesuffix(END).splitlines() if body.endswith(END) else []
    for i, line in enumerate(lines):
        mark, _, call = line.partition(" ")
        name, _, arguments = call.partition(" ")
        try:
            told = json.loads(arguments) if mark == "Action:" else None
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise UserError(f"the model wrote {line[:60]!r}, which is no call of a tool")
        steps.append(Action(name, told, first_id + i))
    if not lines:
        raise UserError(f"the model wrote {text[:60]!r}, which is neither an Action nor an Answer")
    return steps


def called(text: str, tools: Mapping[str, Tool]) -> str | None:
    """The tool that a text which was cut off was about to call."""
    last = text.rpartition("Action: ")[2]
    return next((name for name in tools if last.startswith(name + " ")), None)


def next_id(steps: Sequence[Step]) -> int:
    return 1 + max((step.id for step in steps if isinstance(step, Action)), default=0)
