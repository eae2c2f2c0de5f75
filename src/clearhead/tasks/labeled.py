"""New problems with their answers, for a task that was trained on others: how well it does is measured on them.

The task decides what is right. One that compares answers compares them with the rows'; one that knows the truth by
itself checks by itself; of any other the answers are compared as text. Deliberately not here: training on these rows.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearhead.errors import UserError
from clearhead.tasks.checkers import same_text
from clearhead.tasks.rows import faults, read
from clearhead.tasks.task import Compares, Task, knows


@dataclass(frozen=True)
class Labeled:
    """A task whose problems are those of `answers`, in any split."""

    task: Task
    answers: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def statement(self) -> str:
        return self.task.statement

    def parse(self, text: str) -> str:
        return self.task.parse(text)

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        return list(self.answers)[:n]

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        return [self.answers[problem]]

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        return self.task.answer(problem, steps)

    def check(self, problem: str, answer: str) -> bool:
        if isinstance(self.task, Compares):
            return self.task.same(problem, answer, self.answers[problem])
        if knows(self.task, problem):
            return self.task.check(problem, answer)
        return same_text(problem, answer, self.answers[problem])

    def knows(self, problem: str) -> bool:
        return problem in self.answers

    def expected(self, problem: str) -> str | None:
        return self.answers.get(problem)


def labeled(task: Task, path: Path, columns: Mapping[str, str], skip_bad: bool) -> Labeled:
    """The rows of a file; UserError where one is no problem of the task, or the task knows its answer to be wrong."""
    intake = read(path, columns=columns, skip_bad=skip_bad)
    if fault := faults(intake.report):
        raise UserError(fault)
    answers, lines = {}, {}
    for row in intake.rows:
        try:
            problem = task.parse(row.problem)
        except UserError as error:
            raise UserError(f"{path}, {intake.report.unit} {row.line}: {error}") from None
        answers[problem], lines[problem] = row.answer, row.line
    found = Labeled(task, answers)
    for problem, answer in answers.items():
        if not isinstance(task, Compares) and not found.check(problem, answer):
            raise UserError(
                f"{path}, {intake.report.unit} {lines[problem]}: the answer {answer[:60]!r} is wrong by the check of "
                f"{task.name}; mend it"
            )
    return found
