"""Wholly rewritten questions and renamed files keep their history once somebody agrees, and not before."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhead.study import deck as decks
from clearhead.study.importing import import_notes
from clearhead.study.notes import Notes, parse
from clearhead.study.relink import join, links, renamed

NOTES = "# A\n\n1) What barks at night?\n\n    A dog.\n\n2) What has a trunk?\n\n    An elephant.\n"
REWRITTEN = NOTES.replace("What barks at night?", "Name a pet").replace(
    "A dog.", "Guards houses, eats meat, likes walks."
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with decks.opened(tmp_path / "decks.db") as opened:
        import_notes(opened, "m", parse(NOTES))
        for n, card in enumerate(decks.cards(opened, "m")):
            decks.record_review(opened, card.id, 10.0 + n, 3, f'"{n}"', 20.0 + n)
        yield opened


def test_a_question_wholly_rewritten(db: sqlite3.Connection) -> None:
    old = decks.cards(db, "m")[0]
    done = import_notes(db, "m", parse(REWRITTEN))
    assert done.added == ("Name a pet",) and done.removed == ("What barks at night?",)
    (link,) = links(db, "m")
    assert (link.old.question, link.new.question) == ("What barks at night?", "Name a pet")
    assert link.new.state is None, "nothing is joined before it is agreed to"
    join(db, link)
    card = decks.cards(db, "m")[0]
    assert (card.question, card.state, card.due, card.guid) == ("Name a pet", '"0"', 20.0, old.guid)
    assert db.execute("select count(*) from reviews where card = ?", (card.id,)).fetchone() == (1,)
    assert links(db, "m") == [] and len(decks.cards(db, "m", gone=True)) == 2
    again = import_notes(db, "m", parse(REWRITTEN))
    assert not again.added and again.kept == 2


def test_what_was_never_answered_is_not_offered(db: sqlite3.Connection) -> None:
    import_notes(db, "m", parse(NOTES + "\n3) New one?\n"))
    import_notes(db, "m", parse(NOTES + "\n3) Other words altogether, say\n"))
    assert links(db, "m") == []


def test_a_renamed_file(db: sqlite3.Connection, tmp_path: Path) -> None:
    notes = parse(NOTES)
    assert renamed(db, "n", notes, ["m"]) == "m"
    assert renamed(db, "m", notes, ["m"]) is None, "it is the deck of that name"
    assert renamed(db, "n", Notes("", notes.items[:0], (), ()), ["m"]) is None
    (tmp_path / "there.md").write_text(NOTES)
    db.execute("update cards set source = ?", (str(tmp_path / "there.md"),))
    assert renamed(db, "n", notes, ["m"]) is None, "its file is still there: this one is a copy"
    decks.rename(db, "m", "n")
    assert decks.decks(db) == ["n"] and [card.state for card in decks.cards(db, "n")] == ['"0"', '"1"']


def test_a_deck_of_unknown_file_is_offered_only_to_its_equal(db: sqlite3.Connection) -> None:
    larger = parse(NOTES + "\n3) What roars?\n\n4) What flies?\n")
    assert renamed(db, "n", larger, ["m"]) is None
    db.execute("update cards set source = '/gone/m.md'")
    assert renamed(db, "n", larger, ["m"]) == "m"
