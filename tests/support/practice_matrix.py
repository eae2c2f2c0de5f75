"""Which solutions of an exercise get the wrong verdict over many seeds; a process that answers line by line.

Apart from the tests because there every call of the package is checked against its annotations, and this makes
millions of them. The cases of a seed are drawn once for all solutions, and few of them: what holds with these holds
with more.
"""

import json
import sys
from typing import Any

from practice_right import RIGHT
from practice_styles import STYLES
from practice_wrong import WRONG

from clearhead.study.practice import exercise as exercises
from clearhead.study.practice import grade as grading
from clearhead.study.practice.exercise import mutant
from clearhead.study.practice.runner import run_here

SEEDS = 20
RANDOM_CASES = 3  # besides the edges, and what tells the known mistakes apart


def failures(name: str) -> list[str]:
    """One line for each right solution that failed, and each wrong one that passed."""
    exercise = exercises.load(name)
    right, styled = {}, {}
    for kind in ("solution", "torch"):
        for style, write in STYLES.items():
            found = right if style in ("as it is", "single") else styled  # the others do not touch the numbers
            found[f"{kind}, {style}"] = write(exercise, getattr(exercise, kind))
    right |= {f"right {i}": source for i, source in enumerate(RIGHT[name])}
    wrong = {sentence: mutant(exercise, sentence) for sentence in exercise.wrong}
    wrong |= {f"wrong {i}": source for i, source in enumerate(WRONG.get(name, ()))}
    told = [] if 2 + len(RIGHT[name]) >= 6 and len(wrong) >= 6 else ["too few solutions"]
    for seed in range(SEEDS):
        drawn: dict[str, Any] = {}

        def once(exercise: Any, rng: Any, kind: str, drawn: dict[str, Any] = drawn) -> Any:
            if kind not in drawn:
                drawn[kind] = CASES_OF(exercise, rng, kind)
            return drawn[kind]

        grading._cases = once
        for label, source in (right | styled if seed < 2 else right).items():
            verdict = grading.grade(exercise, source, run_here, seed)
            if not verdict.passed:
                told.append(f"seed {seed}: {label} fails: {'; '.join(verdict.said)}")
        told += [
            f"seed {seed}: passes although {label}"
            for label, source in wrong.items() if grading.grade(exercise, source, run_here, seed).passed
        ]  # fmt: skip
    return told


CASES_OF = grading._cases

if __name__ == "__main__":
    grading.CASES = RANDOM_CASES
    grading._diagnoses = lambda *args: []  # which test_exercises asks for
    for line in sys.stdin:
        print(json.dumps(failures(line.strip())), flush=True)
