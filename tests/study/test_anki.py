"""The package is what Anki reads: a zip with a database of notes, tags and cards."""

import io
import os
import sqlite3
import tempfile
import zipfile
from pathlib import Path

import pytest

from clearhead.study import deck as decks
from clearhead.study.anki import as_html, package
from clearhead.study.importing import import_notes
from clearhead.study.notes import parse

NOTES = (
    "# Big animals: land\n\n## Trunks\n\n1) What <b>trumpets</b> at $x_1 < 3$?\n\n    An elephant.\n\n2) What roars?\n"
)


def notes(data: bytes, folder: Path) -> list[tuple[str, str, str]]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert sorted(file.namelist()) == ["collection.anki2", "media"]
        file.extract("collection.anki2", folder)
    db = sqlite3.connect(folder / "collection.anki2")
    found = db.execute("select guid, flds, tags from notes order by id").fetchall()
    assert db.execute("select count(*) from cards").fetchone() == (len(found),)
    db.close()
    return found


def test_a_package(tmp_path: Path) -> None:
    left = set(os.listdir(tempfile.gettempdir()))
    with decks.opened(tmp_path / "decks.db") as db:
        import_notes(db, "zoo", parse(NOTES))
        first = notes(package("zoo", decks.cards(db, "zoo"), 1.8e9), tmp_path)
        import_notes(db, "zoo", parse(NOTES.replace("roars", "roars loudest")))
        again = notes(package("zoo", decks.cards(db, "zoo"), 1.8e9), tmp_path)
    (guid, fields, tags), (_, roars, _) = first
    question, answer, section = fields.split("\x1f")
    assert question == "<p>What <strong>trumpets</strong> at \\(x_1 &lt; 3\\)?</p>" and answer == "<p>An elephant.</p>"
    assert section == "Big animals: land / Trunks" and tags.strip() == "Big_animals__land::Trunks"
    assert roars.startswith("<p>What roars?</p>\x1f\x1f")
    assert [note[0] for note in again] == [note[0] for note in first] and guid and "loudest" in again[1][1]
    assert not {name for name in set(os.listdir(tempfile.gettempdir())) - left if name.endswith("anki2")}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("$$a_i\n= b_i$$", "<p>\\[a_i\n= b_i\\]</p>"),
        ("*it* costs $5 or $6", "<p><em>it</em> costs $5 or $6</p>"),
        ("`$x$` and $x$", "<p><code>$x$</code> and \\(x\\)</p>"),
        ("```sh\necho $A $B\n```\n$c$", '<pre><code class="language-sh">echo $A $B\n</code></pre>\n<p>\\(c\\)</p>'),
        ("- one\n- two", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"),
        ("| a |\n|---|\n| $b$ |", None),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("", ""),
    ],
)
def test_markdown_and_mathematics(text: str, shown: str | None) -> None:
    assert as_html(text) == shown if shown is not None else "<td>\\(b\\)</td>" in as_html(text)
