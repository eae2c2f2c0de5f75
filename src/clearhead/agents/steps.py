"""What an agent has done so far: a list of typed steps. Prompts, reports and replays are functions of it alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from clearhead.errors import UserError


@dataclass(frozen=True)
class Task:
    """What is to be done, in the words of whoever asks."""

    text: str


class Subtask(NamedTuple):
    """A part of a plan, begun when all it `needs` (numbers of other parts) are done."""

    text: str
    needs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Parts that together do the task; a later plan replaces an earlier one."""

    subtasks: tuple[Subtask, ...]


@dataclass(frozen=True)
class Thought:
    text: str


@dataclass(frozen=True)
class Action:
    """A call of a tool. `arguments` are JSON values; `id` tells the calls of an episode apart."""

    tool: str
    arguments: Mapping[str, Any] = field(hash=False)
    id: int = 0


@dataclass(frozen=True)
class Expectation:
    """What a world model thinks will come back from the call `id`, told before it is made."""

    text: str
    id: int = 0


@dataclass(frozen=True)
class Observation:
    """What came back from the call `id`: a result as text, or where `ok` is false why there is none."""

    text: str
    id: int = 0
    ok: bool = True


@dataclass(frozen=True)
class Summary:
    """Stands in prompts for the steps `first` to `last`, both included, which stay in the list."""

    text: str
    first: int
    last: int


@dataclass(frozen=True)
class Answer:
    text: str


class Stuck(UserError):
    """This episode cannot go on; with another task, or another seed, it might have."""


Step = Task | Plan | Thought | Expectation | Action | Observation | Summary | Answer
KINDS: Mapping[str, type[Step]] = {
    kind.__name__.lower(): kind for kind in (Task, Plan, Thought, Expectation, Action, Observation, Summary, Answer)
}


def to_plain(step: Step) -> dict[str, Any]:
    """
    >>> to_plain(Action("clock", {}, 2))
    {'step': 'action', 'tool': 'clock', 'arguments': {}, 'id': 2}
    """
    return {"step": type(step).__name__.lower(), **asdict(step)}


def from_plain(data: Any, where: str = "step") -> Step:
    """The inverse, of JSON that anybody may have written. UserError names what is wrong with it."""
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: {data!r:.60} is no step; a step is an object")
    fields = dict(data)
    kind = KINDS.get(str(fields.pop("step", None)))
    if kind is None:
        raise UserError(f"{where}: step = {data.get('step')!r} is none of {', '.join(KINDS)}")
    kinds = {"text": str, "tool": str, "arguments": Mapping, "id": int, "ok": bool, "first": int, "last": int}
    for name, value in fields.items():
        if name in kinds and not isinstance(value, kinds[name]):
            raise UserError(f"{where}: {name} = {value!r:.60} of a {data['step']} is no {kinds[name].__name__}")
    try:
        if kind is Plan:
            return Plan(tuple(Subtask(str(text), tuple(map(int, needs))) for text, needs in fields["subtasks"]))
        return kind(**fields)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{where}: a {data['step']} has other fields than {', '.join(map(str, fields))}") from None
