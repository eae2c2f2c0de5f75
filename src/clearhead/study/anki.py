"""A deck as a package for Anki, by the package genanki: words, sections as tags, mathematics for its MathJax.

Deliberately not here: what was learned. Anki schedules anew.
"""

import html
import importlib
import io
import itertools
import re
import sqlite3
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from clearhead.errors import UserError
from clearhead.study.deck import Card
from clearhead.study.markdown import tokens

PACKAGE = "genanki"
MODEL = 1_736_220_914  # Anki knows a kind of note by its number, so this one stays
CSS = ".card { font-family: sans-serif; text-align: left; } .section { color: #777; font-size: 80%; }"
BACK = "{{FrontSide}}<hr id=answer>{{Answer}}"
FRONT = '<div class="section">{{Section}}</div>{{Question}}'


def package(name: str, cards: Sequence[Card], now: float) -> bytes:
    """The .apkg file. The same card has the same identity in every export, and Anki takes the
    words of the latest."""
    genanki = _genanki()
    model = genanki.Model(
        MODEL,
        "Clearhead",
        fields=[{"name": "Question"}, {"name": "Answer"}, {"name": "Section"}],
        templates=[{"name": "Card", "qfmt": FRONT, "afmt": BACK}],
        css=CSS,
    )
    deck = genanki.Deck(2**30 + zlib.crc32(name.encode()) % 2**30, name)
    for card in cards:
        fields = [as_html(card.question), as_html(card.answer), html.escape(" / ".join(card.section))]
        deck.add_note(
            genanki.Note(
                model, fields, sort_field=card.question, tags=[_tag(card.section)] * bool(card.section), guid=card.guid
            )
        )
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:  # genanki's own writing would leave its database behind
        path = Path(folder) / "collection.anki2"
        db = sqlite3.connect(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about `<` in what people write
            genanki.Package(deck).write_to_db(db.cursor(), now, itertools.count(int(now * 1000)))
        db.commit()
        db.close()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
            file.write(path, "collection.anki2")
            file.writestr("media", "{}")
    return content.getvalue()


def as_html(text: str) -> str:
    r"""Markdown as HTML, with mathematics between the marks that Anki's MathJax looks for.

    >>> as_html("so $a_1 < b_1$")
    '<p>so \\(a_1 &lt; b_1\\)</p>'
    """
    writer = _writer()
    return str(writer.renderer.render(tokens(text), writer.options, {})).strip()


@lru_cache
def _writer() -> MarkdownIt:
    """It writes what `markdown.py` has read."""
    writer = MarkdownIt("commonmark")
    writer.add_render_rule("math_inline", lambda _, found, i, *rest: f"\\({html.escape(found[i].content)}\\)")
    writer.add_render_rule("math_block", lambda _, found, i, *rest: f"<p>\\[{html.escape(found[i].content)}\\]</p>\n")
    return writer


def _tag(section: Sequence[str]) -> str:
    """Headings as one of Anki's tags, which nest by `::` and hold no blanks."""
    return "::".join(re.sub(r"\s+|:+", "_", heading) for heading in section)


def _genanki() -> Any:
    try:
        return importlib.import_module(PACKAGE)
    except ImportError:
        raise UserError("a package for Anki needs genanki: pip install 'clearhead[study]'") from None
