"""Packages of Anki: what was exported comes back with every answer; what is broken is refused in one line."""

import io
import json
import sqlite3
import sys
import zipfile
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.study import deck as decks
from clearhead.study.anki import as_html, image_file, package
from clearhead.study.anki_newest import media_names, unpacked
from clearhead.study.apkg import LARGEST_MEDIA, read
from clearhead.study.importing import import_notes, take_history
from clearhead.study.notes import Notes, parse

try:
    from compression.zstd import compress
except ModuleNotFoundError:  # before Python 3.14
    from zstandard import compress

NOTES = (
    "# Zoo\n\n## Large\n\n1) What has a trunk, if $x < 1$?\n\n    An *elephant*.\n\n    ![it](pics/e.png)\n\n"
    "## Small\n\n1) What barks?\n\n    A dog.\n"
)


def exported(folder: Path) -> bytes:
    (folder / "pics").mkdir()
    (folder / "pics" / "e.png").write_bytes(b"\x89PNG")
    with decks.opened(folder / "decks.db") as db:
        import_notes(db, "zoo", parse(NOTES))
        db.execute("update cards set source = ?", (str(folder / "zoo.md"),))
        return package("zoo", decks.cards(db, "zoo"), 1.8e9)


def changed(data: bytes, *statements: str, **files: bytes) -> bytes:
    """The package with its database changed, and with other files in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "collection.anki2":
                db = sqlite3.connect(":memory:")
                db.deserialize(content)
                for statement in statements:
                    db.execute(statement)
                db.commit()
                content = db.serialize()
                db.close()
            new.writestr(name, files.pop(name.replace(".", "_"), content))
        for name, content in files.items():
            new.writestr(name.replace("_", "."), content)
    return out.getvalue()


def test_out_with_images_and_in_with_history(tmp_path: Path) -> None:
    data = exported(tmp_path)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        (name,) = json.loads(file.read("media")).values()
        assert file.read("0") == b"\x89PNG" and name.startswith("clearhead-")
    answered = changed(
        data,
        "insert into revlog select 1700000000000 + id % 7, id, 0, 3, 1, 1, 0, 900, 0 from cards",
        "insert into revlog select 1700000600000 + id % 7, id, 0, 4, 9, 1, 0, 900, 1 from cards where ord = 0",
        "insert into revlog select 1700000700000 + id % 7, id, 0, 0, 9, 1, 0, 900, 4 from cards",
        "update cards set queue = -1 where id = (select max(id) from cards)",
    )
    found = read(answered, "zoo.apkg")
    assert [item.section for item in found.items] == [("zoo", "Large", "Zoo"), ("zoo", "Small", "Zoo")]
    elephant = found.items[0]
    assert elephant.question == "What has a trunk, if \\(x < 1\\)?"
    assert elephant.answer == f"An *elephant*.\n\n![it](<{name}>)" and found.media == {name: b"\x89PNG"}
    assert [len(one.answers) for one in found.learned] == [2, 2], "an answer of 0 is none"
    assert [one.suspended for one in found.learned] == [False, True]
    with decks.opened(tmp_path / "other.db") as db:
        import_notes(db, "a", Notes("", found.items, (), ()))
        assert take_history(db, "a", found.learned) == (2, 4)
        first, second = decks.cards(db, "a")
        assert first.state and first.due and first.due > 1.7000006e9 and second.suspended
        assert [first.guid, second.guid] == [one.guid for one in found.learned]
        assert db.execute("select rating from reviews order by id").fetchall() == [(3,), (4,), (3,), (4,)]
        assert take_history(db, "a", found.learned) == (0, 0), "a second import takes nothing twice"


def test_gaps_and_reversed_cards(tmp_path: Path) -> None:
    data = exported(tmp_path)
    models = json.loads(sqlite3_value(data, "select models from col"))
    (model,) = models.values()
    model["tmpls"] = [{"qfmt": "{{Question}}", "afmt": "{{Answer}}"}, {"qfmt": "{{Answer}}", "afmt": "{{Question}}"}]
    both = changed(data, f"update col set models = '{json.dumps(models).replace(chr(39), chr(39) * 2)}'",
                   "update cards set ord = 1 where id = (select max(id) from cards)")  # fmt: skip
    assert read(both, "b.apkg").items[1].question == "A dog."
    model["type"] = 1
    gaps = changed(
        data,
        f"update col set models = '{json.dumps(models).replace(chr(39), chr(39) * 2)}'",
        "update notes set flds = '{{c1::Adam::who}} divides by {{c2::it}}' || char(31) || char(31)",
    )
    one, _ = read(gaps, "g.apkg").items
    assert (one.question, one.answer) == ("[who] divides by it", "**Adam** divides by it")


def sqlite3_value(data: bytes, query: str) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        db = sqlite3.connect(":memory:")
        db.deserialize(file.read("collection.anki2"))
        value = db.execute(query).fetchone()[0]
        db.close()
        return str(value)


def test_what_is_no_package(tmp_path: Path) -> None:
    data = exported(tmp_path)
    wrong = {
        b"": "no package",
        b"PK\x03\x04 nothing": "no package",
        changed(data, collection_anki2=b"no database"): "no collection",
        changed(data, "drop table revlog"): "lacks a table",
        changed(
            data, "drop table revlog", "create view revlog as select 1 as id, 1 as cid, 3 as ease"
        ): "lacks a table",
        changed(data, "update col set models = 'x'"): "no collection",
        changed(data, "delete from cards"): "no cards",
        changed(data, collection_anki21b=b"new"): "no Zstandard",
        changed(data, collection_anki21b=compress(b"new")): "no collection",
    }
    for content, said in wrong.items():
        with pytest.raises(UserError, match=said) as told:
            read(content, "x.apkg")
        assert "\n" not in str(told.value)


def as_newest(data: bytes) -> bytes:
    """An older package in the newest format, with a kind of notes of each sort that there is."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        db = sqlite3.connect(":memory:")
        db.deserialize(old.read("collection.anki2"))
        db.create_collation("unicase", lambda a, b: (a > b) - (a < b))
        (models, decks_), ids = db.execute("select models, decks from col").fetchone(), []
        db.execute("create table notetypes (id integer primary key, name text collate unicase, config blob)")
        db.execute("create table fields (ntid integer, ord integer, name text collate unicase)")
        db.execute("create table templates (ntid integer, ord integer, config blob)")
        db.execute("create table decks (id integer primary key, name text collate unicase)")
        for kind, model in json.loads(models).items():
            ids.append(kind)
            cloze = b"\x08\x01" if model["type"] else b""
            db.execute("insert into notetypes values (?, ?, ?)", (kind, model["name"], cloze + b"\x1a\x03css"))
            for i, field in enumerate(model["flds"]):
                db.execute("insert into fields values (?, ?, ?)", (kind, i, field["name"]))
            for i, template in enumerate(model["tmpls"]):
                config = message(1, template["qfmt"]) + message(2, template["afmt"])
                db.execute("insert into templates values (?, ?, ?)", (kind, i, config))
        for deck, told in json.loads(decks_).items():
            db.execute("insert into decks values (?, ?)", (deck, told["name"].replace("::", "\x1f")))
        db.execute("update col set models = '', decks = ''")
        db.commit()
        new.writestr("collection.anki2", b"an older Anki is told to update")
        new.writestr("collection.anki21b", compress(db.serialize()))
        media = json.loads(old.read("media"))
        entries = b"".join(message(1, message(1, media[str(i)]) + b"\x10\x04") for i in range(len(media)))
        new.writestr("media", compress(entries))
        for name in media:
            new.writestr(name, compress(old.read(name)))
        db.close()
    return out.getvalue()


def message(number: int, content: str | bytes) -> bytes:
    """A field of a protocol buffer."""
    content = content.encode() if isinstance(content, str) else content
    size = bytes([len(content)]) if len(content) < 128 else bytes([len(content) & 127 | 128, len(content) >> 7])
    return bytes([number << 3 | 2]) + size + content


def test_the_newest_format_says_the_same(tmp_path: Path) -> None:
    old = changed(
        exported(tmp_path), "insert into revlog select 1700000000000, max(id), 0, 3, 1, 1, 0, 9, 0 from cards"
    )
    found = read(as_newest(old), "zoo.colpkg")
    assert found == read(old, "zoo.apkg") and found.media and found.learned[1].answers


def test_the_newest_format_needs_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = as_newest(exported(tmp_path))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(UserError, match=r"needs zstandard: pip install 'clearhead\[study\]'; or export it"):
        read(data, "zoo.apkg")


def test_the_newest_format_unpacks_within_limits(tmp_path: Path) -> None:
    bomb = compress(b"\0" * (LARGEST_MEDIA + 1))
    assert len(bomb) < 10_000
    with pytest.raises(UserError, match="unpacks to more than"):
        unpacked(bomb, LARGEST_MEDIA, "bomb.apkg")
    for broken in (b"\x0a", b"\x0a\x05ab", b"\x0b", b"\xff" * 12):
        with pytest.raises(ValueError, match="protocol buffer"):
            media_names(broken)


def test_images_lead_nowhere_and_unpack_within_limits(tmp_path: Path) -> None:
    names = {
        "0": "../../evil.png",
        "1": "run.exe",
        "2": "/etc/x.png",
        "3": "a\\b.png",
        "4": "d/e.png",
        "9": "absent.png",
    }
    there = dict.fromkeys(("1", "2", "3", "4"), b"x")
    found = read(changed(exported(tmp_path), media=json.dumps(names).encode(), **there), "x.apkg")
    assert not found.media and len(found.left_out) == 6
    big = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(exported_again(tmp_path))) as old,
        zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name) if name != "0" else b"\0" * (LARGEST_MEDIA + 1))
    assert len(big.getvalue()) < 1_000_000
    with pytest.raises(UserError, match="unpacks to more than"):
        read(big.getvalue(), "bomb.apkg")


def exported_again(folder: Path) -> bytes:
    with decks.opened(folder / "decks.db") as db:
        return package("zoo", decks.cards(db, "zoo"), 1.8e9)


def test_an_export_takes_images_of_its_folder_only(tmp_path: Path) -> None:
    inside = tmp_path / "notes"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (inside / "a b.png").write_bytes(b"x")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    assert image_file(inside, "a%20b.png") == inside / "a b.png"
    for address in (
        "../secret.png",
        "link.png",
        str(tmp_path / "secret.png"),
        "https://x.org/a.png",
        "a b.txt",
        "",
        "no.png",
    ):
        assert image_file(inside, address) is None
    media: dict[str, Path] = {}
    assert "../secret.png" in as_html("![x](../secret.png)", inside, media) and not media
