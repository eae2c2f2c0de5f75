"""Settings are stored and checked; what they say happens."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.study import deck as decks
from clearhead.study import schedule
from clearhead.study.importing import import_notes
from clearhead.study.notes import parse
from clearhead.study.settings import Settings, load, save

NOON = 1_800_000_000.0


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with decks.opened(tmp_path / "decks.db") as opened:
        import_notes(opened, "m", parse("".join(f"{i}) Question {i}?\n\n    Answer {i}.\n\n" for i in range(1, 31))))
        yield opened


def test_stored_and_checked(db: sqlite3.Connection) -> None:
    assert load(db) == Settings()
    mine = Settings(new=3, reviews=50, order="random", retention=0.95, leech=4)
    save(db, mine)
    assert load(db) == mine
    for wrong in (
        {"retention": 1.0},
        {"order": "loud"},
        {"new": -1},
        {"leech": 10**9},
        {"parameters": (float("nan"),)},
    ):
        with pytest.raises(UserError):
            save(db, replace(mine, **wrong))
    assert load(db) == mine
    save(db, None)
    assert load(db) == Settings()
    for damaged in ("{", "[]", '{"retention": "x"}', '{"parameters": 3}'):
        decks.store(db, "review", damaged)
        with pytest.raises(UserError, match="--reset"):
            load(db)


def test_a_higher_retention_comes_back_sooner() -> None:
    state = None
    for day in range(3):
        state, _ = schedule.reviewed(state, 3, NOON + 3 * day * 86400)
    waits = [schedule.intervals(state, NOON + 20 * 86400, schedule.Plan(r))[2] for r in (0.8, 0.9, 0.97)]
    assert waits[0] > waits[1] > waits[2]
    assert waits[1] == schedule.intervals(state, NOON + 20 * 86400)[2]
    with pytest.raises(UserError, match="FSRS"):
        schedule.reviewed(None, 3, NOON, schedule.Plan(0.9, (1.0, 2.0)))


def test_a_day_ends_and_an_order_of_chance_stays_all_day(db: sqlite3.Connection) -> None:
    for n, card in enumerate(decks.cards(db, "m")):
        decks.record_review(db, card.id, NOON - 10 * 86400 + n, 3, "{}", NOON - 86400 + n)
    plain = [card.id for card in decks.due(db, ["m"], NOON)]
    today = [card.id for card in decks.due(db, ["m"], NOON, shuffled=True)]
    assert sorted(today) == plain != today == [card.id for card in decks.due(db, ["m"], NOON + 60, shuffled=True)]
    assert today != [card.id for card in decks.due(db, ["m"], NOON + 86400, shuffled=True)]
    assert decks.first_due(db, ["m"], NOON, shuffled=True, most=7) == (decks.card(db, today[0]), 7)
    assert len(decks.due(db, ["m"], NOON, most=7)) == 7 and decks.first_due(db, ["m"], NOON, most=0) == (None, 0)
    assert decks.repeated(db, ["m"], NOON) == 0
    decks.record_review(db, today[0], NOON, 3, "{}", NOON + 60)
    decks.record_review(db, today[0], NOON + 60, 3, "{}", NOON + 6000)
    assert decks.repeated(db, ["m"], NOON + 60) == 1, "a card asked twice is one"


def test_lapses_and_burial(db: sqlite3.Connection) -> None:
    card = decks.cards(db, "m")[0]
    for n, rating in enumerate((1, 1, 3, 1)):
        decks.record_review(db, card.id, NOON + n, rating, "{}", NOON)
    assert decks.lapses(db, card.id) == 2, "the first answer of all is no lapse"
    decks.bury(db, card.id, NOON + 5000)
    assert decks.unbury(db, ["m"], NOON) == 1 and decks.card(db, card.id).buried_until == 0
    assert decks.unbury(db, ["m"], NOON) == 0


def test_a_fit_needs_answers() -> None:
    with pytest.raises(UserError, match="512 are needed"):
        schedule.fitted([(1, NOON, 3)])
