"""A deck as a package for Anki, by the package genanki: words, images, sections as decks and tags, mathematics for
its MathJax.

Deliberately not here: what was learned. Anki schedules anew.
"""

import hashlib
import html
import importlib
import io
import itertools
import json
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
from urllib.parse import unquote

from markdown_it import MarkdownIt

from clearhead.errors import UserError
from clearhead.study.apkg import IMAGES, LARGEST_MEDIA
from clearhead.study.deck import Card
from clearhead.study.markdown import tokens

PACKAGE = "genanki"
MODEL = 1_736_220_914  # Anki knows a kind of note by its number, so this one stays
CSS = ".card { font-family: sans-serif; text-align: left; } .section { color: #777; font-size: 80%; }"
BACK = "{{FrontSide}}<hr id=answer>{{Answer}}"
FRONT = '<div class="section">{{Section}}</div>{{Question}}'


def package(name: str, cards: Sequence[Card], now: float) -> bytes:
    """The .apkg file. A card has the same identity in every export, and Anki takes the words of the latest."""
    genanki = _genanki()
    model = genanki.Model(
        MODEL,
        "Clearhead",
        fields=[{"name": "Question"}, {"name": "Answer"}, {"name": "Section"}],
        templates=[{"name": "Card", "qfmt": FRONT, "afmt": BACK}],
        css=CSS,
    )
    made: dict[str, Any] = {}
    shared = _shared([card.section for card in cards])
    media: dict[str, Path] = {}
    for card in cards:
        below = card.section[len(shared) : len(shared) + 1]
        place = "::".join([name, *(heading.replace("::", ":") for heading in below)])
        if place not in made:
            made[place] = genanki.Deck(2**30 + zlib.crc32(place.encode()) % 2**30, place)
        folder = Path(card.source).parent if card.source else None
        words = [as_html(text, folder, media) for text in (card.question, card.answer)]
        fields = [*words, html.escape(" / ".join(card.section))]
        tags = [_tag(card.section)] * bool(card.section)
        made[place].add_note(genanki.Note(model, fields, sort_field=card.question, tags=tags, guid=card.guid))
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch:  # genanki's own writing would leave its database behind
        path = Path(scratch) / "collection.anki2"
        db = sqlite3.connect(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about `<` in what people write
            genanki.Package(list(made.values())).write_to_db(db.cursor(), now, itertools.count(int(now * 1000)))
        db.commit()
        db.close()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
            file.write(path, "collection.anki2")
            file.writestr("media", json.dumps({str(i): told for i, told in enumerate(media)}))
            for i, image in enumerate(media.values()):
                file.write(image, str(i))
    return content.getvalue()


def _shared(sections: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that stand above all, which name no deck of their own."""
    first = min(sections, default=())
    last = max(sections, default=())
    n = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:n] if first != last else ()


def as_html(text: str, folder: Path | None = None, media: dict[str, Path] | None = None) -> str:
    r"""Markdown as HTML, with mathematics between the marks that Anki's MathJax looks for.

    Images of the folder get names of their own and are put into `media`.

    >>> as_html("so $a_1 < b_1$")
    '<p>so \\(a_1 &lt; b_1\\)</p>'
    """
    writer = _writer()
    found = tokens(text)
    for token in found:
        for child in token.children or []:
            if child.type == "image" and folder is not None and media is not None:
                path = image_file(folder, str(child.attrs.get("src", "")))
                if path is not None:
                    told = f"clearhead-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}{path.suffix.lower()}"
                    media[told] = path
                    child.attrs["src"] = told
    return str(writer.renderer.render(found, writer.options, {})).strip()


def image_file(folder: Path, address: str) -> Path | None:
    """The image that notes of this folder mean, where it lies in the folder and is none too large; else None."""
    plain = unquote(address)
    if not plain or re.match(r"[a-zA-Z][\w+.-]*:", plain) or not plain.lower().endswith(IMAGES):
        return None
    try:
        path = (folder / plain).resolve()
        inside = path.is_relative_to(folder.resolve())
        return path if inside and path.is_file() and path.stat().st_size <= LARGEST_MEDIA else None
    except (OSError, ValueError):
        return None


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
