"""Answers as a tree of tokens: CommonMark by markdown-it, with tables and with mathematics between dollar signs.

`$...$` becomes a token `math_inline`; `$$...$$` becomes a block `math_block`, out of the paragraph that it stands in.
So do the other ways to write mathematics: `\\(...\\)`, `\\[...\\]`, environments of LaTeX, blocks named `math`.
HTML never passes: of the tags that notes use, images and emphasis become Markdown and the rest is left out.
Deliberately not here: how any of it looks (`view.py` in a terminal, `site.py` in a browser).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

FIGURE = "figure:"  # the address of an image that Clearhead draws, see figures.py
PLACE = "guide:"  # of a question of the guide, as in guide:19.4
ELSEWHERE = ("practice:", "problem:")  # of an exercise, of a pen-and-paper problem
FENCED = re.compile(r"^([ \t]*)(`{3,}|~{3,}).*?(?:^[ \t]*\2[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
COMMENT = re.compile("<!--.*?-->", re.DOTALL)
IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"(src|alt)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
MOST_BRACKETS = 1000  # of one text outside code: the parser looks for the end of each link, which takes their square
EMPHASIS = {"em": "*", "i": "*", "strong": "**", "b": "**", "code": "`"}
LEFT_OUT = "details|summary|p|div|center|span|figure|figcaption|small|u|sup|sub|kbd|font|a"
RAISED = re.compile(r"<(sup|sub)>([^<>\n]{1,100})</\1>", re.IGNORECASE)
SUPERSCRIPTS = str.maketrans("0123456789+-=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ")
SUBSCRIPTS = str.maketrans("0123456789+-=()aeijkmnoprtuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑᵢⱼₖₘₙₒₚᵣₜᵤᵥₓ")
CODE = re.compile(r"(`+[^`\n]+`+)")
INLINE = re.compile(r"\\\(([^\n]{1,1000}?)\\\)")
DISPLAY = re.compile(r"\\\[([^\\]*(?:\\(?!\])[^\\]*){0,300})\\\]")
ENVIRONMENT = re.compile(
    r"^([ \t]*)\\begin\{(align|equation|gather|eqnarray|multline)(\*?)\}(.{0,5000}?)\\end\{\2\3\}",
    re.DOTALL | re.MULTILINE,
)
QUOTED_MATH = re.compile(r"\$`([^`\n]{1,1000})`\$")
EMBED = re.compile(r"!\[\[([^][|\n]{1,300})(?:\|[^][\n]{0,100})?\]\]")
PAGE = re.compile(r"(?<![\[\w=])(?<!= )\[\[([^\W\d][^][|,\n]{0,300})(?:\|([^][\n]{1,300}))?\]\](?!\()")
MARKED = re.compile(r"==([^=\s][^=\n]{0,300}?)==")
CALLOUT = re.compile(r"^([ \t]*>[ \t]*)\[!(\w{1,20})\][-+]?[ \t]*", re.MULTILINE)
TASK = re.compile(r"^([ \t]*[-*+][ \t]+)\[([ xX])\][ \t]+", re.MULTILINE)
DISPLAYED = re.compile(r"\$\$(.*?)\$\$[ \t]*+([.,;:]?+)[ \t]*+$", re.DOTALL)


def tokens(text: str) -> list[Token]:
    """The blocks of a text.

    >>> [token.content for token in tokens("So $x$.\\n$$y = 1$$") if token.type in ("inline", "math_block")]
    ['So $x$.', 'y = 1']
    """
    return _parser().parse(without_tags(text))


def without_tags(text: str) -> str:
    """Markdown in the place of the HTML that notes use, outside of code.

    >>> without_tags('<p align="center"><img src="a.svg" alt="A"><br><em>one</em></p>')
    '![A](<a.svg>)  \\n*one*'
    """
    parts, at = [], 0
    for code in FENCED.finditer(text):
        parts += [_plain_tags(text[at : code.start()]), _mathematics_block(code[0])]
        at = code.end()
    return "".join([*parts, _plain_tags(text[at:])])


def _plain_tags(text: str) -> str:
    if text.count("[") > MOST_BRACKETS:
        text = text.replace("[", "\\[")
    text = _replaced(COMMENT, "", text, "-->")
    text = _replaced(IMAGE, _image, text, ">")
    text = _other_mathematics(text)
    text = RAISED.sub(_raised, text)
    for tag, mark in EMPHASIS.items():
        text = re.sub(rf"</?{tag}\s*>", mark, text, flags=re.IGNORECASE)
    text = re.sub(r"(?<![ \t])[ \t]*<br\s*/?>[ \t]*\n?", "  \n", text, flags=re.IGNORECASE)
    return re.sub(rf"</?({LEFT_OUT})(\s[^<>]*)?>", "", text, flags=re.IGNORECASE)


def _mathematics_block(code: str) -> str:
    """A fenced block of the language `math` as displayed mathematics; another one as it is."""
    first, _, rest = code.partition("\n")
    if first.strip().lstrip("`~").strip().lower() != "math":
        return code
    indent = first[: len(first) - len(first.lstrip())]
    lines = [line.strip() for line in rest.split("\n")[:-1] if line.strip()]
    return f"\n{indent}$$\n" + "".join(f"{indent}{line}\n" for line in lines) + f"{indent}$$\n" if lines else code


def _other_mathematics(text: str) -> str:
    r"""Mathematics between dollar signs that was written in another way, and the signs of Obsidian as Markdown.

    >>> _other_mathematics(r"\(x\) is `\(code\)`, see [[Page|this]] ==now==")
    '$x$ is `\\(code\\)`, see this **now**'
    """
    if "$`" in text:
        text = QUOTED_MATH.sub(r"$\1$", text)
    if "\\begin{" in text:
        text = ENVIRONMENT.sub(_environment, text)
    if "\\[" in text:
        text = DISPLAY.sub(lambda found: f"$${found[1].strip()}$$" if found[1].strip() else found[0], text)
    if not any(sign in text for sign in ("\\(", "[[", "==", "[!", "[ ]", "[x]", "[X]")):
        return text
    text = TASK.sub(lambda found: f"{found[1]}{'☐' if found[2] == ' ' else '☑'} ", text)
    text = CALLOUT.sub(lambda found: f"{found[1]}**{found[2].capitalize()}** ", text)
    parts = CODE.split(text)
    for i in range(0, len(parts), 2):
        part = INLINE.sub(lambda found: f"${found[1].strip()}$", parts[i])
        part = EMBED.sub(lambda found: f"![{found[1]}]({quote(found[1])})", part)
        part = PAGE.sub(lambda found: found[2] or found[1], part)
        parts[i] = MARKED.sub(r"**\1**", part)
    return "".join(parts)


def _environment(found: re.Match[str]) -> str:
    """An environment of LaTeX between dollar signs, where it does not stand between them already."""
    before = found.string[max(0, found.start() - 200) : found.start()]
    if before.rstrip().endswith("$$"):
        return found[0]
    lines = "\n".join(f"{found[1]}{line.strip()}" for line in found[4].strip().split("\n") if line.strip())
    inner = (
        lines
        if found[2] in ("equation", "multline")
        else f"{found[1]}\\begin{{aligned}}\n{lines}\n{found[1]}\\end{{aligned}}"
    )
    return f"{found[1]}$$\n{inner}\n{found[1]}$$"


def _raised(found: re.Match[str]) -> str:
    """What stands above or below the line, by Unicode's own signs where it has them all."""
    raised = found[1].lower() == "sup"
    moved = found[2].translate(SUPERSCRIPTS if raised else SUBSCRIPTS)
    if all(new != old or old == " " for new, old in zip(moved, found[2], strict=True)):
        return moved
    return f"{'^' if raised else '_'}({found[2]})" if len(found[2]) > 1 else f"{'^' if raised else '_'}{found[2]}"


def _replaced(pattern: re.Pattern[str], put: str | Callable[[re.Match[str]], str], text: str, end: str) -> str:
    """What `end` closes, replaced. Behind the last one every opening would be read to the end of the text in vain."""
    last = text.rfind(end) + len(end) if end in text else 0
    return pattern.sub(put, text[:last]) + text[last:]


def _image(found: re.Match[str]) -> str:
    given = {name.lower(): one or other for name, one, other in ATTRIBUTE.findall(found[0])}
    alternative = re.sub(r"[\[\]\n]", " ", given.get("alt", ""))
    source = re.sub(r"[<>\n]", "", given.get("src", ""))
    return f"![{alternative}](<{source}>)"


@lru_cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    interrupted = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("fence", "math_block", _math_block, {"alt": interrupted})
    parser.inline.ruler.before("escape", "math", _math)
    parser.core.ruler.after("inline", "math_apart", _apart)
    return parser


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Lines from one that begins with `$$` to one that ends with it; no empty line between."""
    if state.is_code_block(start):
        return False
    lines = []
    for line in range(start, end):
        if state.isEmpty(line) or (line > start and state.sCount[line] < state.blkIndent):
            return False
        lines.append(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]])
        if not lines[0].startswith("$$"):
            return False
        if "$$" in lines[-1][2 if line == start else 0 :]:
            break
    else:
        return False
    found = DISPLAYED.fullmatch("\n".join(lines))
    if found is None or not found[1].strip():
        return False
    if not silent:
        token = state.push("math_block", "", 0)
        token.content = found[1].strip() + found[2]
        token.block = True
        token.map = [start, line + 1]
        state.line = line + 1
    return True


def _math(state: StateInline, silent: bool) -> bool:
    """`$...$` and `$$...$$`. What could be two sums of money is not: a space behind the first sign, or a digit
    behind the last, with nothing between that looks like mathematics."""
    if state.src[state.pos] != "$":
        return False
    mark = "$$" if state.src.startswith("$$", state.pos) else "$"
    start = state.pos + len(mark)
    end = start
    while True:
        end = state.src.find(mark, end, state.posMax)
        if end < 0:
            return False
        if state.src[end - 1] != "\\":
            break
        end += 1
    content = state.src[start:end]
    after = state.src[end + len(mark) : end + len(mark) + 1]
    doubtful = content[:1].isspace() or content[-1:].isspace() or after.isdigit()
    if not content.strip() or (mark == "$" and doubtful and not re.search(r"[\\^_={}]", content)):
        return False
    if not silent:
        token = state.push("math_inline" if mark == "$" else "math_display", "", 0)
        token.content = content.strip()
        token.markup = mark
    state.pos = end + len(mark)
    return True


def _apart(state: StateCore) -> None:
    """Displayed mathematics within a paragraph becomes a block between two paragraphs."""
    found: list[Token] = []
    for i, token in enumerate(state.tokens):
        children = token.children or []
        if token.type != "inline" or not any(child.type == "math_display" for child in children):
            found.append(token)
            continue
        if state.tokens[i - 1].type != "paragraph_open":  # a heading, a cell: it has one line
            for child in children:
                child.type = child.type.replace("math_display", "math_inline")
            found.append(token)
            continue
        opening, closing = state.tokens[i - 1], state.tokens[i + 1]
        found.pop()  # of several closings in a row, below, the first one stays
        for piece in _split(children):
            if piece[0].type == "math_display":
                found.append(Token("math_block", "", 0, content=piece[0].content, block=True, level=opening.level))
            else:
                inline = Token("inline", "", 0, children=piece, level=token.level)
                inline.content = "".join(child.content for child in piece)
                found += [opening, inline, closing]
    state.tokens = [
        token
        for i, token in enumerate(found)
        if not (token.type == "paragraph_close" and i and found[i - 1].type in ("math_block", "paragraph_close"))
    ]


def _split(children: list[Token]) -> list[list[Token]]:
    """Runs of text and single formulas, without the line breaks beside these."""
    runs: list[list[Token]] = [[]]
    for child in children:
        if child.type == "math_display":
            runs += [[child], []]
        else:
            runs[-1].append(child)
    for run in runs:
        while run and run[0].type in ("softbreak", "hardbreak"):
            run.pop(0)
        while run and run[-1].type in ("softbreak", "hardbreak"):
            run.pop()
    return [run for run in runs if any(child.type != "text" or child.content.strip() for child in run)]
