"""A session of reviews: what waits now, within what a day allows, and an answer written down.

Deliberately not here: who asks and answers (`cli/study/review.py` at a terminal, `server/study.py` in a browser).
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.study import deck as decks
from clearhead.study import schedule
from clearhead.study.settings import Settings

AHEAD = 20 * 60.0  # seconds by which a card may come early when nothing else is left
DEFAULTS = Settings()


@dataclass(frozen=True)
class Wanted:
    """What to review."""

    names: Sequence[str]  # of decks
    section: str = ""
    new: int = 20  # cards a day that were never seen
    limit: int | None = None  # answers in this session
    settings: Settings = DEFAULTS


def queue(db: sqlite3.Connection, wanted: Wanted, now: float) -> list[decks.Card]:
    """What waits now: what is due, then today's new cards; else what would be due in some minutes."""
    left, most, shuffled = _today(db, wanted, now)
    ready = decks.due(db, wanted.names, now, wanted.section, left, most=most, shuffled=shuffled)
    return ready or decks.due(db, wanted.names, now, wanted.section, ahead=AHEAD, most=most)


def _today(db: sqlite3.Connection, wanted: Wanted, now: float) -> tuple[int, int, bool]:
    """How many new and other cards are left of today's, and whether these come in an order of chance.

    A card that was asked today already, and comes again, is no other one.
    """
    left = max(0, wanted.new - decks.introduced(db, wanted.names, now))
    done = decks.repeated(db, wanted.names, now)
    most = decks.MANY if done < wanted.settings.reviews else 0
    return left, min(most, max(0, wanted.settings.reviews - done)) if most else 0, wanted.settings.order == "random"


def first(db: sqlite3.Connection, wanted: Wanted, now: float) -> tuple[decks.Card | None, int]:
    """The first card of the queue, and how many wait, without reading the others where no section is asked for."""
    if wanted.section:
        waiting = queue(db, wanted, now)
        return (waiting[0] if waiting else None), len(waiting)
    left, most, shuffled = _today(db, wanted, now)
    card, n = decks.first_due(db, wanted.names, now, left, most=most, shuffled=shuffled)
    return (card, n) if card is not None else decks.first_due(db, wanted.names, now, ahead=AHEAD, most=most)


def state_of(card: decks.Card) -> schedule.State | None:
    return None if card.state is None else json.loads(card.state)


def rate(db: sqlite3.Connection, card: decks.Card, rating: int, settings: Settings, now: float) -> tuple[int, int]:
    """Write an answer down: its number, and how often the card was forgotten where it is suspended for that, else 0."""
    state, due = schedule.reviewed(state_of(card), rating, now, settings.plan)
    done = decks.record_review(db, card.id, now, rating, json.dumps(state), due)
    forgotten = decks.lapses(db, card.id) if rating == 1 and settings.leech else 0
    if not settings.leech or forgotten < settings.leech:
        return done, 0
    decks.suspend(db, card.id)
    return done, forgotten
