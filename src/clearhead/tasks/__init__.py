"""Verifiable problems: statement, solution steps, checker.

`load` makes a task from its name. A task decides by itself which problems are for training and which for the test,
so that two runs, or two people, hold out the same ones.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from clearhead.config import build
from clearhead.errors import UserError
from clearhead.tasks.game24 import Game24
from clearhead.tasks.multiplication import Multiplication
from clearhead.tasks.splits import read_holdout
from clearhead.tasks.task import StepChecked, Task

__all__ = ["StepChecked", "Task", "available", "load"]


def load(name: str, *, holdout: Path | None = None, **options: Any) -> Task:
    """The task of that name; the problems in the file `holdout`, one a line, become the test split and no other."""
    task = _named(name, options)
    return task if holdout is None else replace(task, held_out=read_holdout(Path(holdout), task.parse))


def available() -> list[tuple[str, str]]:
    """(name, statement) of every task that `load` knows."""
    return [(task.name, task.statement) for task in (Multiplication, Game24)]


def _named(name: str, options: dict[str, Any]) -> Multiplication | Game24:
    if "held_out" in options:
        raise UserError("held_out is not a setting of a task; name a file of problems with holdout")
    where = f"task {name}"
    match name:
        case "multiplication":
            return build(Multiplication, options, where)
        case "game24":
            return build(Game24, options, where)
    raise UserError(f"there is no task {name!r}; choose one of {', '.join(known for known, _ in available())}")
