"""What kind of mistake a graded answer is: cut off, malformed, a near miss, or plainly wrong.

The kind is read off the answer and the expected one as they are written: no checker is asked, so it is a hint of what
to mend first, and never a part of an accuracy. It is deliberately forgiving about form and strict about content.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

from clearhead.tasks.checkers import read_number

MistakeKind = Literal["cut off", "malformed", "near miss", "wrong"]
KINDS: tuple[MistakeKind, ...] = get_args(MistakeKind)

CLOSE = 0.1  # a number within a tenth of the expected one is a near miss
EDITS = 0.2  # and so is a text that a fifth as many edits as it has characters would mend
LONG = 300  # characters; longer texts are compared word by word


def kind_of_error(entry: Mapping[str, Any]) -> MistakeKind | None:
    """The kind of mistake of one problem's entry in an `evaluate.EvalResult`; None where the answer is right.

    Without a finished solution it was cut off: by the limit of a step or a solution, or by the budget.

    >>> kind_of_error({"marks": [[9, 0, 0.1, 0]], "steps": ["=408"], "answer": "408", "expected": "418"})
    'near miss'
    """
    if entry["marks"][-1][3]:
        return None
    if entry["steps"] is None:
        return "cut off"
    answer, right = entry["answer"], entry.get("expected")
    if answer is None or not answer.strip():
        return "malformed"
    return "wrong" if right is None else _compared(answer.strip(), right.strip())


@lru_cache(maxsize=4096)  # strategies give the same wrong answers again and again
def _compared(answer: str, right: str) -> MistakeKind:
    """A wrong answer against the right one, by the form of the right one: fields, a number, or text."""
    fields = _fields(right)
    if fields is not None:
        given = _fields(answer)
        return "malformed" if given is None else _by_fields(given, fields)
    number = read_number(right)
    if number is not None:
        given_number = read_number(answer)
        if given_number is None:
            return "malformed"
        if abs(given_number[0] - number[0]) <= CLOSE * abs(number[0]):
            return "near miss"
    return "near miss" if _few_edits(answer, right) else "wrong"


def _fields(text: str) -> dict[str, Any] | None:
    """The fields of a JSON object; None for any other text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _by_fields(given: Mapping[str, Any], right: Mapping[str, Any]) -> MistakeKind:
    """A near miss has more than half of all fields that either names."""
    names = {*given, *right}
    same = sum(name in given and name in right and given[name] == right[name] for name in names)
    return "near miss" if 2 * same > len(names) else "wrong"


def _few_edits(answer: str, right: str) -> bool:
    """Do few edits make one of the other, for how long they are? A text of under five characters has no near miss."""
    a: Sequence[str] = answer
    b: Sequence[str] = right
    if max(len(a), len(b)) > LONG:
        a, b = answer.split(), right.split()
    most = int(EDITS * max(len(a), len(b)))
    return edit_distance(a, b, most) <= most


def edit_distance(a: Sequence[str], b: Sequence[str], most: int) -> int:
    """How many insertions, deletions and substitutions make b of a (Levenshtein 1966); `most` + 1 if more than that.

    O(len(a) · most) time.

    >>> edit_distance("kitten", "sitting", 5), edit_distance("kitten", "sitting", 2)
    (3, 3)
    """
    far = most + 1
    if abs(len(a) - len(b)) > most:
        return far
    row = [min(j, far) for j in range(len(b) + 1)]
    for i, x in enumerate(a, start=1):
        before, row = row, [min(i, far)] + [far] * len(b)
        for j in range(max(1, i - most), min(len(b), i + most) + 1):  # outside this band more than `most` edits are due
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != b[j - 1]), far)
        if min(row) == far:
            return far
    return row[-1]
