"""The user's own generator: a Python file with `problems(split, seed)` and, if it needs one, `check`.

    def problems(split, seed):
        rng = random.Random(seed)
        while True:
            a, b = rng.randrange(100), rng.randrange(100)
            yield {"problem": f"{a}+{b}", "steps": [f"={a + b}"], "answer": str(a + b)}

It may yield for ever or end, and give tuples (problem, answer, steps) as well. Whatever it yields for a split, a
problem counts for the split that the stable hash of its text says, so no two share any. What was drawn is noted in the
run, with its answer: every process of the run knows it.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import ClassVar

from clearhead.errors import UserError
from clearhead.tasks.checkers import Checker, checker, user_check
from clearhead.tasks.drawn import DrawnProblem, DrawnProblems
from clearhead.tasks.rows import PLAIN, Row, UnusableError, parse_row
from clearhead.tasks.solutions import Fitted, after, complete, fit
from clearhead.tasks.splits import epochs, known_split, split_of
from clearhead.tasks.task import one_line
from clearhead.tasks.userfile import UserFile

SHARE = 0.2  # of valid and of test; much, because what is not of a split is drawn in vain
MOST = 500  # problems that valid and test have, for the same reason
BATCH = 100  # rows that are drawn at once
DRAW_SECONDS = 60.0  # that one row may take
TRIED = 50  # rows that show where the answer stands


@dataclass(frozen=True)
class GeneratorTask:
    statement: ClassVar[str] = "your own generator: a Python file with problems(split, seed), perhaps check"

    path: Path
    checker: str = ""  # as of a file of rows; left out, the file's own check, and the text where it has none
    check_seconds: float = 2.0
    answer_after: str | None = None
    held_out: tuple[str, ...] = ()  # stays empty: no problem of a file is one whose answer is known
    drawn: DrawnProblems = field(default_factory=DrawnProblems, compare=False)

    def __post_init__(self) -> None:
        """A file that does not hold together is told now and not in the middle of a run."""
        if "problems" not in self._functions:
            raise UserError(f"{self.path} has no function problems; write def problems(split, seed) that yields rows")
        if list(islice(self._rows("train", 0, 0), TRIED)) != self._sample:
            raise UserError(
                f"problems in {self.path} gives other problems for the same split and seed; draw them all from "
                "random.Random(seed)"
            )
        assert self._style

    @property
    def name(self) -> str:
        return f"python:{self.path}"

    def parse(self, text: str) -> str:
        """Any text is a problem; its lines are joined to one."""
        problem = one_line(text)
        if not problem:
            raise UserError("the problem is empty; type its text")
        return problem

    def kept_in(self, folder: Path) -> "GeneratorTask":
        return replace(self, drawn=DrawnProblems(folder))

    def knows(self, problem: str) -> bool:
        return self.drawn.find(problem) is not None

    def expected(self, problem: str) -> str | None:
        found = self.drawn.find(problem)
        return None if found is None else found.answer

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        """Distinct problems in the generator's order; train gives them again where it has no more."""
        known_split(split)

        def wanted(problem: str) -> bool:
            return split_of(problem, SHARE, SHARE) == split

        most = n if split == "train" else min(n, MOST)
        found = self.drawn.take(f"{split}-{seed}", most, wanted, partial(self._draw, split, seed))
        pool = [drawn.problem for drawn in found]
        if most and not pool:
            raise UserError(f"{self.path} gave no problem that falls to {split}; let problems give more different ones")
        if split != "train" or len(pool) == most:
            return pool
        return pool + list(islice(epochs(pool, random.Random(seed)), most - len(pool)))

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """The solution that came with the problem; nothing is random here."""
        found = self.drawn.find(problem)
        if found is None:
            raise UserError(f"{self.path} has not drawn the problem {problem[:60]!r}, so its answer is not known")
        return list(found.steps)

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        """The last step, or what stands after the last marker in it."""
        return after(self._style.marker, steps[-1]) if steps else None

    def check(self, problem: str, answer: str) -> bool:
        """Is it right by the checker? A problem that was not drawn has no right answer."""
        found = self.drawn.find(problem)
        return found is not None and self.same(problem, answer, found.answer)

    def same(self, problem: str, answer: str, expected: str) -> bool:
        """Is an answer right where this one is?"""
        return self._check(problem, answer, expected)

    def _draw(self, split: str, seed: int, last: DrawnProblem | None) -> Iterator[DrawnProblem]:
        """The generator's rows behind the last one, each with a solution that gives its answer."""
        for row in self._rows(split, seed, 0 if last is None else last.place + 1):
            try:
                steps = complete(row, self._style, self._check)
            except UnusableError as error:
                raise UserError(f"problems in {self.path}, {row.problem[:60]!r}: {error}") from None
            yield DrawnProblem(row.problem, row.answer, steps, row.line)

    def _rows(self, split: str, seed: int, start: int) -> Iterator[Row]:
        """What the file yields from a place on; the line of a row is its place."""
        more = True
        while more:
            try:
                batch = self._file.call("draw", DRAW_SECONDS, split=split, seed=seed, start=start, n=BATCH)
            except TimeoutError:
                raise UserError(
                    f"problems in {self.path} gave nothing for {DRAW_SECONDS:g} s ({split}, seed {seed}, after {start} "
                    "rows); let it yield or end"
                ) from None
            for place, fields in enumerate(batch["rows"], start):
                try:
                    yield parse_row(place, fields, PLAIN)
                except UnusableError as error:
                    raise UserError(f"problems in {self.path} gave {fields!r:.100}: {error}") from None
            start, more = start + len(batch["rows"]), batch["more"]

    @cached_property
    def _file(self) -> UserFile:
        return UserFile(self.path)

    @cached_property
    def _functions(self) -> list[str]:
        return self._file.functions()

    @cached_property
    def _check(self) -> Checker:
        if self.checker or "check" not in self._functions:
            return checker(self.checker or "exact", self.check_seconds)
        return Checker(self.path.name, user_check(self._file, self.check_seconds), self.check_seconds)

    @cached_property
    def _sample(self) -> list[Row]:
        return list(islice(self._rows("train", 0, 0), TRIED))

    @cached_property
    def _style(self) -> Fitted:
        """Where the answer stands in the first rows, and so in all."""
        rows = self._sample
        if not rows:
            raise UserError(f"problems in {self.path} gave nothing for 'train' and the seed 0; let it yield problems")
        style = fit(rows, self._check, self.answer_after)
        if style.bad:
            raise UserError(f"problems in {self.path}, {rows[style.bad[0].line].problem[:60]!r}: {style.bad[0].why}")
        return style
