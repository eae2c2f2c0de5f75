"""Notes as questions and answers: a Markdown file whose items are `N) question` with the answer indented below.

Headings at the margin nest to any depth and name the sections. An item goes on until the next one or the next heading;
what is inside fenced code, display mathematics or `<details>` is neither. Deliberately not here: how an answer looks.
"""

import re
from dataclasses import dataclass

MAX_NOTES_BYTES = 20_000_000  # bytes of a file of notes
# No two neighbors of a pattern may match the same character: a line can have megabytes.
HEADING = re.compile(r"(#++)[ \t]++(.*)")
CLOSING = re.compile(r"(?:^|[ \t])#+$")  # `## Name ##`
ITEM = re.compile(r"(\d{1,9})\)[ \t]++(\S.*)")
FENCE = re.compile(r"[ \t]*+(`{3,}+|~{3,}+)([^`]*)")
DETAILS = re.compile(r"</?details")
TODO = re.compile(r"\bTODO\b[ \t]*+:?[ \t]*+(.*)")


@dataclass(frozen=True)
class Item:
    """One question. Lines count from 1; the answer has lost its indentation and is "" where nothing stands there."""

    section: tuple[str, ...]  # the headings above it, outermost first
    number: int
    question: str
    answer: str
    line: int
    source: str = ""  # the path of its file, where there is one
    span: tuple[int, int] = (0, 0)  # the lines of its answer there, from 0, the last one excluded


@dataclass(frozen=True)
class Todo:
    """A line that says TODO, and what it says behind that word."""

    line: int
    text: str
    section: tuple[str, ...]


@dataclass(frozen=True)
class Stray:
    """A line that belongs to no item: an introduction, a remark between sections."""

    line: int
    text: str
    section: tuple[str, ...]


@dataclass(frozen=True)
class Notes:
    """All that a file says, in its order. The title is its first heading, where that stands before every item."""

    title: str
    items: tuple[Item, ...]
    todos: tuple[Todo, ...]
    stray: tuple[Stray, ...]
    aliases: tuple[str, ...] = ()  # other names of the file


def parse(text: str) -> Notes:
    r"""Read notes; a text that is no notes has no items.

    >>> notes = parse("# Animals\n\n1) What has a trunk?\n\n    An elephant.\n\n2) What barks?\n")
    >>> [(item.section, item.number, item.question, item.answer) for item in notes.items]
    [(('Animals',), 1, 'What has a trunk?', 'An elephant.'), (('Animals',), 2, 'What barks?', '')]
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    opaque = blocks(lines)
    headings: list[tuple[int, str]] = []  # (depth, title) of those above
    items: list[Item] = []
    todos: list[Todo] = []
    stray: list[Stray] = []
    below: list[str] | None = None  # the lines of the item that is open
    title = ""
    hidden = 0  # the line up to which a block goes, when it belongs to the open item

    def close() -> None:
        if below is not None:
            last = items[-1]
            items[-1] = Item(last.section, last.number, last.question, flush(below), last.line)

    for at, line in enumerate(lines):
        number = at + 1
        section = tuple(name for _, name in headings)
        if at >= hidden and at in opaque and (below is not None or _is_fence(line)):
            hidden = opaque[at] + 1
        heading, item = HEADING.fullmatch(line), ITEM.fullmatch(line)
        if todo := TODO.search(line):
            todos.append(Todo(number, todo[1].strip(), section))
        if at < hidden:
            heading = item = None
        if heading and (name := CLOSING.sub("", heading[2].strip()).strip()):
            close()
            below = None
            depth = len(heading[1])
            headings = [*((level, above) for level, above in headings if level < depth), (depth, name)]
            title = title or ("" if items else name)
        elif item:
            close()
            below = []
            items.append(Item(section, int(item[1]), item[2].rstrip(), "", number))
        elif below is not None:
            below.append(line)
        elif line.strip():
            stray.append(Stray(number, line.strip(), section))
    close()
    return Notes(title, tuple(items), tuple(todos), tuple(stray))


def blocks(lines: list[str]) -> dict[int, int]:
    """First to last line, from 0, of what may not be read as items: fenced code, `$$` alone on its line, `<details>`.

    A fence that nothing closes, or that is followed by another one's beginning, ends before the next heading or item.
    """
    found: dict[int, int] = {}
    folded = _folded(lines)
    at = 0
    while at < len(lines):
        end = folded[at] if at in folded else _end(lines, at)
        if end is not None:
            found[at] = end
        at = at + 1 if end is None else end + 1
    return found


def _end(lines: list[str], at: int) -> int | None:
    """The last line of the block that begins here."""
    line = lines[at]
    if _is_fence(line):
        closing = _closing(lines, at)
        if closing is not None:
            return closing
        ends = (i for i in range(at + 1, len(lines)) if HEADING.fullmatch(lines[i]) or ITEM.fullmatch(lines[i]))
        return next(ends, len(lines)) - 1
    if line.strip() == "$$":
        return _before_heading(lines, at)
    return None


def _before_heading(lines: list[str], at: int) -> int | None:
    """The line whose `$$` closes, where it comes before the next heading at the margin."""
    for i in range(at + 1, len(lines)):
        if lines[i].rstrip().endswith("$$"):
            return i
        if HEADING.fullmatch(lines[i]):
            return None
    return None


def _folded(lines: list[str]) -> dict[int, int]:
    """First to last line of every `<details>` at the margin that is closed; they may be nested."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for i, line in enumerate(lines):
        if "details" not in line:
            continue
        for tag in DETAILS.findall(line):
            if tag == "<details":
                opened.append(i)
            elif opened:
                start = opened.pop()
                if lines[start].startswith("<details"):
                    found[start] = i
    return found


def _closing(lines: list[str], at: int) -> int | None:
    opening = FENCE.fullmatch(lines[at])
    assert opening is not None
    for i in range(at + 1, len(lines)):
        found = FENCE.fullmatch(lines[i])
        if found and found[1].startswith(opening[1]):
            return None if found[2].strip() else i
    return None


def _is_fence(line: str) -> bool:
    return FENCE.fullmatch(line) is not None


def flush(lines: list[str]) -> str:
    """Without empty ends and without the indentation of the first line; code loses no more than its own fence does."""
    lines = [re.sub(r"^[ \t]+", lambda blank: blank[0].expandtabs(4), line.rstrip()) for line in lines]
    widths = [_width(line) for line in lines if line]
    lost = [widths[0] if widths else 0] * len(lines)
    for start, end in blocks(lines).items():
        lost[start : end + 1] = [min(lost[start], _width(lines[start]))] * (end + 1 - start)
    return "\n".join(line[min(cut, _width(line)) :] for line, cut in zip(lines, lost, strict=True)).strip("\n")


def _width(line: str) -> int:
    return len(line) - len(line.lstrip())
