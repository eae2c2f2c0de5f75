"""Plan and solve: the same loop with a policy that divides the task, and has the parts done by agents of their own.

Everything is a function of the steps: a part is a call of the tool `part`, its result an observation. Parts that need
nothing unfinished are called at once and run together on one engine. A part that fails is tried again, with what was
wrong; after RETRIES there is a new plan, with the same told; after REPLANS the task is done without one.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clearhead.agents.calls import Approve, carry_out
from clearhead.agents.grammar import next_id
from clearhead.agents.loop import Emit, Limits, Outcome, run_together
from clearhead.agents.policy import Decision, ModelPolicy, Policy
from clearhead.agents.prompt import fill, indented
from clearhead.agents.scratchpad import PART, scratchpad
from clearhead.agents.steps import Action, Observation, Plan, Step, Subtask, Task
from clearhead.agents.tools import Tool
from clearhead.agents.transcript import Entry
from clearhead.errors import UserError
from clearhead.generation.language_model import choices, json_schema

PARTS, RETRIES, REPLANS = 8, 2, 2
Decompose = Callable[[str, str], Sequence[Subtask]]  # (task, what went wrong with earlier plans) -> its parts
Check = Callable[[Subtask, str], str]  # what is wrong with a result, "" where nothing is

SCHEMA = {
    "type": "object",
    "properties": {
        "subtasks": {
            "type": "array",
            "minItems": 1,
            "maxItems": PARTS,
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "minLength": 1, "maxLength": 200},
                    "needs": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": PARTS}},
                },
                "required": ["text", "needs"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["subtasks"],
    "additionalProperties": False,
}


def faults(subtasks: Sequence[Subtask]) -> str:
    """Why no run can finish these parts; "" where one can.

    >>> faults([Subtask("a", (2,)), Subtask("b", (1,))]), faults([Subtask("a", (3,))]), faults([Subtask("a")])
    ('parts 1 and 2 need each other', 'part 1 needs part 3, and there are 1', '')
    """
    numbers = range(1, len(subtasks) + 1)
    for i, part in zip(numbers, subtasks, strict=True):
        for need in part.needs:
            if need not in numbers:
                return f"part {i} needs part {need}, and there are {len(subtasks)}"
    done = set[int]()
    while ready := [i for i in numbers if i not in done and done.issuperset(subtasks[i - 1].needs)]:
        done.update(ready)
    circle = [str(i) for i in numbers if i not in done]
    if len(circle) == 1:
        return f"part {circle[0]} needs itself"
    return f"parts {', '.join(circle[:-1])} and {circle[-1]} need each other" if circle else ""


@dataclass(frozen=True)
class PlanPolicy:
    """First a plan, then its parts, then whatever `answer` makes of their results."""

    decompose: Decompose
    answer: Policy

    def __call__(self, episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        return [self._next(steps) for steps in episodes]

    def _next(self, steps: Sequence[Step]) -> Decision:
        plans = sum(isinstance(step, Plan) for step in steps)
        known = scratchpad(steps)
        stuck = [i for i, times in known.failed.items() if times > RETRIES and i not in known.done]
        if plans == 0 or (stuck and plans <= REPLANS):
            return self._plan(steps, "" if plans == 0 else why(steps, known.plan, stuck))
        if stuck or not known.ready:
            return self.answer([steps])[0]
        first = next_id(steps)
        return Decision(tuple(Action(PART, {"number": n}, first + i) for i, n in enumerate(known.ready)))

    def _plan(self, steps: Sequence[Step], news: str) -> Decision:
        """A plan that can be finished; one that cannot is told and made again, and at last the task is one part."""
        task = next(step.text for step in steps if isinstance(step, Task))
        for _ in range(1 + REPLANS):
            subtasks = tuple(self.decompose(task, news))
            if not (wrong := faults(subtasks)):
                return Decision((Plan(subtasks),))
            news = f"{news} A plan in which {wrong} cannot be done.".strip()
        return Decision((Plan((Subtask(task),)),))


def why(steps: Sequence[Step], plan: Sequence[Subtask], stuck: Sequence[int]) -> str:
    """What a new plan is told of the parts that failed too often."""
    told = last_failures(steps)
    return " ".join(f"The part {plan[i - 1].text!r} failed: {told.get(i, 'no result')}." for i in stuck)


def last_failures(steps: Sequence[Step]) -> dict[int, str]:
    """Of the plan that holds: what was wrong with each part's latest attempt, if that failed."""
    numbers: dict[int, int] = {}
    found: dict[int, str] = {}
    for step in steps:
        if isinstance(step, Plan):
            numbers, found = {}, {}
        elif isinstance(step, Action) and step.tool == PART:
            numbers[step.id] = int(step.arguments["number"])
        elif isinstance(step, Observation) and step.id in numbers:
            found.pop(numbers[step.id], None)
            if not step.ok:
                found[numbers[step.id]] = step.text
    return found


def part_task(steps: Sequence[Step], number: int) -> Task:
    """What the agent of a part is asked: the part, the results that it needs, and what went wrong before."""
    known = scratchpad(steps)
    part = known.plan[number - 1]
    given = "".join(f"\n{known.plan[need - 1].text}: {known.done[need]}" for need in part.needs)
    failed = last_failures(steps).get(number)
    return Task(part.text + given + (f"\nAn earlier attempt failed: {failed}" if failed else ""))


@dataclass
class Parts:
    """The tool calls of a planned episode: parts by agents of their own, all at once, everything else as ever.

    `steps` are those of the episode so far: `watch` them as they are emitted.
    """

    policy: Policy
    tools: Mapping[str, Tool]
    limits: Limits
    check: Check
    emit: Emit
    steps: list[Step] = field(default_factory=list)

    def watch(self, entries: Sequence[Entry]) -> None:
        self.steps += [entry.step for entry in entries if not entry.agent]
        self.emit(entries)

    def act(self, actions: Sequence[Action], tools: Mapping[str, Tool], approve: Approve) -> list[Observation]:
        parts = [action for action in actions if action.tool == PART]
        others = [action for action in actions if action.tool != PART]
        seen = {action.id: made for action, made in zip(others, carry_out(others, tools, approve), strict=True)}
        if parts:
            begun = {str(action.id): [part_task(self.steps, action.arguments["number"])] for action in parts}
            self.emit([Entry(task, name) for name, (task,) in begun.items()])
            outcomes = run_together(begun, self.policy, self.tools, self.limits, approve, self.emit)
            seen |= {action.id: self._result(action, outcomes[str(action.id)]) for action in parts}
        return [seen[action.id] for action in actions]

    def _result(self, action: Action, outcome: Outcome) -> Observation:
        part = scratchpad(self.steps).plan[action.arguments["number"] - 1]
        if outcome.answer is None:
            told = {"steps": f"no answer in {self.limits.steps} steps", "repeats": "the same call again and again"}
            return Observation(told[outcome.ended], action.id, False)
        wrong = self.check(part, outcome.answer)
        return Observation(wrong or outcome.answer, action.id, not wrong)


def answered(subtask: Subtask, result: str) -> str:
    """The least check: that there is a result."""
    return "" if re.search(r"\w", result) else f"the result {result!r:.40} says nothing"


@dataclass(frozen=True)
class ModelPlanner:
    """Plans and checks by a language model, in the words of its policy's style."""

    policy: ModelPolicy

    def __post_init__(self) -> None:
        if not self.policy.style.decompose:
            raise UserError("this style does not say how a task is divided; use --style react, or leave out --plan")

    def decompose(self, task: str, news: str) -> list[Subtask]:
        asked = fill(self.policy.style.decompose, task=indented(task), news=f"{news}\n" if news else "")
        plain: Any = json.loads(self.policy.write(asked, json_schema(SCHEMA), len(news)))
        return [Subtask(part["text"], tuple(dict.fromkeys(part["needs"]))) for part in plain["subtasks"]]

    def check(self, subtask: Subtask, result: str) -> str:
        if (told := answered(subtask, result)) or not self.policy.style.check:
            return told
        asked = fill(self.policy.style.check, subtask=subtask.text, result=indented(result))
        said = self.policy.write(asked, choices([" yes", " no", "Yes", "No", "yes", "no"]))
        return "" if said.strip().lower() == "yes" else f"{result!r:.80} was judged not to do what the part asks"
