"""Numbered lines and bullets: which of them belong together, and which lists are lists of questions.

Deliberately not here: whether such a list is the style of the notes (`candidates.py`).
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from clearhead.study.mark import Mark, Style
from clearhead.study.page import Page, between

LONGEST_LIST = 100  # lines of a numbered list within an answer
FOLLOWUPS = 0.8  # share of questions from which bullets within bullets are questions too
LISTED_SHARE = 0.6  # share of questions from which a list is one of questions, some of them only named
TOPIC = 80  # characters of such a name


def candidate_styles(found: Page, marks: Sequence[Mark]) -> list[Style]:
    """The candidate that each mark belongs to: bullets are told apart by their depth, which counts from the first
    that ask in their section, since one section may stand further right than another."""
    styles = [_group(mark) for mark in marks]
    first: dict[int, Style] = {}
    for mark, style in zip(marks, styles, strict=True):
        if style.family == "bullet" and mark.asks:
            section = bisect_left(found.heading_lines, mark.line)
            first[section] = min(first.get(section, style), style)
    common = Counter(first.values()).most_common(1)
    return [
        common[0][0]
        if style.family == "bullet" and first.get(bisect_left(found.heading_lines, mark.line)) == style
        else style
        for mark, style in zip(marks, styles, strict=True)
    ]


def _group(mark: Mark) -> Style:
    level = mark.style.level if mark.style.family.startswith(("heading", "number", "bullet")) else 0
    if mark.style.family == "number":
        level = 0 if level < 4 else level
    elif mark.style.family.startswith("bullet"):
        level = 0 if level < 2 else level
    return Style(mark.style.family, level)


def of_one_sign(found: Page, group: list[Mark]) -> list[Mark]:
    """Of numbered lines, those with the sign that nearly all have, `1)` or `1.`, and others that ask."""
    if group[0].style.family != "number":
        return group
    signs = [found.lines[mark.line].lstrip("( 0123456789０１２３４５６７８９\\")[:1] for mark in group]
    sign, n = Counter(signs).most_common(1)[0]
    if n < 0.8 * len(group):
        return group
    return [mark for mark, own in zip(group, signs, strict=True) if own == sign or mark.asks]


def thread(found: Page, group: list[Mark]) -> list[Mark]:
    """Of numbered lines, those of the outer list: a list within an answer begins again at 1 before the next heading."""
    if group[0].style.family != "number":
        return group
    kept: list[Mark] = []
    start = 0
    cuts = [i for i in range(1, len(group)) if _heading_between(found, group[i - 1].line, group[i].line)]
    for end in [*cuts, len(group)]:
        kept += _outer(group[start:end])
        start = end
    return kept


def _outer(run: Sequence[Mark]) -> list[Mark]:
    """The main thread of one section: after `n` comes `n + 1`; what lies between and asks nothing is an inner list."""
    kept: list[Mark] = []
    asking = [i for i, mark in enumerate(run) if mark.asks]
    at = 0
    while at < len(run):
        mark = run[at]
        last = kept[-1].number if kept else None
        if last is None or mark.number is None or mark.number == last + 1 or mark.number > last or mark.asks:
            kept.append(mark)
            at += 1
            continue
        ahead = next((i for i in _going_on(run, at, last + 1) if _ends_run(run, at, i)), None)
        if ahead is None:
            if asking and asking[0] < at and asking[-1] < at:
                break  # nothing asks any more: what is left is a list within the last answer
            kept.append(mark)
            at += 1
        else:
            kept += [one for one in run[at:ahead] if one.asks and not run[ahead].asks]
            at = ahead
    return kept


def _going_on(run: Sequence[Mark], at: int, number: int) -> Iterator[int]:
    """Where the number stands that is due, before a question of another number."""
    for i in range(at, min(len(run), at + LONGEST_LIST)):
        if run[i].number == number:
            yield i
        if run[i].asks:
            return


def _ends_run(run: Sequence[Mark], start: int, end: int) -> bool:
    """Whether the lines from `start` count 1, 2, 3 and the one at `end` does not go on with that."""
    before = run[end - 1].number
    after = run[end + 1].number if end + 1 < len(run) else None
    goes_on = before is not None and run[end].number == before + 1
    return end > start and (not goes_on or run[end].asks or after == 1)


def _heading_between(found: Page, first: int, last: int) -> bool:
    return bool(between(found.heading_lines, first + 1, last))


def _lists(found: Page) -> dict[int, tuple[int, int]]:
    """Of each bullet its section and the line of the bullet that it is nested in, -1 where there is none."""
    told: dict[int, tuple[int, int]] = {}
    above: list[Mark] = []
    last = 0
    for mark in found.marks:
        if not mark.style.family.startswith("bullet"):
            continue
        section = bisect_left(found.heading_lines, mark.line)
        above = [other for other in above if section == last and other.style.level < mark.style.level]
        told[mark.line] = section, above[-1].line if above else -1
        above.append(mark)
        last = section
    return told


def asking_sections(found: Page, group: Sequence[Mark]) -> list[Mark]:
    """Of bullets, those of lists where most of them ask: an introduction and a list of sources do not."""
    lists: dict[tuple[int, int], list[Mark]] = defaultdict(list)
    list_of = _lists(found)
    for mark in group:
        lists[list_of[mark.line]].append(mark)
    most = [_with_topics(marks) for marks in lists.values() if sum(mark.asks for mark in marks) >= 0.5 * len(marks)]
    return sorted((mark for marks in most for mark in marks), key=lambda mark: mark.line)


def _with_topics(marks: Sequence[Mark]) -> list[Mark]:
    """A list of questions in which some are only named, "Metaclasses", with these marked as being among questions.

    Where questions and answers alternate no two questions are neighbors, and what asks nothing has whole sentences.
    """
    asking = sum(mark.asks for mark in marks)
    neighbors = any(one.asks and other.asks for one, other in pairwise(marks))
    named = [mark for mark in marks if not mark.asks]
    short = all(len(mark.question) < TOPIC and not mark.question.endswith((".", "。", ";")) for mark in named)
    if len(marks) < 5 or asking < LISTED_SHARE * len(marks) or not neighbors or not short:
        return list(marks)
    return [mark if mark.asks else replace(mark, among=True) for mark in marks]


def with_followups(found: Page, chosen: Sequence[Mark], deeper: Sequence[Sequence[Mark]]) -> list[Mark]:
    """With the questions that are nested directly below questions, where most of what is nested there asks."""
    kept = list(chosen)
    list_of = _lists(found)
    for group in sorted(deeper, key=lambda group: group[0].style.level):
        lines = {mark.line for mark in kept}
        below = [m for m in group if m.style.family == "bullet" and list_of[m.line][1] in lines]
        if sum(mark.asks for mark in below) >= FOLLOWUPS * len(below):
            kept += [mark for mark in below if mark.asks]
    return sorted(kept, key=lambda mark: mark.line)


def is_nested(found: Page, mark: Mark) -> bool:
    """Whether the next line is indented below the mark's."""
    line = found.lines[mark.after].expandtabs(4) if mark.after < len(found.lines) else ""
    return bool(line.strip()) and len(line) - len(line.lstrip()) > mark.style.level
