"""How learning goes, from the answers on record: what waits, what will come, what was known, what is weak."""

import json
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.study.deck import AHEAD, cards, day_start, next_day
from clearhead.study.schedule import recall

HEAT = 26 * 7  # days of the heat map
DAYS = 7  # of the forecast, today included
RECENT = 30 * 86400.0  # seconds over which retention is taken
REVIEW = 2  # fsrs's name for a card that has left its first minutes


@dataclass(frozen=True)
class Weakness:
    """A section with how its answers went. `known` is the mean chance that its cards are known now."""

    deck: str
    section: tuple[str, ...]
    answers: int
    again: int  # of these, not known
    known: float


@dataclass(frozen=True)
class Statistics:
    """Of some decks together."""

    cards: int
    new: int
    due: int
    answers: int
    answers_today: int
    forecast: tuple[int, ...]  # cards that come up today, what is overdue included, and on each of the next days
    retention: float | None  # of answers to cards that were learned, in the last 30 days: the share not "again"
    retention_of: int  # how many such answers
    weakest: tuple[Weakness, ...]  # first the one to review first
    streak: int  # days in a row with an answer, up to today or yesterday
    by_day: tuple[int, ...]  # answers on each of the last days of the heat map, today last


def statistics(db: sqlite3.Connection, names: Sequence[str], now: float) -> Statistics:
    """Count everything once."""
    live = [card for name in names for card in cards(db, name) if not card.suspended]
    comes = [max(card.due, card.buried_until) for card in live if card.due is not None]
    ends = [next_day(now)]
    while len(ends) < DAYS:
        ends.append(next_day(ends[-1]))
    forecast = [sum(at < end for at in comes) for end in ends]
    rows = db.execute(
        "select reviews.at, reviews.rating, reviews.state from reviews join cards on cards.id = card"
        f" where deck in ({', '.join('?' * len(names))})",
        tuple(names),
    ).fetchall()
    mature = [rating for at, rating, state in rows if at >= now - RECENT and state and _phase(state) == REVIEW]
    days = [day_start(now)]
    while len(days) < HEAT:
        days.append(day_start(days[-1] - 1))
    days.reverse()
    by_day = [0] * HEAT
    for at, _, _ in rows:
        place = bisect_right(days, at) - 1
        if place >= 0 and at <= now + AHEAD:
            by_day[place] += 1
    return Statistics(
        cards=len(live),
        new=sum(card.state is None for card in live),
        due=sum(at <= now for at in comes),
        answers=len(rows),
        answers_today=sum(at >= day_start(now) for at, _, _ in rows),
        forecast=tuple(later - earlier for earlier, later in zip([0, *forecast], forecast, strict=False)),
        retention=sum(rating > 1 for rating in mature) / len(mature) if mature else None,
        retention_of=len(mature),
        weakest=tuple(weakest(db, names, now)),
        streak=streak(by_day),
        by_day=tuple(by_day),
    )


def streak(by_day: Sequence[int]) -> int:
    """Days in a row with an answer, the last of them today, or yesterday while today may still bring one.

    >>> streak([1, 0, 3, 2]), streak([1, 2, 0]), streak([2, 0, 0])
    (2, 2, 0)
    """
    days = list(by_day)
    if days and not days[-1]:
        days.pop()
    n = 0
    while days and days.pop():
        n += 1
    return n


def weakest(db: sqlite3.Connection, names: Sequence[str], now: float) -> list[Weakness]:
    """Sections that were answered at all, by the share of answers that were not known.

    One answer more of each kind is counted than was given (Laplace), so that a single slip does not lead the list.
    """
    places = {card.id: (card.deck, card.section) for name in names for card in cards(db, name) if not card.suspended}
    chances: defaultdict[tuple[str, tuple[str, ...]], list[float]] = defaultdict(list)
    for name in names:
        for card in cards(db, name):
            if card.id in places and card.state is not None:
                chances[places[card.id]].append(recall(json.loads(card.state), now))
    answers: defaultdict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for number, rating in db.execute("select card, rating from reviews"):
        if number in places:
            answers[places[number]].append(rating)
    found = [
        Weakness(*place, len(ratings), ratings.count(1), sum(chances[place]) / len(chances[place]))
        for place, ratings in answers.items()
    ]
    return sorted(found, key=lambda one: (-(one.again + 1) / (one.answers + 2), one.known))


def _phase(state: str) -> int:
    return int(json.loads(state)["state"])
