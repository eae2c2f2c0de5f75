"""What a transcript says as figures: calls with their time, prompt sizes, what was forgotten when, totals."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from clearhead.agents.scratchpad import PART
from clearhead.agents.steps import Action, Answer, Observation, Plan, Subtask, Summary
from clearhead.agents.transcript import Entry


@dataclass(frozen=True)
class Call:
    """`result` is None where it was stopped before one came; `seconds` are those of all calls of its turn."""

    agent: str
    tool: str
    arguments: str
    result: str | None
    ok: bool
    seconds: float


class Turn(NamedTuple):
    """One decision: tokens of its prompt, written, and computed, which fewer are where a beginning was known."""

    agent: str
    prompt: int
    generated: int
    computed: int
    seconds: float


class Forgotten(NamedTuple):
    """After so many turns the steps up to `last` left the prompt, `steps` of them, and `text` stood in for all."""

    turn: int
    last: int
    steps: int
    text: str


class PartDone(NamedTuple):
    """A part of a plan: its attempts, each (the id of its call, whether it did, what came of it)."""

    part: Subtask
    attempts: tuple[tuple[str, bool, str], ...]


@dataclass(frozen=True)
class Totals:
    turns: int
    calls: int
    failed_calls: int
    prompt_tokens: int
    generated_tokens: int
    computed_tokens: int
    model_seconds: float
    tool_seconds: float


def calls(entries: Sequence[Entry]) -> list[Call]:
    """In the order in which they were made; the calls of parts stand by themselves."""
    found: dict[tuple[str, int], Call] = {}
    for entry in entries:
        step = entry.step
        if isinstance(step, Action):
            spelled = json.dumps(step.arguments, ensure_ascii=False)
            found[entry.agent, step.id] = Call(entry.agent, step.tool, spelled, None, False, 0.0)
        elif isinstance(step, Observation) and (call := found.get((entry.agent, step.id))):
            found[entry.agent, step.id] = replace(call, result=step.text, ok=step.ok, seconds=entry.seconds)
    return list(found.values())


def turns(entries: Sequence[Entry]) -> list[Turn]:
    """Every decision of a model."""
    return [Turn(e.agent, e.prompt, e.generated, e.computed, e.seconds) for e in entries if e.prompt]


def forgotten(entries: Sequence[Entry]) -> list[Forgotten]:
    """What left the prompt of the task itself, and when."""
    found: list[Forgotten] = []
    turn, before = 0, 0
    for entry in entries:
        if entry.agent:
            continue
        if isinstance(entry.step, Summary) and entry.step.last > before:
            found.append(Forgotten(turn, entry.step.last, entry.step.last - before, entry.step.text))
            before = entry.step.last
        elif entry.prompt:
            turn += 1
    return found


def plans(entries: Sequence[Entry]) -> list[list[PartDone]]:
    """Each plan of the task with what became of its parts."""
    made: list[tuple[Plan, dict[int, list[tuple[str, bool, str]]]]] = []
    numbers: dict[int, int] = {}
    for entry in entries:
        step = entry.step
        if entry.agent:
            continue
        if isinstance(step, Plan):
            made.append((step, {}))
            numbers = {}
        elif isinstance(step, Action) and step.tool == PART:
            numbers[step.id] = int(step.arguments["number"])
        elif isinstance(step, Observation) and made and step.id in numbers:
            made[-1][1].setdefault(numbers[step.id], []).append((str(step.id), step.ok, step.text))
    return [
        [PartDone(part, tuple(results.get(i, ()))) for i, part in enumerate(plan.subtasks, start=1)]
        for plan, results in made
    ]


def totals(entries: Sequence[Entry]) -> Totals:
    made, spent = calls(entries), turns(entries)
    return Totals(
        turns=len(spent),
        calls=len(made),
        failed_calls=sum(not call.ok for call in made),
        prompt_tokens=sum(turn.prompt for turn in spent),
        generated_tokens=sum(turn.generated for turn in spent),
        computed_tokens=sum(turn.computed for turn in spent),
        model_seconds=sum(entry.seconds for entry in entries if not isinstance(entry.step, Observation)),
        tool_seconds=tool_seconds(entries),
    )


def tool_seconds(entries: Sequence[Entry]) -> float:
    """Calls of one turn share their seconds, and a part's are those of its agent's steps."""
    parts = {e.step.id for e in entries if not e.agent and isinstance(e.step, Action) and e.step.tool == PART}
    total, last = 0.0, Entry(Answer(""))
    for entry in entries:
        if isinstance(entry.step, Observation) and (entry.agent or entry.step.id not in parts):
            same = isinstance(last.step, Observation) and last.seconds == entry.seconds
            total += 0.0 if same else entry.seconds
        last = entry
    return total


def answer(entries: Sequence[Entry]) -> str | None:
    last = next((entry.step for entry in reversed(entries) if not entry.agent), None)
    return last.text if isinstance(last, Answer) else None


def summary(entries: Sequence[Entry], ended: str | None) -> dict[str, Any]:
    """The figures of a run for a program."""
    return {"answer": answer(entries), "ended": ended or "interrupted", **asdict(totals(entries))}
