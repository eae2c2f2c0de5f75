"""Other markup as Markdown: Jupyter notebooks, org-mode, reStructuredText, AsciiDoc, HTML.

What is code there is code here, so that nothing in it is taken for a heading or a question; what a conversion does not
know keeps its words. Deliberately not here: files (`reading.py`), and which of the lines are questions (`styles.py`).
"""

import json
import re
from html.parser import HTMLParser
from textwrap import dedent

from clearhead.errors import UserError

MOST_CELLS = 20_000  # of a notebook
DEEPEST = 100  # elements of HTML within each other
VOID = {"br", "hr", "img", "input", "meta", "link", "col", "wbr", "area", "base", "source"}
SKIPPED = {"script", "style", "head", "nav", "noscript", "template", "svg", "form", "iframe", "footer"}
BLOCKS = {"p", "div", "section", "article", "main", "tr", "figure", "center", "header", "table", "dl"}
MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "code": "`", "kbd": "`", "tt": "`"}  # at both ends


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


def from_rst(text: str) -> str:
    """reStructuredText as Markdown: underlined headings by the order of their signs, blocks of code, links."""
    lines = text.expandtabs(4).replace("\r\n", "\n").split("\n")
    signs: list[str] = []
    out: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at].rstrip()
        below = lines[at + 1].rstrip() if at + 1 < len(lines) else ""
        if _is_rst_rule(line) and at + 2 < len(lines) and line == lines[at + 2].rstrip() and below:
            sign, words, at = line[:2], below, at + 3  # a line above, too
        elif line[:1].strip() and _is_rst_rule(below) and len(below) >= len(line) and not _is_rst_rule(line):
            sign, words, at = below[0], line, at + 2
        elif (found := re.match(r"([ ]*)(?:\.\. (?:code|code-block|sourcecode)::[ ]*(\S*)$|(.*\S)?::$)", line)) and (
            found[2] is not None or not line.lstrip().startswith("..")
        ):
            end = _indented_end(lines, at + 1, len(found[1]))
            body = [one for one in lines[at + 1 : end] if not re.fullmatch(r"[ ]*:\w+:.*", one)]
            code = dedent("\n".join(body)).strip("\n")
            out += [
                f"{found[1]}{_rst_words(found[3])}:" if found[3] else "",
                "",
                f"```{found[2] or ''}",
                code,
                "```",
                "",
            ]
            at = end
            continue
        else:
            out.append("" if re.match(r"[ ]*\.\.(?: |$)", line) else _rst_words(line))
            at += 1
            continue
        if sign not in signs:
            signs.append(sign)
        out += ["", f"{'#' * min(6, 1 + signs.index(sign))} {_rst_words(words.strip())}", ""]
    return "\n".join(out)


def _is_rst_rule(line: str) -> bool:
    return len(line) >= 3 and line[0] in "=-~^\"'`*+#:._" and not line.strip(line[0])


def _indented_end(lines: list[str], at: int, indent: int) -> int:
    """The first line from `at` on that stands no further right than `indent`."""
    while at < len(lines) and (not lines[at].strip() or len(lines[at]) - len(lines[at].lstrip()) > indent):
        at += 1
    return at


def _rst_words(line: str) -> str:
    line = re.sub(r"`([^`<>]+)[ ]<([^`<>]+)>`_{1,2}", r"[\1](\2)", line)
    return re.sub(r":[\w:]+:`([^`]+)`", r"`\1`", line).replace("``", "`")


def from_asciidoc(text: str) -> str:
    """AsciiDoc as Markdown: headings, blocks of code, lists, terms that end by `::`, links, emphasis."""
    out: list[str] = []
    fence = language = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        plain = line.strip()
        if fence:
            out.append("```" if plain == fence else line)
            fence = "" if plain == fence else fence
        elif re.fullmatch(r"-{4,}|\.{4,}|```\w*", plain):
            fence = "```" if plain[0] == "`" else plain
            out.append(plain if plain[0] == "`" else f"```{language}")
            language = ""
        elif found := re.fullmatch(r"\[source,[ ]*([\w+#-]+).*\]", plain):
            language = found[1]
        elif re.fullmatch(r"\[[^\[\]]*\]|\[\[.*\]\]|:[\w-]+:.*|//.*|\+|={4,}|_{4,}|\*{4,}|toc::.*", plain):
            out.append("")
        elif found := re.match(r"(={1,6})[ ]+(\S.*)", line):
            out.append(f"{'#' * len(found[1])} {_asciidoc_words(found[2])}")
        elif found := re.match(r"(\S.*)::$", line):
            out += ["", f"###### {_asciidoc_words(found[1])}", ""]
        elif found := re.match(r"[ ]*(\.{1,5})[ ]+(\S.*)", line):
            out.append(f"{'   ' * (len(found[1]) - 1)}1. {_asciidoc_words(found[2])}")
        elif found := re.match(r"[ ]*(\*{1,5})[ ]+(\S.*)", line):
            out.append(f"{'  ' * (len(found[1]) - 1)}- {_asciidoc_words(found[2])}")
        else:
            out.append(_asciidoc_words(re.sub(r"^\.(?=[A-Za-z])", "", line)))
    return "\n".join([*out, "```"] if fence else out)


def _asciidoc_words(line: str) -> str:
    line = re.sub(r"image::?([^\[\]\s]{1,500})\[([^\[\]]{0,500})\]", r"![\2](\1)", line)
    line = re.sub(
        r"(?:link:)?(https?://[^\[\]\s]{1,500}|(?<=link:)[^\[\]\s]{1,500})\[([^\[\]]{1,500})\]", r"[\2](\1)", line
    )
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
        self.fresh = False  # an item of a list has begun, and nothing stands in it
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
        elif mark := self._mark(tag):
            self._put(mark)
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
            self.fresh = True
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
            self._part()
        elif tag == "button":
            self._put("\n\n**")

    def _mark(self, tag: str) -> str:
        """What stands at both ends of a tag's words, "" where nothing does; code is shown as it is."""
        mark = MARKS.get(tag, "")
        return "" if mark == "`" and self.pre else mark

    def handle_endtag(self, tag: str) -> None:
        if self.skipped:
            if tag in self.skipped:
                del self.skipped[self.skipped.index(tag) :]
            return
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6") or (tag in BLOCKS and tag != "tr") or tag == "blockquote":
            if tag == "dl":
                self._close_definition()
            self._part()
        elif tag == "button":
            self._put("**\n\n")
        elif mark := self._mark(tag):
            self._put(mark)
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
            self.fresh = self.fresh and not data.strip()
            self._put(data if self.pre else re.sub(r"[ \t\r\n]+", " ", data))

    def _part(self) -> None:
        """A paragraph ends or begins; within an item of a list it is indented, its first one goes on in the line."""
        if not self.fresh:
            self._put(f"\n\n{'    ' * len(self.lists)}" if self.cells is None else " ")

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
