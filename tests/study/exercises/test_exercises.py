"""Every exercise: its right solutions pass, every wrong one is rejected, and known mistakes are named."""

import pytest

from clearhead.study.practice import exercise as exercises
from clearhead.study.practice.exercise import mutant, stub
from clearhead.study.practice.grade import grade
from clearhead.study.practice.rules import frameworks
from clearhead.study.practice.runner import run_here

NAMES = exercises.names()
EXERCISES = {name: exercises.load(name) for name in NAMES}
WRONG = [(name, sentence) for name, found in EXERCISES.items() for sentence in found.wrong]


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in NAMES for kind in ("solution", "torch")])
def test_a_right_solution_passes(name: str, kind: str) -> None:
    source = getattr(EXERCISES[name], kind)
    assert (frameworks(source)[0] == "torch") == (kind == "torch")
    verdict = grade(EXERCISES[name], source, run_here, seed=1)
    assert verdict.passed, verdict


@pytest.mark.parametrize(("name", "sentence"), WRONG)
def test_a_wrong_solution_is_rejected(name: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearhead.study.practice.grade.CASES", 6)  # half of the random cases are enough
    found = EXERCISES[name]
    source = mutant(found, sentence)
    verdict = grade(found, source, run_here, seed=1)
    assert not verdict.passed and verdict.said
    if "returned" in verdict.shown:  # it ran, and its values are wrong: the learner is told why
        assert sentence in verdict.said


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_is_whole(name: str) -> None:
    found = EXERCISES[name]
    assert len(found.wrong) >= 3 and len(set(found.hints)) == 3
    assert not grade(found, stub(found, name), run_here, seed=0).passed
    assert not grade(found, "import numpy as np\n", run_here, seed=0).passed
    assert all(len(line) <= 120 for line in stub(found, name).splitlines())
    assert len(found.title) <= 36 and len(name) <= 26  # a line of the list fits 70 columns
