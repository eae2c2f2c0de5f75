"""Decks with every answer as one JSON text, and back."""

import json
import math
import sqlite3
from collections.abc import Sequence
from typing import Any

from clearhead.errors import UserError
from clearhead.study.deck import change, new_guid
from clearhead.study.schedule import recall

FORMAT, VERSION = "clearhead decks", 1
WORDS = ("question", "answer", "source_question", "source_answer")
PLACE = ("guid", "source", "line")  # which files of older versions lack
COLUMNS = ("section", "number", *WORDS, "position", "suspended", "buried_until", "gone", "state", "due")


def to_json(db: sqlite3.Connection, names: Sequence[str]) -> str:
    """The decks whole: cards that left the notes too."""
    told = []
    for name in names:
        (digest,) = db.execute("select digest from decks where name = ?", (name,)).fetchone()
        cards = []
        for number, *values in db.execute(
            f"select id, {', '.join((*COLUMNS, *PLACE))} from cards where deck = ? order by gone, position", (name,)
        ):
            card: dict[str, Any] = dict(zip((*COLUMNS, *PLACE), values, strict=True))
            card |= {"section": json.loads(card["section"]), "state": _loaded(card["state"])}
            card |= {"suspended": bool(card["suspended"]), "gone": bool(card["gone"])}
            card["reviews"] = [
                {"at": at, "rating": rating, "state": _loaded(state), "due": due}
                for at, rating, state, due in db.execute(
                    "select at, rating, state, due from reviews where card = ? order by id", (number,)
                )
            ]
            cards.append(card)
        told.append({"name": name, "digest": digest, "cards": cards})
    return json.dumps({"format": FORMAT, "version": VERSION, "decks": told}, ensure_ascii=False, indent=1)


def from_json(db: sqlite3.Connection, text: str, replace: bool = False) -> dict[str, int]:
    """Put decks back, all or none; cards by deck.

    UserError: the text is no such file, or, without `replace`, a deck of that name has cards that were answered or
    that the file lacks.
    """
    try:
        given = json.loads(text)
        if not isinstance(given, dict) or given.get("format") != FORMAT:
            raise UserError("this is no file of decks; `clearhead study export --json FILE` writes one")
        if given["version"] != VERSION:
            raise UserError(f"these decks have version {given['version']!r}; this Clearhead reads {VERSION}")
        done = {}
        with change(db):
            for one in given["decks"]:
                name = _typed(one["name"], str)
                if not replace and _would_lose(db, name, one["cards"]):
                    raise UserError(f"the deck {name!r} is here already; --replace puts the file's in its place")
                db.execute("delete from reviews where card in (select id from cards where deck = ?)", (name,))
                db.execute("delete from cards where deck = ?", (name,))
                db.execute(
                    "insert or replace into decks (name, digest) values (?, ?)", (name, _typed(one["digest"], str))
                )
                reviews: list[Any] = [review for card in one["cards"] for review in _restored(db, name, card)]
                reviews.sort(key=lambda review: float(review[1]))
                db.executemany("insert into reviews (card, at, rating, state, due) values (?, ?, ?, ?, ?)", reviews)
                done[name] = len(one["cards"])
        return done
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, or the disk is full
            raise
        told = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"these decks cannot be read: {told}") from error


def _would_lose(db: sqlite3.Connection, name: str, cards: list[dict[str, Any]]) -> bool:
    here = db.execute("select source_question from cards where deck = ?", (name,)).fetchall()
    answered = db.execute("select 1 from reviews join cards on cards.id = card where deck = ? limit 1", (name,))
    return answered.fetchone() is not None or not {row[0] for row in here} <= {
        card["source_question"] for card in cards
    }


def _restored(db: sqlite3.Connection, name: str, card: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Put one card back; its reviews as rows."""
    section = json.dumps([_typed(heading, str) for heading in _typed(card["section"], list)], ensure_ascii=False)
    values = (
        *(
            section,
            _typed(card["number"], int),
            *(_typed(card[key], str) for key in WORDS),
            _typed(card["position"], int),
        ),
        *(_typed(card["suspended"], bool), _time(card["buried_until"]), _typed(card["gone"], bool)),
        *_learned(card),
        *_place(db, card),
    )
    columns = ("deck", *COLUMNS, *PLACE)
    marks = ", ".join("?" * len(columns))
    number = db.execute(f"insert into cards ({', '.join(columns)}) values ({marks})", (name, *values)).lastrowid
    return [(number, _time(r["at"]), _typed(r["rating"], int), *_learned(r)) for r in _typed(card["reviews"], list)]


def _place(db: sqlite3.Connection, card: dict[str, Any]) -> tuple[str, str, int]:
    """Its identity for Anki, a new one where another card has it, and where its notes lie."""
    guid = _typed(card.get("guid", ""), str)
    if not guid or db.execute("select 1 from cards where guid = ?", (guid,)).fetchone():
        guid = new_guid()
    return guid, _typed(card.get("source", ""), str), _typed(card.get("line", 0), int)


def _learned(given: dict[str, Any]) -> tuple[str | None, float | None]:
    """State and due date, both or neither."""
    state, due = given["state"], given["due"]
    if state is None and due is None:
        return None, None
    if not 0.0 <= recall(_typed(state, dict), 0.0) <= 1.0:  # the scheduler takes it
        raise ValueError("a card's state is out of range")
    return json.dumps(state), _time(due)


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no time")
    return float(value)


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{str(value)[:40]!r} should be of the kind {kind.__name__}")
    return value


def _loaded(state: str | None) -> Any:
    return None if state is None else json.loads(state)
