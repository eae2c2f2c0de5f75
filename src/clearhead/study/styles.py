"""Notes of any style: how their questions are marked is found out from the whole file, then the file is split there.

Lines that are marked alike are one candidate. It is the better the more of its lines have the form of questions and
the more of them there are; lines within the answer of a better candidate say nothing. What else has the form of
questions, and stands outside of all answers, is taken too. Deliberately not here: what a line is (`marks.py`).
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from clearhead.study.answer_text import answer_text, is_separator
from clearhead.study.marks import MARKS, TABLE_RULE, Mark, Page, Style, page
from clearhead.study.notes import TODO, Item, Notes, Stray, Todo, flush
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

FAMILIES = ("heading", "bold", "number", "bullet", "label", "details", "table", "card", "definition", "paragraph")
GOOD = 0.5  # quality from which a candidate is the style of the notes
ALIKE = 0.75  # share of questions from which lines of a second style are taken too
LONGEST_LIST = 100  # lines of a numbered list within an answer
FOLLOWUPS = 0.8  # share of questions from which bullets within bullets are questions too
FOLLOWED = 0.6  # share of items that have an answer label, from which what stands before it belongs to the question
EXPLAINED = re.compile(r"(?:explanation|response|reply|example)\b", re.IGNORECASE)
LINK = re.compile(r"[ \t]*[-*+][ \t]+(?:\[[ xX]\][ \t]+)?\[")
LISTED = re.compile(r"[-*+][ \t]|[0-9]{1,4}[.)][ \t]")
TASKS = 0.6  # share of paragraphs with a question mark from which tasks are taken beside them
LISTED_SHARE = 0.6  # share of questions from which a list is one of questions, some of them only named
TOPIC = 80  # characters of such a name
SHORT = 2000  # characters of a file that may be one card of a question, a rule and an answer


@dataclass(frozen=True)
class Seen:
    """What was found in notes. `doubtful`: (line, question) taken that have no form of a question.
    `inside`: (line, words) that have one and were left within answers."""

    notes: Notes
    styles: tuple[tuple[str, int], ...]  # how questions are written, and how many
    doubtful: tuple[tuple[int, str], ...]
    inside: tuple[tuple[int, str], ...]


def recognize(text: str, family: str = "") -> Seen:
    r"""Read notes in the style that they have, or in the one that is asked for; no items where there is none.

    >>> seen = recognize("### Q: What barks?\n\nA dog.\n\n### Q: What has a trunk?\n\nAn elephant.\n")
    >>> seen.styles, [(item.question, item.answer) for item in seen.notes.items]
    ((('### Q: ...', 2),), [('What barks?', 'A dog.'), ('What has a trunk?', 'An elephant.')])
    """
    found = page(text)
    if found.asked and family in ("", "card") and not any(mark.lead and mark.asks for mark in found.marks):
        answer = answer_text(found.lines)
        return Seen(
            Notes("", (Item((), 1, found.asked, answer, 1),), (), ()), (("question in the front matter", 1),), (), ()
        )
    chosen = _chosen(found, family)
    if not chosen and family in ("", "card") and (one := _one_card(found)):
        return Seen(one, (("question, ---, answer", 1),), (), ())
    return _split(found, chosen)


def _chosen(found: Page, family: str) -> list[Mark]:
    """The marks that begin questions."""
    marks = [mark for mark in found.marks if mark.style.family.startswith(family) and mark.question]
    marks = [mark for mark in marks if not (mark.style.family == "heading" and is_furniture(mark.question))]
    marks = _without_furniture(found, marks)
    marks = _without_contents(found, marks)
    asking = [mark.line for mark in marks if mark.asks]
    tables = {mark.line for mark in marks if mark.style.family == "table"}
    by_style: dict[Style, list[Mark]] = defaultdict(list)
    for mark, style in zip(marks, _styles(found, marks), strict=True):
        by_style[style].append(mark)
    groups = {style: _thread(found, _of_one_sign(found, group)) for style, group in by_style.items()}
    groups = {style: kept for style, group in groups.items() if (kept := _of_one_kind(found, group, asking, tables))}
    inner = _below_questions(found, groups)
    values = {
        style: _value(
            found, [mark for mark in group if mark.line not in inner or style.family == "table"], bool(family)
        )
        for style, group in groups.items()
    }
    if not values or max(values.values()) <= 0:
        return _topics(found, groups) if not family or family == "heading" else []
    best = max(values, key=lambda style: (values[style], -style.level))
    chosen = [m for m in groups[best] if m.asks or m.among or best.family != "bullet" or _is_nested(found, m)]
    if best.family == "heading" and sum(mark.lead == "Q" for mark in chosen) >= 0.5 * len(chosen):
        labeled = [mark for mark in marks if mark.style.family == "heading" and mark.lead == "Q"]
        chosen = sorted({mark.line: mark for mark in (*chosen, *labeled)}.values(), key=lambda mark: mark.line)
    elif best.family == "heading" and len(chosen) < 3 and not family:
        topics = _topics(found, groups)
        if not any(mark.lead for mark in chosen) and len(topics) >= 3 * len(chosen):
            return topics
    if 2 * sum(mark.lead == "Q" for mark in chosen) >= len(chosen):
        chosen = _counted_on(chosen, marks)
    if best.family == "bullet":
        chosen = _with_followups(found, chosen, [group for style, group in groups.items() if style.level > best.level])
    others = sorted((style for style in groups if style != best), key=lambda style: -values[style])
    taken = _answers(found, chosen)
    for style in others:
        group = groups[style]
        sure = style.family in ("card", "definition") or sum(mark.asks for mark in group) >= ALIKE * len(group)
        if style.family in ("bullet", "bullet-bold") or (not sure and style.family in ("number", "bold", "heading")):
            sure = sure or style.family != "bullet"
            group = [mark for mark in group if _marked(mark)]
        if not sure or (style.family == "paragraph" and best.family not in ("bold", "label")):
            continue
        free = [mark for mark in group if mark.asks or style.family == "card"]
        free = [mark for mark in free if mark.line not in taken and not found.lines[mark.line].startswith(">")]
        telling = style.family in ("heading", "details", "label", "card", "table", best.family)
        if len(free) >= (1 if telling or any(mark.lead == "Q" for mark in free) else 2):
            chosen = sorted([*chosen, *free], key=lambda mark: mark.line)
            taken = _answers(found, chosen)
    return chosen


def _without_furniture(found: Page, marks: Sequence[Mark]) -> list[Mark]:
    """Without what is listed below "Contributing", "References" and the like and asks nothing."""
    parts: set[int] = set()
    for line, (level, words) in found.headings.items():
        if is_furniture(words):
            parts.update(range(line + 1, _section_end(found, line, level)))
    listed = ("number", "bullet")
    return [m for m in marks if _marked(m) or m.line not in parts or not m.style.family.startswith(listed)]


def _marked(mark: Mark) -> bool:
    """Whether it ends by a question mark."""
    return mark.question.rstrip("* ")[-1:] in MARKS


def _with_followups(found: Page, chosen: Sequence[Mark], deeper: Sequence[Sequence[Mark]]) -> list[Mark]:
    """With the questions that are nested directly below questions, where most of what is nested there asks."""
    kept = list(chosen)
    list_of = _lists(found)
    for group in sorted(deeper, key=lambda group: group[0].style.level):
        lines = {mark.line for mark in kept}
        below = [m for m in group if m.style.family == "bullet" and list_of[m.line][1] in lines]
        if sum(mark.asks for mark in below) >= FOLLOWUPS * len(below):
            kept += [mark for mark in below if mark.asks]
    return sorted(kept, key=lambda mark: mark.line)


def _counted_on(chosen: Sequence[Mark], marks: Sequence[Mark]) -> list[Mark]:
    """With labeled questions of another style, whose number is the next one: `### Q1`, `### Q2`, then `Q3.`"""
    kept: list[Mark] = []
    lines = {mark.line for mark in chosen}
    for mark in sorted({*chosen, *(mark for mark in marks if mark.lead == "Q" and mark.asks)}, key=lambda m: m.line):
        last = kept[-1].number if kept else None
        if mark.line in lines or (last is not None and mark.number == last + 1):
            kept.append(mark)
    return kept


def _without_contents(found: Page, marks: Sequence[Mark]) -> list[Mark]:
    """Without tables of contents: links that repeat a question of below, or that have nothing below them, and lists
    with the labels of headings further down."""
    labels = {m.number: m.line for m in marks if m.style.family == "heading" and m.lead == "Q" and m.number is not None}
    marks = [
        mark
        for mark in marks
        if mark.style.family == "heading"
        or mark.lead != "Q"
        or mark.number is None
        or labels.get(mark.number, -1) <= mark.line
    ]
    last: dict[str, int] = {}
    for mark in marks:
        last[mark.question.casefold()] = mark.line
    kept = [
        mark
        for mark in marks
        if mark.style.family != "bullet-link" or (mark.asks and last[mark.question.casefold()] == mark.line)
    ]
    links = [mark for mark in kept if mark.style.family == "bullet-link"]
    told = sum((at := _next_line(found, mark.after)) is not None and not _is_link(found.lines[at]) for mark in links)
    return kept if told >= 0.2 * len(links) else [mark for mark in kept if mark.style.family != "bullet-link"]


def _is_link(line: str) -> bool:
    return LINK.match(line) is not None or line.startswith(("#", "**", "---"))


def _styles(found: Page, marks: Sequence[Mark]) -> list[Style]:
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


def _of_one_sign(found: Page, group: list[Mark]) -> list[Mark]:
    """Of numbered lines, those with the sign that nearly all have, `1)` or `1.`, and others that ask."""
    if group[0].style.family != "number":
        return group
    signs = [found.lines[mark.line].lstrip("( 0123456789０１２３４５６７８９\\")[:1] for mark in group]
    sign, n = Counter(signs).most_common(1)[0]
    if n < 0.8 * len(group):
        return group
    return [mark for mark, own in zip(group, signs, strict=True) if own == sign or mark.asks]


def _thread(found: Page, group: list[Mark]) -> list[Mark]:
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
    return bool(_between(found.heading_lines, first + 1, last))


def _of_one_kind(found: Page, group: list[Mark], asking_lines: Sequence[int], tables: set[int]) -> list[Mark]:
    """Without what only looks alike: where most are numbered or labeled, the others must be questions by their form,
    and so must bold lines; headings that only hold others are sections."""
    family = group[0].style.family
    led = [mark for mark in group if mark.lead]
    asking = sum(mark.asks for mark in group)
    if len(led) >= 0.5 * len(group):
        asking_led = sum(mark.asks for mark in led)
        group = [mark for mark in group if mark.lead or (mark.asks and asking_led >= 0.3 * len(led))]
    elif led and family == "label":
        group = led
    elif family == "bold" and asking >= 0.5 * len(group):
        group = [mark for mark in group if mark.asks or mark.lead]
    if family == "details":
        group = _asking_folds(group)
    if family == "paragraph":
        tasks = sum(_marked(mark) for mark in group) >= TASKS * len(group)
        group = [mark for mark in group if _marked(mark) or (tasks and _has_body(found, mark))]
    if family == "bullet" and len(led) >= 3 and sum(mark.asks for mark in led) >= ALIKE * len(led):
        group = led
    elif family == "bullet":
        group = _asking_sections(found, group)
    if family == "heading":
        title = next(iter(found.headings), None)
        group = [mark for mark in group if mark.lead or not is_generic(mark.question)]
        group = _without_overviews(found, group)
        group = [mark for mark in group if not _is_section(found, mark, asking_lines, tables)]
        if len(group) == 1 and group[0].line == title and group[0].style.level == 1 and not group[0].lead:
            group = group if asking_lines == [title] else []
    return group


def _asking_folds(group: Sequence[Mark]) -> list[Mark]:
    """Of folds within each other: one that holds questions is a section, one within a question's is of its answer."""
    asking = [mark for mark in group if mark.asks or mark.lead == "Q"]
    held = {line for mark in asking for line in range(mark.line + 1, mark.stop or mark.line)}
    starts = sorted(mark.line for mark in asking)
    return [
        mark
        for mark in group
        if mark in asking or (mark.line not in held and not _between(starts, mark.line + 1, mark.stop or mark.line))
    ]


def _asking_sections(found: Page, group: Sequence[Mark]) -> list[Mark]:
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


def _without_overviews(found: Page, group: Sequence[Mark]) -> list[Mark]:
    """Of headings that mostly ask, without the one or two of a section in which none does."""
    if sum(mark.asks for mark in group) < 0.6 * len(group):
        return list(group)
    sections: dict[int, list[Mark]] = defaultdict(list)
    for mark in group:
        above = found.above[max(0, mark.style.level - 1)]
        sections[bisect_left(above, mark.line)].append(mark)
    kept = [marks for marks in sections.values() if len(marks) > 2 or any(mark.asks or mark.lead for mark in marks)]
    return [mark for marks in kept for mark in marks]


def _is_section(found: Page, mark: Mark, asking: Sequence[int], tables: set[int]) -> bool:
    """A heading that names what is below it: nothing but another heading or a question stands next."""
    if mark.lead == "Q":
        return False
    following = _next_line(found, mark.after)
    if following is None:
        return False
    below = _between(asking, mark.line + 1, _section_end(found, mark.line, mark.style.level))
    if following in found.headings:
        return len(below) >= 2 or (not mark.asks and mark.lead == "")
    if mark.asks or len(below) < 2:
        return False
    return below[0] == following or any(line in tables for line in below)


def _next_line(found: Page, at: int) -> int | None:
    for i in range(at, min(len(found.lines), at + 60)):
        if (
            found.lines[i].strip()
            and not is_navigation(found.lines[i])
            and not re.fullmatch(r"[-*_ ]{3,}", found.lines[i].strip())
        ):
            return i
    return None


def _section_end(found: Page, line: int, level: int) -> int:
    lines = found.above[min(level, len(found.above) - 1)]
    at = bisect_right(lines, line)
    return lines[at] if at < len(lines) else len(found.lines)


def _below_questions(found: Page, groups: dict[Style, list[Mark]]) -> set[int]:
    """Lines of marks within the answers of headings that mostly are questions."""
    inner: set[int] = set()
    for style, group in groups.items():
        if style.family not in ("heading", "details") or sum(m.asks or m.lead == "Q" for m in group) < 0.6 * len(group):
            continue
        for mark in group:
            if mark.asks or mark.lead == "Q":
                end = mark.stop if mark.stop is not None else _section_end(found, mark.line, mark.style.level)
                inner.update(range(mark.after, end))
                if mark.stop is not None:
                    inner.update(range(mark.line + 1, end))
    return inner


def _value(found: Page, group: Sequence[Mark], wanted: bool) -> float:
    """How much speaks for these lines: their number times the square of their quality."""
    if not group:
        return 0.0
    n, family = len(group), group[0].style.family
    share = sum(mark.asks or mark.among for mark in group) / n
    led = sum(mark.lead == "n" for mark in group) / n
    labeled = sum(mark.lead == "Q" for mark in group) / n
    bodies = sum(_has_body(found, mark) for mark in group) / n
    quality = share
    if labeled >= 0.5 or family in ("card", "table"):
        quality = max(share, 0.9)
    elif family == "definition" or family == "details":
        quality = max(share, 0.6)
    elif family in ("heading", "bold") and led >= 0.5 and n >= 3:
        quality = max(share, 0.6 * bodies if share >= 0.2 else 0.4 * bodies)
    elif family == "bullet-bold" and n >= 3:
        quality = max(share, 0.6 * _indented(found, group) if share >= 0.3 else 0.0)
    elif family == "number" and group[0].style.level < 4 and _closing_sign(found, group) and bodies >= 0.3:
        quality = max(share, 0.8)
    elif family == "bullet":
        quality = share * (0.9 if share >= 0.7 or n <= 2 else 0.5)
    elif family == "number":
        quality = share * (1 if share >= 0.5 else 0.7)
    elif family == "paragraph":
        quality = 0.55 * bodies
    if family in ("bullet", "bullet-letter", "paragraph") and n < 2 and not wanted:
        return 0.0
    if family in ("number", "bullet") and group[0].style.level >= 4 and n < 2:
        return 0.0
    if quality < GOOD and not wanted:
        return 0.0
    return n * max(quality, 0.1) ** 2


def _closing_sign(found: Page, group: Sequence[Mark]) -> bool:
    """`1)` at the margin, whose answers are indented: the style that was always read."""
    return all(re.match(r" {0,3}[0-9０-９]{1,9}[)）、]", found.lines[mark.line]) for mark in group) and sum(
        (at := _next_line(found, mark.after)) is None or found.lines[at].startswith(("   ", "\t")) for mark in group
    ) >= 0.5 * len(group)


def _indented(found: Page, group: Sequence[Mark]) -> float:
    """The share of marks with indented lines below."""
    below = [at for mark in group if (at := _next_line(found, mark.after)) is not None]
    return sum(found.lines[at].startswith(("  ", "\t")) for at in below) / len(group)


def _is_nested(found: Page, mark: Mark) -> bool:
    """Whether the next line is indented below the mark's."""
    line = found.lines[mark.after].expandtabs(4) if mark.after < len(found.lines) else ""
    return bool(line.strip()) and len(line) - len(line.lstrip()) > mark.style.level


def _has_body(found: Page, mark: Mark) -> bool:
    following = _next_line(found, mark.after)
    return bool(mark.inline) or (following is not None and following not in found.headings)


def _topics(found: Page, groups: dict[Style, list[Mark]]) -> list[Mark]:
    """Where nothing has the form of a question: the headings, of one level, that say something; each is a card."""
    best: list[Mark] = []
    for style, group in groups.items():
        if style.family == "heading" and style.level >= 2:
            group = [mark for mark in group if _has_body(found, mark)]
            if len(group) > len(best):
                best = group
        elif style.family in ("details", "definition") and len(group) > len(best):
            best = group
    return best if len(best) >= 3 else []


def _ends(found: Page, chosen: Sequence[Mark]) -> list[int]:
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
        end = next(iter(_between(shells, mark.line + 1, end)), end)
        if mark.style.level and mark.style.family.startswith(("number", "bullet")):
            end = _outdented(found, mark, end)
        if mark.inline and mark.style.family.startswith("bullet"):
            end = _paragraph_end(found, mark, end)
        above = _above(found, mark, headings)
        for line in _between(headings, mark.after, end):
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


def _between(headings: Sequence[int], start: int, end: int) -> Sequence[int]:
    return headings[bisect_left(headings, start) : bisect_left(headings, end)]


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
    following = _next_line(found, line + 1)
    if following is None or following in found.headings or following in numbers:
        return True
    if end in numbers and mark.number is not None:
        return numbers[end] != mark.number + 1
    return False


def _answers(found: Page, chosen: Sequence[Mark]) -> set[int]:
    """Every line of the questions and their answers."""
    lines: set[int] = set()
    for mark, end in zip(chosen, _ends(found, chosen), strict=True):
        lines.update(range(mark.line, max(end, mark.after)))
        if mark.stop is not None:
            lines.add(mark.stop)
    return lines


def _split(found: Page, chosen: Sequence[Mark]) -> Seen:
    """Questions with their answers and sections, and what belongs to none."""
    ends = _ends(found, chosen)
    explicit = _explicit(found, chosen, ends)
    items: list[Item] = []
    covered: set[int] = set()
    starts = {mark.line for mark in chosen if mark.style.family == "heading"}
    counted: Counter[tuple[str, ...]] = Counter()
    sections = _sections(found, chosen, ends, starts)
    for mark, end, section in zip(chosen, ends, sections, strict=True):
        if mark.style.family == "table" and TABLE_RULE.fullmatch(found.lines[mark.line - 1]):
            covered.update((mark.line - 2, mark.line - 1))  # the head of its table
        covered.update(range(mark.line, max(end, mark.after) + (mark.stop == end)))
        counted[section] += 1
        question, answer = _words(found, mark, end, explicit)
        number = mark.number if mark.number is not None else counted[section]
        items.append(Item(section, number, question, answer, mark.line + 1, span=(mark.after, max(end, mark.after))))
    todos, stray = _rest(found, covered, starts)
    title = plain_name(next(iter(found.headings.values()), (0, ""))[1])
    first = next(iter(found.headings), None)
    if first is None or (chosen and chosen[0].line <= first):
        title = ""
    doubtful = _doubtful(chosen, items)
    taken = {mark.line for mark in chosen}
    inside = tuple(
        (mark.line + 1, mark.question)
        for mark in found.marks
        if mark.asks and mark.style.family in ("heading", "bold", "number", "label") and mark.style.level < 7
        if mark.line not in taken
    )
    named = Counter(_named(mark) for mark in chosen)
    return Seen(Notes(title, tuple(items), todos, stray), tuple(named.most_common()), doubtful, inside)


def _doubtful(chosen: Sequence[Mark], items: Sequence[Item]) -> tuple[tuple[int, str], ...]:
    return tuple(
        (mark.line + 1, mark.question)
        for mark, item in zip(chosen, items, strict=True)
        if not mark.asks and not (mark.style.family in ("card", "table", "definition") and item.answer)
    )


def _named(mark: Mark) -> str:
    """A style as one would write it."""
    lead = {"Q": "Q: ", "n": "1. ", "": ""}[mark.lead]
    level = mark.style.level
    return {
        "heading": f"{'#' * level} {lead}...",
        "bold": f"**{lead}...**",
        "number": "1) ...",
        "bullet": "- ...",
        "bullet-bold": "- **...**",
        "bullet-letter": "- a. ...",
        "bullet-link": "- [...](#...)",
        "label": "Q: ...",
        "details": "<details><summary>...",
        "table": "| question | answer |",
        "card": "flashcards (::, ?, >>, #card, ==)",
        "definition": "term, then : definition",
        "paragraph": "lines that end by ?",
    }[mark.style.family]


def _explicit(found: Page, chosen: Sequence[Mark], ends: Sequence[int]) -> bool:
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


def _words(found: Page, mark: Mark, end: int, explicit: bool) -> tuple[str, str]:
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


def _sections(found: Page, chosen: Sequence[Mark], ends: Sequence[int], starts: set[int]) -> list[tuple[str, ...]]:
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


def _rest(found: Page, covered: set[int], starts: set[int]) -> tuple[tuple[Todo, ...], tuple[Stray, ...]]:
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


def _one_card(found: Page) -> Notes | None:
    """A file that is one card: a question, a rule, an answer."""
    rules = [i for i, line in enumerate(found.lines) if line.strip() == "---"]
    text = "\n".join(found.lines)
    if len(rules) != 1 or len(text) > SHORT:
        return None
    front, back = flush(list(found.lines[: rules[0]])), flush(list(found.lines[rules[0] + 1 :]))
    front = re.sub(r"\A#+[ \t]+", "", front)
    if not front or not back or len(front) > SHORT // 4:
        return None
    return Notes("", (Item((), 1, front, back, 1),), (), ())
