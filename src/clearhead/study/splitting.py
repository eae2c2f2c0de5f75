"""Where each answer ends, what its words are, in which section it stands, and what belongs to no question.

Deliberately not here: which lines begin questions (`candidates.py`), and what frames an answer (`answer_text.py`).
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from clearhead.study.answer_text import answer_text, is_separator
from clearhead.study.mark import Mark
from clearhead.study.notes import TODO, Stray, Todo, flush
from clearhead.study.page import Page, between, next_line
from clearhead.study.wording import (
    ANSWER_LABEL,
    DRESSED_LABEL,
    TAG,
    asks,
    is_answer_label,
    is_furniture,
    is_generic,
    is_navigation,
    is_revealer,
    plain_name,
)

FOLLOWED = 0.6  # share of items that have an answer label, from which what stands before it belongs to the question
EXPLAINED = re.compile(r"(?:explanation|response|reply|example)\b", re.IGNORECASE)
LISTED = re.compile(r"[-*+][ \t]|[0-9]{1,4}[.)][ \t]")


def answer_ends(found: Page, chosen: Sequence[Mark]) -> list[int]:
    """The line behind the answer of each mark."""
    ends = []
    repeated = Counter(words.casefold() for _, words in found.headings.values())
    headings = found.heading_lines
    lines = [mark.line for mark in chosen]
    shells = sorted(found.shells) if any(mark.style.family in ("bold", "bullet-letter") for mark in chosen) else []
    numbers = {mark.line: mark.number for mark in chosen}
    starts = sorted(numbers)
    for i, mark in enumerate(chosen):
        after = bisect_left(lines, mark.after, i + 1)
        end = lines[after] if after < len(lines) else len(found.lines)
        if mark.stop is not None:
            end = min(end, mark.stop)
        end = next(iter(between(shells, mark.line + 1, end)), end)
        margin = 3 if mark.style.family == "number" else 1  # columns that are none yet
        if mark.style.level > margin and mark.style.family.startswith(("number", "bullet")):
            end = _outdented(found, mark, end)
        if mark.inline and mark.style.family.startswith("bullet"):
            end = _paragraph_end(found, mark, end)
        above = _above(found, mark, headings)
        for line in between(headings, mark.after, end):
            level, words = found.headings[line]
            if is_answer_label(words):
                continue
            if mark.style.family == "heading":
                if level == mark.style.level and repeated[words.casefold()] > 2 and is_generic(words):
                    continue
                if level <= mark.style.level:
                    end = line
                    break
                continue
            if level <= above or _opens_section(found, line, end, mark, numbers, starts):
                end = line
                break
        ends.append(end)
    return ends


def _outdented(found: Page, mark: Mark, end: int) -> int:
    """Before `end`, the line of a list that stands further left than the mark does."""
    for i in range(mark.after, end):
        line = found.lines[i].expandtabs(4)
        plain = line.lstrip()
        if plain and len(line) - len(plain) < mark.style.level and i not in found.opaque and LISTED.match(plain):
            return i
    return end


def _paragraph_end(found: Page, mark: Mark, end: int) -> int:
    """Before `end`, the line at the left that stands behind a blank one."""
    blank = False
    for i in range(mark.after, end):
        if found.lines[i].strip() and blank and not found.lines[i].startswith((" ", "\t")):
            return i
        blank = not found.lines[i].strip()
    return end


def _above(found: Page, mark: Mark, headings: Sequence[int]) -> int:
    """The level of the section that a mark stands in."""
    at = bisect_left(headings, mark.line)
    return found.headings[headings[at - 1]][0] if at else 0


def _opens_section(
    found: Page, line: int, end: int, mark: Mark, numbers: dict[int, int | None], starts: Sequence[int]
) -> bool:
    """A deeper heading is within an answer if words stand below it and the count of questions goes on behind it."""
    if is_furniture(found.headings[line][1]):
        return True
    following = next_line(found, line + 1)
    if following is None or following in found.headings or following in numbers:
        return True
    if end in numbers and mark.number is not None:
        return numbers[end] != mark.number + 1
    return False


def answer_lines(found: Page, chosen: Sequence[Mark]) -> set[int]:
    """Every line of the questions and their answers."""
    lines: set[int] = set()
    for mark, end in zip(chosen, answer_ends(found, chosen), strict=True):
        lines.update(range(mark.line, max(end, mark.after)))
        if mark.stop is not None:
            lines.add(mark.stop)
    return lines


def says_where_answers_begin(found: Page, chosen: Sequence[Mark], ends: Sequence[int]) -> bool:
    """Whether these notes say where answers begin."""
    labeled = sum(_answer_start(found, mark, end) is not None for mark, end in zip(chosen, ends, strict=True))
    return bool(chosen) and labeled >= FOLLOWED * len(chosen)


def _answer_start(found: Page, mark: Mark, end: int) -> int | None:
    """The line with an answer label or a fold that hides the answer; None where there is none."""
    inner = mark.style.family != "details"
    for i in range(mark.after, end):
        line = found.lines[i].strip()
        if not line:
            continue
        if inner and i in found.fold_at and is_revealer(found.fold_at[i].summary):
            return i
        if i in found.opaque or (line[0] in "-*+|" and line[1:2] in " -"):
            continue  # `- A: ...` is a choice
        words = TAG.sub("", line).lstrip(" *_>#")
        labeled = ANSWER_LABEL.match(words) or DRESSED_LABEL.match(line.lstrip(">#- "))
        if is_answer_label(line) or (labeled and not EXPLAINED.match(words)):
            return i
    return None


def question_and_answer(found: Page, mark: Mark, end: int, explicit: bool) -> tuple[str, str]:
    """Question and answer as text."""
    lines = list(found.lines[mark.after : end])
    question = mark.question
    if explicit and (start := _answer_start(found, mark, end)) is not None:
        before = flush([line for line in lines[: start - mark.after] if not is_navigation(line)])
        before = re.sub(r"\A(?:[-*_ ]{3,}|\s)*|(?:[-*_ ]{3,}|\s)*\Z", "", before) if before.strip("-*_ \n") else ""
        lines = lines[start - mark.after :]
        goes_on = (
            bool(before)
            and bool(found.lines[mark.after].strip())
            and "\n" not in before
            and before[0] not in "-*+|`>#$"
        )
        question = f"{question}{' ' if goes_on else chr(10) * 2}{before}" if before else question
    answer = answer_text(lines, mark.inline)
    if mark.style.family == "label" and not explicit and not answer:
        answer = ""
    if "\n" not in question and (data := _data(question, found.lines[mark.after : end], answer)):
        return f"{question}\n\n{data}", ""
    if not answer and (parted := _parted(question)):
        return parted
    return question, answer


def _data(question: str, lines: Sequence[str], answer: str) -> str:
    """The numbers that a problem is posed with: a list directly below a colon, nearly all of it equations."""
    if not question.rstrip("* ").endswith((":", "：")) or not lines or not lines[0].strip():
        return ""
    below = answer.split("\n")
    points = [line for line in below if re.match(r"[ \t]*[-*+•][ \t]", line)]
    posed = sum("=" in line or bool(re.search(r"\d", line)) for line in points)
    return answer if "" not in below and len(points) == len(below) and posed >= 0.6 * len(points) else ""


def _parted(question: str) -> tuple[str, str] | None:
    """A question whose answer stands behind it on the line."""
    at = max(question.rfind("? "), question.rfind("？"))
    tail = question[at + 1 :].strip(" -–—:")
    if at < 8 or len(tail) < 40 or asks(tail):
        return None
    return question[: at + 1], tail


def sections_above(found: Page, chosen: Sequence[Mark], ends: Sequence[int], starts: set[int]) -> list[tuple[str, ...]]:
    """The headings above each mark, without those within answers."""
    inside: set[int] = set()
    for mark, end in zip(chosen, ends, strict=True):
        inside.update(range(mark.line, end))
    stack: list[tuple[int, str]] = []
    headings = [(line, *found.headings[line]) for line in sorted(found.headings) if line not in inside]
    told = []
    at = 0
    for mark in chosen:
        while at < len(headings) and headings[at][0] < mark.line:
            _, level, words = headings[at]
            stack = [*((depth, name) for depth, name in stack if depth < level), (level, words)]
            at += 1
        level = mark.style.level if mark.style.family == "heading" else 99
        told.append(tuple(named for depth, name in stack if depth < level and (named := plain_name(name))))
    return told


def left_over(found: Page, covered: set[int], starts: set[int]) -> tuple[tuple[Todo, ...], tuple[Stray, ...]]:
    todos, stray = [], []
    headings: list[tuple[int, str]] = []
    for i, line in enumerate(found.lines):
        if i in found.headings and i not in covered:
            level, words = found.headings[i]
            headings = [*((depth, name) for depth, name in headings if depth < level), (level, words)]
        section = tuple(name for _, name in headings)
        if "TODO" in line and (todo := TODO.search(line)):
            todos.append(Todo(i + 1, todo[1].strip(), section))
        if (
            i not in covered
            and i not in found.headings
            and line.strip()
            and not is_navigation(line)
            and not is_separator(line)
        ):
            stray.append(Stray(i + 1, line.strip(), section))
    return tuple(todos), tuple(stray)
