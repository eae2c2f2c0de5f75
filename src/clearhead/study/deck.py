"""Decks of cards with what was ever answered, in one SQLite file: each change is a transaction, whole or not at all.

A card keeps the words of its notes beside its own, so that what was edited here survives until the notes say something
new. State of the scheduler is a text that this file passes on and never reads. Times are seconds since 1970.
Deliberately not here: when a card comes next (`schedule.py`), and how notes become cards (`importing.py`).
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from clearhead.errors import UserError
from clearhead.files import data_folder

APPLICATION = 0x436C7264  # stands in the head of the file: it is a deck of ours
VERSION = 2
WAIT = 5.0  # seconds for another process to finish writing
NEW_DAY = 4  # o'clock: who reviews after midnight has not begun the next day
DAY = 86400.0
MANY = 1_000_000_000  # more cards than anybody has
SCHEMA = """
create table decks (
    name text primary key, digest text not null  -- of the source, to see that it changed
) strict;
create table cards (
    id integer primary key,
    deck text not null references decks,
    section text not null,  -- JSON list of headings
    number integer not null,
    question text not null,
    answer text not null,
    source_question text not null,  -- as the notes had it
    source_answer text not null,
    position integer not null,
    suspended integer not null default 0,
    buried_until real not null default 0,
    gone integer not null default 0,  -- no longer in the notes
    state text,  -- null until the first review
    due real,
    guid text not null default '',  -- by which Anki knows the card, random
    source text not null default '',  -- the file of its notes
    line integer not null default 0  -- where its question stands there
) strict;
create unique index cards_by_guid on cards (guid);
create table settings (
    key text primary key, value text not null
) strict;
create index cards_by_deck on cards (deck, position);
create index cards_by_due on cards (due);
create table reviews (
    id integer primary key,
    card integer not null references cards,
    at real not null,
    rating integer not null check (rating between 1 and 4),
    state text,  -- of the card before
    due real
) strict;
create index reviews_by_time on reviews (at);
create index reviews_by_card on reviews (card);
"""
MIGRATION = """
alter table cards add column guid text not null default '';
alter table cards add column source text not null default '';
alter table cards add column line integer not null default 0;
create table settings (key text primary key, value text not null) strict;
create index cards_by_due on cards (due);
"""  # from version 1
GUIDE = "guide"  # the deck that comes with Clearhead
PLACE = "id, deck, section, number, question, answer, position"
CARD = f"{PLACE}, suspended, buried_until, gone, state, due, guid, source, line"
AHEAD = 60.0  # seconds by which an answer may lie in the future, of another machine's clock, and count as given
LONGEST_BURIED = 25 * 3600.0  # until the next day of study, on the day that clocks are turned back


@dataclass(frozen=True)
class Card:
    """One question with where it is in being learned; `state` and `due` are None until its first review."""

    id: int
    deck: str
    section: tuple[str, ...]
    number: int
    question: str
    answer: str
    position: int
    suspended: bool
    buried_until: float
    gone: bool
    state: str | None
    due: float | None
    guid: str = ""
    source: str = ""
    line: int = 0


@dataclass(frozen=True)
class Count:
    """Of one deck: cards that are in the notes, and how many of them wait."""

    deck: str
    cards: int
    new: int
    due: int
    suspended: int
    gone: int
    reviews: int


def own_decks() -> Path:
    """Where the user's decks lie."""
    return data_folder(os.environ) / "decks.db"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The decks in a file, which is made where there is none.

    UserError: the file is something else or damaged, another process holds it, or the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {path.parent}: {error.strerror}; set CLEARHEAD_DATA to a folder of yours"
        ) from error
    db = None
    try:
        db = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
        _prepare(db, path)
        yield db
    except sqlite3.Error as error:
        raise UserError(_said(error, path)) from error
    finally:
        if db is not None:
            db.close()


@contextmanager
def change(db: sqlite3.Connection) -> Iterator[None]:
    """All that happens inside, or nothing of it."""
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise


def digest_of(db: sqlite3.Connection, deck: str) -> str | None:
    """What the last import was told of its source; None where there is no such deck."""
    row = db.execute("select digest from decks where name = ?", (deck,)).fetchone()
    return None if row is None else str(row[0])


def decks(db: sqlite3.Connection) -> list[str]:
    """Names, in the order of their first import."""
    return [str(name) for (name,) in db.execute("select name from decks order by rowid")]


def used(db: sqlite3.Connection) -> list[str]:
    """The decks with an answer."""
    rows = db.execute(
        "select name from decks where exists"
        " (select 1 from reviews join cards on cards.id = card where deck = name) order by rowid"
    )
    return [str(name) for (name,) in rows]


def cards(db: sqlite3.Connection, deck: str, gone: bool = False) -> list[Card]:
    """Every card of a deck in the order of its notes; with `gone`, also those that left them, at the end."""
    wanted = "" if gone else " and not gone"
    return _cards(db, f"where deck = ?{wanted} order by gone, position", deck)


def card(db: sqlite3.Connection, number: int) -> Card:
    """One card by its id."""
    return _cards(db, "where id = ?", number)[0]


def due(
    db: sqlite3.Connection,
    names: Sequence[str],
    now: float,
    section: str = "",
    new: int = 0,
    ahead: float = 0,
    most: int = MANY,
    shuffled: bool = False,
) -> list[Card]:
    """Cards to review, most overdue first, and behind them up to `new` that were never seen, in the order of the notes.

    `most` of the first kind; `shuffled`: these in an order of the day instead.

    `section` is part of a heading above them, in any case; `ahead` counts cards as due that many seconds early.
    """
    chosen = f"deck in ({', '.join('?' * len(names))})"
    order = _order(now, shuffled)
    seen = _cards(db, f"where {_ready(now)} and {chosen} and {_is_due(now, ahead)} order by {order}", *names)
    fresh: list[Card] = []
    for name in names:
        if len(fresh) < new:
            unseen = f"where {_ready(now)} and deck = ? and state is null order by position"
            fresh += inside(_cards(db, unseen, name), section)[: new - len(fresh)]
    return [*inside(seen, section)[:most], *fresh]


def first_due(
    db: sqlite3.Connection,
    names: Sequence[str],
    now: float,
    new: int = 0,
    ahead: float = 0,
    most: int = MANY,
    shuffled: bool = False,
) -> tuple[Card | None, int]:
    """The first of the cards that `due` gives, and how many they are, without reading the others."""
    chosen = f"deck in ({', '.join('?' * len(names))})"
    wanted = f"where {_ready(now)} and {chosen} and {_is_due(now, ahead)}"
    (seen,) = db.execute(f"select count(*) from cards {wanted}", names).fetchone()
    seen = min(seen, most)
    fresh, left = 0, new
    first = _cards(db, f"{wanted} order by {_order(now, shuffled)} limit 1", *names) if seen else []
    for name in names:
        unseen = f"where {_ready(now)} and deck = ? and state is null"
        (n,) = db.execute(f"select count(*) from (select 1 from cards {unseen} limit ?)", (name, left)).fetchone()
        if n and not first:
            first = _cards(db, f"{unseen} order by position limit 1", name)
        fresh, left = fresh + n, left - n
    return (first[0] if first else None), seen + fresh


def inside(found: list[Card], section: str) -> list[Card]:
    """The cards below a heading that holds these words, in any case."""
    wanted = section.casefold()
    return [one for one in found if not wanted or any(wanted in name.casefold() for name in one.section)]


def introduced(db: sqlite3.Connection, names: Sequence[str], now: float) -> int:
    """How many cards had their first review today."""
    row = db.execute(
        f"select count(*) from reviews join cards on cards.id = card where deck in ({', '.join('?' * len(names))})"
        " and reviews.state is null and at between ? and ?",
        (*names, day_start(now), now + AHEAD),
    ).fetchone()
    return int(row[0])


def next_due(db: sqlite3.Connection, names: Sequence[str], now: float) -> float | None:
    """When the next card comes back that is learned or buried; None where there is none."""
    row = db.execute(
        "select min(max(coalesce(due, ?1), buried_until)) from cards where not gone and not suspended"
        f" and (due > ?1 or buried_until > ?1) and deck in ({', '.join(f'?{i + 2}' for i in range(len(names)))})",
        (now, *names),
    ).fetchone()
    return None if row[0] is None else float(row[0])


def record_review(db: sqlite3.Connection, number: int, at: float, rating: int, state: str, due: float) -> int:
    """Write down an answer and where it leaves the card; the id of the review."""
    with change(db):
        done = db.execute(
            "insert into reviews (card, at, rating, state, due) select id, ?, ?, state, due from cards where id = ?",
            (at, rating, number),
        )
        db.execute("update cards set state = ?, due = ? where id = ?", (state, due, number))
        assert done.lastrowid is not None
        return done.lastrowid


def undo(db: sqlite3.Connection, review: int) -> int:
    """Take an answer back; the card's id. UserError where the card was answered again since, or is gone."""
    with change(db):
        found = db.execute("select card, state, due from reviews where id = ?", (review,)).fetchone()
        last = found and db.execute("select max(id) from reviews where card = ?", (found[0],)).fetchone()[0]
        if last != review or found is None:
            raise UserError("this card was answered again elsewhere since, so your answer is not taken back")
        number, state, when = found
        db.execute("update cards set state = ?, due = ? where id = ?", (state, when, number))
        db.execute("delete from reviews where id = ?", (review,))
    return int(number)


def bury(db: sqlite3.Connection, number: int, until: float) -> None:
    """Hide a card up to a time; 0 brings it back."""
    db.execute("update cards set buried_until = ? where id = ?", (until, number))


def unbury(db: sqlite3.Connection, names: Sequence[str], now: float) -> int:
    """Bring back what is buried; how many cards that are."""
    done = db.execute(
        f"update cards set buried_until = 0 where buried_until > ? and deck in ({', '.join('?' * len(names))})",
        (now, *names),
    )
    return done.rowcount


def answers(db: sqlite3.Connection) -> list[tuple[int, float, int]]:
    """Every answer as (card, time, rating), in the order of time."""
    return [
        (int(card), float(at), int(rating))
        for card, at, rating in db.execute("select card, at, rating from reviews order by at")
    ]


def lapses(db: sqlite3.Connection, number: int) -> int:
    """How often a card was forgotten after it had been learned."""
    row = db.execute("select count(*) from reviews where card = ? and rating = 1 and state is not null", (number,))
    return int(row.fetchone()[0])


def repeated(db: sqlite3.Connection, names: Sequence[str], now: float) -> int:
    """How many cards were asked today that had been answered on another day."""
    began = day_start(now)
    row = db.execute(
        "select count(distinct card) from reviews join cards on cards.id = card"
        f" where deck in ({', '.join('?' * len(names))}) and at between ? and ?"
        " and exists (select 1 from reviews earlier where earlier.card = reviews.card and earlier.at < ?)",
        (*names, began, now + AHEAD, began),
    ).fetchone()
    return int(row[0])


def suspend(db: sqlite3.Connection, number: int, suspended: bool = True) -> None:
    """Hide a card until it is asked for again."""
    db.execute("update cards set suspended = ? where id = ?", (int(suspended), number))


def edit(db: sqlite3.Connection, number: int, question: str, answer: str) -> None:
    """Change a card's words here; its notes stay as they are."""
    db.execute("update cards set question = ?, answer = ? where id = ?", (question, answer, number))


def edited(db: sqlite3.Connection, name: str) -> list[tuple[Card, str, str]]:
    """Cards whose words were changed here, each with the question and the answer that its notes have."""
    differ = (
        "where deck = ? and not gone and (question != source_question or answer != source_answer) order by position"
    )
    found = []
    for one in _cards(db, differ, name):
        row = db.execute("select source_question, source_answer from cards where id = ?", (one.id,)).fetchone()
        found.append((one, str(row[0]), str(row[1])))
    return found


def agree(db: sqlite3.Connection, number: int) -> None:
    """The notes say now what the card says."""
    db.execute("update cards set source_question = question, source_answer = answer where id = ?", (number,))


def new_guid() -> str:
    """What no other card of anybody has."""
    return secrets.token_urlsafe(12)


def rename(db: sqlite3.Connection, name: str, new: str) -> None:
    """Call a deck otherwise; its cards and their history stay."""
    with change(db):
        db.execute("insert into decks (name, digest) select ?, digest from decks where name = ?", (new, name))
        db.execute("update cards set deck = ? where deck = ?", (new, name))
        db.execute("delete from decks where name = ?", (name,))


def setting(db: sqlite3.Connection, key: str) -> str | None:
    """What was stored under a key; None where nothing was."""
    row = db.execute("select value from settings where key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def store(db: sqlite3.Connection, key: str, value: str | None) -> None:
    """Store a setting; None takes it away."""
    if value is None:
        db.execute("delete from settings where key = ?", (key,))
    else:
        db.execute("insert into settings values (?, ?) on conflict do update set value = excluded.value", (key, value))


def remove(db: sqlite3.Connection, name: str) -> None:
    """Forget a deck, its cards and every answer to them."""
    with change(db):
        db.execute("delete from reviews where card in (select id from cards where deck = ?)", (name,))
        db.execute("delete from cards where deck = ?", (name,))
        db.execute("delete from decks where name = ?", (name,))


def search(db: sqlite3.Connection, words: str, names: Sequence[str]) -> list[Card]:
    """Cards that hold every word, in question, answer or section, in any case; questions that do come first."""
    wanted = words.casefold().split()
    found = [one for name in names for one in cards(db, name) if all(word in _all_words(one) for word in wanted)]
    return sorted(found, key=lambda one: not all(word in one.question.casefold() for word in wanted))


def counts(db: sqlite3.Connection, now: float) -> list[Count]:
    """Every deck in numbers."""
    rows = db.execute(
        f"""select name, count(c.id) filter (where not gone), count(c.id) filter (where not gone and state is null),
            count(c.id) filter (where {_ready(now)} and {_is_due(now, card="c")}),
            count(c.id) filter (where not gone and suspended), count(c.id) filter (where gone),
            (select count(*) from reviews join cards on cards.id = card where cards.deck = name)
        from decks left join cards c on c.deck = name group by name order by decks.rowid"""
    )
    return [Count(*row) for row in rows]


def day_start(now: float) -> float:
    """When the day of study that `now` lies in began: at four in the morning, local time."""
    moment = datetime.fromtimestamp(now) - timedelta(hours=NEW_DAY)
    return moment.replace(hour=NEW_DAY, minute=0, second=0, microsecond=0).timestamp()


def next_day(now: float) -> float:
    """When the next day of study begins."""
    began = datetime.fromtimestamp(day_start(now))
    return (began + timedelta(days=1)).timestamp()


def _ready(now: float) -> str:
    """SQL: the card may be asked. Nothing is buried for longer than a day, but by a clock that was ahead."""
    return f"not gone and not suspended and not (buried_until > {now!r} and buried_until <= {now + LONGEST_BURIED!r})"


def _order(now: float, shuffled: bool) -> str:
    """SQL: the most overdue first, or by chance, the same all day."""
    return f"(id * 2654435761 + {int(day_start(now))} * 40503) % 4294967291, id" if shuffled else "due, id"


def _is_due(now: float, ahead: float = 0, card: str = "cards") -> str:
    """SQL: it is time, or its last answer lies in the future: a clock was ahead then, and nobody knows when it is."""
    last = f"(select at from reviews where card = {card}.id order by reviews.id desc limit 1)"
    return f"(due <= {now + ahead!r} or (due is not null and {last} > {now + AHEAD!r}))"


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file; look before anything is written."""
    (application,) = db.execute("pragma application_id").fetchone()
    (version,) = db.execute("pragma user_version").fetchone()
    (tables,) = db.execute("select count(*) from sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        raise UserError(f"{path} is a database of another program; move it away or set CLEARHEAD_DATA")
    if version > VERSION:
        raise UserError(f"{path} was written by a newer Clearhead (version {version}, this one reads {VERSION})")
    db.execute("pragma foreign_keys = on")
    db.execute("pragma synchronous = full")
    if not tables:
        with change(db):
            if not db.execute("select count(*) from sqlite_master").fetchone()[0]:  # nobody was quicker
                for statement in SCHEMA.split(";\n"):
                    if statement.strip():
                        db.execute(statement)
                db.execute(f"pragma application_id = {APPLICATION}")
                db.execute(f"pragma user_version = {VERSION}")
    elif version < VERSION:
        with change(db):
            if db.execute("pragma user_version").fetchone()[0] < VERSION:  # nobody was quicker
                for statement in MIGRATION.split(";\n"):
                    if statement.strip():
                        db.execute(statement)
                for (number,) in db.execute("select id from cards").fetchall():
                    db.execute("update cards set guid = ? where id = ?", (new_guid(), number))
                db.execute("create unique index cards_by_guid on cards (guid)")
                db.execute(f"pragma user_version = {VERSION}")


def _said(error: sqlite3.Error, path: Path) -> str:
    text = str(error)
    if "locked" in text:
        return f"{path} is in use by another clearhead; try again when that one has finished"
    if "not a database" in text or "malformed" in text:
        return f"{path} is no deck that can be read ({text}); move it away to begin anew"
    return f"{path} cannot be used: {text}"


def _cards(db: sqlite3.Connection, rest: str, *values: object) -> list[Card]:
    found = []
    for row in db.execute(f"select {CARD} from cards {rest}", values):
        card_id, deck, section, number, question, answer, position, suspended, buried_until, gone, *rest_ = row
        place = (card_id, deck, tuple(json.loads(section)), number)
        found.append(Card(*place, question, answer, position, bool(suspended), buried_until, bool(gone), *rest_))
    return found


def _all_words(one: Card) -> str:
    return " ".join((*one.section, one.question, one.answer)).casefold()
