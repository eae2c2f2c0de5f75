"""Texts of a folder as chunks: pieces of a file under one heading, small enough to be read at once.

Plain text, Markdown and code are read; anything else, and what is hidden or too large, is left out.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from clearhead.errors import UserError

FILE_BYTES = 2**22
FOLDER_CHARACTERS = 2**25
FILES = 10_000
CHARACTERS = 1200  # of a chunk; a paragraph is divided only where it is longer
HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")
FENCE = re.compile(r"^\s*(?:```|~~~)")
DEFINITION = re.compile(r"^(?:\w+\s+)*(?:def|class|fn|func|function|struct|interface|trait|impl)\s+\w+.*")
MARKDOWN = (".md", ".markdown", ".mdx")


class Chunk(NamedTuple):
    """`line`, from 1, is where it begins; `heading` is what it stands under, "" where that is nothing."""

    file: str
    line: int
    heading: str
    text: str


def chunks_of(folder: Path) -> list[Chunk]:
    """All chunks of the texts below a folder. UserError: there is no text, or too much."""
    found, size = list[Chunk](), 0
    for i, path in enumerate(text_files(folder)):
        text = _text(path)
        size += len(text)
        if size > FOLDER_CHARACTERS or i >= FILES:
            limit = f"{FOLDER_CHARACTERS:,} characters of text or {FILES:,} files"
            raise UserError(f"{folder} holds more than {limit}; name a smaller folder of it")
        found += chunks(str(path.relative_to(folder)), text)
    if not found:
        raise UserError(f"{folder} holds no text to search; name a folder with text, Markdown or code")
    return found


def _text(path: Path) -> str:
    """What is in a file; "" where it is no text, too large or closed to us."""
    try:
        if path.stat().st_size > FILE_BYTES:
            return ""
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return "" if "\0" in text else text


def text_files(folder: Path) -> Iterator[Path]:
    """The files that may be texts, in order: no links, nothing hidden."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(at, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path


def chunks(file: str, text: str) -> list[Chunk]:
    """Paragraphs that stand under one heading, as many as fit.

    >>> [(c.line, c.heading) for c in chunks("a.md", "# A\\n\\none\\n\\n## B\\ntwo\\n\\n# C\\nthree")]
    [(1, 'A'), (5, 'A > B'), (8, 'C')]
    """
    found = list[Chunk]()
    held, first, heading = list[str](), 1, ""
    for line, under, paragraph in _paragraphs(text, file.lower().endswith(MARKDOWN)):
        if held and (under != heading or sum(map(len, held)) + len(paragraph) > CHARACTERS):
            found.append(Chunk(file, first, heading, "".join(held).strip("\n")))
            held = []
        if not held:
            first, heading = line, under
        held.append(paragraph)
    return [*found, Chunk(file, first, heading, "".join(held).strip("\n"))] if held else found


def _paragraphs(text: str, markdown: bool) -> Iterator[tuple[int, str, str]]:
    """(first line, heading, text with the blank lines behind it); a line that is too long is divided."""
    path, fenced, heading = list[tuple[int, str]](), False, ""
    held, first = "", 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        fenced ^= bool(markdown and FENCE.match(line))
        title = HEADING.match(line) if markdown and not fenced else None
        definition = DEFINITION.match(line) if not markdown else None
        begins = title or definition or (held.endswith(("\n\n", "\r\n\r\n")) and line.strip() and not fenced)
        if held.strip() and (begins or len(held) + len(line) > CHARACTERS):
            yield first, heading, held
            held = ""
        if title:
            path = [*(part for part in path if part[0] < len(title[1])), (len(title[1]), title[2])]
            heading = " > ".join(words for _, words in path)
        elif definition:
            heading = definition[0].strip()[:100]
        if not held.strip():
            held, first = "", number
        held += line if line.strip() else "\n"
        while len(held) > CHARACTERS:
            yield first, heading, held[:CHARACTERS]
            held = held[CHARACTERS:]
    if held.strip():
        yield first, heading, held
