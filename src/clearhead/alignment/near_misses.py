"""Near misses: a right step with one thing changed, as a hurried writer would get it wrong.

They are negatives for a reward model whose policy hardly fails where it was trained. Nothing here knows whether a
change is a fault: the task's checker says that of a whole solution, and completions of a begun one.
"""

import random
import re
from collections.abc import Callable

Edit = Callable[[str, random.Random], str]


def near_misses(step: str, n: int, rng: random.Random) -> list[str]:
    """Up to n distinct texts that differ from the step by one edit.

    >>> near_misses("=340+68", 3, random.Random(1))
    ['=340+61', '=430+68', '=340+8']
    """
    found: dict[str, None] = {}
    for _ in range(4 * n):
        edited = rng.choice(EDITS)(step, rng)
        if edited != step and edited.strip() and len(found) < n:
            found[edited] = None
    return list(found)


def off_by_a_little(step: str, rng: random.Random) -> str:
    """A number one off, or off by one in a random digit."""
    number = _one(r"[0-9]{1,18}", step, rng)
    if number is None:
        return step
    place = 10 ** rng.choice((0, 0, rng.randrange(len(number[0]))))
    value = int(number[0]) + rng.choice((-place, place))
    return _put(step, number, f"{abs(value):0{len(number[0])}}")


def another_digit(step: str, rng: random.Random) -> str:
    digit = _one(r"[0-9]", step, rng)
    return step if digit is None else _put(step, digit, rng.choice("0123456789"))


def two_swapped(step: str, rng: random.Random) -> str:
    pair = _one(r"(?=(\w\w))", step, rng)
    return step if pair is None else step[: pair.start()] + pair[1][::-1] + step[pair.start() + 2 :]


def one_lost(step: str, rng: random.Random) -> str:
    char = _one(r"\w", step, rng)
    return step if char is None or len(step) < 3 else _put(step, char, "")


def a_word_for_another(step: str, rng: random.Random) -> str:
    """Two words or numbers change places."""
    words = list(re.finditer(r"\w+", step))
    if len(words) < 2:
        return step
    a, b = sorted(rng.sample(range(len(words)), 2))
    first, second = words[a], words[b]
    return step[: first.start()] + second[0] + step[first.end() : second.start()] + first[0] + step[second.end() :]


EDITS: tuple[Edit, ...] = (off_by_a_little, another_digit, two_swapped, one_lost, a_word_for_another)


def _one(pattern: str, step: str, rng: random.Random) -> re.Match[str] | None:
    found = list(re.finditer(pattern, step))
    return rng.choice(found) if found else None


def _put(step: str, at: re.Match[str], text: str) -> str:
    return step[: at.start()] + text + step[at.end() :]
