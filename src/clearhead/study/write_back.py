"""Edits of cards written back into the Markdown of their notes, line by line, everything else as it was.

A file is changed only if, read again, it says what the cards say and nothing else has changed. Deliberately not here:
asking and writing (the verb does), and files that are no Markdown.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.study.notes import Item, flush
from clearhead.study.styles import recognize


@dataclass(frozen=True)
class Edit:
    """A card's words as its notes had them, and as they are now."""

    was_question: str
    was_answer: str
    question: str
    answer: str


@dataclass(frozen=True)
class Written:
    """The text with the edits, which were written, and the others with the reason why not."""

    text: str
    done: tuple[Edit, ...]
    failed: tuple[tuple[Edit, str], ...]


def written(text: str, edits: Sequence[Edit]) -> Written:
    r"""Put the edits into a text of notes.

    >>> edit = Edit("What barks?", "", "What barks?", "A dog.")
    >>> written("1) What barks?\n\n2) What roars?\n", [edit]).text
    '1) What barks?\n\n    A dog.\n\n2) What roars?\n'
    """
    done: list[Edit] = []
    failed: list[tuple[Edit, str]] = []
    for edit in edits:
        new = _one(text, edit)
        if new is None:
            failed.append((edit, "it is no longer in the notes as it was imported"))
        elif not _says(text, new, edit):
            failed.append((edit, "its answer is folded, quoted or on the line of its question; edit it in the notes"))
        else:
            text = new
            done.append(edit)
    return Written(text, tuple(done), tuple(failed))


def _one(text: str, edit: Edit) -> str | None:
    """The text with one edit; None where the question does not stand there as it did."""
    item = _found(text, edit)
    if item is None:
        return None
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    lines = text.replace("\r\n", "\n").split("\n")
    if edit.question != edit.was_question:
        head = edit.was_question.split("\n")[0]
        at = item.line - 1
        if "\n" in edit.question or head not in lines[at]:
            return text
        lines[at] = lines[at].replace(head, edit.question, 1)
    if edit.answer != edit.was_answer:
        start, end = item.span
        region = lines[start:end]
        if edit.was_answer and flush(region) != edit.was_answer:
            return text
        indent = _indent(region, lines[item.line - 1])
        new = [f"{indent}{line}".rstrip() for line in edit.answer.split("\n")]
        before = 0
        while before < len(region) and not region[before].strip():
            before += 1
        after = len(region)
        while after > before and not region[after - 1].strip():
            after -= 1
        if not edit.was_answer:
            lines[start:end] = ["", *new, ""]
        else:
            lines[start:end] = [*region[:before], *new, *region[after:]]
    return end_of_line.join(lines)


def _found(text: str, edit: Edit) -> Item | None:
    same = [item for item in recognize(text).notes.items if item.question == edit.was_question]
    exact = [item for item in same if item.answer == edit.was_answer]
    return exact[0] if len(exact) == 1 else None


def _indent(region: Sequence[str], question: str) -> str:
    """The blanks that the answer's lines begin with, or would in this style."""
    for line in region:
        if line.strip():
            return line[: len(line) - len(line.lstrip())]
    if re.match(r" {0,3}[0-9０-９]{1,9}[)）.、]", question):
        return "    "
    if bullet := re.match(r"([ \t]*)[-*+][ \t]", question):
        return f"{bullet[1]}  "
    return ""


def _says(before: str, after: str, edit: Edit) -> bool:
    """Whether the new text says what the card says, and of all other questions what it said."""
    old, new = (
        [(item.section, item.question, item.answer) for item in recognize(text).notes.items] for text in (before, after)
    )
    if len(old) != len(new):
        return False
    differ = [i for i, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    return len(differ) == 1 and new[differ[0]][1:] == (edit.question, edit.answer)
