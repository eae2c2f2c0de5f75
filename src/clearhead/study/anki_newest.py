"""The newest format of Anki's packages: every file compressed by Zstandard, lists as protocol buffers.

`collection.anki21b` is an SQLite database of schema 18: kinds of notes, their fields and templates, and decks have
tables of their own, in which what is set about each is a protocol buffer. The numbers of the fields are those of
Anki's `proto/anki/{notetypes,import_export}.proto`. Deliberately not here: cards and answers (`apkg.py`).
"""

import importlib
import io
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from clearhead.errors import UserError

COLLECTION = "collection.anki21b"
CLOZE = 1  # a kind of note
NATIVE = "compression.zstd"  # from Python 3.14 on
PACKAGE = "zstandard"


def unpacked(data: bytes, limit: int, name: str) -> bytes:
    """What was compressed, as far as the limit allows. UserError: it is more, or is no Zstandard; or none is installed.

    Python 3.14 brings what unpacks it; before that a package does.
    """
    try:
        out = _decompressed(data, limit)
    except ModuleNotFoundError:
        raise UserError(
            f"{name} is of the newest format of Anki, for which Python before 3.14 needs {PACKAGE}:"
            " pip install 'clearhead[study]'; or export it with 'Support older Anki versions' ticked"
        ) from None
    except Exception as error:  # each library has errors of its own
        raise UserError(f"{name} holds a file that is no Zstandard: {error}") from None
    if len(out) > limit:
        raise UserError(f"a file in {name} unpacks to more than {limit:,} bytes")
    return out


def _decompressed(data: bytes, limit: int) -> bytes:
    """Up to one byte more than the limit."""
    try:
        library = importlib.import_module(NATIVE)
    except ModuleNotFoundError:
        with importlib.import_module(PACKAGE).ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
            return bytes(reader.read(limit + 1))
    return bytes(library.ZstdDecompressor().decompress(data, limit + 1))


def media_names(data: bytes) -> dict[str, str]:
    """Images' names by those of their files in the package: MediaEntries.entries (1), each with a name (1)."""
    entries = [entry for number, entry in _fields(data) if number == 1 and isinstance(entry, bytes)]
    return {str(at): _text(entry, 1) for at, entry in enumerate(entries)}


def models(db: sqlite3.Connection) -> dict[str, Any]:
    """Kinds of notes as older packages have them: by their ids, with `type`, `flds` and `tmpls`."""
    fields: dict[int, list[dict[str, str]]] = defaultdict(list)
    for kind, name in db.execute("select ntid, name from fields order by ntid, ord"):
        fields[kind].append({"name": name})
    templates: dict[int, list[dict[str, str]]] = defaultdict(list)
    for kind, config in db.execute("select ntid, config from templates order by ntid, ord"):
        templates[kind].append({"qfmt": _text(config, 1), "afmt": _text(config, 2)})
    return {
        str(kind): {"type": int((1, CLOZE) in _fields(config)), "flds": fields[kind], "tmpls": templates[kind]}
        for kind, config in db.execute("select id, config from notetypes")
    }


def decks(db: sqlite3.Connection) -> dict[str, Any]:
    """Decks as older packages have them; a place among decks is parted by `::`."""
    rows = db.execute("select id, name from decks")
    return {str(deck): {"name": str(name).replace("\x1f", "::")} for deck, name in rows}


def _text(message: bytes, number: int) -> str:
    """A field of characters, "" where it is not set."""
    return next((part.decode() for n, part in _fields(message) if n == number and isinstance(part, bytes)), "")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field of a protocol buffer. ValueError: it is none.

    >>> list(_fields(b"\\x08\\x96\\x01\\x12\\x02hi"))
    [(1, 150), (2, b'hi')]
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"a protocol buffer has no field of kind {wire}")
        length, at = _varint(message, at) if wire == 2 else (8 if wire == 1 else 4, at)
        if at + length > len(message):
            raise ValueError("a protocol buffer ends within a field")
        yield number, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise ValueError("a number of a protocol buffer does not end")
