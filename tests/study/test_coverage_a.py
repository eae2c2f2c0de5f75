"""The first half of the review's questions, what it only announces and what it derives: all are in the guide."""

import tomllib
from pathlib import Path
from typing import Any

from guide_answers import Place, check_answer, places

COVERAGE: dict[str, Any] = tomllib.loads((Path(__file__).parent / "coverage-a.toml").read_text(encoding="utf-8"))
SIDE = ("to do", "appendix")
QUESTIONS = {
    "Vector Knowledge": 7,
    "Matrices": 5,
    "Calculus and Optimization": 5,
    "Probability and Statistics": 9,
    "ML Fundamentals": 1,
    "Linear Regression": 4,
    "Logistic Regression": 5,
    "Neural Networks": 8,
    "Graph Neural Networks": 1,
    "Optimization Algorithms": 6,
    "Regularization": 5,
}
SECOND_HALF: dict[str, Any] = tomllib.loads((Path(__file__).parent / "coverage-b.toml").read_text(encoding="utf-8"))


def mapped() -> list[Place]:
    questions = [tuple(place) for name, part in COVERAGE.items() if name not in SIDE for place in part.values()]
    return questions + [tuple(place) for name in SIDE for part in COVERAGE[name].values() for place in part]


def test_every_section_has_as_many_answers_as_questions() -> None:
    assert {name: len(part) for name, part in COVERAGE.items() if name not in SIDE} == QUESTIONS
    for part in (part for name, part in COVERAGE.items() if name not in SIDE):
        assert [int(number) for number in part] == list(range(1, len(part) + 1))


def test_each_has_one_answer_of_its_own() -> None:
    assert len(set(mapped())) == len(mapped())
    assert set(mapped()) == {place for place in places() if place[0] < "13"}


def test_every_answer_explains_and_computes() -> None:
    found = places()
    for place in mapped():
        check_answer(place, found[place])


def test_nothing_is_put_off() -> None:
    assert [place for place, text in places().items() if "TODO" in text or not text.strip()] == []


def test_both_halves_are_120_questions_and_14_announcements() -> None:
    halves = (COVERAGE, SECOND_HALF)
    assert sum(len(part) for half in halves for name, part in half.items() if name not in (*SIDE, "asked today")) == 120
    assert sum(len(half["to do"]) for half in halves) == 14
    assert all(places for half in halves for places in half["to do"].values())
    assert len(COVERAGE["appendix"]) == 3
