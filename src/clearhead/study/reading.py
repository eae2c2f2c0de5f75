"""Files of notes of any kind, as Markdown or as cards: what they hold is never run, and never larger than agreed.

Other markup becomes Markdown (`markup.py`), so that one recognition of styles serves all; tables of cards (CSV, TSV,
Anki's text) become items at once. Deliberately not here: packages of Anki (`apkg.py`), and styles.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clearhead.errors import UserError
from clearhead.study.markup import from_asciidoc, from_html, from_notebook, from_org, from_rst
from clearhead.study.notes import MAX_NOTES_BYTES, Item, Notes
from clearhead.study.styles import Seen, recognize
from clearhead.study.wording import ANSWER_CELL, QUESTION_CELL, TOPIC_CELL, asks

MARKUP = {
    ".html": from_html,
    ".htm": from_html,
    ".org": from_org,
    ".rst": from_rst,
    ".adoc": from_asciidoc,
    ".asciidoc": from_asciidoc,
}
TABLES = (".csv", ".tsv")
TEXTS = (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".txt", ".text", ".qmd", ".rmd", "")  # read as they are
KINDS = (*TEXTS[:-1], ".ipynb", *MARKUP, *TABLES)  # what is looked for in folders
MOST_FILES = 5_000  # of a folder


def is_notes(path: Path) -> bool:
    """Whether a file of a folder is looked at."""
    return path.suffix.lower() in KINDS


def load(path: Path, limit: int = MAX_NOTES_BYTES) -> bytes:
    """All bytes. UserError: the file cannot be read, or has more than the limit."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give a file")
        size = path.stat().st_size
        if size > limit:
            raise UserError(f"{path} has {size:,} bytes; it may have at most {limit:,}")
        with path.open("rb") as file:
            data = file.read(limit + 1)  # a device has no size
    except FileNotFoundError:
        raise UserError(f"there is no {path}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise UserError(f"{path} goes on beyond {limit:,} bytes")
    return data


def decode(data: bytes, name: str) -> str:
    """Text of UTF-8, or of UTF-16 with its mark, or of Windows' Latin alphabet. UserError: these bytes are no text."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise UserError(f"{name} begins as {encoding} and does not go on so: byte {error.start}") from None
    if b"\0" in data[:4096]:
        raise UserError(f"{name} is no text: it holds zero bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def seen_in(data: bytes, name: str, family: str = "") -> Seen:
    """What is found in a file of this name. UserError: it is not of the kind that its name says."""
    suffix = Path(name).suffix.lower()
    text = decode(data, name)
    if suffix == ".ipynb":
        return recognize(from_notebook(text, name), family)
    if suffix in MARKUP:
        return recognize(MARKUP[suffix](text), family)
    if suffix in TABLES or text.startswith("#separator:") or _is_tabbed(text):
        return from_table(text, name)
    return recognize(text, family)


def _is_tabbed(text: str) -> bool:
    """Every line is a question and its answer with a tab between, as Anki and Quizlet write them."""
    lines = [line for line in text[:20_000].split("\n")[:50] if line.strip() and not line.startswith("#")]
    return len(lines) >= 2 and all(line.count("\t") >= 1 and line[:1] not in " \t-*|" for line in lines[:-1] or lines)


def from_table(text: str, name: str) -> Seen:
    """Rows of a question and an answer, with Anki's directives or a head; another column may hold tags."""
    directives: dict[str, str] = {}
    lines = text.replace("\r\n", "\n").split("\n")
    skipped = 0
    for line in lines:
        if not (found := re.match(r"#([a-z ]{3,20}):(.*)", line)):
            break
        directives[found[1].strip()] = found[2].strip()
        skipped += 1
    body = "\n".join(lines[skipped:])
    separator = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "colon": ":", "space": " "}
    given = directives.get("separator", "").casefold()
    delimiter = separator.get(given, given[:1]) or _delimiter(body)
    old_limit = csv.field_size_limit(MAX_NOTES_BYTES)
    try:
        rows, starts = _rows(body, delimiter)
    except csv.Error as error:
        raise UserError(f"{name} is no table that can be read: {error}") from None
    finally:
        csv.field_size_limit(old_limit)
    special = {int(value) - 1 for key, value in directives.items() if key.endswith(" column") and value.isdigit()}
    tags = int(directives["tags column"]) - 1 if directives.get("tags column", "").isdigit() else None
    html = directives.get("html", "").casefold() == "true"
    asking, telling, tags, head = _columns(rows, special, tags)
    items: list[Item] = []
    doubtful: list[tuple[int, str]] = []
    for begin, row in zip(starts[head:], rows[head:], strict=True):
        if asking >= len(row) or not row[asking].strip():
            continue
        answer = row[telling].strip() if telling < len(row) else ""
        question = row[asking].strip()
        if html or re.search(r"<(?:br|div|b|i|img|p)\b", question + answer):
            question, answer = from_html(question).strip(), from_html(answer).strip()
        section = (row[tags].strip(),) if tags is not None and tags < len(row) and row[tags].strip() else ()
        items.append(Item(section, len(items) + 1, question, answer, begin + skipped))
        if not answer:
            doubtful.append((begin + skipped, question))
    return Seen(
        Notes("", tuple(items), (), ()), (("rows of a table", len(items)),) if items else (), tuple(doubtful), ()
    )


def _rows(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Rows that say something, and the line in which each begins, from 1."""
    rows, lines = [], []
    begin = 1
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    for row in reader:
        if any(cell.strip() for cell in row):
            rows.append(row)
            lines.append(begin)
        begin = reader.line_num + 1
    return rows, lines


def _delimiter(text: str) -> str:
    """The sign that stands equally often in the first lines."""
    lines = [line for line in text.split("\n")[:20] if line.strip()]
    if not lines:
        return ","
    for sign in ("\t", ";", ",", "|"):
        if all(sign in line for line in lines):
            return sign
    return max(("\t", ",", ";", "|"), key=lambda sign: sum(sign in line for line in lines))


def _columns(rows: Sequence[Sequence[str]], special: set[int], tags: int | None) -> tuple[int, int, int | None, int]:
    """(question, answer, tags or None, rows of the head)."""
    if not rows:
        return 0, 1, None, 0
    names = [cell.strip().strip("*") for cell in rows[0]]
    asking = next((i for i, cell in enumerate(names) if QUESTION_CELL.fullmatch(cell)), None)
    telling = next((i for i, cell in enumerate(names) if ANSWER_CELL.fullmatch(cell) and i != asking), None)
    if asking is not None and telling is not None:
        topic = next((i for i, cell in enumerate(names) if TOPIC_CELL.fullmatch(cell)), None)
        return asking, telling, tags if tags is not None else topic, 1
    if asking is not None and len(names) == 1:
        return 0, 1, tags, 1
    plain = [i for i in range(max(map(len, rows))) if i not in special]
    if len(plain) >= 3:  # a column of numbers before
        first = [row[plain[0]].strip() for row in rows if len(row) > plain[0]]
        if all(re.fullmatch(r"\d*", cell) for cell in first[1:]) or (
            not any(asks(cell) for cell in first)
            and sum(asks(row[plain[1]]) for row in rows if len(row) > plain[1]) > len(rows) / 2
        ):
            plain = plain[1:]
    return plain[0], plain[1] if len(plain) > 1 else plain[0] + 1, tags, 0


@dataclass(frozen=True)
class Source:
    """One file and what was found in it; no items where it holds no question."""

    path: Path
    seen: Seen


def gather(paths: Sequence[Path], family: str = "") -> list[Source]:
    """Every file, and every file of notes in every folder, in the order of their names.

    UserError: a file cannot be read, a folder has too many, or none of them holds a question.
    """
    sources = []
    for path in paths:
        files = _files(path) if path.is_dir() else [path]
        sources += [Source(file, seen_in(load(file), file.name, family)) for file in files]
    if not any(source.seen.notes.items for source in sources):
        named = str(paths[0]) if len(paths) == 1 else f"{len(paths)} files"
        wanted = f" in the style {family!r}" if family else ""
        raise UserError(
            f"{named} holds no questions{wanted}; write each as a heading (`### What is ...?`), as a line `1) question`"
            " with its answer below, or as `Q: ...` and `A: ...`; a list of terms is read with --style glossary"
        )
    return sources


def _files(folder: Path) -> list[Path]:
    """Files of notes below a folder, without hidden ones and without links that lead out of it."""
    found: list[Path] = []
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") or part == "node_modules" for part in path.relative_to(folder).parts)
        if not hidden and is_notes(path) and path.is_file() and path.resolve().is_relative_to(root):
            found.append(path)
            if len(found) > MOST_FILES:
                raise UserError(f"{folder} has more than {MOST_FILES:,} files of notes; give one of its folders")
    if not found:
        raise UserError(f"{folder} has no file of notes ({', '.join(KINDS)})")
    return found


def joined(sources: Sequence[Source]) -> Notes:
    """All items; of several files, each is a section above its own. So is one that has other names, which it bears."""
    items: list[Item] = []
    for source in sources:
        title = source.seen.notes.title or source.path.stem
        path = str(source.path.resolve()) if source.path.name != "-" else ""
        aliases = source.seen.notes.aliases
        named = f"{title} ({', '.join(aliases)})" if aliases else title
        for item in source.seen.notes.items:
            below = item.section[1:] if item.section[:1] == (title,) else item.section
            section = item.section if len(sources) == 1 and not aliases else (named, *below)
            items.append(replace(item, section=section, source=path))
    if len(sources) == 1:
        return replace(sources[0].seen.notes, items=tuple(items))
    todos = tuple(todo for source in sources for todo in source.seen.notes.todos)
    return Notes("", tuple(items), todos, tuple(line for source in sources for line in source.seen.notes.stray))
