"""Are these rows enough? Judged from the rows alone, before anything is trained.

A word of a solution that stands in the problem or in an earlier step can be copied, one that many solutions share is
form, and one that goes with a single word before it ("Jul", 7) can be looked up. What is left has to be worked out from
several words together ("19+35", 54). Where no training row has it after the same words, it cannot be remembered: only
the rule behind it helps, and rules take far more rows.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clearhead.tasks.task import HasRows, Task

SAMPLE = 3_000  # held-out rows that are looked at, and training rows that show what is form or looked up, at most
FORM = 0.3  # share of the solutions that have a word which is form
LOOKUPS = 3  # rows in which a word goes with another, at least, to be looked up by it
ALMOST_ALWAYS = 0.9  # of the rows that have the other word
BEFORE = 3  # words of the step before one that is worked out, which make it the same one
TOO_MANY = 0.3  # share of held-out rows with a word that cannot be remembered, above which rows are too few
ENOUGH = 0.1  # the share at which they would do
MOST_ROWS = 1_000_000  # beyond which a file is no answer
WORD = re.compile(r"[^\W\d_]+|\d+")


class UnseenRow(NamedTuple):
    """A solved problem."""

    problem: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Unseen:
    """Shares of held-out rows with a word to work out that none of so many training rows has, by their number."""

    shares: tuple[tuple[int, float], ...]

    @property
    def rows(self) -> int:
        return self.shares[-1][0]

    @property
    def too_few(self) -> bool:
        return self.shares[-1][1] > TOO_MANY

    @property
    def would_do(self) -> int | None:
        """Rows at which the share is `ENOUGH`; None beyond `MOST_ROWS`.

        Of K equally frequent things n rows miss a share exp(-n/K), of others exp(-(n/K)^s) with s below 1: the line
        through log(-log(share)) against log(n) at the first and the last point.
        """
        (n, before), (m, after) = self.shares[0], self.shares[-1]
        if not 0 < after < before < 1:
            return None
        s = math.log(math.log(after) / math.log(before)) / math.log(m / n)
        wanted = m * (math.log(ENOUGH) / math.log(after)) ** (1 / s)
        return round_up(wanted) if wanted <= MOST_ROWS else None


def round_up(number: float) -> int:
    """To two digits.

    >>> round_up(12_345)
    13000
    """
    grain = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / grain) * grain


def unseen(task: Task, seed: int) -> Unseen:
    """Measured on a quarter, a half and all of the training rows."""
    assert isinstance(task, HasRows), "a task that draws afresh has no rows to run out of"
    rng = random.Random(seed)

    def rows(split: str, n: int) -> list[UnseenRow]:
        return [UnseenRow(problem, tuple(task.solve(problem, rng))) for problem in task.problems(split, n, seed)]

    training, held_out = rows("train", task.rows), rows("valid", SAMPLE)
    known = Lookups(training[:SAMPLE])
    wanted = [known.worked_out(row) for row in held_out]
    shares = []
    for n in (len(training) // 4, len(training) // 2, len(training)):
        seen = {thing for row in training[:n] for step in row.steps for thing in things(step)}
        shares.append((n, sum(not found <= seen for found in wanted) / max(len(wanted), 1)))
    return Unseen(tuple(shares))


class Lookups:
    """Which words of solutions are form, and which go with a single word before them."""

    def __init__(self, rows: Sequence[UnseenRow]) -> None:
        solutions = Counter(word for row in rows for word in set(WORD.findall(" ".join(row.steps))))
        self.form = {word for word, count in solutions.items() if count >= FORM * len(rows)}
        self.before: Counter[tuple[int, str]] = Counter()
        self.pairs: Counter[tuple[int, str, str]] = Counter()
        for row in rows:
            for i in range(len(row.steps)):
                words = set(WORD.findall(context(row, i)))
                made = self.made(row, i)
                self.before.update((i, word) for word in words)
                self.pairs.update((i, word, new) for word in words for new in made)

    def made(self, row: UnseenRow, i: int) -> set[str]:
        """The words of step i that are neither form nor copied; zeros in front count for nothing."""
        earlier = context(row, i)
        words = set(WORD.findall(row.steps[i]))
        return {word for word in words if word not in self.form and (word.lstrip("0") or word) not in earlier}

    def worked_out(self, row: UnseenRow) -> set[tuple[str, ...]]:
        """The words that have to be worked out, each with those before it in its step."""
        found = set()
        for i, step in enumerate(row.steps):
            words = set(WORD.findall(context(row, i)))
            new = {made for made in self.made(row, i) if not any(self.looked_up(i, word, made) for word in words)}
            found |= {thing for thing in things(step) if thing[-1] in new}
        return found

    def looked_up(self, i: int, word: str, new: str) -> bool:
        together = self.pairs[i, word, new]
        return together >= LOOKUPS and together >= ALMOST_ALWAYS * self.before[i, word]


def things(step: str) -> set[tuple[str, ...]]:
    """Every word of a step with up to `BEFORE` words before it.

    >>> sorted(things("19+35=54"))
    [('19',), ('19', '35'), ('19', '35', '54')]
    """
    words = WORD.findall(step)
    return {tuple(words[max(0, i - BEFORE) : i + 1]) for i in range(len(words))}


def context(row: UnseenRow, i: int) -> str:
    """What stands before step i."""
    return "\n".join((row.problem, *row.steps[:i]))


def told(name: str, found: Unseen) -> list[str]:
    """A line where the rows are too few, with how many would do."""
    if not found.too_few:
        return []
    shares = ", ".join(f"{share:.0%} of {n:,}" for n, share in found.shares[:-1])
    missing = f"{found.shares[-1][1]:.0%} of the held-out rows need a result that no training row has"
    if found.would_do is None:
        return [
            f"{name}: what is worked out cannot be remembered from rows: {missing}, and a million rows would hardly "
            "change that; the rule itself must be learned, which a generator of problems makes far more likely"
        ]
    return [
        f"{name}: {found.rows:,} training rows are too few to remember what is worked out: {missing} ({shares} rows); "
        f"about {found.would_do:,} rows would do; with fewer the rule must be learned, which a generator of problems "
        "makes far more likely"
    ]
