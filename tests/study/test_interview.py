"""The mix fills the time and begins with what is weak; the summary names what went badly."""

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.study.interview import Part, Result, plan, to_review

CARDS = {str(i): ("Book", f"S{i % 5}") for i in range(40)}
PROBLEMS = ["a", "b", "c"]
EXERCISES = {"softmax": "numerics", "mcts": "search"}


def made(minutes: int, weak: list[tuple[str, ...]] | None = None, seed: int = 0) -> list[Part]:
    return plan(minutes, CARDS, weak or [], PROBLEMS, EXERCISES, np.random.default_rng(seed))


@pytest.mark.parametrize("minutes", [5, 15, 45, 90])
def test_the_time_is_filled_and_kept(minutes: int) -> None:
    parts = made(minutes)
    total = sum(part.minutes for part in parts)
    assert minutes - 5 <= total <= minutes
    assert len({part.name for part in parts}) == len(parts)
    kinds = [part.kind for part in parts]
    assert kinds == sorted(kinds, key=["question", "problem", "exercise"].index)
    assert kinds.count("exercise") == (minutes >= 27)


def test_weak_sections_come_first() -> None:
    weak = [("Book", "S3"), ("Book", "S1")]
    questions = [part for part in made(60, weak) if part.kind == "question"]
    sections = [part.section.split(" / ")[1] for part in questions]
    assert sections[:2] == ["S3", "S1"]
    share = sum(section in ("S3", "S1") for section in sections) / len(sections)
    assert 0.5 <= share <= 0.75


def test_seeds_decide() -> None:
    assert made(45, seed=1) == made(45, seed=1) != made(45, seed=2)


def test_out_of_range_and_empty() -> None:
    with pytest.raises(UserError, match="--minutes 4"):
        made(4)
    with pytest.raises(UserError, match="no question to ask"):
        plan(20, {}, [], PROBLEMS, EXERCISES, np.random.default_rng(0))


def test_what_to_review() -> None:
    results = [
        Result(Part("question", "1", "A", 3), 1.0), Result(Part("question", "2", "B", 3), 0.0),
        Result(Part("question", "3", "B", 3), 1.0), Result(Part("exercise", "x", "C", 9), None),
    ]  # fmt: skip
    assert to_review(results) == [("C", 0.0), ("B", 0.5)]
