"""The generators of the package reasoning-gym as tasks: its problems, its verifiers, its own option names.

A generator knows an answer but no way to it, so a solution is one step: the answer. The lines of a question, and of an
answer, are joined to one. Which split a problem belongs to is decided by the stable hash of its text and not by its
place in the generator, because a generator may give the same text twice.
What is deliberately not here: checking of problems that the task has not drawn. The verifiers need what the generator
noted while it made the problem.
"""

import importlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any, ClassVar

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.tasks.splits import draw_distinct, known_split, split_of
from clearhead.tasks.task import one_line

PACKAGE = "reasoning_gym"
BLOCK = 1000  # problems of one dataset of the package; some generators prepare all of them when they are made
BLOCKS = 1 << 20
SHARE = 0.2  # of valid and of test; much, because a generator may take long and what is not of a split is thrown away
MOST = 500  # problems that valid and test have, for the same reason
PATIENCE = 2000  # draws in a row without a problem for the split
LONGER = 200  # characters by which an answer may be longer than twice the right one
JOINT = " | "  # where the lines of an answer were joined

# Some verifiers evaluate an answer as Python. What could run for ever there, or do more than compute, they see only if
# the right answer holds the same: private names, calls, powers, factorials, shifts, repeated lists and texts.
_RISK = re.compile(
    r"__|[A-Za-z_]\w*\s*\(|(?:\*\*|\^)\s*-?(?:\w+|\S?)|!|<<|lambda|[\]}'\"]\s*\*|\*\s*[\[{'\"]|,\s*\)\s*\*"
)


def _import(module: str) -> ModuleType:
    """A module of the package, which is an extra and is imported when a task of it is made, not before."""
    try:
        return importlib.import_module(f"{PACKAGE}.{module}")
    except ImportError as error:
        raise UserError(
            f"the reasoning-gym tasks need the package reasoning-gym: pip install 'clearhead[gym]' ({error})"
        ) from None


@dataclass(frozen=True)
class GymTask:
    statement: ClassVar[str] = "a generator of the package reasoning-gym, by its name there: chain_sum, gsm_symbolic"

    generator: str
    options: Mapping[str, Any] = field(default_factory=dict)
    held_out: tuple[str, ...] = ()  # stays empty: no problem of a file is one whose answer is known

    def __post_init__(self) -> None:
        """An unknown generator or option is told now and not in the middle of a run."""
        known = _import("factory").DATASETS
        if self.generator not in known:
            raise UserError(f"reasoning-gym has no generator {self.generator!r}{nearest(self.generator, known)}")
        try:
            self._entry(0)
        except Exception as error:
            told = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise UserError(
                f"{self.name} cannot make a problem with the options {dict(self.options)}; {told}"
            ) from error

    @property
    def name(self) -> str:
        return f"reasoning-gym:{self.generator}"

    def parse(self, text: str) -> str:
        """Any text is a problem; its lines are joined to one."""
        problem = one_line(text)
        if not problem:
            raise UserError("the problem is empty; type its text")
        return problem

    def knows(self, problem: str) -> bool:
        return problem in self._places

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        draws = self._draw(known_split(split), seed)
        if split != "train":
            return draw_distinct(draws.__next__, min(n, MOST))
        return [next(draws) for _ in range(n)]

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """The generator's own answer; nothing is random here."""
        if not self.knows(problem):
            raise UserError(f"{self.name} has not drawn the problem {problem[:60]!r}, so its answer is not known")
        return [one_line(self._entry(self._places[problem])["answer"])]

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        return steps[-1].strip() or None if steps else None

    def check(self, problem: str, answer: str) -> bool:
        """Does the package's verifier give it full marks? A problem that was not drawn has no right answer."""
        place = self._places.get(problem)
        return place is not None and self._scores(self._entry(place), answer, place)

    def _draw(self, split: str, seed: int) -> Iterator[str]:
        """The split's problems, in the generator's order from a place that the seed chooses."""
        start = random.Random(seed).randrange(BLOCKS)
        place, last = start * BLOCK, start * BLOCK
        while place - last < PATIENCE:
            problem = one_line(str(self._entry(place)["question"]))
            if problem and split_of(problem, SHARE, SHARE) == split and self._usable(place):
                self._places.setdefault(problem, place)
                last = place
                yield problem
            place += 1
        raise UserError(
            f"{self.name} gave no {split} problem with an answer that can be checked in {PATIENCE} draws; "
            "change its options, or choose another generator"
        )

    def _usable(self, place: int) -> bool:
        """Is the answer there a text that passes its own check?"""
        entry = self._entry(place)
        right = entry["answer"]
        return isinstance(right, str) and right.strip() != "" and self._scores(entry, one_line(right), place)

    def _scores(self, entry: Mapping[str, Any], answer: str, place: int) -> bool:
        right = str(entry["answer"])
        if not safe(answer, right):
            return False
        score = self._dataset(place // BLOCK).score_answer
        try:
            return any(float(score(text, entry)) >= 1 for text in dict.fromkeys((answer, answer.replace(JOINT, "\n"))))
        except Exception:  # some verifiers fail on garbage instead of refusing it
            return False

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where each problem drawn so far is found again."""
        return {}

    @cached_property
    def _dataset(self) -> Any:
        create = _import("factory").create_dataset
        return lru_cache(maxsize=16)(lambda block: create(self.generator, size=BLOCK, seed=block, **self.options))

    @cached_property
    def _entry(self) -> Any:
        return lru_cache(maxsize=4096)(lambda place: self._dataset(place // BLOCK)[place % BLOCK])


def safe(answer: str, right: str) -> bool:
    """May a verifier see this answer? Not if it is far longer than the right one, or holds a risk that one does not.

    >>> safe("(8-4)*6", "8*3"), safe("9**9**9", "8*3"), safe("3*x**2", "x**2*3"), safe("open('x')", "8*3")
    (True, False, True, False)
    """
    if len(answer) > 2 * len(right) + LONGER:
        return False
    return {risk.group() for risk in _RISK.finditer(answer)} <= {risk.group() for risk in _RISK.finditer(right)}
