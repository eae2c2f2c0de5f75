"""Marks of flashcard programs, of tables with a column of questions, and of folds whose summary is a question.

Obsidian, Logseq, RemNote, and definition lists.
"""

import re
from collections.abc import Iterator, Sequence

from clearhead.study.blocks import JOINED, MOST_LINES, Fold
from clearhead.study.mark import HEADING, Mark, Style, clean, without_lead
from clearhead.study.wording import (
    ABOUT_CELL,
    ANSWER_CELL,
    LONGEST,
    QUESTION_CELL,
    asks,
    is_anchor,
    is_navigation,
    is_revealer,
)

TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
GAP = re.compile(
    r"==([^=\s][^=]{0,300})==|\{\{c[0-9]+::([^{}:]{1,300})(?:::[^{}]{0,100})?\}\}|\{\{cloze ([^{}]{1,300})\}\}"
)


def card_mark(lines: Sequence[str], at: int) -> Mark | None:
    """The signs of Obsidian, Logseq, RemNote and of definition lists."""
    line = lines[at].strip()
    if "#card" in line and (found := re.search(r"[ \t]*#(?:card|flashcard)s?\b(?:[-/]\w+)*", line)):
        words = (line[: found.start()] + line[found.end() :]).strip()
        plain = re.sub(r"^(?:[-*+]|#+|\*+)[ \t]+", "", words)
        stop = nested_end(lines, at) if plain != words else _paragraph_end(lines, at)
        return _of_card(at, at + 1, plain, "", stop)
    if ">>" in line and (found := re.match(r"[-*+][ \t]+(\S.*?)[ \t]*(>>>|>>)[ \t]*(.*)", line[:LONGEST])):
        return _of_card(at, at + 1, found[1], re.sub(r"^1\.$", "", found[3]), nested_end(lines, at))
    if "::" in line and "`" not in line.partition("::")[0]:
        left, sign, right = line.partition("::")
        right = right.lstrip(":").strip()
        left = re.sub(r"^[-*+][ \t]+", "", left).strip()
        if (
            sign
            and left
            and right
            and (" " in left or line.count("::") == 1)
            and not re.search(r"\b(?:std|https?)$", left)
        ):
            return _of_card(at, at + 1, left, right, at + 1)
    following = lines[at + 1].strip() if at + 1 < len(lines) else ""
    if line in ("?", "??"):
        return None
    start = at
    if following in ("?", "??") or _ends_by_mark(lines, at):
        end = at
        while lines[end].strip() not in ("?", "??"):
            end += 1
        stop = end + 1
        while stop < min(len(lines), end + MOST_LINES) and lines[stop].strip():
            stop += 1
        words = " ".join(part.strip() for part in lines[start:end])
        return _of_card(at, end + 1, words, "", stop)
    if following.startswith((": ", ":\t")) and not line.startswith(("#", "|", ":", "-", ">")):
        stop = at + 2
        while stop < len(lines) and (lines[stop].startswith((" ", "\t", ": ")) or not lines[stop].strip()):
            stop += 1
        words = clean(line)
        return Mark(at, at + 2, Style("definition"), "", None, words, following[1:].strip(), stop, asks(words))
    return None


def gap_marks(lines: Sequence[str], opaque: set[int]) -> Iterator[Mark]:
    """Lines with words to fill in: `==words==`, `{{c1::words}}`, `{{cloze words}}`."""
    for at, line in enumerate(lines):
        if at in opaque or ("==" not in line and "{{" not in line) or len(line) > LONGEST:
            continue
        asked, n = GAP.subn("[...]", line.strip())
        if n:
            whole = GAP.sub(lambda found: f"**{next(part for part in found.groups() if part)}**", line.strip())
            plain = re.sub(r"^[-*+][ \t]+", "", asked)
            yield Mark(at, at + 1, Style("card"), "", None, plain, re.sub(r"^[-*+][ \t]+", "", whole), at + 1, True)


def _ends_by_mark(lines: Sequence[str], at: int) -> bool:
    """Whether the paragraph that begins here is followed by a line that is nothing but a question mark."""
    if at and lines[at - 1].strip():
        return False
    for i in range(at + 1, min(len(lines), at + JOINED)):
        if not lines[i].strip():
            return False
        if lines[i].strip() in ("?", "??"):
            return True
    return False


def _paragraph_end(lines: Sequence[str], at: int) -> int:
    """The blank line behind a line, or the next card."""
    end = at + 1
    while end < len(lines) and lines[end].strip() and "#card" not in lines[end]:
        end += 1
    return end


def nested_end(lines: Sequence[str], at: int) -> int:
    """The line behind what is nested below a bullet; behind a heading, its section."""
    line = lines[at].expandtabs(4)
    if found := HEADING.match(line.lstrip()):
        for i in range(at + 1, len(lines)):
            other = HEADING.match(lines[i])
            if other and len(other[1]) <= len(found[1]):
                return i
        return len(lines)
    indent = len(line) - len(line.lstrip())
    end = at + 1
    while end < len(lines):
        other_line = lines[end].expandtabs(4)
        if other_line.strip() and len(other_line) - len(other_line.lstrip()) <= indent:
            break
        end += 1
    return end


def _of_card(at: int, after: int, words: str, inline: str, stop: int) -> Mark:
    words = clean(words)
    return Mark(at, after, Style("card"), "", None, words, inline, stop, asks(words))


def table_marks(lines: Sequence[str], opaque: set[int]) -> Iterator[Mark]:
    """The rows of tables that have a column of questions."""
    at = 1
    while at < len(lines):
        if at in opaque or "-" not in lines[at] or not TABLE_RULE.fullmatch(lines[at]) or "|" not in lines[at - 1]:
            at += 1
            continue
        head = cells(lines[at - 1])
        end = at + 1
        while end < len(lines) and "|" in lines[end] and lines[end].strip():
            end += 1
        yield from _rows(lines, head, at + 1, end)
        at = end


def _rows(lines: Sequence[str], head: list[str], start: int, end: int) -> Iterator[Mark]:
    plain = [re.sub(r"[*_`]", "", cell).strip() for cell in head]
    asking = next((i for i, cell in enumerate(plain) if QUESTION_CELL.fullmatch(cell)), None)
    telling = next((i for i, cell in enumerate(plain) if ANSWER_CELL.fullmatch(cell) and i != asking), None)
    rows = [cells(lines[i]) for i in range(start, end)]
    if asking is None and telling is None and len(head) == 2 and rows:
        if sum(asks(row[0]) for row in rows if row) >= 0.6 * len(rows):
            asking, telling = 0, 1
    elif asking is None and telling:
        asking = telling - 1
    elif asking is not None and telling is None and asking + 1 < len(head):
        telling = None if ABOUT_CELL.search(plain[asking + 1]) else asking + 1
    if asking is None:
        return
    for i, row in zip(range(start, end), rows, strict=True):
        if asking >= len(row) or not row[asking] or is_anchor(row[asking]):
            continue
        answer = row[telling] if telling is not None and telling < len(row) else ""
        if is_anchor(answer):
            answer = ""
        lead, number, words = without_lead("", None, row[asking])
        yield Mark(i, i + 1, Style("table"), lead, number, clean(words), answer, i + 1, asks(words))


def cells(line: str) -> list[str]:
    r"""The cells of a row; `\|` and a bar in code do not part them.

    >>> cells(r"| a \| b | `x|y` | c |")
    ['a | b', '`x|y`', 'c']
    """
    parts, cell, code = [], "", False
    i = 0
    line = line.strip().removeprefix("|")
    while i < len(line):
        if line.startswith("\\|", i):
            cell, i = cell + "|", i + 2
            continue
        if line[i] == "`":
            code = not code and line.find("`", i + 1) != -1
        if line[i] == "|" and not code:
            parts.append(cell.strip())
            cell = ""
        else:
            cell += line[i]
        i += 1
    return [*parts, cell.strip()] if cell.strip() else parts


def fold_marks(folds: Sequence[Fold]) -> Iterator[Mark]:
    """Folds whose summary is a question."""
    for fold in folds:
        if not fold.summary or is_revealer(fold.summary) or is_anchor(fold.summary):
            continue
        lead, number, words = without_lead("", None, fold.summary.strip("* "))
        if words:
            rest = "" if is_navigation(fold.rest) else fold.rest
            yield Mark(fold.start, fold.body, Style("details"), lead, number, clean(words), rest, fold.end, asks(words))
