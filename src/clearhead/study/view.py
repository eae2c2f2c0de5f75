"""Questions and answers in a terminal: rich's Markdown, with mathematics as Unicode and tables that fit."""

import io
import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from markdown_it.token import Token
from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markdown import CodeBlock, Heading, ImageItem, Markdown, MarkdownContext, MarkdownElement, TableElement
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text, TextType

from clearhead.console import SafeConsole
from clearhead.study import mathtext
from clearhead.study.markdown import ELSEWHERE, FIGURE, PLACE, tokens
from clearhead.terminal import Shown

INDENT = 4  # columns before displayed mathematics
THEME = "ansi_dark"  # the terminal's own colors, so that it can be read on any background
PRINTED = "output"  # the language of a block that shows what the one above it prints


class Answer(Markdown):
    """A text of notes, ready to print."""

    elements: ClassVar[dict[str, type[MarkdownElement]]]

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme=THEME)
        self.parsed = list(_with_mathematics(tokens(text)))


class _Display(MarkdownElement):
    """A formula on lines of its own; where it is too wide, it goes on behind a relation or an operator."""

    lines: list[str]

    def on_text(self, context: MarkdownContext, text: TextType) -> None:
        self.lines = mathtext.display(str(text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = max(10, options.max_width - INDENT)
        lines = self.lines
        if len(lines) == 1 and len(lines[0]) > width:
            lines = list(folded(lines[0], width))
        for line in lines:
            yield Text(" " * INDENT + line, no_wrap=len(line) <= width, overflow="fold")


class _Code(CodeBlock):
    """Code with its colors, and what it prints with a bar at its side."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        code = str(self.text).rstrip()
        if self.lexer_name == PRINTED:
            width = max(10, options.max_width - 4)
            for line in code.split("\n"):
                for at in range(0, max(1, len(line)), width):
                    yield Text(f"  │ {line[at : at + width]}", style="dim")
            return
        yield Padding(Syntax(code, self.lexer_name, theme=THEME, background_color="default", word_wrap=True), (0, 2))


class _Heading(Heading):
    """At the left margin, as the rest is."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        text = self.text.copy()
        text.justify = "left"
        text.stylize("bold")
        yield text


class _Image(ImageItem):
    """What an image shows, and where it lies."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        said = self.text.plain or "without a description"
        if self.destination.startswith(FIGURE):
            yield Text(f"[figure: {said}; drawn by `clearhead guide --html`]", style="dim", end="")
        else:
            yield Text(f"[image: {said}; {self.destination}]", style="dim", end="")


class _Table(TableElement):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
        rows = self.header.row.cells if self.header is not None and self.header.row is not None else []
        for cell in rows:
            table.add_column(cell.content.copy(), overflow="fold")
        for row in self.body.rows if self.body is not None else []:
            table.add_row(*(cell.content for cell in row.cells))
        yield table


Answer.elements = {
    **Markdown.elements,
    "math_block": _Display,
    "fence": _Code,
    "code_block": _Code,
    "heading_open": _Heading,
    "image": _Image,
    "table_open": _Table,
}


def printed(text: str, width: int, color: bool = False) -> Shown:
    """A text as it looks on a terminal of so many columns.

    >>> printed("The loss $\\\\frac{1}{N} \\\\sum_i \\\\ell_i$ is a *mean*.", 60)
    'The loss 1/N ∑ᵢ ℓᵢ is a mean.'
    """
    file = io.StringIO()
    page = SafeConsole(
        file=file, width=width, force_terminal=color, color_system="standard" if color else None, legacy_windows=False
    )
    page.print(Answer(text))
    return Shown("\n".join(line.rstrip() for line in file.getvalue().strip("\n").split("\n")))


def one_line(text: str) -> str:
    """A question as it stands in a list: its mathematics as signs, without marks of emphasis.

    >>> one_line("Why is $\\\\|v\\\\|_2 \\\\ge 0$ for *every* `v`?")
    'Why is ‖v‖₂ ≥ 0 for every v?'
    """
    found = []
    for token in tokens(text):
        for child in token.children or []:
            if child.type in ("softbreak", "hardbreak"):
                found.append(" ")
            else:
                found.append(mathtext.plain(child.content) if child.type.startswith("math") else child.content)
        if token.type == "math_block":
            found.append(f" {mathtext.plain(token.content)} ")
    return re.sub(r"[ \n]+", " ", "".join(found)).strip()


def folded(line: str, width: int) -> Iterator[str]:
    """A formula cut before relations where it can be, else before sums, else behind a space.

    >>> list(folded("L(w) = a + b = c", 12))
    ['L(w) = a + b', '  = c']
    """
    indent = ""
    while len(line) > width:
        for cut, least in ((r" (?=[=≤≥≈⇒→] )", width // 3), (r" (?=[-+] )", width // 3), (r" ", len(indent) + 1)):
            places = [found.start() for found in re.finditer(cut, line) if least <= found.start() <= width]
            if places:
                break
        else:
            break
        yield line[: places[-1]].rstrip()
        indent = "  "
        line = indent + line[places[-1] :].lstrip()
    yield line


def _with_mathematics(found: Iterable[Token]) -> Iterator[Token]:
    """The tokens with inline mathematics as text, and links within Clearhead as their words."""
    ours = False  # within such a link; links do not nest
    for token in found:
        if token.type == "link_open":
            ours = str(token.attrGet("href") or "").startswith((PLACE, *ELSEWHERE))
        if ours and token.type in ("link_open", "link_close"):
            continue
        if token.children:
            token.children = list(_with_mathematics(token.children))
        if token.type == "math_inline":
            yield Token("text", "", 0, content=mathtext.plain(token.content))
        else:
            yield token
