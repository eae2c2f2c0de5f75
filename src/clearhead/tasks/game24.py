"""The Game of 24: combine four numbers, each used once, with + - × ÷ to make 24.

    4 5 6 10
    10-4=6:5 6 6
    5×6=30:6 30
    30-6=24

After ":" stand the numbers that are left. The test split is the hundred puzzles of the Tree-of-Thoughts paper.
Training mixes the other solvable puzzles of 1 to 13 with their relatives: solvable puzzles with a number above 13.
The former are so few that a model soon memorizes them; the latter keep it learning the moves.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import combinations_with_replacement
from typing import ClassVar

from clearhead.errors import UserError
from clearhead.tasks.numbers import assemble, evaluate, exact, nonnegative, reachable, solution, to_state, to_text, walk
from clearhead.tasks.splits import bucket, epochs, known_split, sample

TARGET = 24
COUNT = 4
CARDS = 13  # the game's own numbers are those of a pack of cards
VALID = 200  # puzzles kept for validation: a hundred to choose a strategy on, and a hundred for the reward model
MAX_TRAIN_MAX = 50  # of train_max: above it the relatives are too many to list

_PHRASE = re.compile(r"(?:=|->|→|\b(?:make|makes|get|reach|equals?|to|into)\b)\s*24(?![0-9])", re.IGNORECASE)
_NOT_WHOLE = re.compile(r"[0-9][./÷][0-9]|(?:^|[\s,;(])[-−][0-9]")


@lru_cache(maxsize=1 << 17)
def solvable(problem: str) -> bool:
    return reachable(to_state(problem), TARGET, COUNT - 1, nonnegative)


@lru_cache(maxsize=1)
def _pools() -> dict[str, tuple[str, ...]]:
    """The solvable puzzles of 1 to 13 by split: test is a list, valid has the lowest stable hashes of the others."""
    text = (files("clearhead.tasks") / "data" / "game24_test.txt").read_text(encoding="utf-8")
    test = tuple(line for line in text.splitlines() if line and not line.startswith("#"))
    quadruples = map(to_text, combinations_with_replacement(range(1, CARDS + 1), COUNT))
    rest = sorted((problem for problem in quadruples if problem not in test and solvable(problem)), key=bucket)
    return {"test": test, "valid": tuple(rest[:VALID]), "train": tuple(rest[VALID:])}


@lru_cache(maxsize=4)
def _with_larger(largest: int) -> tuple[str, ...]:
    """Every quadruple of 1 to `largest` with a number above 13; whether one is solvable is found out on drawing it."""
    quadruples = combinations_with_replacement(range(1, largest + 1), COUNT)
    return tuple(to_text(numbers) for numbers in quadruples if numbers[-1] > CARDS)


@dataclass(frozen=True)
class Game24:
    name: ClassVar[str] = "game24"
    statement: ClassVar[str] = "make 24 from four numbers, each used once, with + - × ÷: 4 5 6 10"

    train_max: int = 24  # the largest number in the relatives
    relatives: float = 0.5  # their share of the training draws
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not CARDS <= self.train_max <= MAX_TRAIN_MAX:
            raise UserError(f"train_max={self.train_max} is out of range; it must be {CARDS} to {MAX_TRAIN_MAX}")
        if not 0 <= self.relatives <= 1:
            raise UserError(f"relatives={self.relatives} is not a share; it must be 0 to 1")
        if self.relatives and self.train_max == CARDS:
            raise UserError(f"train_max={CARDS} leaves no relatives to draw; set relatives=0 as well, or raise it")

    def parse(self, text: str) -> str:
        """Reads "4 5 6 10" in any order, with commas and words: "Use 4, 5, 6 and 10 to make 24".

        Numbers up to train_max are taken, not only those to 13, since training has seen them.
        """
        typed = _PHRASE.sub(" ", text)
        numbers = re.findall(r"[0-9]+", typed)
        if len(numbers) != COUNT or _NOT_WHOLE.search(typed) or not all(len(word) < 4 for word in numbers):
            shown = repr(text.strip()[:60])
            raise UserError(f"{shown} is not a puzzle; write four whole numbers from 1 to {self.train_max}: 4 5 6 10")
        values = [int(word) for word in numbers]
        for value in values:
            if not 1 <= value <= self.train_max:
                raise UserError(f"{value} is out of range; the four numbers must be 1 to {self.train_max}")
        problem = to_text(values)
        if not solvable(problem):
            raise UserError(f"{problem} cannot make {TARGET}: every way was tried; choose other numbers")
        return problem

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        """Training draws puzzles of 1 to 13 and relatives in the proportion of the option `relatives`."""
        if known_split(split) == "test" and self.held_out:
            return sample(self.held_out, n, seed)
        taken = frozenset(self.held_out)
        pool = [problem for problem in _pools()[split] if problem not in taken]
        if split != "train":
            return sample(pool, n, seed)
        rng = random.Random(seed)
        cards, larger = epochs(pool, rng), self._draw_relatives(rng)
        return [next(larger if rng.random() < self.relatives else cards) for _ in range(n)]

    def _draw_relatives(self, rng: random.Random) -> Iterator[str]:
        for problem in epochs(_with_larger(self.train_max), rng):
            if solvable(problem) and problem not in self.held_out:
                yield problem

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """Three steps, drawn uniformly from all the ways to make 24 in which no step makes a negative number."""
        return solution(problem, TARGET, COUNT - 1, nonnegative, rng)

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        """The infix expression that the steps write down, right or wrong, such as "(10-4)×5-6"."""
        return assemble(to_state(problem), steps)

    def check(self, problem: str, answer: str) -> bool:
        """Is it 24, from exactly the given numbers? Takes * x × / ÷, spaces, and "= 24" at the end.

        Another value there is wrong; Yao et al. 2023 read only what is before it, which decides 1 answer in 20,500.
        """
        expression, _, value = answer.partition("=")
        used = evaluate(expression)
        if used is None or value.strip() not in ("", str(TARGET)):
            return False
        return used[0] == TARGET and sorted(used[1]) == list(to_state(problem))

    def check_step(self, problem: str, steps: Sequence[str]) -> bool:
        """Are the steps right, and can the numbers that are left still make 24? Negative numbers may be on the way."""
        after = walk(to_state(problem), steps)
        if after is None:
            return False
        terms, closed = after
        if closed != (len(terms) == 1):
            return False
        return reachable(tuple(term.value for term in terms), TARGET, len(terms) - 1, exact)
