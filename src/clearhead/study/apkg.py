"""A package of Anki (.apkg, or .colpkg with a whole collection), read: its notes as questions and answers, its images,
and every answer that was given.

The file is another program's and may be anybody's: it is a zip with an SQLite database, both read within limits,
nothing of it is run, and no name in it leads out of a folder. Deliberately not here: writing one (`anki.py`).
"""

import io
import json
import re
import sqlite3
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhead.errors import UserError
from clearhead.study import anki_newest as newest
from clearhead.study.markup import from_html
from clearhead.study.notes import Item

MAX_PACKAGE_BYTES = 500_000_000  # bytes of the package, and of its database
MOST_MEDIA = 5_000  # files
LARGEST_MEDIA = 20_000_000  # bytes of one
ALL_MEDIA = 500_000_000  # bytes together
MOST_CARDS = 200_000
STEPS = 2_000_000_000  # of SQLite's machine for all queries together
COLLECTIONS = ("collection.anki21", "collection.anki2")
TABLES = ("notes", "cards", "revlog", "col")
ABOUT = ("section", "chapter", "topic", "source", "id")  # fields that say where a card belongs
FIELD = re.compile(r"\{\{(?:[^{}:#^/!]{1,40}:)*([^{}#^/!][^{}]{0,100})\}\}")
GAP = re.compile(r"\{\{c(\d{1,3})::(.{0,2000}?)(?:::([^{}]{0,200}))?\}\}", re.DOTALL)
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".bmp", ".avif")


@dataclass(frozen=True)
class Learned:
    """One card of Anki: its identity, its answers as (seconds since 1970, rating 1 to 4), whether it is suspended."""

    guid: str
    answers: tuple[tuple[float, int], ...]
    suspended: bool


@dataclass(frozen=True)
class Package:
    """Items and what was learned of each, in one order; images by name; what was left out, and why."""

    items: tuple[Item, ...]
    learned: tuple[Learned, ...]
    media: dict[str, bytes]
    left_out: tuple[str, ...]


def read(data: bytes, name: str) -> Package:
    """Read a package. UserError: it is none, is newer than can be read, or goes beyond the limits."""
    if len(data) > MAX_PACKAGE_BYTES:
        raise UserError(f"{name} has {len(data):,} bytes; a package has at most {MAX_PACKAGE_BYTES:,}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            names = set(file.namelist())
            inner = next((one for one in (newest.COLLECTION, *COLLECTIONS) if one in names), None)
            if inner is None:
                raise UserError(f"{name} is no package of Anki; it holds none of {', '.join(COLLECTIONS)}")
            database = _member(file, inner, MAX_PACKAGE_BYTES, name, inner == newest.COLLECTION)
            media, left_out = _media(file, name, inner == newest.COLLECTION)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise UserError(f"{name} is no package of Anki that can be read: {error}") from None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "collection"
        path.write_bytes(database)
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            items, learned, more = _collection(db, name)
        except (sqlite3.Error, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise UserError(f"{name} holds no collection of Anki that can be read: {error}") from None
        finally:
            db.close()
    if not items:
        raise UserError(f"{name} holds no cards")
    return Package(items, learned, media, (*left_out, *more))


def _member(file: zipfile.ZipFile, member: str, limit: int, name: str, compressed: bool) -> bytes:
    """One file of a zip, unpacked as far as the limit allows, whatever its head says; `compressed` once more within."""
    with file.open(member) as opened:
        data = opened.read(limit + 1)
    if len(data) > limit:
        raise UserError(f"{member} in {name} unpacks to more than {limit:,} bytes")
    return newest.unpacked(data, limit, name) if compressed else data


def _media(file: zipfile.ZipFile, name: str, compressed: bool) -> tuple[dict[str, bytes], list[str]]:
    """Images by their names."""
    if "media" not in file.namelist():
        return {}, []
    try:
        told = _member(file, "media", LARGEST_MEDIA, name, compressed)
        listed = newest.media_names(told) if compressed else json.loads(told)
    except (ValueError, RecursionError):
        return {}, ["the list of its images cannot be read"]
    found: dict[str, bytes] = {}
    left_out = []
    total = 0
    for inner, called in (listed if isinstance(listed, dict) else {}).items():
        plain = str(called)
        if not plain.lower().endswith(IMAGES):
            left_out.append(f"{plain[:80]}: no image")
        elif plain != Path(plain).name or "\\" in plain or plain.startswith("."):
            left_out.append(f"{plain[:80]}: its name leads elsewhere")
        elif inner not in file.namelist() or len(found) >= MOST_MEDIA:
            left_out.append(f"{plain[:80]}: {'not in the package' if len(found) < MOST_MEDIA else 'too many'}")
        else:
            found[plain] = _member(file, inner, LARGEST_MEDIA, name, compressed)
            total += len(found[plain])
            if total > ALL_MEDIA:
                raise UserError(f"the images of {name} unpack to more than {ALL_MEDIA:,} bytes")
    return found, left_out


def _collection(db: sqlite3.Connection, name: str) -> tuple[tuple[Item, ...], tuple[Learned, ...], list[str]]:
    """All cards, in the order of their notes."""
    db.execute("pragma trusted_schema = off")
    db.create_collation("unicase", _unicase)
    steps = iter(range(STEPS // 100_000))
    db.set_progress_handler(lambda: next(steps, None) is None, 100_000)
    kinds = dict(db.execute("select name, type from sqlite_master").fetchall())
    if any(kinds.get(table) != "table" for table in TABLES):
        raise ValueError("it lacks a table")
    if kinds.get("notetypes") == "table":
        models, decks = newest.models(db), newest.decks(db)
    else:
        models, decks = (json.loads(text) for text in db.execute("select models, decks from col").fetchone())
    answers: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for at, card, ease in db.execute("select id, cid, ease from revlog order by id"):
        if ease in (1, 2, 3, 4):
            answers[card].append((at / 1000, ease))
    items: list[Item] = []
    learned: list[Learned] = []
    left_out: list[str] = []
    seen: set[str] = set()
    rows = db.execute(
        "select cards.id, cards.ord, cards.did, cards.queue, notes.guid, notes.mid, notes.tags, notes.flds"
        " from cards join notes on notes.id = cards.nid order by notes.id, cards.ord"
    )
    for card, ord_, did, queue, guid, mid, tags, fields in rows:
        if len(items) >= MOST_CARDS:
            raise UserError(f"{name} has more than {MOST_CARDS:,} cards")
        sides = _sides(models.get(str(mid)), int(ord_), str(fields).split("\x1f"))
        if sides is None:
            left_out.append(f"card {card}: nothing to ask")
            continue
        question, answer = sides
        section = _section(decks.get(str(did), {}).get("name", ""), str(tags))
        identity = str(guid) if str(guid) not in seen else f"{guid}-{ord_}"
        seen.add(str(guid))
        items.append(Item(section, len(items) + 1, question, answer, 0))
        learned.append(Learned(identity, tuple(answers[card]), queue == -1))
    return tuple(items), tuple(learned), left_out


def _unicase(one: str, other: str) -> int:
    """The order that Anki's newer tables name: without regard to case."""
    a, b = one.casefold(), other.casefold()
    return (a > b) - (a < b)


def _sides(model: Any, ord_: int, fields: Sequence[str]) -> tuple[str, str] | None:
    """Question and answer as Markdown, by the model's templates."""
    if model is None:
        model = {"flds": [{"name": str(i)} for i in range(len(fields))], "tmpls": [{"qfmt": "{{0}}", "afmt": ""}]}
    names = [str(field["name"]) for field in model["flds"]]
    given = dict(zip(names, fields, strict=False))
    if model.get("type") == 1:
        whole = next((text for text in fields if f"{{{{c{ord_ + 1}::" in text), None)
        if whole is None:
            return None
        asked = GAP.sub(lambda f: f"[{f[3] or '...'}]" if int(f[1]) == ord_ + 1 else f[2], whole)
        told = GAP.sub(lambda f: f"<b>{f[2]}</b>" if int(f[1]) == ord_ + 1 else f[2], whole)
        rest = [text for text in fields if text is not whole and text.strip()]
        return _plain(asked), "\n\n".join(_plain(text) for text in (told, *rest))
    templates = model["tmpls"]
    template = templates[ord_] if ord_ < len(templates) else templates[0]
    front = [field for field in _named(template["qfmt"]) if field in given] or names[:1]
    front = [field for field in front if field.casefold() not in ABOUT] or front
    back = [field for field in _named(template["afmt"]) if field in given and field not in front]
    back = back or [field for field in names if field not in front and field.casefold() not in ABOUT]
    question = "\n\n".join(words for field in front if (words := _plain(given[field])))
    answer = "\n\n".join(words for field in back if (words := _plain(given[field])))
    return (question, answer) if question else None


def _named(template: str) -> Iterator[str]:
    for found in FIELD.finditer(str(template)[:20_000]):
        if found[1].strip() not in ("FrontSide", "Tags", "Deck", "Type", "Card"):
            yield found[1].strip()


def _plain(text: str) -> str:
    """A field's HTML as Markdown."""
    return from_html(text).strip() if "<" in text or "&" in text else text.strip()


def _section(deck: str, tags: str) -> tuple[str, ...]:
    """The deck's place among decks, and the first tag, which may have places too."""
    places = [place for place in deck.split("::") if place and place != "Default"]
    first = tags.split()[:1]
    places += [place.replace("_", " ") for tag in first for place in tag.split("::")]
    return tuple(dict.fromkeys(places))
