"""The lines of notes that may begin a question, each with the style in which it does so.

A line is looked at once: what stands before its words (a heading's signs, a list's sign, a number, a label, emphasis)
is its style, the rest is the question. Code, mathematics, comments and folds hold no marks but the folds themselves.
Deliberately not here: which of the styles is the one of these notes (`styles.py`).
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clearhead.study.wording import (
    ABOUT_CELL,
    ANSWER_CELL,
    ANSWER_LABEL,
    BARE_LABEL,
    LONGEST,
    MARKS,
    QUESTION_CELL,
    QUESTION_LABEL,
    TAG,
    asks,
    is_anchor,
    is_answer_label,
    is_navigation,
    is_revealer,
    opens_question,
    sets_task,
)

DIGITS = str.maketrans("０１２３４５６７８９", "0123456789")
DEEPEST = 9  # level of a heading
HEADING = re.compile(r"(#{1,9})(?:[ \t]+|(?=[^\s#!]))(.*)")
BULLET = re.compile(r"[-*+•●▪◦➤➢][ \t]+(?:\[[ xX]\][ \t]+)?")
NUMBER = re.compile(r"\(?([0-9０-９]{1,5})(?:[ \t]*([)）、．])[ \t]*|\\?([.:])(?:[ \t]+|(?=[^\W\d_]|[*_`\[])))")
OUTLINE = re.compile(r"[0-9]{1,3}(?:[.-][0-9]{1,3})+[.)]?[ \t]+|[0-9]{1,4}[ \t]*[-–—|][ \t]+")
CJK_NUMBER = re.compile(r"[一二三四五六七八九十百]{1,4}[、．.][ \t]*")
ROMAN = re.compile(r"(?:[ivx]{1,6}|[a-z])[.)][ \t]+")
LEVEL_TAG = re.compile(r"\[[A-Za-z]{1,8}\][ \t]+(?=\S)")  # [E] easy, [M], [H]
BOLD = re.compile(r"(\*\*\*|\*\*|__)(?=\S)")
TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
HTML_HEADING = re.compile(r"[ \t]*<h([1-6])\b[^<>]*>(.*?)</h\1>[ \t]*", re.IGNORECASE)
SUMMARY = re.compile(r"<summary\b[^<>]*>", re.IGNORECASE)
FENCE = re.compile(r"(?:[ \t]|>|[-*+][ \t]|[0-9]{1,4}[.)][ \t])*+(`{3,}+|~{3,}+)([^`]*)")
ENVIRONMENT = re.compile(r"[ \t]*\\begin\{([a-z]{1,20}\*?)\}")
GAP = re.compile(
    r"==([^=\s][^=]{0,300})==|\{\{c[0-9]+::([^{}:]{1,300})(?:::[^{}]{0,100})?\}\}|\{\{cloze ([^{}]{1,300})\}\}"
)
SHELL = re.compile(r" {0,3}(?:#{1,6} )?\*\*\(?[0-9]{1,4}[.):]?\*\*[.):]?[ \t]*")
OPENED = re.compile(r"(?:<(?:a|p|font|span)\b[^<>]*>[ \t]*(?:</a>)?[ \t]*)+", re.IGNORECASE)
BOLD_TAG = re.compile(r"<(b|strong)>(.*?)</\1>", re.IGNORECASE)
SIGNS = re.compile("^[\U0001f300-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f]+[ \t]*(?=\\S)")
ANSWER_WITHIN = re.compile(r"[ \t](?:\*\*|__)?(?:A|Ans|Answer)[:：](?:\*\*|__)?[ \t]")
ASKED_ABOVE = re.compile(r"(question|title|q|front):[ \t]*[\"']?(.*?)[\"']?[ \t]*")
TAIL_MARK = re.compile(r"[ \t]*\{#[\w-]+\}[ \t]*$|[ \t]+\^[\w-]+$|[ \t]+:drill:[ \t]*$")  # names of blocks
TAILS = 100  # characters in which such a name stands
DEEP = 40  # columns from which nothing is looked at
MOST_LINES = 200  # of the answer of a flashcard, and of displayed mathematics
JOINED = 8  # lines that one question may have


@dataclass(frozen=True, order=True)
class Style:
    """How a question is marked. `level`: of a heading, else the columns before a list's sign."""

    family: str  # one of `styles.FAMILIES`; of a bullet also bullet-bold, bullet-letter or bullet-link
    level: int = 0


@dataclass(frozen=True)
class Mark:
    """Lines count from 0. The answer is `inline` and what stands from line `after` on, up to `stop` if it is set."""

    line: int
    after: int
    style: Style
    lead: str  # "Q", "n" or ""
    number: int | None
    question: str
    inline: str = ""
    stop: int | None = None
    asks: bool = False
    among: bool = False  # it asks nothing by its form, and stands in a list of questions


@dataclass(frozen=True)
class Fold:
    """`<details>` from its first to its last line, and what its summary says; `body` is the first line behind it."""

    start: int
    end: int
    summary: str
    body: int
    rest: str  # behind </summary> on its line


@dataclass(frozen=True)
class Page:
    """Lines with all that is known of them before any style is chosen."""

    lines: tuple[str, ...]
    opaque: frozenset[int]  # lines in code, mathematics, folds
    headings: dict[int, tuple[int, str]]  # line -> (level, words)
    folds: tuple[Fold, ...]
    marks: tuple[Mark, ...]
    shells: frozenset[int]  # lines with a number and nothing else, above questions that have letters
    tagged: bool  # it says itself that it holds flashcards
    asked: str  # the question that the front matter asks of the whole file
    above: tuple[tuple[int, ...], ...]  # at index n, the lines of all headings of level n or less, in order

    fold_at: dict[int, Fold]  # by their first line

    @property
    def heading_lines(self) -> tuple[int, ...]:
        return self.above[-1]


def page(text: str) -> Page:
    """Look at every line once."""
    lines, tagged, above = _prepared(text)
    opaque, folds = _opaque(lines)
    _setext(lines, opaque)
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
        if (found := HEADING.match(line)) and _is_heading(line):
            headings[at] = (len(found[1]), re.sub(r"[ \t]#+[ \t]*$", "", found[2]).strip())
        mark = _mark(lines, at, opaque)
        if mark is not None:
            marks.append(mark)
            at = max(at + 1, mark.after)
        else:
            at += 1
    marks += _table_marks(lines, opaque)
    marks += _fold_marks(folds)
    if tagged or any(mark.style.family == "card" for mark in marks):
        marks += _gaps(lines, opaque)
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
        tagged=tagged,
        asked=above,
        above=levels,
        fold_at={fold.start: fold for fold in folds},
    )


def _place(mark: Mark) -> tuple[int, int]:
    return mark.line, -mark.after


def _prepared(text: str) -> tuple[list[str], bool, str]:
    """The lines, with front matter and comments blanked, whether the file calls itself flashcards, and the question
    that its front matter asks."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").split("\n")
    tagged, asked = False, ""
    if lines and lines[0].strip() == "---":
        for end in range(1, min(len(lines), 200)):
            if lines[end].strip() in ("---", "..."):
                tagged = any("flashcards" in line or "srs" in line.lower() for line in lines[:end])
                keys = [found for line in lines[1:end] if (found := ASKED_ABOVE.fullmatch(line[:LONGEST]))]
                asked = next((found[2] for found in keys if found[1] != "title" or asks(found[2])), "")
                lines[: end + 1] = [""] * (end + 1)
                break
            if lines[end].startswith("#"):
                break
    fence = ""
    inside = False
    for i, line in enumerate(lines):
        mark = FENCE.fullmatch(line) if "```" in line or "~~~" in line else None
        if mark and not inside:
            fence = "" if fence and mark[1].startswith(fence) and not mark[2].strip() else fence or mark[1]
        if fence or (not inside and "<!--" not in line):
            continue
        kept, rest = [], line
        while rest:
            if inside:
                _, end_, rest = rest.partition("-->")
                inside = not end_
            else:
                before, begin, rest = rest.partition("<!--")
                kept.append(before)
                inside = bool(begin)
        lines[i] = "".join(kept)
    for i, line in enumerate(lines[:40]):
        if re.match(r"[ \t]*#(?:flashcards|flashcard|cards|srs)\b", line):
            tagged = True
            lines[i] = ""
    return lines, tagged, asked


def _opaque(lines: Sequence[str]) -> tuple[set[int], list[Fold]]:
    """Lines whose words are no marks, and the folds."""
    opaque: set[int] = set()
    at = 0
    closers = _fence_closers(lines)
    while at < len(lines):
        end = _block_end(lines, at, closers)
        if end is None:
            at += 1
            continue
        opaque.update(range(at, end + 1))
        at = end + 1
    opened: list[int] = []
    folds: list[Fold] = []
    for i, line in enumerate(lines):
        if i in opaque or "details" not in line.lower():
            continue
        for tag in re.findall(r"</?details", line, re.IGNORECASE):
            if tag.lower() == "<details":
                opened.append(i)
            elif opened:
                folds.append(_fold(lines, opened.pop(), i))
    for fold in folds:
        opaque.update(range(fold.start, fold.end + 1))
    return opaque, sorted(folds, key=lambda fold: (fold.start, -fold.end))


def _fence_closers(lines: Sequence[str]) -> list[int]:
    return [i for i, line in enumerate(lines) if ("```" in line or "~~~" in line) and FENCE.fullmatch(line)]


def _block_end(lines: Sequence[str], at: int, fences: list[int]) -> int | None:
    """The last line of the code or the mathematics that begins here; None where nothing does."""
    line = lines[at]
    if ("```" in line or "~~~" in line) and (opening := FENCE.fullmatch(line)):
        for i in fences[bisect_right(fences, at) :]:
            found = FENCE.fullmatch(lines[i])
            if found and found[1].startswith(opening[1]):
                if found[2].strip():
                    break  # another one begins: this one was never closed
                return i
        ends = (i for i in range(at + 1, len(lines)) if re.match(r"#{1,6}[ \t]|[0-9]{1,4}\)[ \t]", lines[i]))
        return next(ends, len(lines)) - 1
    if line.strip() in ("$$", r"\["):
        sign = "$$" if line.strip() == "$$" else r"\]"
        for i in range(at + 1, min(len(lines), at + MOST_LINES)):
            if lines[i].rstrip().endswith(sign):
                return i
            if re.match(r"#{1,6}[ \t]", lines[i]):
                return None
    if (begun := ENVIRONMENT.match(line)) is not None:
        for i in range(at, min(len(lines), at + MOST_LINES)):
            if f"\\end{{{begun[1]}}}" in lines[i]:
                return i
    return None


def _fold(lines: Sequence[str], start: int, end: int) -> Fold:
    """Read the summary, which may have several lines."""
    for i in range(start, min(end, start + JOINED) + 1):
        if found := SUMMARY.search(lines[i]):
            words, at = lines[i][found.end() :], i
            while "</summary" not in words.lower() and at < min(end, i + JOINED):
                at += 1
                words += " " + lines[at].strip()
            before, _, rest = re.sub("</summary[^<>]*>", "\0", words, count=1, flags=re.IGNORECASE).partition("\0")
            rest = re.sub("</details>.*", "", rest, flags=re.IGNORECASE).strip()
            return Fold(start, end, _clean(TAG.sub("", before)), at + 1, rest)
    return Fold(start, end, "", start + 1, "")


def _setext(lines: list[str], opaque: set[int]) -> None:
    """A line that is underlined, as the heading it is. `---` below words may be a rule where headings have `#`."""
    signed = sum(line.startswith("#") and i not in opaque for i, line in enumerate(lines)) > 1
    for i in range(1, len(lines)):
        rule = lines[i].strip()
        if (
            len(rule) < 3
            or i in opaque
            or (rule.strip("=") and rule.strip("-"))
            or lines[i - 1].startswith(("    ", "\t"))
        ):
            continue
        words = lines[i - 1].strip()
        alone = i < 2 or not lines[i - 2].strip()
        doubtful = rule[0] == "-" and (words[-1:] in ".!?:;,。" or len(rule) < min(6, len(words) // 2))
        doubtful = doubtful or (rule == "---" and signed)
        if words and alone and not doubtful and len(words) < 120 and not re.match(r"[#>|<`~*+-]|[0-9]+[.)]", words):
            lines[i - 1] = f"{'#' if rule[0] == '=' else '##'} {words}"
            lines[i] = ""


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
        return _card(lines, at) if rest[0] not in "|<" else None
    card = _card(lines, at)
    if card is not None:
        return card
    if rest[0] == ">" and (quoted := rest.lstrip("> \t"))[:2] in ("**", "Q:", "Q1", "Q.") and asks(quoted):
        rest = quoted
    if rest[0].isalpha() and not QUESTION_LABEL.match(rest) and not CJK_NUMBER.match(rest) and not _is_bare_label(rest):
        return _paragraph_mark(lines, at, indent)
    if rest[0] == "<":
        rest = OPENED.sub("", rest)
        rest = BOLD_TAG.sub(r"**\2**", rest)
    family, level = "", 0
    number: int | None = None
    if found := BULLET.match(rest):
        family, level, rest = "bullet", indent, rest[found.end() :]
    elif (found := NUMBER.match(rest)) and not re.match(r"#", rest):
        family, level, number, rest = "number", indent, int(found[1].translate(DIGITS)), rest[found.end() :]
        if rest and family == "number" and not re.sub(r"[\W\d]", "", rest):
            return None
    lead = "n" if number is not None else ""
    if (found := HEADING.match(rest)) and (rest[len(found[1]) : len(found[1]) + 1] in " \t" or len(found[1]) > 1):
        family, level, rest = "heading", len(found[1]), re.sub(r"[ \t]#+[ \t]*$", "", found[2]).strip()
    if rest[:1] == "<":
        rest = OPENED.sub("", rest).strip()
    if not rest.isascii():
        rest = SIGNS.sub("", rest) or rest
    after, inline = at + 1, ""
    bold = False
    if opening := BOLD.match(rest):
        sign = opening[1]
        while sign not in rest[len(sign) :] and after < min(len(lines), at + JOINED) and lines[after].strip():
            rest, after = f"{rest} {lines[after].strip()}", after + 1
        inner, closed, tail = rest[len(sign) :].partition(sign)
        inner, tail = inner.strip(), tail.strip()
        if not closed:
            after = at + 1
        elif not inner:
            return None
        elif _only_lead(inner):
            rest, bold = f"{inner} {tail}".strip(), True
        elif not re.sub(r"[\W_]", "", tail) or re.fullmatch(r"[(\[].{0,300}[)\]]", tail):
            rest, bold = f"{inner} {tail}".strip() if tail and tail[0] not in ".:" else inner + tail, True
        elif (asks(inner) and inner[-1:] in (*MARKS, ":")) or (
            family in ("number", "bullet") and tail[:1] in (*"-–—:", *MARKS) and asks(inner)
        ):
            rest, inline, bold = inner, tail.lstrip("-–—: \t"), True
    if bold and not family:
        family = "bold"
    if family == "bullet" and (found := ROMAN.match(rest)) and rest[found.end() :].strip():
        family, rest = "bullet-letter", rest[found.end() :].strip()
    elif family == "bullet" and bold:
        family = "bullet-bold"
    lead, number, rest = _lead(lead, number, rest)
    if not family and lead == "Q":
        family = "label"
    if not rest and lead == "n" and (bold or family == "heading") and SHELL.fullmatch(lines[at]):
        return None
    if (lead == "Q" and not rest) or _is_bare_label(rest):
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
    if not rest or is_answer_label(rest) or (ANSWER_LABEL.match(rest) and not asks(rest) and family != "heading"):
        return None
    if family == "bullet" and (linked := re.fullmatch(r"\[([^\[\]]{3,})\]\(#?[^()]*\)", rest)) and is_anchor(rest):
        lead, number, rest = _lead("", None, linked[1].strip())
        return Mark(at, after, Style("bullet-link", level), lead, number, _clean(rest), "", None, asks(rest))
    if (is_anchor(rest) and family != "heading") or is_navigation(rest):
        return None
    if (
        family.startswith(("bullet", "number"))
        and re.fullmatch(r"!?\[[^\[\]]*\]\([^()]*\)[.;,]?", rest)
        and lead != "Q"
    ):
        return None
    if lead == "Q" and not inline and (told := ANSWER_WITHIN.search(rest[: 50 * LONGEST])):
        rest, inline = rest[: told.start()].rstrip(), rest[told.end() :].strip()
    if family in ("number", "label", "bullet") and not bold:
        rest, after = _continued(lines, at, rest, after, opaque)
    return Mark(at, after, Style(family, level), lead, number, _clean(rest), inline, None, asks(rest))


def _only_lead(inner: str) -> bool:
    """`**2)**`, `**Q3:**`, `**Question**`: the number is emphasized, the question follows."""
    tight = f"{inner} "
    for pattern in (NUMBER, QUESTION_LABEL):
        found = pattern.match(tight)
        if found and not tight[found.end() :].strip():
            return True
    return bool(re.fullmatch(r"\d{1,4}", inner)) or BARE_LABEL.fullmatch(inner) is not None


def _lead(lead: str, number: int | None, rest: str) -> tuple[str, int | None, str]:
    """Labels and numbers before the words, however many there are."""
    for _ in range(3):
        plain = re.sub(r"^[*_]{1,3}(?=[^*_])", "", rest)
        if found := QUESTION_LABEL.match(plain):
            given = found["n"] or found["m"]
            lead, number = "Q", int(given) if given else number
        elif (found := NUMBER.match(plain)) or (found := OUTLINE.match(plain)) or (found := CJK_NUMBER.match(plain)):
            if lead == "Q" or number is None:
                digits = re.match(r"\(?(?:[0-9]+[.-])*([0-9０-９]+)", plain)  # of `9.1` the last
                number = int(digits[1].translate(DIGITS)) if digits else number
            lead = lead or "n"
        elif (found := LEVEL_TAG.match(plain)) or (lead and (found := ROMAN.match(plain))):
            pass
        else:
            break
        opened = rest[: len(rest) - len(plain)]
        rest = plain[found.end() :].lstrip()
        if opened and rest.endswith(opened):
            rest = rest[: -len(opened)]
        elif opened and opened in rest:
            rest = opened + rest
        rest = rest.strip()
    return lead, number, rest


def _is_bare_label(rest: str) -> bool:
    return bool(rest) and BARE_LABEL.fullmatch(rest.strip(" *_@")) is not None and not rest.strip(" *_@").isdigit()


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
    return (_unlabeled(words), at) if words else None


def _unlabeled(words: str) -> str:
    """`**Front:** ...` or `Q: ...` below a heading that says nothing but "Card 1"."""
    if (opening := BOLD.match(words)) is not None:
        inner, _, tail = words[len(opening[1]) :].partition(opening[1])
        if _only_lead(inner.strip()):
            return tail.strip()
    elif (label := QUESTION_LABEL.match(words)) is not None:
        return words[label.end() :]
    return words.strip("* ")


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
    asking = words.rstrip("*_ ").endswith(tuple(MARKS))
    if not asking and (at + 1 == len(lines) or not lines[at + 1].strip()):
        asking = sets_task(words)
    if indent > 3 or not alone or not asking or len(words) > 300 or words[0] in ">!`$|:":
        return None
    return Mark(at, at + 1, Style("paragraph"), "", None, _clean(words), "", None, True)


def _card(lines: Sequence[str], at: int) -> Mark | None:
    """The signs of Obsidian, Logseq, RemNote and of definition lists."""
    line = lines[at].strip()
    if "#card" in line and (found := re.search(r"[ \t]*#(?:card|flashcard)s?\b", line)):
        words = (line[: found.start()] + line[found.end() :]).strip()
        return _of_card(at, at + 1, re.sub(r"^(?:[-*+]|#+|\*+)[ \t]+", "", words), "", _block(lines, at))
    if ">>" in line and (found := re.match(r"[-*+][ \t]+(\S.*?)[ \t]*(>>>|>>)[ \t]*(.*)", line[:LONGEST])):
        return _of_card(at, at + 1, found[1], re.sub(r"^1\.$", "", found[3]), _block(lines, at))
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
        words = _clean(line)
        return Mark(at, at + 2, Style("definition"), "", None, words, following[1:].strip(), stop, asks(words))
    return None


def _gaps(lines: Sequence[str], opaque: set[int]) -> Iterator[Mark]:
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


def _block(lines: Sequence[str], at: int) -> int:
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
    words = _clean(words)
    return Mark(at, after, Style("card"), "", None, words, inline, stop, asks(words))


def _table_marks(lines: Sequence[str], opaque: set[int]) -> Iterator[Mark]:
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
        lead, number, words = _lead("", None, row[asking])
        yield Mark(i, i + 1, Style("table"), lead, number, _clean(words), answer, i + 1, asks(words))


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


def _fold_marks(folds: Sequence[Fold]) -> Iterator[Mark]:
    """Folds whose summary is a question."""
    for fold in folds:
        if not fold.summary or is_revealer(fold.summary) or is_anchor(fold.summary):
            continue
        lead, number, words = _lead("", None, fold.summary.strip("* "))
        if words:
            rest = "" if is_navigation(fold.rest) else fold.rest
            yield Mark(
                fold.start, fold.body, Style("details"), lead, number, _clean(words), rest, fold.end, asks(words)
            )


def _clean(text: str) -> str:
    """A question without anchors, without the emphasis around all of it, without the signs of a heading."""
    text = (
        text
        if "<" not in text
        else re.sub(
            r"<a\b[^<>]*>[ \t]*</a>|</?(?:a|span|font|strong|b|p|center|h[1-6]|u|br)\b[^<>]*>", "", text, flags=re.I
        )
    )
    text = (text[:-TAILS] + TAIL_MARK.sub("", text[-TAILS:])).strip()
    for sign in ("***", "**", "__", "*", "_"):
        if (
            len(text) > 2 * len(sign)
            and text.startswith(sign)
            and text.endswith(sign)
            and sign not in text[len(sign) : -len(sign)]
        ):
            text = text[len(sign) : -len(sign)].strip()
    return text
