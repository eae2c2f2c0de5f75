"""The guide as a folder of pages: no network, no script, mathematics as MathML.

Deliberately not here: the guide's text (guide/), and who writes the files (cli.guide).
"""

import html
import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from clearhead.errors import UserError
from clearhead.study.notes import Item, Notes

INLINE = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+(?:\n[^$\n]+)*?)\$", re.DOTALL)
FENCED = re.compile(r"^[ \t]*```.*?^[ \t]*```[ \t]*$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1b; --paper: #fdfdfb; --quiet: #6b6b66; --line: #dcdcd6; --tint: #f3f3ee }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e3; --paper: #191918; --quiet: #9c9c95; --line: #3a3a37; --tint: #242422 }
}
body { font: 17px/1.6 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto; padding: 1rem;
  max-width: 44rem; overflow-wrap: break-word }
h1, h2, h3 { line-height: 1.25 } h1 { font-size: 1.9rem } h2 { margin-top: 3rem } h3 { margin-top: 2.4rem }
a { color: inherit } nav, .quiet { color: var(--quiet); font-size: .95rem }
nav { display: flex; gap: 1rem; justify-content: space-between; border-block: 1px solid var(--line); padding: .5rem 0 }
pre { background: var(--tint); padding: .8rem; overflow-x: auto; font-size: .85rem; line-height: 1.45; margin: 0 }
pre.output { border-top: 1px dashed var(--line); margin-bottom: 1rem } code { font-size: .92em }
table { border-collapse: collapse; display: block; overflow-x: auto } td, th { border: 1px solid var(--line);
  padding: .3rem .6rem; text-align: left }
math[display="block"] { display: block math; overflow-x: auto; padding: .3rem 0 }
ol.contents { padding-left: 1.6rem } summary { cursor: pointer }
"""


@dataclass(frozen=True)
class Page:
    """A file of the site."""

    name: str
    text: str


def pages(chapters: Sequence[tuple[str, Notes]]) -> list[Page]:
    """The index, and a page for each chapter, in order; a chapter comes with the stem of its file."""
    found = [Page("index.html", _index(chapters))]
    for i, (stem, notes) in enumerate(chapters):
        links = ['<a href="index.html">All chapters</a>']
        if i:
            links.insert(0, f'<a href="{chapters[i - 1][0]}.html" rel="prev">← {_words(chapters[i - 1][1].title)}</a>')
        if i + 1 < len(chapters):
            links.append(f'<a href="{chapters[i + 1][0]}.html" rel="next">{_words(chapters[i + 1][1].title)} →</a>')
        nav = f"<nav>{''.join(links)}</nav>"
        found.append(Page(f"{stem}.html", document(notes.title, nav + _chapter(notes) + nav)))
    return found


def document(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_words(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _index(chapters: Sequence[tuple[str, Notes]]) -> str:
    rows = "".join(
        f'<li><a href="{stem}.html">{_words(notes.title)}</a> '
        f'<span class="quiet">{len(notes.items)} questions</span></li>'
        for stem, notes in chapters
    )
    total = sum(len(notes.items) for _, notes in chapters)
    opening = (
        f"{total} questions from the dot product to tree search, in reading order. Every claim that can be computed "
        "is: the code below an answer was run, and printed what stands under it."
    )
    return document("The guide", f'<h1>The guide</h1><p>{opening}</p><ol class="contents">{rows}</ol>')


def _chapter(notes: Notes) -> str:
    sections: list[tuple[str, list[Item]]] = []
    for item in notes.items:
        name = item.section[-1]
        if not sections or sections[-1][0] != name:
            sections.append((name, []))
        sections[-1][1].append(item)
    out = [f"<h1>{_words(notes.title)}</h1>"]
    for place, (name, items) in enumerate(sections, 1):
        asked = {item.number: formulas(item.question) for item in items}
        rows = "".join(f'<li value="{n}"><a href="#{place}.{n}">{question}</a></li>' for n, question in asked.items())
        out.append(f"<h2>{_words(name)}</h2>")
        out.append(f'<details><summary class="quiet">Questions</summary><ol>{rows}</ol></details>')
        for item in items:
            out.append(f'<h3 id="{place}.{item.number}">{item.number}. {asked[item.number]}</h3>')
            out.append(answer(item.answer))
    return "".join(out)


def answer(markdown: str) -> str:
    """An answer as HTML."""
    kept: list[str] = []

    def keep(found: "re.Match[str]") -> str:
        shown = _mathml(found[1] if found[1] is not None else found[2], block=found[1] is not None)
        kept.append(shown)
        return f"\ue000{len(kept) - 1}\ue001"

    parts, at = [], 0
    for code in FENCED.finditer(markdown):
        parts += [INLINE.sub(keep, markdown[at : code.start()]), code[0]]
        at = code.end()
    parts.append(INLINE.sub(keep, markdown[at:]))
    renderer = _package("markdown_it").MarkdownIt("commonmark", {"html": False}).enable("table")
    text = renderer.render("".join(parts))
    text = text.replace('<pre><code class="language-output">', '<pre class="output"><code>')
    return re.sub("\ue000(\\d+)\ue001", lambda found: kept[int(found[1])], text)


def formulas(line: str) -> str:
    """A line of text with formulas, as HTML."""
    out, at = [], 0
    for found in INLINE.finditer(line):
        out += [_words(line[at : found.start()]), _mathml(found[1] or found[2], block=False)]
        at = found.end()
    return "".join([*out, _words(line[at:])])


def _mathml(latex: str, block: bool) -> str:
    converter = _package("latex2mathml.converter")
    try:
        return str(converter.convert(latex.replace("\n", " "), display="block" if block else "inline"))
    except Exception:  # the package raises many kinds for what it does not know
        return f"<code>{html.escape(latex)}</code>"


def _words(text: str) -> str:
    return html.escape(text, quote=True)


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError("the guide as HTML needs more packages: pip install 'clearhead[study]'") from None
