"""The guide as pages for a browser: no network, formulas as MathML, code in colors, a list of all questions to search.

Each page holds its own style and a font for mathematics, so that it can be read wherever it is copied to: without such
a font, which few systems have, brackets stay small around what is high. Formulas are translated by the package
latex2mathml; one that it cannot translate is shown as text. The list alone has a script, which looks typed words up in
the stems of `search.py`; without it the list is whole.
Deliberately not here: the files (`cli/study/guide.py` writes them).
"""

import html
import importlib
import json
import re
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from clearhead.charts import svg as charts
from clearhead.errors import UserError
from clearhead.study.book import Chapter, Found, all_of, entry_of, names_of
from clearhead.study.figures import FIGURES
from clearhead.study.markdown import ELSEWHERE, FIGURE, PLACE, tokens
from clearhead.study.mathtext import plain
from clearhead.study.search import stems, web_index
from clearhead.study.view import one_line

PACKAGE = "latex2mathml"
ALONE = re.compile(r"<p>(<figure>.*?</figure>)</p>", re.DOTALL)  # a figure is no paragraph
MARK = '<meta name="generator" content="clearhead guide">'  # by which a page of ours is known
TITLE = "Transformers, from the dot product to tree search"
STYLE = Path(__file__).with_name("site.css")
SCRIPT = Path(__file__).with_name("site.js")
FONT = Path(__file__).with_name("math.woff2")  # math-font-license.txt says what it is made of
QUESTIONS = "questions.html"
ARXIV = re.compile(r"\barXiv (\d{4}\.\d{4,5})")
DOI = re.compile(r"\bdoi (10\.\d{4,}/[^\s;,]*[^\s;,.])")
LONG = 34  # letters of a displayed formula that a telephone has room for
RELATION = re.compile(r"(?:=|\\(?:le|ge|leq|geq|approx|propto|equiv|in|Rightarrow|to|leftarrow)(?![a-zA-Z])|<|>)")
SUM = re.compile(r"[-+]|\\(?:odot|times|cdot)(?![a-zA-Z])")
UNKNOWN = re.compile(r"\\arg(?![a-zA-Z])")  # to latex2mathml 3
ALLOWED = """math mrow mi mn mo ms mtext mspace mfrac msqrt mroot mstyle mpadded mphantom menclose msub msup msubsup
    munder mover munderover mtable mtr mtd"""
TAGS = frozenset(f"{{http://www.w3.org/1998/Math/MathML}}{name}" for name in ALLOWED.split())
WITH = """display accent stretchy fence form mathvariant width height depth linethickness columnalign rowspacing
    displaystyle scriptlevel minsize maxsize columnspacing lspace rspace separator movablelimits
    notation columnlines rowlines"""
ATTRIBUTES = frozenset(WITH.split())
THIN = '<mspace width="0.17em"/>'
NAMES = r"<mi>(?:log|ln|exp|sin|cos|tan|tanh|arg|det|dim|sinh|cosh)</mi>"
NAME_BEFORE = re.compile(rf"({NAMES})(?=<m(?!o)|<mo fence)")
NAME_BEHIND = re.compile(rf"(</m(?:i|n|sub|sup|subsup|frac|row)>)({NAMES})")
SIGN = re.compile(r"(<mo[^>]*>(?:[(\[,]|&#x(?:00028|0005B|0002C|0003D|02264|02265);)</mo>)<mo>(?=(?:-|&#x02212;)</mo>)")


def pages(chapters: Sequence[Chapter]) -> dict[str, str]:
    """Every page by the name of its file."""
    return {name: make() for name, make in makers(chapters).items()}


def makers(chapters: Sequence[Chapter]) -> dict[str, Callable[[], str]]:
    """By the name of each page's file what makes it, for those who want one alone."""
    style = charts.STYLE.read_text(encoding="utf-8") + STYLE.read_text(encoding="utf-8")
    places = {one.place: f"{file_of(chapter)}#q{one.at}" for chapter in chapters for one in all_of(chapter)}

    def questions() -> str:
        script = SCRIPT.read_text(encoding="utf-8").replace("INDEX", _index(chapters))
        return _page("All questions", _all_questions(chapters), style, script)

    def chapter(i: int) -> str:
        before = chapters[i - 1] if i else None
        after = chapters[i + 1] if i + 1 < len(chapters) else None
        return _page(chapters[i].title, _chapter(chapters[i], before, after, places), style)

    contents = {"index.html": lambda: _page(TITLE, _contents(chapters), style), QUESTIONS: questions}
    return contents | {file_of(one): partial(chapter, i) for i, one in enumerate(chapters)}


def file_of(chapter: Chapter) -> str:
    return f"{chapter.number:02}-{chapter.name}.html"


def written(text: str, places: Mapping[str, str] | None = None) -> str:
    r"""A text of notes as HTML. `places` says where questions of the guide are, for links to them.

    >>> written("So $x$ is *one*.")
    '<p>So <math ... display="inline"><mrow><mi>x</mi></mrow></math> is <em>one</em>.</p>\n'
    """
    return ALONE.sub(r"\1", _rendered(tokens(text), places or {}))


def in_line(text: str) -> str:
    """A question as HTML within a heading."""
    return "".join(_rendered(token.children or [], {}) for token in tokens(text) if token.type == "inline")


def mathml(latex: str, display: bool) -> str:
    """A formula as MathML, or as text in the place of it."""
    convert = _converter()
    try:
        found = str(convert(UNKNOWN.sub(r"\\operatorname{arg}", latex), display="block" if display else "inline"))
    except Exception:  # its errors have no common class, and what is broken may raise anything
        found = ""
    return _spaced(found) if _is_mathml(found) else f"<code>{html.escape(plain(latex))}</code>"


def displayed(latex: str) -> str:
    """A formula on lines of its own. A long one is pieces that a narrow page may put below each other."""
    pieces = _pieces(latex)
    if len(pieces) == 1:
        return mathml(latex, display=True)
    shown = "".join(mathml(piece, display=True) for piece in pieces)
    return f'<div class="pieces">{shown}</div>' if "<code>" not in shown else mathml(latex, display=True)


def parted(latex: str, sign: re.Pattern[str]) -> list[str]:
    r"""A formula cut before signs that stand outside of braces, brackets and environments, and behind `\quad`.

    >>> parted(r"a = \frac{b = c}{2} \quad d = (e = f)", RELATION)
    ['a', '{}= \\frac{b = c}{2} \\quad ', 'd', '{}= (e = f)']
    """
    if "\\begin" in latex or "\\\\" in latex or "&" in latex:
        return [latex]
    found, depth, at, start = [], 0, 0, 0
    while at < len(latex):
        opened = re.compile(r"\\left(?![a-zA-Z])|[{(\[]|\\\{").match(latex, at)
        closed = re.compile(r"\\right(?![a-zA-Z])|[})\]]|\\\}").match(latex, at)
        behind = re.compile(r"\\q?quad(?![a-zA-Z])\s*").match(latex, at)
        here = sign.match(latex, at)
        word = re.compile(r"\\[a-zA-Z]+|\\.").match(latex, at)
        if opened or closed:
            depth += 1 if opened else -1
            step = len((opened or closed)[0])  # type: ignore[index]
            if (opened or closed)[0] in ("\\left", "\\right"):  # type: ignore[index]
                step += len(re.compile(r"\s*(?:\\.|.)").match(latex, at + step)[0])  # type: ignore[index]
        elif behind and not depth:
            step = len(behind[0])
            found.append(latex[start : at + step])
            start = at + step
        elif here and not depth and latex[start:at].strip() and latex[at - 1] not in "^_":
            step = len(here[0])
            found.append(latex[start:at].rstrip())
            start = at
        else:
            step = len((here or word or [latex[at]])[0])
        at += step
    found.append(latex[start:])
    return [f"{{}}{piece}" if sign.match(piece) else piece for piece in found if piece.strip()]


def _pieces(latex: str) -> list[str]:
    """A formula as it is, or, where it is long, cut before relations, and where these are far apart before sums."""
    if not _long(latex):
        return [latex]
    return [piece for part in parted(latex, RELATION) for piece in (parted(part, SUM) if _long(part) else [part])]


def _long(latex: str) -> bool:
    return len(plain(latex)) > LONG


def _is_mathml(found: str) -> bool:
    """Nothing but mathematics: latex2mathml passes HTML inside `\\text` on, and names that it does not know."""
    try:
        tree = ElementTree.fromstring(found)
    except ElementTree.ParseError:
        return False
    return all(
        element.tag in TAGS and element.attrib.keys() <= ATTRIBUTES and not (element.text or "").startswith("\\")
        for element in tree.iter()
    )


def _spaced(found: str) -> str:
    """Spaces beside names of functions, and none behind the sign of -1, as TeX has them."""
    found = found.replace("<mo>&#x0221E;</mo>", "<mi>&#x0221E;</mi>")
    found = NAME_BEFORE.sub(rf"\1{THIN}", found)
    found = NAME_BEHIND.sub(rf"\1{THIN}\2", found)
    return SIGN.sub(r'\1<mo form="prefix">', found)


class _Html(RendererHTML):
    """markdown-it's HTML with formulas, colored code and tables that scroll. Rules are found by their names."""

    def math_inline(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        pieces = _pieces(found[i].content)
        return "<wbr>".join(mathml(piece, display=False) for piece in pieces)

    def math_block(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        return f"{displayed(found[i].content)}\n"

    def text(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        said = ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', html.escape(found[i].content))
        return DOI.sub(r'<a href="https://doi.org/\1">doi \1</a>', said)

    def link_open(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        """A link within the guide leads to its page; what is practised elsewhere is shown as code."""
        address = str(found[i].attrGet("href") or "")
        if address.startswith(ELSEWHERE):
            return "<code>"
        if address.startswith(PLACE):
            where = env.get(address.removeprefix(PLACE))
            return f'<a href="{html.escape(where)}">' if where else "<span>"
        return self.renderToken(found, i, options, env)

    def link_close(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        address = next((str(one.attrGet("href")) for one in found[i::-1] if one.type == "link_open"), "")
        if address.startswith(ELSEWHERE):
            return "</code>"
        if address.startswith(PLACE) and not env.get(address.removeprefix(PLACE)):
            return "</span>"
        return "</a>"

    def fence(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        language = found[i].info.split()[0] if found[i].info.strip() else ""
        if language == "output":
            return f'<pre class="output">{html.escape(found[i].content)}</pre>\n'
        return f"<pre>{_colored(found[i].content, language)}</pre>\n"

    def image(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        source, said = str(found[i].attrGet("src") or ""), found[i].content
        if source.startswith(FIGURE):
            draw = FIGURES[source.removeprefix(FIGURE)]
            return f"<figure>{draw(said)}<figcaption>{html.escape(said)}</figcaption></figure>"
        return f'<a href="{html.escape(source)}">[image: {html.escape(said or source)}]</a>'  # nothing is fetched

    def table_open(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="wide"><table>\n'

    def table_close(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"


def _rendered(found: Sequence[Token], places: Mapping[str, str]) -> str:
    return str(_Html().render(found, OptionsDict(_OPTIONS), dict(places)))


_OPTIONS: Any = {
    "maxNesting": 20, "html": False, "linkify": False, "typographer": False, "quotes": "", "xhtmlOut": False,
    "breaks": False, "langPrefix": "language-", "highlight": None,
}  # fmt: skip


def _colored(code: str, language: str) -> str:
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return html.escape(code)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))


def _page(title: str, body: str, style: str, script: str = "") -> str:
    """A page that may run nothing but this script, and fetch nothing."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    allowed = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
    allowed += f"; script-src 'sha256-{digest}'" if script else ""
    running = f"<script>{script}</script>\n" if script else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{allowed}">
{MARK}
<title>{html.escape(title)}</title>
<style>
{_font() if "<math" in body else ""}{style}</style>
</head>
<body>
{body}
{running}</body>
</html>
"""


@lru_cache
def _font() -> str:
    data = b64encode(FONT.read_bytes()).decode()
    return f'@font-face {{ font-family: "Clearhead Math"; src: url(data:font/woff2;base64,{data}); }}\n'


def _contents(chapters: Sequence[Chapter]) -> str:
    rows = "\n".join(
        f'<li><span>{one.number}</span> <a href="{file_of(one)}">{html.escape(one.title)}</a> '
        f"<span>{len(one.items)}</span></li>"
        for one in chapters
    )
    count = sum(len(one.items) for one in chapters)
    return (
        f"<main>\n<h1>{html.escape(TITLE)}</h1>\n<p>{count} questions, answered. What can be computed is computed: the "
        f"code below an answer was run, and what stands below the code is what it printed. "
        f'<a href="{QUESTIONS}">Search all questions</a></p>\n<ol class="contents">\n'
        f"{rows}\n</ol>\n</main>"
    )


def _all_questions(chapters: Sequence[Chapter]) -> str:
    """Every question with its place; a field above it, which the script shows, narrows the list."""
    rows = "\n".join(
        f'<li><span>{one.place}</span><a href="{file_of(chapter)}#q{one.at}">'
        f"{html.escape(one_line(one.item.question))}</a></li>"
        for chapter in chapters
        for one in all_of(chapter)
    )
    count = sum(len(one.items) for one in chapters)
    return (
        '<header><nav><a href="index.html">All chapters</a></nav></header>\n<main>\n<h1>All questions</h1>\n'
        '<p id="searching" hidden><input id="search" type="search" placeholder="RoPE, KV cache, vanishing gradients" '
        f'aria-label="Search"> <span id="told">{count} questions</span></p>\n'
        f'<ul class="questions" id="all">\n{rows}\n</ul>\n</main>'
    )


def _index(chapters: Sequence[Chapter]) -> str:
    """What the script searches in, as JSON that cannot end a script."""
    found = [one for chapter in chapters for one in all_of(chapter)]
    entries = [entry_of(one) for one in found]
    names = [[" ".join(stems(name)) for name in names_of(one.chapter)] for one in found]
    whole = {**web_index(entries), "chapters": names}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=True).replace("</", "<\\/")


def _chapter(chapter: Chapter, before: Chapter | None, after: Chapter | None, places: Mapping[str, str]) -> str:
    found = all_of(chapter)
    listed = "\n".join(
        f'<li><span>{one.place}</span><a href="#q{one.at}">{html.escape(one_line(one.item.question))}</a></li>'
        for one in found
    )
    parts = [f'<h1>{html.escape(chapter.title)}</h1>\n<ul class="questions">\n{listed}\n</ul>']
    section: tuple[str, ...] = ()
    for one in found:
        below = one.item.section[1:]  # under the chapter's title
        if below != section and below:
            parts.append(f"<h2>{html.escape(' / '.join(below))}</h2>")
        section = below
        parts.append(_question(one, places))
    both = f'<span><a href="index.html">All chapters</a> · <a href="{QUESTIONS}">Search</a></span>'
    ways = "".join((_way(before, "← "), both, _way(after, "", " →")))
    body = "\n".join(parts)
    return f"<header><nav>{ways}</nav></header>\n<main>\n{body}\n</main>\n<footer><nav>{ways}</nav></footer>"


def _question(one: Found, places: Mapping[str, str]) -> str:
    heading = f'<h3><a href="#q{one.at}">{one.place}</a>{in_line(one.item.question)}</h3>'
    return f'<section id="q{one.at}">\n{heading}\n{written(one.item.answer, places)}</section>'


def _way(chapter: Chapter | None, left: str, right: str = "") -> str:
    if chapter is None:
        return "<span></span>"
    return f'<a href="{file_of(chapter)}">{left}{html.escape(chapter.title)}{right}</a>'


@lru_cache
def _converter() -> Callable[..., str]:
    try:
        convert: Callable[..., str] = importlib.import_module(f"{PACKAGE}.converter").convert
    except ImportError:
        raise UserError(f"formulas for a browser need the package {PACKAGE}: pip install 'clearhead[study]'") from None
    return convert
