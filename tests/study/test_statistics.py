"""Statistics of answers whose numbers can be counted by hand."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhead.study import deck as decks
from clearhead.study.importing import import_notes
from clearhead.study.notes import parse
from clearhead.study.schedule import reviewed
from clearhead.study.statistics import statistics, weakest

DAY = 86400.0
NOON = 1_800_000_000.0 - 1_800_000_000.0 % DAY + DAY / 2
NOTES = "# Easy\n\n1) One?\n\n2) Two?\n\n# Hard\n\n1) Three?\n\n2) Four?\n\n# Never asked\n\n1) Five?\n"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with decks.opened(tmp_path / "decks.db") as opened:
        import_notes(opened, "d", parse(NOTES))
        yield opened


def rate(db: sqlite3.Connection, question: str, at: float, rating: int) -> float:
    """Answer, and when the card is due."""
    (card,) = (card for card in decks.cards(db, "d") if card.question == question)
    state, due = reviewed(None if card.state is None else json.loads(card.state), rating, at)
    decks.record_review(db, card.id, at, rating, json.dumps(state), due)
    return due


def test_before_the_first_answer(db: sqlite3.Connection) -> None:
    found = statistics(db, ["d"], NOON)
    assert (found.cards, found.new, found.due, found.answers) == (5, 5, 0, 0)
    assert found.forecast == (0,) * 7 and found.retention is None and found.weakest == ()


def test_counts_and_forecast(db: sqlite3.Connection) -> None:
    due = rate(db, "One?", NOON, 4)  # learned at once, comes in days
    rate(db, "Three?", NOON, 1)  # comes in a minute
    found = statistics(db, ["d"], NOON + 120)
    assert (found.new, found.due, found.answers, found.answers_today) == (3, 1, 2, 2)
    assert found.forecast[0] == 1 and found.retention is None
    when = decks.day_start(due) - 2 * DAY + DAY / 2  # two days of study before it
    later = statistics(db, ["d"], when)
    assert later.forecast[2] == 1 and sum(later.forecast) == 2 and later.answers_today == 0
    decks.suspend(db, decks.cards(db, "d")[0].id)
    assert sum(statistics(db, ["d"], when).forecast) == 1 and statistics(db, ["d"], when).cards == 4


def test_retention_is_of_learned_cards_and_of_late(db: sqlite3.Connection) -> None:
    at = {question: rate(db, question, NOON, 4) for question in ("One?", "Two?", "Three?", "Four?")}
    for (question, due), rating in zip(at.items(), (3, 2, 1, 4), strict=True):
        rate(db, question, due, rating)
    for seconds in (0, 60):  # while a card is learned, and before, it is no matter of memory
        rate(db, "Five?", max(at.values()) + seconds, 1)
    found = statistics(db, ["d"], max(at.values()) + 61)
    assert found.retention == 0.75 and found.retention_of == 4
    assert statistics(db, ["d"], max(at.values()) + 31 * DAY).retention is None


def test_the_weakest_section_comes_first(db: sqlite3.Connection) -> None:
    for n in range(4):
        rate(db, "One?", NOON + n * 600, 3)
        rate(db, "Three?", NOON + n * 600, 1 if n < 3 else 3)
    found = weakest(db, ["d"], NOON + 5 * DAY)
    assert [(one.section, one.answers, one.again) for one in found] == [(("Hard",), 4, 3), (("Easy",), 4, 0)]
    assert 0 < found[0].known < found[1].known <= 1


def test_one_slip_does_not_lead(db: sqlite3.Connection) -> None:
    rate(db, "One?", NOON, 1)
    for n in range(8):
        rate(db, "Three?", NOON + n, 1)
    assert [one.section for one in weakest(db, ["d"], NOON)] == [("Hard",), ("Easy",)]
