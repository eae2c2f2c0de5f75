"""Glossaries: lists of terms, each with its definition behind a colon or a dash.

`**Gradient descent**: steps against the gradient` stands in most prose too, for the parts of something that is being
explained. So such a list makes cards of its own accord only below a heading that names it a glossary; elsewhere it has
to be asked for (`--style glossary`). Tables of terms and definition lists are read in `cards.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from clearhead.study.cards import nested_end
from clearhead.study.mark import Mark, Style, clean
from clearhead.study.wording import LONGEST, plain_name

FEWEST = 2  # entries of a list
SHARE = 0.6  # of a section's bullets and bold lines that are entries
TITLE = re.compile(
    r"(?:[\w-]+ ){0,4}(?:glossary|glossar|glossaire|glosario|glossario|glossário|глоссарий)(?: (?:of|for|de|der)\b.*)?"
    r"|(?:(?:key|important|main|basic|common|new|core) )?(?:terms|terminology|vocabulary|definitions)"
    r"(?: (?:and|&) (?:definitions|terms|concepts|acronyms|terminology))?(?: used.*| in this.*| to know)?"
    r"|acronyms(?: and .*)?|(?:wichtige )?begriffe|termes(?: clés)?|définitions|términos(?: clave)?|definiciones"
    r"|vocabulario|termini|definizioni|termos|definições|терминология|(?:основные )?термины(?: и определения)?"
    r"|определения|словарь(?: терминов)?|术语表?|词汇表?|术语解释|名词解释|用語集?|用語解説|용어(?: ?정리)?",
    re.IGNORECASE,
)
SIGN = r"(?:[:：]|[ \t]+(?:[-–—]{1,2}|=)(?=[ \t]))"
ENTRY = re.compile(
    r"(?P<list>[-*+•][ \t]+|\d{1,3}[.)][ \t]+)?"
    r"(?:(?P<sign>\*\*|__)(?P<bold>[^*_\s](?:(?!\*\*|__).){0,100}?)[:：]?(?P=sign)"
    r"|`(?P<code>[^`]{1,80})`|(?P<plain>[^\W_][^:：.!?*`|<>]{0,60}?))"
    r"(?P<aside>[ \t]*\([^()]{1,80}\))?"
    rf"(?:(?<=[:：]\*\*)|(?<=[:：]__)|{SIGN})[ \t]*(?P<told>.*)"
)


def glossary_marks(lines: Sequence[str], opaque: set[int], headings: Mapping[int, tuple[int, str]]) -> Iterator[Mark]:
    """Entries of all lists of terms; those below a heading that says so are marked as `among` such a list."""
    level = 0  # of the heading of the glossary that one is in, which goes on over deeper ones such as "A", "B"
    for start, end in pairwise([-1, *sorted(headings), len(lines)]):
        if start in headings and not 0 < level < headings[start][0]:
            level = headings[start][0] if TITLE.fullmatch(_title(headings[start][1])) else 0
        yield from _entries(lines, opaque, start + 1, end, among=level > 0)


def _title(heading: str) -> str:
    return re.sub(r"^[\W\d]+|[\W]+$", "", plain_name(heading[:LONGEST]))


def _entries(lines: Sequence[str], opaque: set[int], start: int, end: int, among: bool) -> Iterator[Mark]:
    """The entries of one section, if most of what stands in it is one."""
    found = []
    others = 0
    at = start
    while at < end:
        line = lines[at]
        if not line.strip() or at in opaque or line[0] in " \t>|#<":
            at += 1
            continue
        mark = _entry(lines, at, end, among)
        others += mark is None and line[0] in "-*+•"
        found += [mark] if mark else []
        at = max(at + 1, mark.stop or 0) if mark else at + 1
    if len(found) >= FEWEST and len(found) >= SHARE * (len(found) + others):
        yield from found


def _entry(lines: Sequence[str], at: int, end: int, among: bool) -> Mark | None:
    """A line that begins with a term; what is indented below it, or goes on in its paragraph, is of the definition."""
    parts = ENTRY.fullmatch(lines[at][:LONGEST].rstrip())
    if parts is None or (parts["plain"] and not parts["list"]):
        return None
    stop = min(end, nested_end(lines, at))
    if not parts["list"]:
        while stop < end and lines[stop].strip() and not ENTRY.fullmatch(lines[stop][:LONGEST].rstrip()):
            stop += 1
    told = parts["told"].strip() + lines[at][LONGEST:]
    below = any(line.strip() for line in lines[at + 1 : stop])
    if not told and not below:
        return None
    term = (parts["bold"] or parts["plain"] or f"`{parts['code']}`").strip(" :：") + (parts["aside"] or "")
    return Mark(at, at + 1, Style("glossary"), "", None, clean(term), told, stop, among=among)
