"""Two- and three-digit numbers times a two-digit number, worked by splitting the second factor into tens and ones.

    17 × 24
    17×24=17×20+17×4
    =340+68
    =408

A second factor that ends in 0 is split the same way (17×30=17×30+17×0), so that there is one form to learn.

Training also practices the later lines alone, as problems of their own ("17×20+17×4", "340+68"): they are where the
mistakes happen, and a line alone costs a fraction of a solution's tokens. Measured: after 2 million tokens 89% of the
two-digit and 64% of the three-digit problems are right, against 79% and 15% without practice.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from clearhead.errors import UserError
from clearhead.tasks.numbers import evaluate
from clearhead.tasks.splits import SPLITS, epochs, interleave, known_split, sample, split_of

SHOWN = (17, 24)  # the pair that the guide works through: always a test problem
_TYPED = re.compile(
    r"(?:what\s+is|what['’]?s|calculate|compute|multiply)?\s*([0-9]{1,20})\s*(?:×|\*|x|·|times|multiplied\s+by|by)\s*"
    r"([0-9]{1,20})\s*(?:=\s*)?\??\s*\.?",
    re.IGNORECASE | re.ASCII,
)
_LINE = re.compile(r"[0-9]{2,3}×[1-9]0\+[0-9]{2,3}×[0-9]|[0-9]{1,5}\+[0-9]{1,4}", re.ASCII)
_LIMITS = "the first factor must be 10 to 999 and the second 10 to 99"


def _factors(problem: str) -> tuple[int, int]:
    a, b = problem.split(" × ")
    return int(a), int(b)


def _mirrored(problem: str) -> str:
    """24 × 17 for 17 × 24, the same to anyone who learns, though it may be out of range. A line is its own image."""
    return problem if "+" in problem else " × ".join(reversed(problem.split(" × ")))


@lru_cache(maxsize=1)
def _pools() -> dict[tuple[str, int], list[str]]:
    """Every product, by split and by the number of digits of its first factor; mirror images are in the same split."""
    pools: dict[tuple[str, int], list[str]] = {(split, digits): [] for split in SPLITS for digits in (2, 3)}
    for a in range(10, 1000):
        for b in range(10, 100):
            first, second = min(a, b), max(a, b)
            split = "test" if (first, second) == SHOWN else split_of(f"{first} × {second}", valid=0.05, test=0.05)
            pools[split, 2 if a < 100 else 3].append(f"{a} × {b}")
    return pools


def _practice(a: int, b: int, line: int) -> str:
    """The second (0) or third (1) line of a solution as a problem.

    >>> _practice(17, 24, 0), _practice(17, 24, 1)
    ('17×20+17×4', '340+68')
    """
    tens, ones = b // 10 * 10, b % 10
    return (f"{a}×{tens}+{a}×{ones}", f"{a * tens}+{a * ones}")[line]


def _value(problem: str) -> int:
    """What any problem of this task comes to."""
    evaluated = evaluate(problem.replace(" ", ""))
    assert evaluated is not None, problem
    return int(evaluated[0])


@dataclass(frozen=True)
class Multiplication:
    name: ClassVar[str] = "multiplication"
    statement: ClassVar[str] = "a two- or three-digit number times a two-digit number: 17 × 24"

    practice: float = 0.67  # share of the training draws that are single lines
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.practice <= 1:
            raise UserError(f"practice={self.practice} is not a share; it must be 0 to 1")

    def parse(self, text: str) -> str:
        """Reads "What is 17 × 24?", "17*24", "17 times 24"; a longer second factor is put first, a line left alone."""
        if _LINE.fullmatch(text.strip()):
            return text.strip()
        typed = _TYPED.fullmatch(text.strip())
        if not typed:
            raise UserError(f"{text.strip()[:60]!r} is not a multiplication; write it like 17 × 24, where {_LIMITS}")
        a, b = int(typed[1]), int(typed[2])
        if b > 99:
            a, b = b, a
        if not (10 <= a <= 999 and 10 <= b <= 99):
            raise UserError(f"{typed[1]} × {typed[2]} is out of range: {_LIMITS}")
        return f"{a} × {b}"

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        """Half have a two-digit first factor, half a three-digit one; some training draws become single lines."""
        if known_split(split) == "test" and self.held_out:
            return sample(self.held_out, n, seed)
        taken = {*self.held_out, *map(_mirrored, self.held_out)}
        two, three = ([problem for problem in _pools()[split, digits] if problem not in taken] for digits in (2, 3))
        if split != "train":
            return interleave(sample(two, n, seed), sample(three, n, seed))[:n]
        rng = random.Random(seed)
        draws = epochs(two, rng), epochs(three, rng)
        problems = [next(draws[i % 2]) for i in range(n)]
        for i, problem in enumerate(problems):
            if rng.random() < self.practice:
                line = _practice(*_factors(problem), line=rng.randrange(2))
                problems[i] = problem if line in taken else line
        return problems

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """The one way that the task teaches; nothing is random here."""
        if "×" not in problem:
            return [f"={_value(problem)}"]
        if "+" in problem:
            left, right = problem.split("+")
            return [f"={_value(left)}+{_value(right)}", f"={_value(problem)}"]
        a, b = _factors(problem)
        line = _practice(a, b, 0)
        return [f"{a}×{b}={line}", *self.solve(line, rng)]

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        """What stands after the last "=", once that is a plain number."""
        last = steps[-1].rpartition("=")[2].strip() if steps else ""
        return last if re.fullmatch(r"[0-9]{1,9}", last) else None

    def check(self, problem: str, answer: str) -> bool:
        return re.fullmatch(r"[0-9]{1,9}", answer.strip()) is not None and int(answer) == _value(problem)

    def expected(self, problem: str) -> str:
        return str(_value(problem))

    def check_step(self, problem: str, steps: Sequence[str]) -> bool:
        """Is every side of every "=" worth the product? A line may begin with "=", but not the first of a product."""
        value = _value(problem)
        for at, step in enumerate(steps):
            sides = step.split("=")
            sides = sides[1:] if (at or "+" in problem) and not sides[0] else sides
            if len(step.split("=")) < 2 or any((side := evaluate(text)) is None or side[0] != value for text in sides):
                return False
        return True
