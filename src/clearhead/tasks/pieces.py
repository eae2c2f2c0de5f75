"""A task whose answers are one line, with that line in pieces: steps where there were none, for search to search.

    {"level": "WARN", "code": 7}    becomes    {"level": "WARN",
                                                "code": 7}

A piece ends with the separator, so the pieces joined are the line again, and the answer is what it was.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.errors import UserError
from clearhead.tasks.checkers import same_text
from clearhead.tasks.task import Compares, HasRows, Task, expected, knows

SEPARATORS = (" | ", ", ", "; ", ",", ";", " ")  # what may stand between pieces, the strongest first
FEWEST, MOST = 2, 24  # pieces of an answer; more are no steps but letters
SHARE = 0.9  # of the answers that a separator must cut so
SAMPLE = 300  # solutions that are looked at


@dataclass(frozen=True)
class InPieces:
    """The same problems and answers; only the way to an answer has more steps."""

    task: Task
    separator: str

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def statement(self) -> str:
        return self.task.statement

    def parse(self, text: str) -> str:
        return self.task.parse(text)

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        return self.task.problems(split, n, seed)

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        return cut("".join(self.task.solve(problem, rng)), self.separator)

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        return self.task.answer(problem, ["".join(steps)]) if steps else None

    def check(self, problem: str, answer: str) -> bool:
        return self.task.check(problem, answer)

    def same(self, problem: str, answer: str, expected: str) -> bool:
        if isinstance(self.task, Compares):
            return self.task.same(problem, answer, expected)
        return self.task.check(problem, answer) if knows(self.task, problem) else same_text(problem, answer, expected)

    @property
    def rows(self) -> int:
        return self.task.rows if isinstance(self.task, HasRows) else 0

    def knows(self, problem: str) -> bool:
        return knows(self.task, problem)

    def expected(self, problem: str) -> str | None:
        return expected(self.task, problem)


def in_pieces(task: Task, pieces: str, seed: int, name: str) -> Task:
    """The task, its answers in pieces where `pieces` says so: "auto", "off", or the separator itself."""
    if pieces == "off":
        return task
    separator = find_separator(task, seed) if pieces == "auto" else pieces
    if pieces != "auto" and any(len(steps) > 1 for steps in _solutions(task, seed)):
        raise UserError(
            f"tasks.{name}.pieces = {pieces!r}: the solutions of this task have steps already; leave it out"
        )
    return task if separator is None else InPieces(task, separator)


def whole(task: Task) -> Task:
    """The task itself, without its pieces."""
    return task.task if isinstance(task, InPieces) else task


def cut(line: str, separator: str) -> list[str]:
    """The pieces, each with the separator that ends it.

    >>> cut("a, b, c", ", ")
    ['a, ', 'b, ', 'c']
    """
    *pieces, last = line.split(separator)
    return [piece + separator for piece in pieces] + [last] * bool(last)


def find_separator(task: Task, seed: int) -> str | None:
    """The separator that cuts nearly all answers into a few pieces; None where solutions have steps, or none fits."""
    solutions = _solutions(task, seed)
    if any(len(steps) > 1 for steps in solutions):
        return None
    for separator in SEPARATORS:
        counts = Counter(FEWEST <= len(cut(steps[0], separator)) <= MOST for steps in solutions)
        if counts[True] >= SHARE * len(solutions):
            return separator
    return None


def _solutions(task: Task, seed: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [task.solve(problem, rng) for problem in task.problems("train", SAMPLE, seed)]
