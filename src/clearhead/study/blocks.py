"""What stands in the lines of notes before any is read: front matter, comments, code, mathematics, folds.

Deliberately not here: what a line is (`page.py`).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clearhead.study.mark import clean
from clearhead.study.wording import LONGEST, TAG, asks

SUMMARY = re.compile(r"<summary\b[^<>]*>", re.IGNORECASE)
FENCE = re.compile(r"(?:[ \t]|>|[-*+][ \t]|[0-9]{1,4}[.)][ \t])*+(`{3,}+|~{3,}+)([^`]*)")
ENVIRONMENT = re.compile(r"[ \t]*\\begin\{([a-z]{1,20}\*?)\}")
ASKED_ABOVE = re.compile(r"(question|title|q|front):[ \t]*[\"']?(.*?)[\"']?[ \t]*")
MOST_LINES = 200  # of the answer of a flashcard, and of displayed mathematics
JOINED = 8  # lines that one question may have


@dataclass(frozen=True)
class Fold:
    """`<details>` from its first to its last line, and what its summary says; `body` is the first line behind it."""

    start: int
    end: int
    summary: str
    body: int
    rest: str  # behind </summary> on its line


@dataclass(frozen=True)
class Front:
    """What the front matter says, or a tag at the top."""

    tagged: bool = False  # that the file holds flashcards
    asked: str = ""  # a question, which the whole file answers
    aliases: tuple[str, ...] = ()  # other names of the file, as Obsidian has them


def prepared(text: str) -> tuple[list[str], Front]:
    """The lines, with front matter and comments blanked, and what the front matter says."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").split("\n")
    front = Front()
    if lines and lines[0].strip() == "---":
        for end in range(1, min(len(lines), 200)):
            if lines[end].strip() in ("---", "..."):
                front = _front(lines[1:end])
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
            front = replace(front, tagged=True)
            lines[i] = ""
    return lines, front


def _front(lines: Sequence[str]) -> Front:
    """Read what is between the rules at the top of a file."""
    keys = [found for line in lines if (found := ASKED_ABOVE.fullmatch(line[:LONGEST]))]
    return Front(
        tagged=any("flashcards" in line or "srs" in line.lower() for line in lines),
        asked=next((found[2] for found in keys if found[1] != "title" or asks(found[2])), ""),
        aliases=_aliases(lines),
    )


def _aliases(lines: Sequence[str]) -> tuple[str, ...]:
    """`aliases: [a, b]`, `alias: a, b`, or a list below."""
    at = next((i for i, line in enumerate(lines) if re.match(r"alias(?:es)?:", line)), None)
    if at is None:
        return ()
    given = lines[at].partition(":")[2].strip(" []")
    names = given.split(",")
    for line in [] if given else lines[at + 1 :]:
        if not (found := re.match(r"[ \t]*-[ \t]+(.*)", line[:LONGEST])):
            break
        names.append(found[1])
    return tuple(name for one in names if (name := one.strip(" \t\"'")))


def opaque_lines(lines: Sequence[str]) -> tuple[set[int], list[Fold]]:
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
    folds.sort(key=lambda fold: (fold.start, -fold.end))
    reached = 0
    for fold in folds:
        opaque.update(range(max(fold.start, reached), fold.end + 1))
        reached = max(reached, fold.end + 1)
    return opaque, folds


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
            return Fold(start, end, clean(TAG.sub("", before)), at + 1, rest)
    return Fold(start, end, "", start + 1, "")


def mark_setext(lines: list[str], opaque: set[int]) -> None:
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
