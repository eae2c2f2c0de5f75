"""The loop: a policy says what is next, tools carry it out, and every step is told before the next begins.

Steps go in and come out, and nothing else is remembered: whoever has the steps can go on with them. Deliberately not
here: what decides (policy.py, planner.py), how a call is carried out (calls.py), files (transcript.py).
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from clearhead.agents.calls import Approve, carry_out
from clearhead.agents.policy import Policy
from clearhead.agents.steps import Action, Answer, Observation, Plan, Step, Thought
from clearhead.agents.tools import Tool
from clearhead.agents.transcript import Entry

Act = Callable[[Sequence[Action], Mapping[str, Tool], Approve], list[Observation]]
Emit = Callable[[Sequence[Entry]], None]
Ended = Literal["answered", "steps", "repeats"]

REPEATED = (
    "this call was made {} times and gave the same each time, so it was not made again; do something else, or answer"
)
INTERRUPTED = "interrupted before a result was seen; it may have been carried out or not"


@dataclass(frozen=True)
class Limits:
    """`steps`: turns with calls or an answer. A call repeated `repeats` times with one result is told, and not made
    again; after twice as many the episode ends."""

    steps: int = 20
    repeats: int = 3


class Outcome(NamedTuple):
    steps: list[Step]
    ended: Ended

    @property
    def answer(self) -> str | None:
        last = self.steps[-1]
        return last.text if isinstance(last, Answer) else None


def run(
    steps: Sequence[Step],
    policy: Policy,
    tools: Mapping[str, Tool],
    limits: Limits,
    approve: Approve,
    emit: Emit,
    act: Act = carry_out,
) -> Outcome:
    """Go on with an episode until it ends. Whatever interrupts it, all steps so far were emitted."""
    return run_together({"": steps}, policy, tools, limits, approve, emit, act)[""]


def run_together(
    episodes: Mapping[str, Sequence[Step]],
    policy: Policy,
    tools: Mapping[str, Tool],
    limits: Limits,
    approve: Approve,
    emit: Emit,
    act: Act = carry_out,
) -> dict[str, Outcome]:
    """Several at once, by their names: one call of the policy a turn for all, and all their tools together."""
    states = {name: list(steps) for name, steps in episodes.items()}
    outcomes: dict[str, Outcome] = {}

    def add(entries: Sequence[Entry]) -> None:
        emit(entries)
        for entry in entries:
            states[entry.agent].append(entry.step)

    while len(outcomes) < len(states):
        carry_out_pending(states, tools, limits, approve, add, act)
        for name, steps in states.items():
            if name not in outcomes and (reason := ended(steps, limits)):
                outcomes[name] = Outcome(steps, reason)
        going = [name for name in states if name not in outcomes]
        for name, made in zip(going, policy([states[name] for name in going]) if going else (), strict=True):
            add([
                Entry(step, name, *(made[1:] if i == 0 else ()))  # the cost of a decision stands with its first step
                for i, step in enumerate(made.steps)
            ])  # fmt: skip
    return outcomes


def carry_out_pending(
    states: Mapping[str, Sequence[Step]],
    tools: Mapping[str, Tool],
    limits: Limits,
    approve: Approve,
    add: Emit,
    act: Act,
) -> None:
    """The observations of all calls that have none, in their order."""
    calls = [(name, action) for name, steps in states.items() for action in pending(steps)]
    if not calls:
        return
    repeated = [streak(states[name], action) >= limits.repeats for name, action in calls]
    made = [action for (_, action), told in zip(calls, repeated, strict=True) if not told]
    started = time.perf_counter()
    seen = iter(act(made, tools, approve) if made else ())
    seconds = time.perf_counter() - started
    told = REPEATED.format(limits.repeats)
    add([
        Entry(Observation(told, action.id, False) if again else next(seen), name, seconds=0.0 if again else seconds)
        for (name, action), again in zip(calls, repeated, strict=True)
    ])  # fmt: skip


def pending(steps: Sequence[Step]) -> list[Action]:
    """Calls without an observation: the last steps, if any."""
    waiting: dict[int, Action] = {}
    for step in reversed(steps):
        if not isinstance(step, Action | Observation | Thought):
            break
        if isinstance(step, Observation):
            waiting[step.id] = Action("", {}, -1)
        elif isinstance(step, Action):
            waiting.setdefault(step.id, step)
    return [action for action in reversed(waiting.values()) if action.id != -1]


def interrupted(steps: Sequence[Step], tools: Mapping[str, Tool]) -> list[Observation]:
    """What a resumed episode is told of calls that change something and may have been carried out."""
    return [
        Observation(INTERRUPTED, action.id, False)
        for action in pending(steps)
        if action.tool in tools and tools[action.tool].writes
    ]


def streak(steps: Sequence[Step], action: Action) -> int:
    """How many of the latest answered calls are this one and gave the same, or were refused as repeated."""
    results = {step.id: step for step in steps if isinstance(step, Observation)}
    found, text = 0, None
    for step in reversed(steps):
        if isinstance(step, Plan):
            break
        if not isinstance(step, Action) or step.id not in results:
            continue
        if (step.tool, _spelled(step)) != (action.tool, _spelled(action)):
            break
        seen = results[step.id]
        refused = not seen.ok and seen.text.startswith(REPEATED.partition("{")[0])
        if not refused and text not in (None, seen.text):
            break
        text = text if refused else seen.text
        found += 1
    return found


def _spelled(action: Action) -> str:
    return json.dumps(action.arguments, sort_keys=True)


def turns(steps: Sequence[Step]) -> int:
    """Turns with calls or an answer; calls that were made at once are one."""
    before: Sequence[Step | None] = [None, *steps]
    return sum(
        isinstance(step, Answer) or (isinstance(step, Action) and not isinstance(last, Action))
        for last, step in zip(before, steps, strict=False)
    )


def ended(steps: Sequence[Step], limits: Limits) -> Ended | None:
    """Why an episode is over, None while it goes on."""
    if isinstance(steps[-1], Answer):
        return "answered"
    last = next((step for step in reversed(steps) if isinstance(step, Action)), None)
    if last is not None and streak(steps, last) >= 2 * limits.repeats:
        return "repeats"
    return "steps" if turns(steps) >= limits.steps else None
