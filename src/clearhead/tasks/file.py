"""The user's own problems: a JSONL or CSV file with `problem`, `answer` and, where there are any, `steps` and `split`.

    {"problem": "2 apples and 3 more?", "answer": "5", "steps": ["2+3=5"]}

Without steps a solution is one step, the answer. With steps the last one must contain the answer: it is the whole line,
or what stands after a marker such as "=". The option `answer_after` names the marker; left out, the first of the usual
ones that is right for every row is taken. Without splits of its own the file is split by the stable hash of the
problems, about a tenth each for valid and test.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from clearhead.errors import UserError
from clearhead.tasks.checkers import Checker, checker
from clearhead.tasks.rows import Row, read_rows
from clearhead.tasks.splits import SPLITS, bucket, epochs, known_split, sample
from clearhead.tasks.task import one_line

MARKERS = ("", "=", "####", ":")  # tried in this order where answer_after is left out; "" is the whole last step


@dataclass(frozen=True)
class FileTask:
    statement: ClassVar[str] = "your own problems: a .jsonl or .csv file with problem, answer and perhaps steps"

    path: Path
    checker: str = "exact"  # or "number", "regex", or the path of a Python file with a function check
    answer_after: str | None = None  # what stands before the answer in a last step
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A file that cannot be read, or does not hold together, is told now and not in the middle of a run."""
        assert self._marker is not None
        if not self._pools["train"]:
            raise UserError(f"{self.path} has no problem left to train on; hold out fewer")

    @property
    def name(self) -> str:
        return f"file:{self.path}"

    def parse(self, text: str) -> str:
        """Any text is a problem, on file or not; its lines are joined to one."""
        problem = one_line(text)
        if not problem:
            raise UserError("the problem is empty; type its text")
        return problem

    def knows(self, problem: str) -> bool:
        return problem in self._rows

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        pool = self._pools[known_split(split)]
        if split != "train":
            return sample(pool, n, seed)
        draws = epochs(pool, random.Random(seed))
        return [next(draws) for _ in range(n)]

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """The solution on file; nothing is random here."""
        if not self.knows(problem):
            raise UserError(f"the problem {problem[:60]!r} is not in {self.path}, so its answer is not known")
        row = self._rows[problem]
        return list(row.steps or (row.answer,))

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        """The last step, or what stands after the last marker in it."""
        return _after(self._marker, steps[-1]) if steps else None

    def check(self, problem: str, answer: str) -> bool:
        """Is it right by the checker? A problem that is not on file has no right answer."""
        row = self._rows.get(problem)
        return row is not None and self._check(problem, answer, row.answer)

    @cached_property
    def _rows(self) -> dict[str, Row]:
        return {row.problem: row for row in read_rows(self.path)}

    @cached_property
    def _check(self) -> Checker:
        return checker(self.checker)

    @cached_property
    def _pools(self) -> dict[str, list[str]]:
        pools = split_rows(list(self._rows.values()), self.path)
        for split in ("train", "valid"):
            pools[split] = [problem for problem in pools[split] if problem not in self.held_out]
        return pools | ({"test": list(self.held_out)} if self.held_out else {})

    @cached_property
    def _marker(self) -> str:
        """What stands before the answer in every last step, checked on every row."""
        misfits = []
        for marker in MARKERS if self.answer_after is None else (self.answer_after,):
            misfit = self._misfit(marker)
            if misfit is None:
                return marker
            misfits.append(misfit)
        row = max(misfits, key=lambda row: row.line)  # the marker that gets furthest is the one that was meant
        raise UserError(f"{self.path}, line {row.line}: {self._explain(row)}")

    def _misfit(self, marker: str) -> Row | None:
        """The first row whose last step does not give its answer."""
        for row in self._rows.values():
            found = _after(marker, (row.steps or (row.answer,))[-1])
            if found is None or not self._check(row.problem, found, row.answer):
                return row
        return None

    def _explain(self, row: Row) -> str:
        if not row.steps:
            return f"the answer {row.answer[:60]!r} fails its own check, {self.checker!r}; mend it or the checker"
        if self.answer_after is None:
            fix = "end each solution with the answer, or set answer_after to the text before it"
        else:
            fix = f"nothing right stands after answer_after={self.answer_after!r}"
        return f"the last step {row.steps[-1][:60]!r} does not give the answer {row.answer[:60]!r}; {fix}"


def _after(marker: str, step: str) -> str | None:
    """The text after the last marker of a step, None where there is none; the whole step for the marker "".

    >>> _after("=", "=340+68=408"), _after("", "408 "), _after("=", "408")
    ('408', '408', None)
    """
    _, found, rest = step.rpartition(marker) if marker else ("", True, step)
    return rest.strip() or None if found else None


def split_rows(rows: Sequence[Row], path: Path) -> dict[str, list[str]]:
    """The problems by split: as the rows say, else by stable hash, with at least one in each."""
    if not rows[0].split:
        ranked = sorted((row.problem for row in rows), key=bucket)
        tests = max(1, sum(bucket(problem) < 0.1 for problem in ranked))
        valids = max(1, sum(bucket(problem) < 0.2 for problem in ranked) - tests)
        return {"test": ranked[:tests], "valid": ranked[tests : tests + valids], "train": ranked[tests + valids :]}
    pools = {split: [row.problem for row in rows if row.split == split] for split in SPLITS}
    for split, pool in pools.items():
        if not pool:
            raise UserError(f"{path} has no row with split {split!r}; give each of {', '.join(SPLITS)} at least one")
    return pools
