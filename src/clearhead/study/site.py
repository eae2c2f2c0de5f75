"""The guide as pages for a browser: no network and no scripts, formulas as MathML, code in colors.

Each page holds its own style, so that it can be read wherever it is copied to. Formulas are translated by the package
latex2mathml; one that it cannot translate is shown as text.
Deliberately not here: the files (`cli/study/guide.py` writes them).
"""

import html
import importlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from functools import lru_cache
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
from clearhead.study.book import Chapter, Found, all_of
from clearhead.study.figures import FIGURES
from clearhead.study.markdown import FIGURE, tokens
from clearhead.study.mathtext import plain
from clearhead.study.view import one_line

PACKAGE = "latex2mathml"
ALONE = re.compile(r"<p>(<figure>.*?</figure>)</p>", re.DOTALL)  # a figure is no paragraph
MARK = '<meta name="generator" content="clearhead guide">'  # by which a page of ours is known
TITLE = "Transformers, from the dot product to tree search"
STYLE = Path(__file__).with_name("site.css")
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
    style = charts.STYLE.read_text(encoding="utf-8") + STYLE.read_text(encoding="utf-8")
    found = {"index.html": _page(TITLE, _contents(chapters), style)}
    for i, chapter in enumerate(chapters):
        before = chapters[i - 1] if i else None
        after = chapters[i + 1] if i + 1 < len(chapters) else None
        found[file_of(chapter)] = _page(chapter.title, _chapter(chapter, before, after), style)
    return found


def file_of(chapter: Chapter) -> str:
    return f"{chapter.number:02}-{chapter.name}.html"


def written(text: str) -> str:
    r"""A text of notes as HTML.

    >>> written("So $x$ is *one*.")
    '<p>So <math ... display="inline"><mrow><mi>x</mi></mrow></math> is <em>one</em>.</p>\n'
    """
    return ALONE.sub(r"\1", _rendered(tokens(text)))


def in_line(text: str) -> str:
    """A question as HTML within a heading."""
    return "".join(_rendered(token.children or []) for token in tokens(text) if token.type == "inline")


def mathml(latex: str, display: bool) -> str:
    """A formula as MathML, or as text in the place of it."""
    convert = _converter()
    try:
        found = str(convert(UNKNOWN.sub(r"\\operatorname{arg}", latex), display="block" if display else "inline"))
    except Exception:  # its errors have no common class, and what is broken may raise anything
        found = ""
    return _spaced(found) if _is_mathml(found) else f"<code>{html.escape(plain(latex))}</code>"


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
        return mathml(found[i].content, display=False)

    def math_block(self, found: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        return f"{mathml(found[i].content, display=True)}\n"

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


def _rendered(found: Sequence[Token]) -> str:
    return str(_Html().render(found, OptionsDict(_OPTIONS), {}))


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


def _page(title: str, body: str, style: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
{MARK}
<title>{html.escape(title)}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _contents(chapters: Sequence[Chapter]) -> str:
    rows = "\n".join(
        f'<li><span>{one.number}</span> <a href="{file_of(one)}">{html.escape(one.title)}</a> '
        f"<span>{len(one.items)}</span></li>"
        for one in chapters
    )
    count = sum(len(one.items) for one in chapters)
    return (
        f"<main>\n<h1>{html.escape(TITLE)}</h1>\n<p>{count} questions, answered. What can be computed is computed: the "
        f'code below an answer was run, and what stands below the code is what it printed.</p>\n<ol class="contents">\n'
        f"{rows}\n</ol>\n</main>"
    )


def _chapter(chapter: Chapter, before: Chapter | None, after: Chapter | None) -> str:
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
        parts.append(_question(one))
    ways = "".join((_way(before, "← "), '<a href="index.html">All chapters</a>', _way(after, "", " →")))
    body = "\n".join(parts)
    return f"<header><nav>{ways}</nav></header>\n<main>\n{body}\n</main>\n<footer><nav>{ways}</nav></footer>"


def _question(one: Found) -> str:
    heading = f'<h3><a href="#q{one.at}">{one.place}</a>{in_line(one.item.question)}</h3>'
    return f'<section id="q{one.at}">\n{heading}\n{written(one.item.answer)}</section>'


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
