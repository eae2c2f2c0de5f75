"""The second half of the review's questions, and what it only announces, all have an answer in the guide."""

import tomllib
from pathlib import Path
from typing import Any

from guide_answers import Place, check_answer, places

COVERAGE: dict[str, Any] = tomllib.loads((Path(__file__).parent / "coverage-b.toml").read_text(encoding="utf-8"))


SIDE = ("to do", "asked today")


def mapped() -> list[Place]:
    questions = [tuple(place) for name, part in COVERAGE.items() if name not in SIDE for place in part.values()]
    return questions + [tuple(place) for name in SIDE for part in COVERAGE[name].values() for place in part]


def test_all_64_questions_and_both_announcements_are_mapped() -> None:
    assert sum(len(part) for name, part in COVERAGE.items() if name not in SIDE) == 64
    assert [len(part) for part in COVERAGE["to do"].values()] == [13, 10]


def test_more_than_30_questions_are_asked_today() -> None:
    assert sum(len(part) for part in COVERAGE["asked today"].values()) >= 30


def test_each_has_one_answer_of_its_own() -> None:
    assert len(set(mapped())) == len(mapped())
    assert set(mapped()) == {place for place in places() if place[0] >= "13"}


def test_numbers_rise_by_one_in_each_section() -> None:
    sections: dict[tuple[str, str], list[int]] = {}
    for chapter, section, number in places():
        sections.setdefault((chapter, section), []).append(number)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sections.values())


def test_every_answer_explains_and_computes() -> None:
    found = places()
    for place in mapped():
        check_answer(place, found[place])
