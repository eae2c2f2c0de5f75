"""The lines of notes that may begin a question, each with the style in which it does so.

A line is looked at once: what stands before its words (a heading's signs, a list's sign, a number, a label, emphasis)
is its style, the rest is the question. Code, mathematics, comments and folds hold no marks but the folds themselves.
Deliberately not here: which of the styles is the one of these notes (`candidates.py`).
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clearhead.study.blocks import JOINED, Fold, Front, mark_setext, opaque_lines, prepared
from clearhead.study.cards import card_mark, fold_marks, gap_marks, table_marks
from clearhead.study.glossary import glossary_marks
from clearhead.study.mark import (
    BOLD,
    CJK_NUMBER,
    DIGITS,
    HEADING,
    NUMBER,
    ROMAN,
    Mark,
    Style,
    clean,
    is_bare_label,
    is_only_lead,
    unlabeled,
    without_lead,
)
from clearhead.study.wording import (
    ANSWER_LABEL,
    LONGEST,
    MARKS,
    QUESTION_LABEL,
    TAG,
    asks,
    is_anchor,
    is_answer_label,
    is_navigation,
    opens_question,
    sets_task,
)

DEEPEST = 9  # level of a heading
BULLET = re.compile(r"[-*+•●▪◦➤➢][ \t]+(?:\[[ xX]\][ \t]+)?")
HTML_HEADING = re.compile(r"[ \t]*<h([1-6])\b[^<>]*>(.*?)</h\1>[ \t]*", re.IGNORECASE)
SHELL = re.compile(r" {0,3}(?:#{1,6} )?\*\*\(?[0-9]{1,4}[.):]?\*\*[.):]?[ \t]*")
OPENED = re.compile(r"(?:<(?:a|p|font|span)\b[^<>]*>[ \t]*(?:</a>)?[ \t]*)+", re.IGNORECASE)
BOLD_TAG = re.compile(r"<(b|strong)>(.*?)</\1>", re.IGNORECASE)
SIGNS = re.compile("^[\U0001f300-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f]+[ \t]*(?=\\S)")
ANSWER_WITHIN = re.compile(r"[ \t](?:\*\*|__)?(?:A|Ans|Answer)[:：](?:\*\*|__)?[ \t]")
RUN = 3  # lines that ask, from which they are a list
SHORT = 40  # characters of the name of a part
DEEP = 40  # columns from which nothing is looked at


@dataclass(frozen=True)
class Page:
    """Lines with all that is known of them before any style is chosen."""

    lines: tuple[str, ...]
    opaque: frozenset[int]  # lines in code, mathematics, folds
    headings: dict[int, tuple[int, str]]  # line -> (level, words)
    folds: tuple[Fold, ...]
    marks: tuple[Mark, ...]
    shells: frozenset[int]  # lines with a number and nothing else, above questions that have letters
    front: Front
    above: tuple[tuple[int, ...], ...]  # at index n, the lines of all headings of level n or less, in order

    fold_at: dict[int, Fold]  # by their first line

    @property
    def heading_lines(self) -> tuple[int, ...]:
        return self.above[-1]


def page(text: str) -> Page:
    """Look at every line once."""
    lines, front = prepared(text)
    opaque, folds = opaque_lines(lines)
    mark_setext(lines, opaque)
    for i, line in enumerate(lines):
        if i not in opaque and "<h" in line.lower() and (found := HTML_HEADING.fullmatch(line[: 2 * LONGEST])):
            lines[i] = f"{'#' * int(found[1])} {TAG.sub('', found[2]).strip()}"
    headings = {}
    marks: list[Mark] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if at in opaque or not line.strip() or len(line) > 50 * LONGEST:
            at += 1
            continue
        if _names_a_part(lines, at):
            headings[at] = (DEEPEST, line.strip())
        elif (found := HEADING.match(line)) and _is_heading(line):
            headings[at] = (len(found[1]), re.sub(r"[ \t]#+[ \t]*$", "", found[2]).strip())
        mark = _mark(lines, at, opaque)
        if mark is not None:
            marks.append(mark)
            at = max(at + 1, mark.after)
        else:
            at += 1
    marks += table_marks(lines, opaque)
    marks += fold_marks(folds)
    marks += glossary_marks(lines, opaque, headings)
    if front.tagged or any(mark.style.family == "card" for mark in marks):
        marks += gap_marks(lines, opaque)
    shells = frozenset(i for i, line in enumerate(lines) if i not in opaque and SHELL.fullmatch(line))
    ordered = tuple(sorted(marks, key=_place))
    levels = tuple(tuple(line for line, (level, _) in headings.items() if level <= n) for n in range(DEEPEST + 1))
    return Page(
        lines=tuple(lines),
        opaque=frozenset(opaque),
        headings=headings,
        folds=tuple(folds),
        marks=ordered,
        shells=shells,
        front=front,
        above=levels,
        fold_at={fold.start: fold for fold in folds},
    )


def _place(mark: Mark) -> tuple[int, int]:
    return mark.line, -mark.after


def _is_heading(line: str) -> bool:
    """`#tag` is none, `##Words` is a sloppy one."""
    found = HEADING.match(line)
    assert found is not None
    return line[len(found[1]) : len(found[1]) + 1] in (" ", "\t") or (len(found[1]) > 1 and bool(found[2].strip()))


def _mark(lines: Sequence[str], at: int, opaque: set[int]) -> Mark | None:
    """What question may begin in this line."""
    line = lines[at].expandtabs(4)
    indent = len(line) - len(line.lstrip())
    rest = line.strip()
    if indent > DEEP or (rest[0] in "|<" and not re.match(r"<(?:b|strong|a|p|font|span)\b", rest, re.IGNORECASE)):
        return card_mark(lines, at) if rest[0] not in "|<" else None
    card = card_mark(lines, at)
    if card is not None:
        return card
    if rest[0] == ">" and (quoted := rest.lstrip("> \t"))[:2] in ("**", "Q:", "Q1", "Q.") and asks(quoted):
        rest = quoted
    if rest[0].isalpha() and not QUESTION_LABEL.match(rest) and not CJK_NUMBER.match(rest) and not is_bare_label(rest):
        return _paragraph_mark(lines, at, indent)
    if rest[0] == "<":
        rest = OPENED.sub("", rest)
        rest = BOLD_TAG.sub(r"**\2**", rest)
    begun = _signs(rest, indent)
    emphasized = None if begun is None else _emphasized(lines, at, begun.rest, begun.family)
    if begun is None or emphasized is None:
        return None
    family, level, number = begun.family, begun.level, begun.number
    rest, after, inline, bold = emphasized
    if bold and not family:
        family = "bold"
    if family == "bullet" and (found := ROMAN.match(rest)) and rest[found.end() :].strip():
        family, rest = "bullet-letter", rest[found.end() :].strip()
    elif family == "bullet" and bold:
        family = "bullet-bold"
    lead, number, rest = without_lead("n" if number is not None else "", number, rest)
    if not family and lead == "Q":
        family = "label"
    if not rest and lead == "n" and (bold or family == "heading") and SHELL.fullmatch(lines[at]):
        return None
    if (lead == "Q" and not rest) or is_bare_label(rest):
        following = _paragraph(lines, after, opaque)
        if following is None:
            return None
        first, after = following
        found_number = re.search(r"\d+", rest) if rest else None
        rest, lead = first, "Q"
        number = number if number is not None else int(found_number[0]) if found_number else None
        family = family or "label"
    if not family:
        return _paragraph_mark(lines, at, indent)
    if family == "bullet" and (linked := re.fullmatch(r"\[([^\[\]]{3,})\]\(#?[^()]*\)", rest)) and is_anchor(rest):
        lead, number, rest = without_lead("", None, linked[1].strip())
        return Mark(at, after, Style("bullet-link", level), lead, number, clean(rest), "", None, asks(rest))
    if _says_nothing(family, lead, rest):
        return None
    if lead == "Q" and not inline and (told := ANSWER_WITHIN.search(rest[: 50 * LONGEST])):
        rest, inline = rest[: told.start()].rstrip(), rest[told.end() :].strip()
    if family in ("number", "label", "bullet") and not bold:
        rest, after = _continued(lines, at, rest, after, opaque)
    return Mark(at, after, Style(family, level), lead, number, clean(rest), inline, None, asks(rest))


class _Begun(NamedTuple):
    """What stands before the words of a line, and the words."""

    family: str  # heading, number, bullet or ""
    level: int
    number: int | None
    rest: str


def _signs(rest: str, indent: int) -> _Begun | None:
    """Take off the signs of a list and of a heading, and pictures; None where nothing but a number is left."""
    family, level, number = "", 0, None
    if found := BULLET.match(rest):
        family, level, rest = "bullet", indent, rest[found.end() :]
    elif found := NUMBER.match(rest):
        family, level, number, rest = "number", indent, int(found[1].translate(DIGITS)), rest[found.end() :]
        if rest and not re.sub(r"[\W\d]", "", rest):
            return None
    if (found := HEADING.match(rest)) and (rest[len(found[1]) : len(found[1]) + 1] in " \t" or len(found[1]) > 1):
        family, level, rest = "heading", len(found[1]), re.sub(r"[ \t]#+[ \t]*$", "", found[2]).strip()
    if rest[:1] == "<":
        rest = OPENED.sub("", rest).strip()
    if not rest.isascii():
        rest = SIGNS.sub("", rest) or rest
    return _Begun(family, level, number, rest)


def _emphasized(lines: Sequence[str], at: int, rest: str, family: str) -> tuple[str, int, str, bool] | None:
    """(words, the line behind them, an answer behind them, whether the words are bold); None where nothing is."""
    opening = BOLD.match(rest)
    if opening is None:
        return rest, at + 1, "", False
    sign, after = opening[1], at + 1
    while sign not in rest[len(sign) :] and after < min(len(lines), at + JOINED) and lines[after].strip():
        rest, after = f"{rest} {lines[after].strip()}", after + 1
    inner, closed, tail = rest[len(sign) :].partition(sign)
    inner, tail = inner.strip(), tail.strip()
    if not closed:
        return rest, at + 1, "", False
    if not inner:
        return None
    if is_only_lead(inner):
        return f"{inner} {tail}".strip(), after, "", True
    if not re.sub(r"[\W_]", "", tail) or re.fullmatch(r"[(\[].{0,300}[)\]]", tail):
        return f"{inner} {tail}".strip() if tail and tail[0] not in ".:" else inner + tail, after, "", True
    parted = family in ("number", "bullet") and tail[:1] in (*"-–—:", *MARKS)
    if asks(inner) and (parted or inner[-1:] in (*MARKS, ":")):
        return inner, after, tail.lstrip("-–—: \t"), True
    return rest, after, "", False


def _says_nothing(family: str, lead: str, rest: str) -> bool:
    """A label of an answer, a link or a picture alone, navigation."""
    if not rest or is_answer_label(rest) or (ANSWER_LABEL.match(rest) and not asks(rest) and family != "heading"):
        return True
    if (is_anchor(rest) and family != "heading") or is_navigation(rest):
        return True
    listed = family.startswith(("bullet", "number")) and lead != "Q"
    return listed and re.fullmatch(r"!?\[[^\[\]]*\]\([^()]*\)[.;,]?", rest) is not None


def _paragraph(lines: Sequence[str], at: int, opaque: set[int]) -> tuple[str, int] | None:
    """The words of the next paragraph, and the line behind it."""
    while at < len(lines) and not lines[at].strip():
        at += 1
    start = at
    while at < len(lines) and lines[at].strip() and at not in opaque and at - start < JOINED:
        if HEADING.match(lines[at]) or is_answer_label(lines[at]) or ANSWER_LABEL.match(lines[at].strip(" *_>")):
            break
        at += 1
    words = " ".join(line.strip(" >\t") for line in lines[start:at])
    return (unlabeled(words), at) if words else None


def _continued(lines: Sequence[str], at: int, rest: str, after: int, opaque: set[int]) -> tuple[str, int]:
    """A question over several lines: no sentence ends in its first, and the paragraph ends by a question mark."""
    if rest.rstrip(" *_`")[-1:] in (*MARKS, ".", ":", "!", "。", "："):
        return rest, after
    end = after
    joined = [rest]
    while end < min(len(lines), after + JOINED) and lines[end].strip() and end not in opaque:
        words = lines[end].strip()
        if re.match(r"[-*+>|#<$!]|[0-9]{1,4}[.)]", words) or ANSWER_LABEL.match(words):
            break
        joined.append(words)
        end += 1
        if words.rstrip(" *_")[-1:] in MARKS:
            nothing = end >= len(lines) or not lines[end].strip() or ANSWER_LABEL.match(lines[end].strip())
            return (" ".join(joined), end) if nothing else (rest, after)
    return rest, after


def _paragraph_mark(lines: Sequence[str], at: int, indent: int) -> Mark | None:
    """A line of its own that ends by a question mark, or that is a task."""
    words = lines[at].strip()
    above = lines[at - 1].strip() if at else ""
    alone = not above or HEADING.match(lines[at - 1]) is not None
    if not alone and words[0].isupper() and (at + 1 == len(lines) or not lines[at + 1].strip()):
        titled = len(above) < 60 and (at < 2 or not lines[at - 2].strip())
        alone = (above[-1] in ".!:。" or titled) and opens_question(words)
    asking = _ends_asking(lines, at)
    among = _in_a_run(lines, at)
    if not asking and (among or at + 1 == len(lines) or not lines[at + 1].strip()):
        asking = sets_task(words)
    alone = alone or among
    if indent > 3 or not alone or not asking or len(words) > 300 or words[0] in ">!`$|:":
        return None
    return Mark(at, at + 1, Style("paragraph"), "", None, clean(words), "", None, True, among)


def _ends_asking(lines: Sequence[str], at: int) -> bool:
    return 0 <= at < len(lines) and lines[at].rstrip("*_ \t").endswith(tuple(MARKS))


def _in_a_run(lines: Sequence[str], at: int) -> bool:
    """Whether a line stands among others that ask, with no blank lines between: a list of questions without signs."""
    start = next((i + 1 for i in range(at - 1, at - RUN - 1, -1) if i < 0 or not lines[i].strip()), at - RUN)
    end = next((i for i in range(at + 1, at + RUN + 1) if i >= len(lines) or not lines[i].strip()), at + RUN + 1)
    marked = sum(_ends_asking(lines, i) for i in range(start, end))
    return marked >= 2 and marked + sum(sets_task(lines[i].strip()) for i in range(start, end)) >= RUN


def _names_a_part(lines: Sequence[str], at: int) -> bool:
    """A few words between two and two lines that ask: the name of the part of such a list that follows."""
    around = all(_ends_asking(lines, at + step) for step in (-1, 1)) and all(
        _ends_asking(lines, i) or sets_task(lines[i].strip()) for i in (at - 2, at + 2) if 0 <= i < len(lines)
    )
    words = lines[at].strip()
    return around and len(words) < SHORT and words[0].isupper() and words[-1].isalnum() and not sets_task(words)


def next_line(found: Page, at: int) -> int | None:
    for i in range(at, min(len(found.lines), at + 60)):
        if (
            found.lines[i].strip()
            and not is_navigation(found.lines[i])
            and not re.fullmatch(r"[-*_ ]{3,}", found.lines[i].strip())
        ):
            return i
    return None


def section_end(found: Page, line: int, level: int) -> int:
    lines = found.above[min(level, len(found.above) - 1)]
    at = bisect_right(lines, line)
    return lines[at] if at < len(lines) else len(found.lines)


def between(headings: Sequence[int], start: int, end: int) -> Sequence[int]:
    return headings[bisect_left(headings, start) : bisect_left(headings, end)]


def has_body(found: Page, mark: Mark) -> bool:
    following = next_line(found, mark.after)
    return bool(mark.inline) or (following is not None and following not in found.headings)
