"""Verdicts do not hang on luck or style: over many seeds right solutions pass and wrong ones fail, in every exercise.

The cases of a seed are drawn once for all solutions of an exercise, and few of them: what holds with these holds with
more. A few solutions go through the sandbox in `tests/study/practice/test_runner.py`.
"""

import pytest
from practice_right import RIGHT
from practice_styles import STYLES
from practice_wrong import WRONG

from clearhead.study.practice import exercise as exercises
from clearhead.study.practice import grade as grading
from clearhead.study.practice.exercise import Exercise, mutant
from clearhead.study.practice.grade import grade
from clearhead.study.practice.runner import run_here

SEEDS = 20
NAMES = exercises.names()


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three random cases and the edges, drawn once for a seed and a kind of arrays."""
    drawn: dict = {}
    cases = grading._cases

    def once(exercise: Exercise, rng: object, kind: str) -> list:
        key = (id(exercise), kind, rng.bit_generator.seed_seq.entropy)  # type: ignore[attr-defined]
        if key not in drawn:
            drawn[key] = cases(exercise, rng, kind)  # type: ignore[arg-type]
        return drawn[key]

    monkeypatch.setattr(grading, "CASES", 3)
    monkeypatch.setattr(grading, "_diagnoses", lambda *args: [])  # which test_exercises asks for
    monkeypatch.setattr(grading, "_cases", once)


@pytest.mark.parametrize("name", NAMES)
def test_right_solutions_pass_and_wrong_ones_fail_whatever_the_seed(name: str, few_cases: None) -> None:
    exercise = exercises.load(name)
    right, styled = {}, {}
    for kind in ("solution", "torch"):
        for style, write in STYLES.items():
            found = right if style in ("as it is", "single") else styled  # the others do not touch the numbers
            found[f"{kind}, {style}"] = write(exercise, getattr(exercise, kind))
    right |= {f"right {i}": source for i, source in enumerate(RIGHT.get(name, ()))}
    wrong = {sentence: mutant(exercise, sentence) for sentence in exercise.wrong}
    wrong |= {f"wrong {i}": source for i, source in enumerate(WRONG.get(name, ()))}
    assert len(right | styled) >= 6 and len(wrong) >= 6
    for seed in range(SEEDS):
        for label, source in (right | styled if seed < 2 else right).items():
            verdict = grade(exercise, source, run_here, seed)
            assert verdict.passed, (label, seed, verdict)
        for label, source in wrong.items():
            assert not grade(exercise, source, run_here, seed).passed, (label, seed)
