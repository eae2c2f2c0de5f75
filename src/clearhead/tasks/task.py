"""What a verifiable problem is to the rest of the house: two protocols, no base class.

A problem is its canonical text, one line. A solution is a list of steps, each one line. Where the lines of a problem
are joined to one, " | " shows where they met.
"""

import random
from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Task(Protocol):
    """Problems whose answers can be checked."""

    @property
    def name(self) -> str: ...

    @property
    def statement(self) -> str:
        """One line that says what the task is."""
        ...

    def parse(self, text: str) -> str:
        """What a person typed -> the canonical problem; UserError when it is not one, or has no solution."""
        ...

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        """n problems of "train", "valid" or "test", the same for the same seed; the splits share none.

        Only "train" repeats problems; "valid" and "test" give all they have when that is fewer than n.
        """
        ...

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """One random correct solution, as steps."""
        ...

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        """The final answer that the steps arrive at, right or wrong; None when they arrive at none."""
        ...

    def check(self, problem: str, answer: str) -> bool:
        """Is the answer right? Garbage is wrong, never an error."""
        ...


@runtime_checkable
class StepChecked(Protocol):
    """A task whose truth is computable step by step. Evaluation alone may ask: no reward model or search sees it."""

    def check_step(self, problem: str, steps: Sequence[str]) -> bool:
        """Are these steps right so far, and can they still lead to a right answer?"""
        ...


@runtime_checkable
class KnowsSome(Protocol):
    """A task that can check only the problems it has the answers to, although any text is a problem of it."""

    def knows(self, problem: str) -> bool: ...


def knows(task: Task, problem: str) -> bool:
    """Does `task.check` know the answer? Of a problem that it does not know, it says False of any answer."""
    return not isinstance(task, KnowsSome) or task.knows(problem)


@runtime_checkable
class HasRows(Protocol):
    """A task whose training problems, each with one solution, are all there are: it draws none afresh."""

    @property
    def rows(self) -> int:
        """How many training problems."""
        ...


@runtime_checkable
class KnowsAnswer(Protocol):
    """A task that can show a right answer. Reports and predictions alone may ask: no model or search ever sees it."""

    def expected(self, problem: str) -> str | None: ...


def expected(task: Task, problem: str) -> str | None:
    """A right answer to show beside a given one; None where the task has none to show."""
    return task.expected(problem) if isinstance(task, KnowsAnswer) else None


@runtime_checkable
class Compares(Protocol):
    """A task that can check an answer against a right one, to problems that it does not know as well."""

    def same(self, problem: str, answer: str, expected: str) -> bool: ...


CALL_END = "→"  # in a step: a call stands before it, and what the tool gave behind it


@runtime_checkable
class UsesTools(Protocol):
    """A task whose steps may be calls of tools: `lookup {"item": "mivo"}→17`. What stands behind the arrow is given to
    the model, which neither writes nor learns it.
    """

    def respond(self, problem: str, call: str) -> str | None:
        """What the tools give for a call, in one line, or why they give nothing. None: no problem of this task."""
        ...


def one_line(text: str) -> str:
    """The text in one line.

    >>> one_line("  Two trains.\\nWhen do they meet? ")
    'Two trains. | When do they meet?'
    """
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
