"""Pen-and-paper problems solved line by line, with the usual numbers or with numbers that somebody types."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.reference import worked
from clearhead.study.practice.problem_set import PROBLEMS
from clearhead.study.practice.problems import Numbers

# Tree search is told and not asked: its answer says nothing of its steps.
SOLUTIONS: dict[str, Callable[..., list[worked.Line]]] = {
    **{name: problem.solve for name, problem in PROBLEMS.items()},
    "mcts": worked.mcts,
}


def solve(name: str, typed: tuple[str, ...] = (), seed: int | None = None) -> list[worked.Line]:
    """The lines of a solution, for the numbers of a seed or the usual ones, but where a number is typed."""
    if name not in SOLUTIONS:
        raise UserError(f"no problem {name!r}{nearest(name, SOLUTIONS)}")
    if seed is not None and name not in PROBLEMS:
        raise UserError(f"{name} has no numbers to draw; leave out the seed")
    numbers = usual(name) if seed is None else PROBLEMS[name].draw(np.random.default_rng(seed))
    try:
        return SOLUTIONS[name](**numbers | given(name, typed))
    except ValueError as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from error


def usual(name: str) -> Numbers:
    """The numbers that a solution has by itself, or drawn where it has none."""
    parameters = inspect.signature(SOLUTIONS[name]).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return defaults or PROBLEMS[name].draw(np.random.default_rng(0))


def given(name: str, typed: tuple[str, ...]) -> Numbers:
    """Numbers typed as name=value, checked against those that the problem has."""
    known, found = usual(name), {}
    for item in typed:
        key, equals, text = item.partition("=")
        if not equals or key not in known:
            told = ", ".join(f"{key}={written(value)}" for key, value in known.items())
            raise UserError(f"{item!r} is no number of {name}; write name=value, of {told}")
        found[key] = read(key, text, known[key])
    return found


def read(name: str, text: str, usual: Any) -> Any:
    """A number, a vector `1,2` or a matrix `1,2;3,4`, whichever the problem has there.

    >>> read("x", "1,2", (0.0,)), read("w", "1,2;3,4", ((0.0,),)), read("steps", "4", 3)
    ((1.0, 2.0), ((1.0, 2.0), (3.0, 4.0)), 4)
    """
    kind = "a matrix such as 1,2;3,4" if _is_matrix(usual) else "a vector such as 1,2"
    try:
        if _is_matrix(usual):
            rows = tuple(tuple(float(part) for part in row.split(",")) for row in text.split(";"))
            if len({len(row) for row in rows}) != 1:
                raise ValueError
            return rows
        if isinstance(usual, tuple):
            return tuple(float(part) for part in text.split(","))
        kind = "a whole number" if isinstance(usual, int) else "a number"
        return type(usual)(text)
    except ValueError:
        raise UserError(f"{name} = {text!r} must be {kind}") from None


def _is_matrix(usual: Any) -> bool:
    return isinstance(usual, tuple) and bool(usual) and isinstance(usual[0], tuple)


def written(value: Any) -> str:
    """A number, a vector or a matrix as `read` takes it."""
    if _is_matrix(value):
        return ";".join(written(row) for row in value)
    return ",".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value:g}"
