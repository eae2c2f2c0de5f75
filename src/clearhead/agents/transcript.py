"""A transcript: the steps of a run and what each cost, a line of JSON each, on the disk before the next step begins.

The first line says of what: model, tools, style, seed, limits. A run that was stopped goes on from here, and any run is
shown again without a model, the same steps in the same order. Deliberately not here: what the steps mean.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clearhead.agents.steps import Action, Observation, Step, Task, from_plain, to_plain
from clearhead.errors import UserError
from clearhead.files import write_text
from clearhead.plain import mismatch
from clearhead.terminal import to_json

FORMAT = 1
COST = ("prompt", "generated", "computed", "seconds")
HEADER = {"agent": int, "model": str, "tools": [str], "style": str, "seed": int, "max_steps": int, "plan": bool}


class Entry(NamedTuple):
    """A step, whose it is ("" of the task itself, else the call of a part by its id), and what it cost.

    Tokens of the prompt, written and computed, stand with the first step of a decision; `seconds` are those of the
    decision, or of the calls of one turn.
    """

    step: Step
    agent: str = ""
    prompt: int = 0
    generated: int = 0
    computed: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Transcript:
    """`ended` is why it ended, None where it was stopped."""

    header: Mapping[str, Any]
    entries: tuple[Entry, ...]
    ended: str | None = None

    def steps(self, agent: str = "") -> list[Step]:
        return [entry.step for entry in self.entries if entry.agent == agent]


def to_line(entry: Entry) -> str:
    """
    >>> to_line(Entry(Observation("5", 1), seconds=0.25))
    '{"step": "observation", "text": "5", "id": 1, "ok": true, "seconds": 0.25}\\n'
    """
    cost = {name: value for name in COST if (value := getattr(entry, name))}
    return to_json({**to_plain(entry.step), **({"by": entry.agent} if entry.agent else {}), **cost}) + "\n"


def create(path: Path, header: Mapping[str, Any]) -> None:
    """A transcript of no step yet."""
    write_text(path, to_json({"agent": FORMAT, **header}) + "\n")


def rewrite(path: Path, header: Mapping[str, Any]) -> None:
    """The same entries below another first line, ready for more of them."""
    _, *lines = path.read_text(encoding="utf-8").split("\n")
    kept = [line for line in lines if not line.startswith('{"ended"')]
    write_text(path, "\n".join([to_json({"agent": FORMAT, **header}), *kept]))


def append(path: Path, entries: Sequence[Entry]) -> None:
    """On the disk when this returns."""
    _append(path, "".join(map(to_line, entries)))


def end(path: Path, reason: str) -> None:
    _append(path, to_json({"ended": reason}) + "\n")


def _append(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Transcript:
    """What a file holds; a line that a kill cut short is left out. UserError names the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(f"there is no transcript {path}; --trace FILE writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no transcript: {error}") from None
    header = _object(lines[0], f"{path}, line 1")
    if told := mismatch(header, HEADER, "it"):
        raise UserError(f"{path} is no transcript of an agent: {told}")
    if header["agent"] != FORMAT:
        raise UserError(f"{path} is a transcript of form {header['agent']}, and this reads form {FORMAT}; make it anew")
    entries: list[Entry] = []
    ended = None
    for i, text in enumerate(lines[1:-1], start=2):  # behind the last line's end there is nothing, or a torn line
        data = _object(text, f"{path}, line {i}")
        ended = data.get("ended")
        if ended is None:
            entries.append(_entry(data, f"{path}, line {i}"))
    check(entries, str(path))
    return Transcript(header, tuple(entries), ended)


def repair(path: Path) -> None:
    """Cut off what a kill left behind the last whole line, so that the next one begins a line."""
    data = path.read_bytes()
    if whole := data.rfind(b"\n") + 1:
        os.truncate(path, whole)


def check(entries: Sequence[Entry], where: str) -> None:
    """UserError for entries that no run can leave: without a task first, or an observation that answers no call."""
    for agent in dict.fromkeys(entry.agent for entry in entries):
        steps = [entry.step for entry in entries if entry.agent == agent]
        if not isinstance(steps[0], Task):
            raise UserError(f"{where} begins {'part ' + agent if agent else 'it'} without a task; it is no whole run")
        waiting = set[int]()
        for step in steps:
            if isinstance(step, Task) and agent:  # a part that was interrupted begins anew
                waiting.clear()
            elif isinstance(step, Action):
                waiting.add(step.id)
            elif isinstance(step, Observation) and step.id not in waiting:
                raise UserError(f"{where}: an observation answers call {step.id}, which was not made or is answered")
            elif isinstance(step, Observation):
                waiting.remove(step.id)


def _entry(data: dict[str, Any], where: str) -> Entry:
    numbers = {name: data.pop(name, 0) for name in COST}
    agent = data.pop("by", "")
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise UserError(f"{where}: {name} = {value!r:.40} is no number of at least 0")
    if not isinstance(agent, str):
        raise UserError(f"{where}: by = {agent!r:.40} is no text")
    return Entry(from_plain(data, where), agent, **numbers)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{where} is no JSON object: {text[:40]!r}; a transcript has one a line")
    return found
