"""Pen-and-paper problems with fresh numbers: a question, a typed answer, and the line where it went wrong.

The solutions are those of `reference.worked`. A slip is a usual mistake, computed with the same numbers: an answer that
equals it went wrong in the line that the slip names.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clearhead.reference.worked import Line, say
from clearhead.study.practice.answers import equal, read

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Slip:
    """A usual mistake: what to say, the line in which it happens, and what it makes of the numbers."""

    said: str
    line: str
    value: Callable[..., Any]


@dataclass(frozen=True)
class Problem:
    """A question whose numbers are drawn, and whose answer is one line of its worked solution."""

    title: str
    question: str  # with {name} for the numbers
    draw: Callable[[np.random.Generator], Numbers]
    solve: Callable[..., list[Line]]
    asked: str  # the name of the line; its last one, if several have it
    slips: tuple[Slip, ...] = ()
    tolerance: float = 3e-3  # of the largest value: answers are rounded
    variables: tuple[str, ...] = ()  # of a formula; then the numbers are points at which it is compared


@dataclass(frozen=True)
class Reply:
    """What is said to an answer."""

    right: bool
    said: str
    lines: tuple[Line, ...] = field(default=())
    wrong_line: str = ""  # the line at which it likely went wrong
    is_formula: bool = False  # so the values of the lines mean nothing


def question(problem: Problem, numbers: Numbers) -> str:
    """The question with its numbers put in."""
    return problem.question.format(**{name: say(value) for name, value in numbers.items()})


def check(problem: Problem, numbers: Numbers, answer: str) -> Reply:
    """Judge a typed answer. UserError: it cannot be read."""
    return replace(_judged(problem, numbers, answer), is_formula=bool(problem.variables))


def _judged(problem: Problem, numbers: Numbers, answer: str) -> Reply:
    points = [numbers]
    if problem.variables:
        rng = np.random.default_rng(1)
        points = [{name: float(rng.uniform(0.5, 3)) for name in problem.variables} for _ in range(5)]
    got = [read(answer, {name: point[name] for name in problem.variables}) for point in points]
    lines = problem.solve(**numbers)
    if _all(problem, got, [_asked(problem, point) for point in points]):
        return Reply(True, "right", tuple(lines))
    for slip in problem.slips:
        if _all(problem, got, [np.asarray(slip.value(**point), float) for point in points]):
            return Reply(False, slip.said, tuple(lines), slip.line)
    wanted = _asked(problem, points[0])
    if np.squeeze(got[0]).shape != np.squeeze(wanted).shape:
        said = f"the answer has the shape {np.squeeze(got[0]).shape}, it must have {np.squeeze(wanted).shape}"
        return Reply(False, said, tuple(lines), problem.asked)
    if not problem.variables:
        for line in lines:
            if line.name != problem.asked and not isinstance(line.value, str) and equal(
                got[0], np.asarray(line.value), problem.tolerance
            ):  # fmt: skip
                return Reply(False, f"that is {line.name}, on the way to {problem.asked}", tuple(lines), problem.asked)
        if equal(-got[0], wanted, problem.tolerance):
            return Reply(False, "the sign is wrong", tuple(lines), problem.asked)
        where = np.argwhere(np.atleast_1d(~np.isclose(np.squeeze(got[0]), np.squeeze(wanted), rtol=problem.tolerance)))
        if 0 < len(where) < wanted.size:
            return Reply(
                False, f"only the entry {where[0].tolist()} and the like are wrong", tuple(lines), problem.asked
            )
    return Reply(False, "that is not it", tuple(lines), problem.asked)


def _asked(problem: Problem, numbers: Numbers) -> np.ndarray:
    return np.asarray([line.value for line in problem.solve(**numbers) if line.name == problem.asked][-1], float)


def _all(problem: Problem, got: list[np.ndarray], want: list[np.ndarray]) -> bool:
    tolerance = 1e-6 if problem.variables else problem.tolerance
    return all(equal(a, b, tolerance) for a, b in zip(got, want, strict=True))
