"""Files of notes of any kind, as Markdown or as cards: what they hold is never run, and never larger than agreed.

Jupyter notebooks, HTML and org-mode become Markdown, so that one recognition of styles serves all; tables of cards
(CSV, TSV, Anki's text) become items at once. Deliberately not here: packages of Anki (`apkg.py`), and styles.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

from clearhead.errors import UserError
from clearhead.study.notes import MAX_NOTES_BYTES, Item, Notes
from clearhead.study.styles import Seen, recognize
from clearhead.study.wording import ANSWER_CELL, QUESTION_CELL, TOPIC_CELL, asks

KINDS = {".ipynb": "notebook", ".html": "html", ".htm": "html", ".org": "org", ".csv": "csv", ".tsv": "csv"}
TEXTS = (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".txt", ".text", ".rst", ".qmd", ".rmd", "")
MOST_FILES = 5_000  # of a folder
MOST_CELLS = 20_000  # of a notebook
DEEPEST = 100  # elements of HTML within each other
VOID = {"br", "hr", "img", "input", "meta", "link", "col", "wbr", "area", "base", "source"}
SKIPPED = {"script", "style", "head", "nav", "noscript", "template", "svg", "button", "form", "iframe", "footer"}
BLOCKS = {"p", "div", "section", "article", "main", "tr", "figure", "center", "header", "table", "dl"}


def is_notes(path: Path) -> bool:
    """Whether a file of a folder is looked at."""
    return path.suffix.lower() in KINDS or path.suffix.lower() in TEXTS[:-1]


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
    kind = KINDS.get(Path(name).suffix.lower(), "")
    text = decode(data, name)
    if kind == "notebook":
        return recognize(from_notebook(text, name), family)
    if kind == "html":
        return recognize(from_html(text), family)
    if kind == "org":
        return recognize(from_org(text), family)
    if kind == "csv" or text.startswith("#separator:") or _is_tabbed(text):
        return from_table(text, name)
    return recognize(text, family)


def _is_tabbed(text: str) -> bool:
    """Every line is a question and its answer with a tab between, as Anki and Quizlet write them."""
    lines = [line for line in text[:20_000].split("\n")[:50] if line.strip() and not line.startswith("#")]
    return len(lines) >= 2 and all(line.count("\t") >= 1 and line[:1] not in " \t-*|" for line in lines[:-1] or lines)


def from_notebook(text: str, name: str) -> str:
    """The cells of a Jupyter notebook as Markdown; code becomes a fenced block, what it printed is left out."""
    try:
        notebook = json.loads(text)
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        language = str(notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python"))
        parts = []
        for cell in cells[:MOST_CELLS]:
            source = cell.get("source", cell.get("input", ""))
            words = source if isinstance(source, str) else "".join(source)
            if cell["cell_type"] == "markdown":
                parts.append(words)
            elif cell["cell_type"] == "code" and words.strip():
                fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", words)), default=0))
                parts.append(f"{fence}{re.sub(r'[^a-zA-Z0-9+#-]', '', language)}\n{words}\n{fence}")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise UserError(f"{name} is no Jupyter notebook that can be read") from None
    return "\n\n".join(parts)


def from_org(text: str) -> str:
    """Org-mode as Markdown: headings, blocks, links, emphasis; `:drill:` marks a card."""
    out: list[str] = []
    end = ""
    drawer = False
    for line in text.replace("\r\n", "\n").split("\n"):
        plain = line.strip()
        upper = plain.upper()
        if end:
            out.append("```" if upper.startswith(end) else line)
            end = "" if upper.startswith(end) else end
        elif drawer or re.fullmatch(r":(?:PROPERTIES|LOGBOOK|DRAWER):", upper):
            drawer = upper != ":END:"
        elif found := re.match(r"#\+BEGIN_(SRC|EXAMPLE)(?:[ \t]+(\S+))?", plain, re.IGNORECASE):
            out.append(f"```{found[2] or ''}")
            end = f"#+END_{found[1].upper()}"
        elif upper.startswith("#+TITLE:"):
            out += [f"# {plain[8:].strip()}", ""]
        elif upper.startswith(("#+", "SCHEDULED:", "DEADLINE:", "CLOSED:", "# ")):
            out.append("")
        elif found := re.match(
            r"(\*{1,9})[ \t]+(?:(?:TODO|DONE|NEXT)[ \t]+)?(.*?)(?:[ \t]+(:[\w@:-]+:))?[ \t]*$", line
        ):
            card = " #card" if found[3] and ":drill:" in found[3] else ""
            out += ["", f"{'#' * len(found[1])} {_org_words(found[2])}{card}", ""]
        else:
            out.append(_org_words(line))
    return "\n".join([*out, "```"] if end else out)


def _org_words(line: str) -> str:
    line = re.sub(r"\[\[([^\[\]]+)\]\[([^\[\]]+)\]\]", r"[\2](\1)", line)
    line = re.sub(r"\[\[(?:file:)?([^\[\]]+\.(?:png|jpe?g|gif|svg|webp))\]\]", r"![](\1)", line, flags=re.IGNORECASE)
    line = re.sub(r"(?<![\w=])=([^=\s](?:[^=]*[^=\s])?)=(?![\w=])", r"`\1`", line)
    line = re.sub(r"(?<![\w~])~([^~\s](?:[^~]*[^~\s])?)~(?![\w~])", r"`\1`", line)
    return re.sub(r"(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])", r"**\1**", line)


def from_html(text: str) -> str:
    """HTML as Markdown. Terms of definition lists become folds, whose summary is the term."""
    writer = _Writer()
    writer.feed(text)
    writer.close()
    return writer.text()


class _Writer(HTMLParser):
    """Elements to Markdown, in one pass; what it does not know keeps its words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.skipped: list[str] = []
        self.lists: list[int | None] = []  # of a numbered list, the next number
        self.links: list[str] = []
        self.cells: list[str] | None = None
        self.begun = 0
        self.rows = 0
        self.pre = False
        self.definition = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in SKIPPED or self.skipped:
            if tag not in VOID and len(self.skipped) < DEEPEST:
                self.skipped.append(tag)
            return
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._put(f"\n\n{'#' * int(tag[1])} ")
        elif tag in ("strong", "b"):
            self._put("**")
        elif tag in ("em", "i"):
            self._put("*")
        elif tag in ("code", "kbd", "tt") and not self.pre:
            self._put("`")
        elif tag == "pre":
            self.pre = True
            self._put("\n\n```\n")
        elif tag in ("ul", "ol"):
            self.lists.append(None if tag == "ul" else 1)
            self._put("\n" if len(self.lists) > 1 else "\n\n")
        elif tag == "li":
            number = self.lists[-1] if self.lists else None
            indent = "    " * max(0, len(self.lists) - 1)
            self._put(f"\n{indent}{'-' if number is None else f'{number}.'} ")
            if number is not None:
                self.lists[-1] = number + 1
        elif tag == "br":
            self._put("\n" if self.cells is None else " ")
        elif tag == "hr":
            self._put("\n\n---\n\n")
        elif tag == "img":
            self._put(f"![{re.sub(r'[][]', '', given.get('alt', ''))}](<{re.sub(r'[<>]', '', given.get('src', ''))}>)")
        elif tag == "a":
            self.links.append(given.get("href", ""))
            self._put("[" if given.get("href") else "")
        elif tag in ("details", "summary"):
            self._put(f"\n\n<{tag}>" if tag == "details" else "<summary>")
        elif tag == "dt":
            self._close_definition()
            self.definition = True
            self._put("\n\n<details><summary>")
        elif tag == "dd":
            self._put("</summary>\n\n" if self.definition else "")
        elif tag in ("sup", "sub"):
            self._put(f"<{tag}>")
        elif tag in ("td", "th"):
            self.begun = len(self.out)
        elif tag == "tr":
            self.cells = []
        elif tag == "blockquote" or tag in BLOCKS:
            self.rows = 0 if tag == "table" else self.rows
            self._put("\n\n" if self.cells is None else " ")

    def handle_endtag(self, tag: str) -> None:
        if self.skipped:
            if tag in self.skipped:
                del self.skipped[self.skipped.index(tag) :]
            return
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6") or (tag in BLOCKS and tag != "tr") or tag == "blockquote":
            if tag == "dl":
                self._close_definition()
            self._put("\n\n" if self.cells is None else " ")
        elif tag in ("strong", "b"):
            self._put("**")
        elif tag in ("em", "i"):
            self._put("*")
        elif tag in ("code", "kbd", "tt") and not self.pre:
            self._put("`")
        elif tag == "pre":
            self.pre = False
            self._put("\n```\n\n")
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
            self._put("\n")
        elif tag == "a" and self.links:
            address = self.links.pop()
            self._put(f"]({address})" if address else "")
        elif tag in ("details", "summary"):
            self._put("\n\n</details>\n\n" if tag == "details" else "</summary>\n\n")
        elif tag in ("sup", "sub"):
            self._put(f"</{tag}>")
        elif tag in ("td", "th") and self.cells is not None:
            words = "".join(self.out[self.begun :])
            del self.out[self.begun :]
            self.cells.append(" ".join(words.split()).replace("|", "\\|"))
        elif tag == "tr" and self.cells is not None:
            row, self.cells = self.cells, None
            rule = f"|{'---|' * len(row)}\n" if not self.rows else ""
            self.rows += 1
            self._put(f"{'' if self.rows > 1 else chr(10)}| {' | '.join(row)} |\n{rule}" if row else "")

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self._put(data if self.pre else re.sub(r"[ \t\r\n]+", " ", data))

    def _close_definition(self) -> None:
        if self.definition:
            self._put("\n\n</details>\n\n")
            self.definition = False

    def _put(self, words: str) -> None:
        self.out.append(words)

    def text(self) -> str:
        self._close_definition()
        joined = "".join(self.out)
        parts = re.split(r"(\n```\n.*?\n```\n)", joined, flags=re.DOTALL)
        parts[::2] = [
            re.sub(r"\n[ \t]*\n(?:[ \t]*\n)+", "\n\n", re.sub(r"(?m)^ (?=\S)", "", part)) for part in parts[::2]
        ]
        return "".join(parts).strip() + "\n"


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
        rows = [row for row in csv.reader(io.StringIO(body), delimiter=delimiter) if any(cell.strip() for cell in row)]
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
    for at, row in enumerate(rows[head:], head + skipped + 1):
        if asking >= len(row) or not row[asking].strip():
            continue
        answer = row[telling].strip() if telling < len(row) else ""
        question = row[asking].strip()
        if html or re.search(r"<(?:br|div|b|i|img|p)\b", question + answer):
            question, answer = from_html(question).strip(), from_html(answer).strip()
        section = (row[tags].strip(),) if tags is not None and tags < len(row) and row[tags].strip() else ()
        items.append(Item(section, len(items) + 1, question, answer, at))
        if not answer:
            doubtful.append((at, question))
    return Seen(
        Notes("", tuple(items), (), ()), (("rows of a table", len(items)),) if items else (), tuple(doubtful), ()
    )


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
            " with its answer below, or as `Q: ...` and `A: ...`"
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
        raise UserError(f"{folder} has no file of notes ({', '.join((*TEXTS[:-1], *KINDS))})")
    return found


def joined(sources: Sequence[Source]) -> Notes:
    """All items; of several files, each is a section above its own."""
    items: list[Item] = []
    for source in sources:
        title = source.seen.notes.title or source.path.stem
        path = str(source.path.resolve()) if source.path.name != "-" else ""
        for item in source.seen.notes.items:
            own = len(sources) == 1 or item.section[:1] == (title,)
            items.append(replace(item, section=item.section if own else (title, *item.section), source=path))
    if len(sources) == 1:
        return replace(sources[0].seen.notes, items=tuple(items))
    todos = tuple(todo for source in sources for todo in source.seen.notes.todos)
    return Notes("", tuple(items), todos, tuple(line for source in sources for line in source.seen.notes.stray))
