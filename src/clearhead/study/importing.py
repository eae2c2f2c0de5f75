"""Notes into a deck, and changed notes into the same deck again, with no review lost; the guide as one."""

import hashlib
import json
import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.study import deck as decks
from clearhead.study import examples
from clearhead.study.apkg import Learned
from clearhead.study.deck import change, new_guid
from clearhead.study.identity import Text, pair
from clearhead.study.notes import Notes, parse
from clearhead.study.schedule import reviewed


@dataclass(frozen=True)
class Changes:
    """What an import did, as questions. `moved` is to another section or out of order, with the same words."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    moved: tuple[str, ...]
    removed: tuple[str, ...]
    returned: tuple[str, ...]  # were removed once, and have their history again
    kept: int  # cards that were there and are


def import_notes(db: sqlite3.Connection, deck: str, notes: Notes, digest: str = "") -> Changes:
    """Bring a deck in line with its notes. Cards that left the notes are kept, out of sight, with their history."""
    with change(db):
        db.execute(
            "insert into decks (name, digest) values (?, ?) on conflict do update set digest = excluded.digest",
            (deck, digest),
        )
        old = db.execute(
            "select id, section, source_question, source_answer, gone from cards where deck = ?"
            " order by gone, position",
            (deck,),
        ).fetchall()
        before = [Text(tuple(json.loads(row[1])), row[2], row[3]) for row in old]
        after = [Text(item.section, item.question, item.answer) for item in notes.items]
        found = pair(before, after)
        in_order = _longest_rise([found[j] for j in sorted(found) if not old[found[j]][4]])
        added: list[str] = []
        changed: list[str] = []
        moved: list[str] = []
        returned: list[str] = []
        for j, item in enumerate(notes.items):
            section = json.dumps(item.section, ensure_ascii=False)
            if j not in found:
                added.append(item.question)
                words = (item.question, item.answer)
                db.execute(
                    "insert into cards (deck, section, number, position, question, answer, source_question,"
                    " source_answer, guid, source, line) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (deck, section, item.number, j, *words, *words, new_guid(), item.source, item.line),
                )
                continue
            i = found[j]
            card = old[i][0]
            if old[i][4]:
                returned.append(item.question)
            elif before[i][1:] != after[j][1:]:
                changed.append(item.question)
            elif before[i].section != after[j].section or i not in in_order:
                moved.append(item.question)
            db.execute(
                "update cards set section = ?, number = ?, position = ?, source = ?, line = ?, gone = 0 where id = ?",
                (section, item.number, j, item.source, item.line, card),
            )
            if before[i][1:] != after[j][1:]:
                words = (item.question, item.answer)
                db.execute(
                    "update cards set question = ?, answer = ?, source_question = ?, source_answer = ? where id = ?",
                    (*words, *words, card),
                )
        here = set(found.values())
        left = [(row[0], row[2]) for i, row in enumerate(old) if i not in here and not row[4]]
        db.executemany("update cards set gone = 1 where id = ?", [(card,) for card, _ in left])
        removed = tuple(question for _, question in left)
        kept = len(found) - len(returned)
        return Changes(tuple(added), tuple(changed), tuple(moved), removed, tuple(returned), kept)


def take_history(db: sqlite3.Connection, deck: str, learned: Sequence[Learned]) -> tuple[int, int]:
    """Give cards that were never answered here what was answered in Anki, the schedule computed anew by FSRS.

    `learned` has one entry for each card of the deck, in its order. Returns how many cards and answers were taken.
    """
    cards = answers = 0
    with change(db):
        for card, one in zip(decks.cards(db, deck), learned, strict=True):
            taken = db.execute("select 1 from cards where guid = ? and id != ?", (one.guid, card.id)).fetchone()
            if taken is None:
                db.execute("update cards set guid = ? where id = ?", (one.guid, card.id))
            if card.state is not None or not one.answers:
                continue
            state: str | None = None
            due: float | None = None
            for at, rating in one.answers:
                db.execute(
                    "insert into reviews (card, at, rating, state, due) values (?, ?, ?, ?, ?)",
                    (card.id, at, rating, state, due),
                )
                after, due = reviewed(None if state is None else json.loads(state), rating, at)
                state = json.dumps(after)
            db.execute(
                "update cards set state = ?, due = ?, suspended = ? where id = ?",
                (state, due, int(one.suspended), card.id),
            )
            cards += 1
            answers += len(one.answers)
    return cards, answers


def _longest_rise(places: Sequence[int]) -> set[int]:
    """As many of `places`, all different, as stand in rising order; the others are those that were moved.

    >>> sorted(_longest_rise([3, 0, 1, 2, 4]))
    [0, 1, 2, 4]
    """
    lasts: list[int] = []  # the smallest place that ends a rise of each length
    ends: list[int] = []  # and where in `places` it stands
    before: list[int | None] = []
    for at, place in enumerate(places):
        length = bisect_left(lasts, place)
        before.append(ends[length - 1] if length else None)
        lasts[length : length + 1] = [place]
        ends[length : length + 1] = [at]
    rise = set()
    at_: int | None = ends[-1] if ends else None
    while at_ is not None:
        rise.add(places[at_])
        at_ = before[at_]
    return rise


def import_guide(db: sqlite3.Connection) -> None:
    """Bring the deck of the guide in line with the guide, where its text has changed or it is not there yet."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(examples.GUIDE.glob("*.md"))]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    if decks.digest_of(db, decks.GUIDE) != digest:
        items = tuple(item for text in texts for item in parse(text).items)
        import_notes(db, decks.GUIDE, Notes("The guide", items, (), ()), digest)
