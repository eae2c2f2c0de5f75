"""What stands in for an answer that notes lack: the guide's, where it has one, always marked as the guide's.

Deliberately not here: how a question finds its answer in the guide (`check.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from clearhead.study.check import NEAR, PLACEHOLDERS, TAG, answers
from clearhead.study.deck import Card
from clearhead.study.notes import Item

LABELS = ("answer", "solution", "summary")
MARK = "*Not in your notes; from the guide, {place}: {question}*"
WORD = re.compile(r"\w+")
COVERED = 0.5  # share of a point's words that must have been said


def is_answered(text: str) -> bool:
    """Whether a text says anything: "Test", "TODO" and an empty fold do not.

    >>> [is_answered(text) for text in ("", "Test", "<details><summary>Answer</summary>TODO</details>", "A mean.")]
    [False, False, False, True]
    """
    words = [word.strip(".:*_").lower() for word in TAG.sub(" ", text).split()]
    words = [word for word in words if word not in LABELS]
    return bool(words) and not (len(words) <= 2 and all(word in PLACEHOLDERS or not word for word in words))


def of_guide(cards: Sequence[Card], guide: Sequence[Item]) -> list[str]:
    """For each card the guide's answer, marked as such; "" where the guide has none."""
    asked = [" ".join((*card.section[-NEAR:], card.question)) for card in cards]
    told = []
    for found in answers(asked, guide):
        if found is None:
            told.append("")
            continue
        place = f"{found.section[0]} / {found.section[-1]} {found.number}" if found.section else str(found.number)
        told.append(f"{MARK.format(place=place, question=found.question.rstrip())}\n\n{found.answer}")
    return told


def filled(cards: Sequence[Card], guide: Sequence[Item]) -> list[Card]:
    """The cards, those without an answer with the guide's where it has one."""
    empty = [card for card in cards if not is_answered(card.answer)]
    told = dict(zip((card.id for card in empty), of_guide(empty, guide), strict=True))
    return [replace(card, answer=told[card.id]) if told.get(card.id) else card for card in cards]


def points(answer: str) -> list[str]:
    """The single claims of an answer: its list items, else its sentences; without code.

    >>> points("It is a mean. It decays!\\n- one\\n- two")
    ['It is a mean.', 'It decays!', 'one', 'two']
    """
    found: list[str] = []
    for block in re.split(
        r"\n(?=[ \t]*(?:[-*+]|\d+[.)])[ \t])|\n[ \t]*\n", re.sub(r"```.*?```", "", answer, flags=re.DOTALL)
    ):
        plain = " ".join(re.sub(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+", "", block).split())
        found += [part for part in re.split(r"(?<=[.!?。])\s+(?=[A-Z\d\u3000-\uffff])", plain) if WORD.search(part)]
    return found


def covered(typed: str, answer: str) -> list[tuple[str, bool]]:
    """Each claim of an answer, and whether most of its words were typed."""
    said = {_stem(word) for word in WORD.findall(typed.lower())}
    told = []
    for point in points(answer):
        words = {_stem(word) for word in WORD.findall(point.lower()) if len(word) > 3 or not word.isascii()}
        told.append((point, bool(words) and len(words & said) >= COVERED * len(words)))
    return told


def _stem(word: str) -> str:
    return word[:5]
