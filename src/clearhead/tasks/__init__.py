"""Verifiable problems: statement, solution steps, checker.

`load` makes a task from its name. A task decides by itself which problems are for training and which for the test,
so that two runs, or two people, hold out the same ones.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from clearhead.config import build, nearest
from clearhead.errors import UserError
from clearhead.tasks.blocksworld import Blocksworld
from clearhead.tasks.countdown import Countdown
from clearhead.tasks.file import FileTask
from clearhead.tasks.game24 import Game24
from clearhead.tasks.generator import GeneratorTask
from clearhead.tasks.gym import GymTask
from clearhead.tasks.market import Market
from clearhead.tasks.multiplication import Multiplication
from clearhead.tasks.splits import read_holdout
from clearhead.tasks.task import KnowsSome, StepChecked, Task, knows

__all__ = ["KnowsSome", "StepChecked", "Task", "available", "knows", "load", "read_problems"]

_STATEMENTS = {
    Multiplication.name: Multiplication.statement,
    Game24.name: Game24.statement,
    Countdown.name: Countdown.statement,
    Blocksworld.name: Blocksworld.statement,
    Market.name: Market.statement,
    "file:PATH": FileTask.statement,
    "python:PATH": GeneratorTask.statement,
    "hub:OWNER/NAME": "the same from a data set of the Hugging Face hub: hub:openai/gsm8k/main",
    "reasoning-gym:NAME": GymTask.statement,
}


def available() -> list[tuple[str, str]]:
    """(name, statement) of every task that `load` knows."""
    return list(_STATEMENTS.items())


def load(name: str, *, holdout: Path | None = None, **options: Any) -> Task:
    """The task of that name; the problems in the file `holdout`, one a line, become the test split and no other."""
    task = _named(name, options)
    return task if holdout is None else replace(task, held_out=read_problems(Path(holdout), task))


def read_problems(path: Path, task: Task) -> tuple[str, ...]:
    """The problems of a text file, one a line, that the task can check; blank lines and # comments are skipped."""

    def parse(text: str) -> str:
        problem = task.parse(text)
        if not knows(task, problem):
            raise UserError(f"{task.name} does not know the answer to {problem[:60]!r}; leave this line out")
        return problem

    return read_holdout(path, parse)


def _named(
    name: str, options: dict[str, Any]
) -> Multiplication | Game24 | Countdown | Blocksworld | Market | FileTask | GeneratorTask | GymTask:
    where = f"task {name}"
    for own, instead in (
        ("held_out", "holdout, a file of problems"),
        ("path", "the name file:PATH"),
        ("drawn", "the run's folder"),
    ):
        if own in options:
            raise UserError(f"{where}: {own} is not a setting; use {instead}")
    match name.partition(":"):
        case "multiplication", "", "":
            return build(Multiplication, options, where)
        case "game24", "", "":
            return build(Game24, options, where)
        case "countdown", "", "":
            return build(Countdown, options, where)
        case "blocksworld", "", "":
            return build(Blocksworld, options, where)
        case "market", "", "":
            return build(Market, options, where)
        case "file", ":", path if path:
            return build(FileTask, options | {"path": path}, where)
        case "python", ":", path if path:
            return build(GeneratorTask, options | {"path": path}, where)
        case "hub", ":", path if path:
            return build(FileTask, options | {"path": name}, where)
        case "reasoning-gym", ":", generator if generator:
            return GymTask(generator, options)
    raise UserError(f"there is no task {name!r}{nearest(name, _STATEMENTS)}")
