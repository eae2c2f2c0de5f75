"""A mock interview: which questions, problems and exercise to ask in so many minutes, and what to review after it.

Deliberately not here: asking (cli.study.interview).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clearhead.errors import UserError

QUESTION, PROBLEM = 3.0, 5.0  # minutes for one of each
EXERCISE_SHARE, EXERCISE_LEAST = 0.45, 12.0  # of the time; with less than that in minutes there is none
PROBLEM_SHARE = 0.25
WEAK_SHARE = 0.6  # of the questions, from sections that went badly
MIN_MINUTES, MAX_MINUTES = 5, 240

Place = tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One thing to ask. `name` is a card's id, a problem or an exercise."""

    kind: Literal["question", "problem", "exercise"]
    name: str
    section: str
    minutes: float


@dataclass(frozen=True)
class Result:
    """How a part went, from 0 to 1; None if it was passed over."""

    part: Part
    score: float | None


def plan(
    minutes: int, cards: Mapping[str, Place], weak: Sequence[Place], problems: Sequence[str],
    exercises: Mapping[str, str], rng: np.random.Generator,
) -> list[Part]:  # fmt: skip
    """A mix for that time: questions first, the weakest sections among them first, then problems, then one exercise.

    `cards` gives each card's section, `weak` sections from the weakest on, `exercises` each exercise's section.
    UserError: a time out of range, or nothing to ask.
    """
    if not MIN_MINUTES <= minutes <= MAX_MINUTES:
        raise UserError(f"--minutes {minutes} is out of range; an interview takes {MIN_MINUTES} to {MAX_MINUTES}")
    if not cards:
        raise UserError("there is no question to ask; import notes with answers, or leave out --deck")
    left = float(minutes)
    last: list[Part] = []
    if exercises and minutes * EXERCISE_SHARE >= EXERCISE_LEAST:
        name = str(rng.choice(sorted(exercises)))
        last = [Part("exercise", name, exercises[name], minutes * EXERCISE_SHARE)]
        left -= last[0].minutes
    n_problems = min(len(problems), int(minutes * PROBLEM_SHARE / PROBLEM))
    middle = [
        Part("problem", str(name), "pen and paper", PROBLEM)
        for name in rng.choice(list(problems), n_problems, replace=False).tolist()
    ]
    n = max(1, int((left - PROBLEM * n_problems) / QUESTION))
    first = [Part("question", name, " / ".join(cards[name][-2:]), QUESTION) for name in _drawn(n, cards, weak, rng)]
    return [*first, *middle, *last]


def _drawn(n: int, cards: Mapping[str, Place], weak: Sequence[Place], rng: np.random.Generator) -> list[str]:
    """Weak sections in turn for a part of them, then one of each other section as far as they go."""
    order = [str(name) for name in rng.permutation(sorted(cards)).tolist()]
    by_section: dict[Place, list[str]] = {}
    for name in order:
        by_section.setdefault(cards[name], []).append(name)
    chosen: list[str] = []
    known = [section for section in weak if section in by_section]
    others = [section for section in by_section if section not in known]
    for sections, limit in ((known, round(n * WEAK_SHARE)), (others, n), (known, n)):
        while len(chosen) < limit and any(by_section[section] for section in sections):
            for section in sections:
                if by_section[section] and len(chosen) < limit:
                    chosen.append(by_section[section].pop())
    return chosen


def to_review(results: Sequence[Result], enough: float = 0.6) -> list[tuple[str, float]]:
    """Sections whose mean score is below `enough`, the lowest first; what was passed over counts as not known."""
    scores: dict[str, list[float]] = {}
    for result in results:
        scores.setdefault(result.part.section, []).append(result.score or 0.0)
    means = [(section, sum(found) / len(found)) for section, found in scores.items()]
    return sorted((entry for entry in means if entry[1] < enough), key=lambda entry: entry[1])
