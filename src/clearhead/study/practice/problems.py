"""Pen-and-paper problems with fresh numbers: a question, a typed answer, and the line where it went wrong.

The solutions are those of `reference.worked`. A slip is a usual mistake, computed with the same numbers: an answer that
equals it went wrong in the line that the slip names.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clearhead.reference.worked import Line, say
from clearhead.study.practice.answers import equal, read_all

TOLERANCE = 0.01  # of the largest value of an answer in numbers: they are rounded, to two digits at least
PRECISION = "within 1%"  # the same in words
POINTS = 6  # at which formulas are compared
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


def wanted(problem: Problem) -> str:
    """In what form the answer is wanted, and how precise."""
    if problem.variables:
        return "a formula, which is compared as a formula"
    return f"a number, a fraction, a vector 1, 2 or a matrix 1, 2; 3, 4, {PRECISION} of the largest of them"


def check(problem: Problem, numbers: Numbers, answer: str) -> Reply:
    """Judge a typed answer: numbers `PRECISION`, a formula as a formula. UserError: it cannot be read."""
    return replace(_judged(problem, numbers, answer), is_formula=bool(problem.variables))


def _judged(problem: Problem, numbers: Numbers, answer: str) -> Reply:
    points = [numbers]
    if problem.variables:
        rng = np.random.default_rng(1)
        points = [{name: float(rng.uniform(0.5, 3)) for name in problem.variables} for _ in range(POINTS)]
    readings = [read_all(answer, {name: point[name] for name in problem.variables}) for point in points]
    replies = [_of_reading(problem, points, list(got)) for got in zip(*readings, strict=False)]
    first = replies[0]
    right = [reply for reply in replies if reply.right]
    told = [reply for reply in replies if reply.said not in ("that is not it", "") and "shape" not in reply.said]
    shaped = [reply for reply in replies if "shape" not in reply.said]
    return replace((right or told or shaped or [first])[0], lines=tuple(problem.solve(**numbers)))


def _of_reading(problem: Problem, points: list[Numbers], got: list[np.ndarray]) -> Reply:
    """What is said to one of the ways in which an answer may be meant."""
    tolerance = 1e-6 if problem.variables else TOLERANCE
    want = [_asked(problem, point) for point in points]
    apart = _apart(got, want)
    for slip in problem.slips:  # a slip that is nearer than the truth is one, however near the truth is too
        of_slip = _apart(got, [np.asarray(slip.value(**point), float) for point in points])
        if of_slip <= tolerance and of_slip < apart / 2:
            return Reply(False, slip.said, wrong_line=slip.line)
    if apart <= tolerance:
        return Reply(True, "right")
    if np.squeeze(got[0]).shape != np.squeeze(want[0]).shape:
        said = f"the answer has the shape {np.squeeze(got[0]).shape}, it must have {np.squeeze(want[0]).shape}"
        return Reply(False, said, wrong_line=problem.asked)
    if problem.variables:
        return Reply(False, "that is not it", wrong_line=problem.asked)
    for line in problem.solve(**points[0]):
        if line.name != problem.asked and not isinstance(line.value, str) and equal(
            got[0], np.asarray(line.value), TOLERANCE
        ):  # fmt: skip
            return Reply(False, f"that is {line.name}, on the way to {problem.asked}", wrong_line=problem.asked)
    if equal(-got[0], want[0], TOLERANCE):
        return Reply(False, "the sign is wrong", wrong_line=problem.asked)
    scale = np.abs(want[0]).max()
    where = np.argwhere(np.atleast_1d(np.abs(np.squeeze(got[0]) - np.squeeze(want[0])) > TOLERANCE * scale))
    if 0 < len(where) < want[0].size:
        said = f"only the entry {where[0].tolist()} and the like are wrong"
        return Reply(False, said, wrong_line=problem.asked)
    return Reply(False, "that is not it", wrong_line=problem.asked)


def _asked(problem: Problem, numbers: Numbers) -> np.ndarray:
    return np.asarray([line.value for line in problem.solve(**numbers) if line.name == problem.asked][-1], float)


def _apart(got: list[np.ndarray], want: list[np.ndarray]) -> float:
    """The largest difference as a share of the largest value wanted, over all points; infinite where shapes differ."""
    worst = 0.0
    for x, y in zip(got, want, strict=True):
        a, b = np.squeeze(x), np.squeeze(y)
        if a.shape != b.shape or not np.isfinite(a).all():
            return float("inf")
        with np.errstate(all="ignore"):
            worst = max(worst, float(np.abs(a - b).max() - 1e-9) / max(float(np.abs(b).max()), 1e-300))
    return worst
