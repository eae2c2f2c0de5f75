"""New rows for a task: what is right is the task's to say, and the answers are the rows'."""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.tasks import load
from clearhead.tasks.labeled import labeled
from clearhead.tasks.task import Task, expected, knows


def rows(folder: Path, answers: Mapping[str, str]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"problem": p, "answer": a}) + "\n" for p, a in answers.items()))
    return path


def numbers(folder: Path) -> Task:
    """A task on file whose solutions end in "= 3" and whose answers are compared as numbers."""
    data = [{"problem": f"{a} + 1", "answer": str(a + 1), "steps": [f"= {a + 1}"]} for a in range(20)]
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
    return load(f"file:{folder / 'own.jsonl'}", checker="number", answer_after="=")


def test_new_rows_are_checked_as_the_task_checks_its_own(tmp_path: Path) -> None:
    task = labeled(numbers(tmp_path), rows(tmp_path, {"99 + 1": "1,00", "0 + 1": "1000"}), {}, skip_bad=False)
    assert task.problems("test", 9, 0) == ["99 + 1", "0 + 1"]
    assert task.answer("99 + 1", ["= 100"]) == "100", "where the answer stands is the trained task's to say"
    assert not task.check("0 + 1", "1") and task.check("0 + 1", "1000.0"), "the file says what is right"
    assert expected(task, "0 + 1") == "1000"
    assert knows(task, "0 + 1") and not knows(task, "5 + 1")


def test_a_task_that_knows_the_truth_checks_by_itself(tmp_path: Path) -> None:
    task = labeled(load("game24"), rows(tmp_path, {"4 5 6 10": "(10-4)*5-6"}), {}, skip_bad=False)
    (problem,) = task.problems("test", 9, 0)
    assert problem == "4 5 6 10"
    assert task.check(problem, "5*(10-4)-6"), "another way to the same is right as well"
    assert not task.check(problem, "4+5+6+10")


def test_a_row_that_the_task_knows_to_be_wrong_is_told(tmp_path: Path) -> None:
    given = rows(tmp_path, {"17 × 24": "408", "What is 12 × 34?": "409"})
    with pytest.raises(UserError, match=r"line 2: the answer '409' is wrong by the check of multiplication"):
        labeled(load("multiplication"), given, {}, skip_bad=False)
    with pytest.raises(UserError, match=r"rows.jsonl, line 1: .*twelve"):
        labeled(load("multiplication"), rows(tmp_path, {"twelve": "12"}), {}, skip_bad=False)


def test_what_nobody_can_check_is_compared_as_text(tmp_path: Path) -> None:
    class Plain:
        """Knows nothing but how to read."""

        name = statement = "plain"

        def parse(self, text: str) -> str:
            return text.lower()

        def knows(self, problem: str) -> bool:
            return False

        def problems(self, split: str, n: int, seed: int) -> list[str]:
            return []

        def solve(self, problem: str, rng: random.Random) -> list[str]:
            return []

        def check(self, problem: str, answer: str) -> bool:
            return False

        def answer(self, problem: str, steps: Sequence[str]) -> str | None:
            return steps[-1]

    task = labeled(Plain(), rows(tmp_path, {"A": " b "}), {}, skip_bad=False)
    assert task.problems("test", 9, 0) == ["a"]
    assert task.check("a", "b") and not task.check("a", "c")
