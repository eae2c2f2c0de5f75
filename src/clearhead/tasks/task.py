"""What a verifiable problem is to the rest of the house: two protocols, no base class.

A problem is its canonical text, one line. A solution is a list of steps, each one line.
"""

import random
from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Task(Protocol):
    """Problems whose answers can be checked. `held_out`, when not empty, is the test split and is in no other."""

    @property
    def name(self) -> str: ...

    @property
    def statement(self) -> str:
        """One line that says what the task is."""
        ...

    @property
    def held_out(self) -> tuple[str, ...]: ...

    def parse(self, text: str) -> str:
        """What a person typed -> the canonical problem; UserError when it is not one, or has no solution."""
        ...

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        """n problems of "train", "valid" or "test", the same for the same seed; the splits share none.

        Only "train" repeats problems, and only when it has fewer than n; the others then give all they have.
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
