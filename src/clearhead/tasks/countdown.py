"""Countdown: reach a target from some of the given numbers; every result on the way is a positive whole number.

    3 7 25 50=82
    50+25=75:3 7 75
    75+7=82

Steps are written as in the Game of 24: after ":" stand the numbers that are left, and the step that makes the target
has no ":". Each number is used at most once, and not all of them need be, unless `use_all` says so. There are far too
many problems to list, so they are drawn; the stable hash of its text says which split a problem belongs to, or its
target does, where some are kept for the test (Gandhi et al. 2024, "Stream of Search", whose problems are those of
fewest = most = 4, largest = 99, use_all and the targets 14 39 41 57 62 81 87 89 96).
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from clearhead.errors import UserError
from clearhead.tasks.numbers import (
    Numbers,
    assemble,
    evaluate,
    fewest_moves,
    reachable,
    solution,
    to_state,
    to_text,
    walk,
    whole,
)
from clearhead.tasks.splits import draw_distinct, known_split, sample, split_of

MOST, MAX_NUMBER, FURTHEST = 6, 999, 9999  # numbers, number and target that `parse` takes
PATIENCE = 20_000  # unsolvable draws in a row before the options are called impossible

_TARGET = re.compile(r"(?:=|->|→|\b(?:make|makes|get|reach|equals?|to|into)\b)\s*([0-9]+)", re.IGNORECASE)
_NOT_WHOLE = re.compile(r"[0-9][./÷][0-9]|(?:^|[\s,;(=>])[-−][0-9]")


def _parts(problem: str) -> tuple[str, int]:
    numbers, target = problem.split("=")
    return numbers, int(target)


@dataclass(frozen=True)
class Countdown:
    name: ClassVar[str] = "countdown"
    statement: ClassVar[str] = "reach a target from some of the numbers, in whole numbers: 3 7 25 50=82"

    fewest: int = 3  # how many numbers a drawn problem has
    most: int = 4
    largest: int = 50  # of the drawn numbers
    target_min: int = 10
    target_max: int = 100
    use_all: bool = False
    test_targets: tuple[int, ...] = ()  # of the test problems, and of no others
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= self.fewest <= self.most <= MOST:
            raise UserError(f"fewest={self.fewest} and most={self.most} must be 2 to {MOST}, the smaller first")
        if not 1 <= self.largest <= MAX_NUMBER:
            raise UserError(f"largest={self.largest} is out of range; it must be 1 to {MAX_NUMBER}")
        if not 1 <= self.target_min <= self.target_max <= FURTHEST:
            raise UserError(
                f"target_min={self.target_min} and target_max={self.target_max} must be 1 to {FURTHEST}, "
                "the smaller first"
            )
        for target in self.test_targets:
            if not self.target_min <= target <= self.target_max:
                raise UserError(
                    f"test_targets: {target} is no target; it must be {self.target_min} to {self.target_max}"
                )
        if len(set(self.test_targets)) > self.target_max - self.target_min:
            raise UserError("test_targets names every target; leave some to train on")

    def parse(self, text: str) -> str:
        """Reads "3 7 25 50 = 765", "3,7,25,50 -> 765", "make 765 from 3 7 25 50"; takes more than training draws."""
        shown = repr(text.strip()[:60])
        targets = _TARGET.findall(text)
        words = re.findall(r"[0-9]+", _TARGET.sub(" ", text))
        if len(targets) != 1 or not 2 <= len(words) <= MOST or _NOT_WHOLE.search(text):
            raise UserError(f"{shown} is not a problem; write 2 to {MOST} whole numbers and a target: 3 7 25 50 = 82")
        if any(len(word) > 6 or not 1 <= int(word) <= MAX_NUMBER for word in words):
            raise UserError(f"{shown} is out of range; the numbers must be 1 to {MAX_NUMBER}")
        if len(targets[0]) > 6 or not 1 <= int(targets[0]) <= FURTHEST:
            raise UserError(f"{shown} is out of range; the target must be 1 to {FURTHEST}")
        state, target = to_state(" ".join(words)), int(targets[0])
        moves = self._moves(state, target)
        if moves == 0:
            raise UserError(f"{target} is one of the numbers, so there is nothing to do; choose another target")
        if moves is None:
            how = " from all of them" if self.use_all else ""
            raise UserError(f"{to_text(state)} cannot make {target}{how}: every way was tried; choose other numbers")
        return f"{to_text(state)}={target}"

    def _moves(self, state: Numbers, target: int) -> int | None:
        """The moves of a shortest solution; None where there is none."""
        if self.use_all:
            return len(state) - 1 if reachable(state, target, len(state) - 1, whole) else None
        return fewest_moves(state, target, whole)

    def _split(self, problem: str, target: int) -> str:
        if not self.test_targets:
            return split_of(problem)
        if target in self.test_targets:
            return "test"
        return "valid" if split_of(problem) == "valid" else "train"

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        """Drawn problems of the split; the held-out ones, if any, are the test split."""
        if known_split(split) == "test" and self.held_out:
            return sample(self.held_out, n, seed)
        rng = random.Random(seed)
        if split == "train":
            return [self._draw(split, rng) for _ in range(n)]
        return draw_distinct(lambda: self._draw(split, rng), n)

    def _draw(self, split: str, rng: random.Random) -> str:
        for _ in range(PATIENCE):
            count = rng.randint(self.fewest, self.most)
            state = tuple(sorted(rng.randint(1, self.largest) for _ in range(count)))
            if split == "test" and self.test_targets:
                target = rng.choice(self.test_targets)
            else:
                target = rng.randint(self.target_min, self.target_max)
            problem = f"{to_text(state)}={target}"
            if self._split(problem, target) == split and problem not in self.held_out and self._moves(state, target):
                return problem
        raise UserError(
            f"no {split} problem of numbers up to {self.largest} and targets {self.target_min} to {self.target_max} "
            f"was found in {PATIENCE} draws; widen these options"
        )

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """A solution drawn uniformly from the shortest ones: no number is combined in vain."""
        numbers, target = _parts(problem)
        moves = self._moves(to_state(numbers), target)
        assert moves, f"{problem} has no solution; parse or problems would not have given it"
        return solution(numbers, target, moves, whole, rng)

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        """The infix expression that the steps write down, right or wrong, for the result of the closing step."""
        return assemble(to_state(_parts(problem)[0]), steps)

    def check(self, problem: str, answer: str) -> bool:
        """Is it the target, in positive whole numbers, each given number used once at most? "= 82" may follow."""
        numbers, target = _parts(problem)
        expression, _, value = answer.partition("=")
        used = evaluate(expression, whole)
        if used is None or value.strip() not in ("", str(target)):
            return False
        spent, given = Counter(used[1]), Counter(map(int, numbers.split()))
        return used[0] == target and (spent == given if self.use_all else spent <= given)

    def check_step(self, problem: str, steps: Sequence[str]) -> bool:
        """Are the steps right, and has the closing one made the target, or can a later one?"""
        numbers, target = _parts(problem)
        after = walk(to_state(numbers), steps, whole)
        if after is None:
            return False
        terms, closed = after
        if closed:
            return terms[-1].value == target and (len(terms) == 1 or not self.use_all)
        values = tuple(term.value for term in terms)
        if self.use_all:
            return len(values) > 1 and reachable(values, target, len(values) - 1, whole)
        return any(reachable(values, target, k, whole) for k in range(1, len(values)))
