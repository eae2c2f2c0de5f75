"""The scratchpad: facts noted, the plan that holds, and what of it is done. A pure function of the steps.

What came back from a call in place of what was expected is a fact as well.
"""

import json
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from clearhead.agents.steps import Action, Expectation, Observation, Plan, Step, Subtask
from clearhead.agents.tools import Tool, ToolError, tool

FACTS, FACT = 20, 200  # how many are kept, the newest, and the characters of one
NOTE, PART = "note", "part"  # the tools by which facts are noted and parts of a plan done


class Scratchpad(NamedTuple):
    """`done` holds the number of each finished part, from 1, and its result; `failed` how often a part failed."""

    facts: tuple[str, ...]
    plan: tuple[Subtask, ...]
    done: dict[int, str]
    failed: dict[int, int]

    def outline(self) -> str:
        """The plan in a line.

        >>> Scratchpad((), (Subtask("add"), Subtask("double", (1,))), {1: "5"}, {}).outline()
        '1. add = 5; 2. double'
        """
        return "; ".join(
            f"{i}. {part.text}" + (f" = {shown(self.done[i])}" if i in self.done else "")
            for i, part in enumerate(self.plan, start=1)
        )

    @property
    def ready(self) -> list[int]:
        """Parts that are not done and need nothing that is not."""
        parts = enumerate(self.plan, start=1)
        return [i for i, part in parts if i not in self.done and all(need in self.done for need in part.needs)]


def scratchpad(steps: Sequence[Step]) -> Scratchpad:
    """What the steps leave on it. A new plan begins with nothing done."""
    facts: dict[str, None] = {}
    plan: tuple[Subtask, ...] = ()
    done, failed = dict[int, str](), dict[int, int]()
    calls: dict[int, Action] = {}
    expected: dict[int, str] = {}
    for step in steps:
        if isinstance(step, Plan):
            plan, done, failed, calls = step.subtasks, {}, {}, {}
        elif isinstance(step, Action):
            calls[step.id] = step
        elif isinstance(step, Expectation):
            expected[step.id] = step.text
        elif isinstance(step, Observation) and (call := calls.pop(step.id, None)):
            if told := surprise(call, expected.pop(step.id, None), step):
                facts[told] = None
            if call.tool == NOTE and step.ok:
                fact = shown(str(call.arguments.get("fact", "")))
                facts.pop(fact, None)  # noted again is noted last
                facts[fact] = None
            elif call.tool == PART and step.ok:
                done[int(call.arguments["number"])] = step.text
            elif call.tool == PART:
                number = int(call.arguments["number"])
                failed[number] = failed.get(number, 0) + 1
    return Scratchpad(tuple(facts)[-FACTS:], plan, done, failed)


def surprise(call: Action, expected: str | None, seen: Observation) -> str:
    """What came back, where that is not what was expected; "" where it is, or nothing was.

    >>> surprise(Action("look", {"name": "figs"}), "7", Observation("4"))
    'look {"name": "figs"} gave 4, not 7'
    """
    if expected is None or " ".join(expected.split()) == " ".join(seen.text.split()):
        return ""
    spelled = json.dumps(call.arguments, ensure_ascii=False)
    return shown(f"{call.tool} {spelled} gave {shown(seen.text)}, not {shown(expected)}")


def shown(text: str) -> str:
    """In one line, and not longer than a fact."""
    words = " ".join(text.split())
    return words if len(words) <= FACT else words[: FACT - 1] + "…"


def note(fact: Annotated[str, "one sentence"]) -> str:
    """Keep a fact in mind: it stands before you from now on, also when older steps are forgotten."""
    if not fact.strip():
        raise ToolError("the fact is empty; say what to keep in mind")
    return "noted"


def note_tool() -> Tool:
    return tool(note)
