"""How questions are marked in these notes: the lines that begin one.

Lines that are marked alike are one candidate. It is the better the more of its lines have the form of questions and
the more of them there are; lines within the answer of a better candidate say nothing. What else has the form of
questions, and stands outside of all answers, is taken too. Deliberately not here: what a line is (`page.py`), and where
answers end (`splitting.py`).
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from clearhead.study.lists import asking_sections, candidate_styles, is_nested, of_one_sign, thread, with_followups
from clearhead.study.mark import Mark, Style
from clearhead.study.page import Page, between, has_body, next_line, section_end
from clearhead.study.splitting import answer_lines
from clearhead.study.wording import MARKS, is_furniture, is_generic

GOOD = 0.5  # quality from which a candidate is the style of the notes
ALIKE = 0.75  # share of questions from which lines of a second style are taken too
TASKS = 0.6  # share of paragraphs with a question mark from which tasks are taken beside them
SAYS_QUESTIONS = re.compile(
    r"question|quiz|check|interview|exam|review|practice|faq|recall|test|fragen|pregunta|pergunta|domand|вопрос|问|題|题|질문|[?？]",
    re.IGNORECASE,
)
LINK = re.compile(r"[ \t]*[-*+][ \t]+(?:\[[ xX]\][ \t]+)?\[")


def choose(found: Page, family: str) -> list[Mark]:
    """The marks that begin questions."""
    marks = [mark for mark in found.marks if mark.style.family.startswith(family) and mark.question]
    marks = [mark for mark in marks if not (mark.style.family == "heading" and is_furniture(mark.question))]
    marks = _without_furniture(found, marks)
    marks = _with_glossaries(found, _without_contents(found, marks), family)
    asking = [mark.line for mark in marks if mark.asks]
    held = {mark.line for mark in marks if mark.style.family in ("table", "card")}
    if sum(mark.lead == "Q" and has_body(found, mark) for mark in marks) >= 2:  # "Shall I go on with ...?" is none then
        marks = [m for m in marks if m.style.family != "bullet" or m.lead == "Q" or _in_section_of_questions(found, m)]
    by_style: dict[Style, list[Mark]] = defaultdict(list)
    for mark, style in zip(marks, candidate_styles(found, marks), strict=True):
        by_style[style].append(mark)
    groups = {style: thread(found, of_one_sign(found, group)) for style, group in by_style.items()}
    groups = {style: kept for style, group in groups.items() if (kept := _of_one_kind(found, group, asking, held))}
    inner = _below_questions(found, groups)
    values = {
        style: _value(
            found, [mark for mark in group if mark.line not in inner or style.family in ("table", "card")], bool(family)
        )
        for style, group in groups.items()
    }
    if not values or max(values.values()) <= 0:
        return _topics(found, groups) if not family or family == "heading" else []
    if not family and all(value <= 0 or style.family == "glossary" for style, value in values.items()):
        terms = [mark for style, group in groups.items() if style.family == "glossary" for mark in group]
        return sorted([*terms, *_topics(found, groups)], key=lambda mark: mark.line)
    best = max(values, key=lambda style: (values[style], -style.level))
    chosen = [m for m in groups[best] if m.asks or m.among or best.family != "bullet" or is_nested(found, m)]
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
        chosen = with_followups(found, chosen, [group for style, group in groups.items() if style.level > best.level])
    others = sorted((style for style in groups if style != best), key=lambda style: -values[style])
    taken = answer_lines(found, chosen)
    for style in others:
        group = groups[style]
        known = style.family in ("card", "definition", "glossary")
        sure = known or sum(mark.asks for mark in group) >= ALIKE * len(group)
        if style.family in ("bullet", "bullet-bold") or (not sure and style.family in ("number", "bold", "heading")):
            sure = sure or style.family != "bullet"
            group = [mark for mark in group if _marked(mark)]
        if not sure or (style.family == "paragraph" and best.family not in ("bold", "label")):
            continue
        free = [mark for mark in group if mark.asks or style.family in ("card", "glossary")]
        free = [m for m in free if m.line not in taken and (m.lead == "Q" or not found.lines[m.line].startswith(">"))]
        telling = style.family in ("heading", "details", "label", "card", "table", "glossary", best.family)
        if len(free) >= (1 if telling or any(mark.lead == "Q" for mark in free) else 2):
            chosen = sorted([*chosen, *free], key=lambda mark: mark.line)
            taken = answer_lines(found, chosen)
    return chosen


def _with_glossaries(found: Page, marks: Sequence[Mark], family: str) -> list[Mark]:
    """With lists of terms where a heading says that they are, or where they are asked for; what else might be made of
    their lines and of that heading is left."""
    terms = [mark for mark in marks if mark.style.family == "glossary" and (mark.among or family == "glossary")]
    within = {line for mark in terms for line in range(mark.line, mark.stop or mark.after)}
    titles = {found.heading_lines[at - 1] for mark in terms if (at := bisect_left(found.heading_lines, mark.line))}
    kept = [
        mark
        for mark in marks
        if mark.style.family != "glossary"
        and (mark.lead == "Q" or not (mark.line in within or (mark.line in titles and not mark.asks)))
    ]
    return sorted([*kept, *terms], key=lambda mark: mark.line)


def _without_furniture(found: Page, marks: Sequence[Mark]) -> list[Mark]:
    """Without what is listed below "Contributing", "References" and the like and asks nothing."""
    parts: set[int] = set()
    for line, (level, words) in found.headings.items():
        if is_furniture(words):
            parts.update(range(line + 1, section_end(found, line, level)))
    listed = ("number", "bullet")
    return [m for m in marks if _marked(m) or m.line not in parts or not m.style.family.startswith(listed)]


def _in_section_of_questions(found: Page, mark: Mark) -> bool:
    """Whether the heading above says that questions follow."""
    at = bisect_left(found.heading_lines, mark.line)
    return at > 0 and SAYS_QUESTIONS.search(found.headings[found.heading_lines[at - 1]][1]) is not None


def _marked(mark: Mark) -> bool:
    """Whether it ends by a question mark."""
    return mark.question.rstrip("* ")[-1:] in MARKS


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
    with the labels or the words of headings further down."""
    labels = {m.number: m.line for m in marks if m.style.family == "heading" and m.lead == "Q" and m.number is not None}
    heads = {mark.question.casefold(): mark.line for mark in marks if mark.style.family == "heading"}
    marks = [
        mark
        for mark in marks
        if mark.style.family == "heading"
        or (
            (mark.lead != "Q" or mark.number is None or labels.get(mark.number, -1) <= mark.line)
            and heads.get(mark.question.casefold(), -1) <= mark.line
        )
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
    told = sum((at := next_line(found, mark.after)) is not None and not _is_link(found.lines[at]) for mark in links)
    return kept if told >= 0.2 * len(links) else [mark for mark in kept if mark.style.family != "bullet-link"]


def _is_link(line: str) -> bool:
    return LINK.match(line) is not None or line.startswith(("#", "**", "---"))


def _of_one_kind(found: Page, group: list[Mark], asking_lines: Sequence[int], held: set[int]) -> list[Mark]:
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
        group = [mark for mark in group if _marked(mark) or (tasks and has_body(found, mark))]
    if family == "bullet" and len(led) >= 3 and sum(mark.asks for mark in led) >= ALIKE * len(led):
        group = led
    elif family == "bullet":
        if sum(map(_marked, group)) >= 0.5 * len(
            group
        ):  # then "why it matters" in a list of what to write down asks not
            group = [
                mark if _marked(mark) or not mark.question[:1].islower() else replace(mark, asks=False)
                for mark in group
            ]
        group = asking_sections(found, group)
    if family == "heading":
        title = next(iter(found.headings), None)
        group = [mark for mark in group if mark.lead or not is_generic(mark.question)]
        group = _without_overviews(found, group)
        group = [mark for mark in group if not _is_section(found, mark, asking_lines, held)]
        if len(group) == 1 and group[0].line == title and group[0].style.level == 1 and not group[0].lead:
            group = group if asking_lines == [title] else []
    return group


def _asking_folds(group: Sequence[Mark]) -> list[Mark]:
    """Of folds within each other: one that holds questions is a section, one within a question's is of its answer."""
    starts = sorted(mark.line for mark in group if mark.asks or mark.lead == "Q")
    kept = []
    held = -1  # the line up to which the last question's fold goes
    for mark in group:
        asking = mark.asks or mark.lead == "Q"
        end = mark.stop or mark.line
        if asking or (mark.line >= held and not between(starts, mark.line + 1, end)):
            kept.append(mark)
        held = max(held, end) if asking else held
    return kept


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


def _is_section(found: Page, mark: Mark, asking: Sequence[int], held: set[int]) -> bool:
    """A heading that names what is below it: another heading, a question or a flashcard stands next, or a table of
    questions (`held` are the lines of cards and of such tables)."""
    if mark.lead == "Q":
        return False
    following = next_line(found, mark.after)
    if following is None or following in held:
        return following is not None
    below = between(asking, mark.line + 1, section_end(found, mark.line, mark.style.level))
    if following in found.headings:
        return len(below) >= 2 or (not mark.asks and mark.lead == "")
    if mark.asks or len(below) < 2:
        return False
    return below[0] == following or any(line in held for line in below)


def _below_questions(found: Page, groups: dict[Style, list[Mark]]) -> set[int]:
    """Lines of marks within the answers of headings that mostly are questions."""
    inner: set[int] = set()
    for style, group in groups.items():
        if style.family not in ("heading", "details") or sum(m.asks or m.lead == "Q" for m in group) < 0.6 * len(group):
            continue
        reached = 0
        for mark in group:
            if mark.asks or mark.lead == "Q":
                end = mark.stop if mark.stop is not None else section_end(found, mark.line, mark.style.level)
                start = mark.line + 1 if mark.stop is not None else mark.after
                inner.update(range(max(start, reached), end))
                reached = max(reached, end)
    return inner


def _value(found: Page, group: Sequence[Mark], wanted: bool) -> float:
    """How much speaks for these lines: their number times the square of their quality."""
    if not group:
        return 0.0
    n, family = len(group), group[0].style.family
    share = sum(mark.asks or mark.among for mark in group) / n
    led = sum(mark.lead == "n" for mark in group) / n
    labeled = sum(mark.lead == "Q" for mark in group) / n
    bodies = sum(has_body(found, mark) for mark in group) / n
    quality = share
    if labeled >= 0.5 or family in ("card", "table"):
        quality = max(share, 0.9)
    elif family in ("definition", "details", "glossary"):
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
        quality = 0.55 * sum(mark.among or has_body(found, mark) for mark in group) / n
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
        (at := next_line(found, mark.after)) is None or found.lines[at].startswith(("   ", "\t")) for mark in group
    ) >= 0.5 * len(group)


def _indented(found: Page, group: Sequence[Mark]) -> float:
    """The share of marks with indented lines below."""
    below = [at for mark in group if (at := next_line(found, mark.after)) is not None]
    return sum(found.lines[at].startswith(("  ", "\t")) for at in below) / len(group)


def _topics(found: Page, groups: dict[Style, list[Mark]]) -> list[Mark]:
    """Where nothing has the form of a question: the headings, of one level, that say something; each is a card."""
    best: list[Mark] = []
    for style, group in groups.items():
        if style.family == "heading" and style.level >= 2:
            group = [mark for mark in group if has_body(found, mark)]
            if len(group) > len(best):
                best = group
        elif style.family in ("details", "definition") and len(group) > len(best):
            best = group
    return best if len(best) >= 3 else []
