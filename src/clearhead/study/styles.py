"""Notes of any style: how their questions are marked is found out from the whole file, then the file is split there."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.study.answer_text import answer_text
from clearhead.study.candidates import choose
from clearhead.study.cards import TABLE_RULE
from clearhead.study.mark import Mark
from clearhead.study.notes import Item, Notes, flush
from clearhead.study.page import Page, page
from clearhead.study.splitting import (
    answer_ends,
    left_over,
    question_and_answer,
    says_where_answers_begin,
    sections_above,
)
from clearhead.study.wording import plain_name

FAMILIES = (
    "heading", "bold", "number", "bullet", "label", "details", "table", "card", "definition", "glossary", "paragraph",
)  # fmt: skip
LIST = re.compile(r"^[ \t]*(?:[-*+]|[0-9]{1,3}[.)])[ \t]", re.MULTILINE)
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
    if found.front.asked and family in ("", "card") and not any(mark.lead and mark.asks for mark in found.marks):
        answer = answer_text(found.lines)
        item = Item((), 1, found.front.asked, answer, 1)
        return Seen(Notes("", (item,), (), (), found.front.aliases), (("question in the front matter", 1),), (), ())
    chosen = choose(found, family)
    if not chosen and family in ("", "card") and (one := _one_card(found)):
        return Seen(one, (("question, ---, answer", 1),), (), ())
    return _split(found, chosen)


def _split(found: Page, chosen: Sequence[Mark]) -> Seen:
    """Questions with their answers and sections, and what belongs to none."""
    ends = answer_ends(found, chosen)
    explicit = says_where_answers_begin(found, chosen, ends)
    items: list[Item] = []
    covered: set[int] = set()
    starts = {mark.line for mark in chosen if mark.style.family == "heading"}
    counted: Counter[tuple[str, ...]] = Counter()
    sections = sections_above(found, chosen, ends, starts)
    for mark, end, section in zip(chosen, ends, sections, strict=True):
        if mark.style.family == "table" and TABLE_RULE.fullmatch(found.lines[mark.line - 1]):
            covered.update((mark.line - 2, mark.line - 1))  # the head of its table
        covered.update(range(mark.line, max(end, mark.after) + (mark.stop == end)))
        counted[section] += 1
        question, answer = question_and_answer(found, mark, end, explicit)
        number = mark.number if mark.number is not None else counted[section]
        items.append(Item(section, number, question, answer, mark.line + 1, span=(mark.after, max(end, mark.after))))
    todos, stray = left_over(found, covered, starts)
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
    notes = Notes(title, tuple(items), todos, stray, found.front.aliases)
    return Seen(notes, tuple(named.most_common()), doubtful, inside)


def _doubtful(chosen: Sequence[Mark], items: Sequence[Item]) -> tuple[tuple[int, str], ...]:
    return tuple(
        (mark.line + 1, mark.question)
        for mark, item in zip(chosen, items, strict=True)
        if not mark.asks and not (mark.style.family in ("card", "table", "definition", "glossary") and item.answer)
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
        "glossary": "term: definition",
        "paragraph": "lines that end by ?",
    }[mark.style.family]


def _one_card(found: Page) -> Notes | None:
    """A file that is one card: a question, a rule, an answer."""
    rules = [i for i, line in enumerate(found.lines) if line.strip() == "---"]
    text = "\n".join(found.lines)
    if len(rules) != 1 or len(text) > SHORT:
        return None
    front, back = flush(list(found.lines[: rules[0]])), flush(list(found.lines[rules[0] + 1 :]))
    front = re.sub(r"\A#+[ \t]+", "", front)
    if not front or not back or len(front) > SHORT // 4 or LIST.search(front):
        return None
    return Notes("", (Item((), 1, front, back, 1),), (), ())
