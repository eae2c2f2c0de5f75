"""Decks out and in again are the same decks; what is no such file changes nothing."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.study import deck as decks
from clearhead.study.backup import from_json, to_json
from clearhead.study.importing import import_notes
from clearhead.study.notes import parse
from clearhead.study.schedule import reviewed

NOTES = "# A\n\n1) Größe?\n\n    Ja.\n\n2) Two of them?\n\n# B\n\n1) Will be gone?\n"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with decks.opened(tmp_path / "decks.db") as opened:
        import_notes(opened, "d", parse(NOTES), digest="abc")
        first, second, third = decks.cards(opened, "d")
        for card in (first, third):
            state, due = reviewed(None, 3, 1e9)
            decks.record_review(opened, card.id, 1e9, 3, json.dumps(state), due)
            again, later = reviewed(state, 1, due)
            decks.record_review(opened, card.id, due, 1, json.dumps(again), later)
        decks.edit(opened, first.id, "Size?", "Yes.")
        decks.suspend(opened, second.id)
        import_notes(opened, "d", parse(NOTES.replace("1) Will be gone?", "")), digest="def")
        yield opened


def everything(db: sqlite3.Connection) -> tuple:
    cards = [vars(card) | {"id": 0} for card in decks.cards(db, "d", gone=True)]
    reviews = db.execute(
        "select at, rating, reviews.state, reviews.due, question from reviews join cards on cards.id = card"
    )
    sources = db.execute("select source_question, source_answer from cards order by gone, position").fetchall()
    return cards, sorted(reviews.fetchall()), sources, decks.digest_of(db, "d")


def test_round_trip(db: sqlite3.Connection, tmp_path: Path) -> None:
    text = to_json(db, ["d"])
    with decks.opened(tmp_path / "other.db") as other:
        assert from_json(other, text) == {"d": 3}
        assert everything(other) == everything(db)
        assert to_json(other, ["d"]) == text
        first = decks.cards(other, "d")[0]
        (last,) = other.execute("select max(id) from reviews where card = ?", (first.id,)).fetchone()
        assert first.state is not None and decks.undo(other, last) == first.id


def test_what_was_answered_is_replaced_only_when_asked(db: sqlite3.Connection) -> None:
    text, before = to_json(db, ["d"]), everything(db)
    with pytest.raises(UserError, match="--replace"):
        from_json(db, text)
    decks.suspend(db, decks.cards(db, "d")[1].id, suspended=False)
    assert from_json(db, text, replace=True) == {"d": 3} and everything(db) == before


def test_a_deck_with_nothing_to_lose_is_replaced(db: sqlite3.Connection, tmp_path: Path) -> None:
    text = to_json(db, ["d"])
    with decks.opened(tmp_path / "other.db") as other:
        import_notes(other, "d", parse("1) Größe?\n"))
        assert from_json(other, text) == {"d": 3}
        db.execute("delete from reviews")
        import_notes(db, "d", parse(NOTES + "\n2) One more?\n"))
        with pytest.raises(UserError, match="--replace"):
            from_json(db, text)


def changed(text: str, **values: object) -> str:
    data = json.loads(text)
    data["decks"][0]["cards"][0] |= values
    return json.dumps(data)


def test_what_is_no_such_file_changes_nothing(db: sqlite3.Connection) -> None:
    text, before = to_json(db, ["d"]), everything(db)
    review = json.loads(text)["decks"][0]["cards"][0]["reviews"][0]
    wrong = [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        text.replace('"version": 1', '"version": 2'),
        text.replace('"digest"', '"other"'),
        changed(text, number="1"),
        changed(text, number=2**70),
        changed(text, section="A"),
        changed(text, section=[1]),
        changed(text, due=float("nan")),
        changed(text, due=None),
        changed(text, state={}),
        changed(text, state=3),
        changed(text, suspended=1),
        changed(text, question="\ud800"),
        changed(text, reviews=[review | {"rating": 5}]),
        changed(text, reviews=[review | {"at": "now"}]),
        changed(text, reviews={}),
    ]
    for one in wrong:
        with pytest.raises(UserError):
            from_json(db, one, replace=True)
        assert everything(db) == before and not db.in_transaction
