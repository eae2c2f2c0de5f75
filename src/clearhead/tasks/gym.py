"""The generators of the package reasoning-gym as tasks: its problems, its verifiers, its own option names.

A generator knows an answer but no way to it, so a solution is one step: the answer. The lines of a question, and of an
answer, are joined to one. Which split a problem belongs to is decided by the stable hash of its text and not by its
place in the generator, because a generator may give the same text twice.
What is deliberately not here: checking of problems that the task has not drawn. The verifiers need what the generator
noted while it made the problem, so the generator makes it again, at the place where it was drawn.
"""

import importlib
import io
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from itertools import count, islice
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.tasks.drawn import DrawnProblem, DrawnProblems
from clearhead.tasks.splits import epochs, known_split, split_of
from clearhead.tasks.task import one_line

PACKAGE = "reasoning_gym"
BLOCK = 1000  # problems of one dataset of the package; some generators prepare all of them when they are made
BLOCKS = 1 << 20
SHARE = 0.2  # of valid and of test; much, because a generator may take long
MOST = 500  # problems that valid and test have, for the same reason
LONGER = 200  # characters by which an answer may be longer than twice the right one
JOINT = " | "  # where the lines of an answer were joined
EXAMPLES = ("possible_answer", "example_answer", "example_correct_answer")  # what generators call a right answer

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
    drawn: DrawnProblems = field(default_factory=DrawnProblems, compare=False)

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

    def kept_in(self, folder: Path) -> "GymTask":
        return replace(self, drawn=DrawnProblems(folder))

    def knows(self, problem: str) -> bool:
        return self.drawn.find(problem) is not None

    def expected(self, problem: str) -> str | None:
        found = self.drawn.find(problem)
        return None if found is None else found.answer

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        """Distinct problems in the generator's order, from a place that the seed chooses; train gives them again."""
        known_split(split)

        def wanted(problem: str) -> bool:
            return split_of(problem, SHARE, SHARE) == split

        most = n if split == "train" else min(n, MOST)
        pool = [drawn.problem for drawn in self.drawn.take(f"{seed}", most, wanted, partial(self._draw, seed))]
        if most and not pool:
            raise UserError(
                f"{self.name} gave no {split} problem with an answer that can be checked; "
                "change its options, or choose another generator"
            )
        if split != "train" or len(pool) == most:
            return pool
        return pool + list(islice(epochs(pool, random.Random(seed)), most - len(pool)))

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """The generator's own answer; nothing is random here."""
        answer = self.expected(problem)
        if answer is None:
            raise UserError(f"{self.name} has not drawn the problem {problem[:60]!r}, so its answer is not known")
        return [answer]

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        return steps[-1].strip() or None if steps else None

    def check(self, problem: str, answer: str) -> bool:
        """Does the package's verifier give it full marks? A problem that was not drawn has no right answer."""
        found = self.drawn.find(problem)
        if found is None:
            return False
        if _question(self._entry(found.place)) != problem:
            raise UserError(
                f"{self.name} makes other problems than when {problem[:60]!r} was drawn; "
                f"install the version of {PACKAGE} that was used then"
            )
        return self._scores(found.place, found.answer, answer)

    def _draw(self, seed: int, last: DrawnProblem | None) -> Iterator[DrawnProblem | None]:
        """What the generator makes behind the last problem; None for what it fails at, cannot be asked, or checked."""
        start = random.Random(seed).randrange(BLOCKS) * BLOCK if last is None else last.place + 1
        for place in count(start):
            try:
                entry = self._entry(place)
            except Exception:  # some generators give up on a seed now and then
                yield None
                continue
            problem, right = _question(entry), right_answer(entry)
            usable = problem and right and self._scores(place, right, right)
            yield DrawnProblem(problem, right, place=place) if usable else None

    def _scores(self, place: int, right: str, answer: str) -> bool:
        if not safe(answer, right):
            return False
        score, entry = self._dataset(place // BLOCK).score_answer, self._entry(place)
        try:
            return any(float(score(text, entry)) >= 1 for text in dict.fromkeys((answer, answer.replace(JOINT, "\n"))))
        except Exception:  # some verifiers fail on garbage instead of refusing it
            return False

    @cached_property
    def _dataset(self) -> Any:
        """A block by its number. Many generators make item i of the seed s from s + i, so seeds lie a block apart."""
        create = _import("factory").create_dataset
        return lru_cache(maxsize=16)(
            lambda block: create(self.generator, size=BLOCK, seed=block * BLOCK, **self.options)
        )

    @cached_property
    def _entry(self) -> Any:
        def entry(place: int) -> Any:
            with seeded(place), redirect_stdout(io.StringIO()):  # programs that fail print why
                return self._dataset(place // BLOCK)[place % BLOCK]

        return lru_cache(maxsize=4096)(entry)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The common generators begin alike: some problems are made by programs that draw from them."""
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _question(entry: Mapping[str, Any]) -> str:
    return one_line(str(entry["question"]))


def right_answer(entry: Mapping[str, Any]) -> str:
    """The right answer in one line, "" where the generator has none: some with many right ones note only an example.

    >>> right_answer({"answer": None, "metadata": {"possible_answer": {0: 1, 1: 2}}})
    '{"0": 1, "1": 2}'
    """
    found = entry["answer"]
    if found is None:
        found = next((entry["metadata"][name] for name in EXAMPLES if name in entry["metadata"]), "")
    return one_line(found if isinstance(found, str) else json.dumps(found))


def safe(answer: str, right: str) -> bool:
    """May a verifier see this answer? Not if it is far longer than the right one, or holds a risk that one does not.

    >>> safe("(8-4)*6", "8*3"), safe("9**9**9", "8*3"), safe("3*x**2", "x**2*3"), safe("open('x')", "8*3")
    (True, False, True, False)
    """
    if len(answer) > 2 * len(right) + LONGER:
        return False
    return {risk.group() for risk in _RISK.finditer(answer)} <= {risk.group() for risk in _RISK.finditer(right)}
