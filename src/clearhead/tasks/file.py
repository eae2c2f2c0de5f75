"""The user's own problems: a file with a column for `problem`, `answer` and, where there are any, `steps` and `split`.

    {"problem": "2 apples and 3 more?", "answer": "5", "steps": ["2+3=5"]}

JSONL, JSON, CSV, Parquet, or a data set of the hub; see `rows.py` for what is read and `solutions.py` for where the
answer stands in the steps. A solution without steps is one step, the answer. Without splits of its own the file is
split by the stable hash of the problems, about a tenth each for valid and test.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import ClassVar

from clearhead.errors import UserError
from clearhead.tasks.checkers import Checker, checker
from clearhead.tasks.drawn import DrawnProblem, DrawnProblems
from clearhead.tasks.hub import is_hub
from clearhead.tasks.rows import PLAIN, DuplicateRule, IntakeReport, Row, UnusableError, faults, parse_row, read
from clearhead.tasks.solutions import Fitted, after, complete, fit
from clearhead.tasks.splits import SPLITS, bucket, epochs, known_split, sample
from clearhead.tasks.task import one_line
from clearhead.tasks.userfile import UserFile

AUGMENT_SECONDS = 60.0  # that the user's function may take for BATCH rows
BATCH = 100
FEWEST = 10  # problems that a file must have


@dataclass(frozen=True)
class FileTask:
    statement: ClassVar[str] = "your own problems: JSONL, JSON, CSV or Parquet with problem, answer and perhaps steps"

    path: Path
    columns: dict[str, str] = field(default_factory=dict)  # "problem", "answer", "steps", "split" -> the file's name
    checker: str = "exact"  # one of checkers.NAMES, or the path of a Python file with a function check
    check_seconds: float = 2.0  # that a checker may take for one answer
    answer_after: str | None = None  # what stands before the answer in a last step
    contradictions: DuplicateRule = "error"  # which answer counts where a problem has several
    skip_bad: bool = False  # leave rows out that cannot be used
    separator: str = ""  # of a CSV file; found where it is not given
    encoding: str = ""  # the same
    augment: Path | None = None  # a Python file with augment(row, rng) -> row, applied whenever a training row is drawn
    held_out: tuple[str, ...] = ()
    drawn: DrawnProblems = field(default_factory=DrawnProblems, compare=False)  # what that function has made

    def __post_init__(self) -> None:
        """A file that cannot be read, or does not hold together, is told now and not in the middle of a run."""
        if fault := faults(self.intake):
            raise UserError(fault)
        if len(self._rows) < FEWEST:
            raise UserError(
                f"{self.path} has {len(self._rows)} problems; give at least {FEWEST}, so that there is something to "
                "learn and to test"
            )
        if not self._pools["train"]:
            raise UserError(f"{self.path} has no problem left to train on; hold out fewer")
        if self.augment:
            if "augment" not in self._augment_file.functions():
                raise UserError(f"{self.augment} has no function augment; write def augment(row, rng) -> row")
            next(self._draw(0, None))

    @property
    def name(self) -> str:
        return str(self.path) if is_hub(self.path) else f"file:{self.path}"

    @property
    def rows(self) -> int:
        return len(self._pools["train"])

    @property
    def intake(self) -> IntakeReport:
        """What the file held, and what was made of it."""
        if faults(self._fitted[1]):
            return self._fitted[1]
        return replace(self._fitted[1], splits={split: len(self._pools[split]) for split in SPLITS})

    def parse(self, text: str) -> str:
        """Any text is a problem, on file or not; its lines are joined to one."""
        problem = one_line(text)
        if not problem:
            raise UserError("the problem is empty; type its text")
        return problem

    def kept_in(self, folder: Path) -> "FileTask":
        return replace(self, drawn=DrawnProblems(folder)) if self.augment else self

    def knows(self, problem: str) -> bool:
        return self.expected(problem) is not None

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        pool = self._pools[known_split(split)]
        if split != "train":
            return sample(pool, n, seed)
        draws = epochs(pool, random.Random(seed))
        if not self.augment:
            return [next(draws) for _ in range(n)]
        made = self.drawn.take(f"train-{seed}", n, lambda problem: True, partial(self._draw, seed))
        return [drawn.problem for drawn in made] + [next(draws) for _ in range(n - len(made))]

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """The solution on file; nothing is random here."""
        if problem in self._rows:
            return list(self._fitted[2].solutions[problem])
        made = self.drawn.find(problem)
        if made is None:
            raise UserError(f"the problem {problem[:60]!r} is not in {self.path}, so its answer is not known")
        return list(made.steps)

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        """The last step, or what stands after the last marker in it."""
        return after(self._fitted[2].marker, steps[-1]) if steps else None

    def check(self, problem: str, answer: str) -> bool:
        """Is it right by the checker? A problem that is not on file has no right answer."""
        expected = self.expected(problem)
        return expected is not None and self.same(problem, answer, expected)

    def same(self, problem: str, answer: str, expected: str) -> bool:
        """Is an answer right where this one is?"""
        return self._check(problem, answer, expected)

    def expected(self, problem: str) -> str | None:
        found = self._rows.get(problem) or self.drawn.find(problem)
        return found.answer if found else None

    def _draw(self, seed: int, last: DrawnProblem | None) -> Iterator[DrawnProblem | None]:
        """Training rows as the user's function changes them; None for one that is a row of the file already."""
        start = 0 if last is None else last.place + 1
        order = islice(epochs(self._pools["train"], random.Random(seed)), start, None)
        while True:
            rows = [self._rows[problem] for problem in islice(order, BATCH)]
            plain = [{"problem": row.problem, "answer": row.answer, "steps": list(row.steps)} for row in rows]
            try:
                made = self._augment_file.call("augment", AUGMENT_SECONDS, rows=plain, seed=seed, start=start)
            except TimeoutError:
                raise UserError(f"augment in {self.augment} takes longer than {AUGMENT_SECONDS:g} s") from None
            for place, fields in enumerate(made, start):
                try:
                    row = parse_row(place, fields, PLAIN)
                    steps = complete(row, self._fitted[2], self._check)
                except UnusableError as error:
                    raise UserError(f"augment in {self.augment} gave {fields!r:.100}: {error}") from None
                yield None if row.problem in self._rows else DrawnProblem(row.problem, row.answer, steps, place)
            start += BATCH

    @cached_property
    def _augment_file(self) -> UserFile:
        return UserFile(self.augment)

    @cached_property
    def _check(self) -> Checker:
        return checker(self.checker, self.check_seconds)

    @property
    def _rows(self) -> dict[str, Row]:
        return self._fitted[0]

    @cached_property
    def _fitted(self) -> tuple[dict[str, Row], IntakeReport, Fitted]:
        """The rows by problem, the report of how they were found, and their solutions."""
        intake = read(
            self.path, columns=self.columns, contradictions=self.contradictions, skip_bad=self.skip_bad,
            separator=self.separator, encoding=self.encoding,
        )  # fmt: skip
        fitted = fit(intake.rows, self._check, self.answer_after)
        rows = {row.problem: row for row in intake.rows if row.problem in fitted.solutions}
        bad = tuple(sorted((*intake.report.bad, *fitted.bad), key=lambda fault: fault.line))
        with_steps = sum(bool(row.steps) for row in rows.values())
        report = replace(
            intake.report, used=len(rows), bad=bad, skipped=len(bad) * self.skip_bad, with_steps=with_steps,
            without_steps=len(rows) - with_steps, answers_added=fitted.added,
        )  # fmt: skip
        return rows, report, fitted

    @cached_property
    def _pools(self) -> dict[str, list[str]]:
        pools = split_rows(list(self._rows.values()), self.path)
        apart = set(self.held_out)
        for split in ("train", "valid"):
            pools[split] = [problem for problem in pools[split] if problem not in apart]
        return pools | ({"test": list(self.held_out)} if self.held_out else {})


def split_rows(rows: Sequence[Row], path: Path) -> dict[str, list[str]]:
    """The problems by split: as the rows say, else by stable hash, with at least one in each.

    A file that has rows for training and none for valid, or for the test, gives a tenth of those, by the same hash.
    """
    if not any(row.split for row in rows):
        ranked = sorted((row.problem for row in rows), key=bucket)
        tests = max(1, sum(bucket(problem) < 0.1 for problem in ranked))
        valids = max(1, sum(bucket(problem) < 0.2 for problem in ranked) - tests)
        return {"test": ranked[:tests], "valid": ranked[tests : tests + valids], "train": ranked[tests + valids :]}
    pools = {split: [row.problem for row in rows if row.split == split] for split in SPLITS}
    for split in ("valid", "test"):
        if not pools[split]:
            ranked = sorted(pools["train"], key=bucket)
            taken = max(1, len(ranked) // 10)
            pools[split], pools["train"] = ranked[:taken], ranked[taken:]
    if not pools["train"]:
        raise UserError(f"{path} has too few rows with split 'train'; give it more of them")
    return pools
