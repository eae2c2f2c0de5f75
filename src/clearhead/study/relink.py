"""History kept where an import alone cannot know it: a question that was wholly rewritten, a file that was renamed.

An import keeps a card that left its notes, out of sight, with every answer. Here such a card is offered to a question
that came new in its place. Nothing is joined before somebody has agreed. Deliberately not here: small edits, which
an import recognizes (`identity.py`).
"""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearhead.study.deck import Card, cards, change, decks
from clearhead.study.identity import Text, likeness
from clearhead.study.notes import Notes

ALIKE = 0.25  # from which another wording may be meant
SAME = 0.5  # share of a deck's questions that a renamed file must have
NEARLY_ALL = 0.9  # and of a deck's and the file's, where nobody knows which file the deck is from
MOST = 400  # cards compared on each side


@dataclass(frozen=True)
class Link:
    """A card that left the notes, with answers, and the one that may have taken its place."""

    old: Card
    new: Card


def links(db: sqlite3.Connection, deck: str) -> list[Link]:
    """Which cards may have taken the place of others, the likeliest first, one to one.

    The same place counts (section and number), and so does likeness of words too small for an import to trust.
    """
    answered = {number for (number,) in db.execute("select distinct card from reviews")}
    everything = cards(db, deck, gone=True)
    old = [card for card in everything if card.gone and card.id in answered][:MOST]
    new = [card for card in everything if not card.gone and card.id not in answered]
    if not old or not new:
        return []
    new = new[:MOST]
    alike = likeness([_text(card) for card in old], [_text(card) for card in new])
    at: dict[tuple[tuple[str, ...], int], list[int]] = defaultdict(list)
    for j, card in enumerate(new):
        at[card.section, card.number].append(j)
    scored = [(float(alike[i, j]), i, j) for i in range(len(old)) for j in range(len(new)) if alike[i, j] >= ALIKE]
    for i, card in enumerate(old):
        scored += [(max(ALIKE, float(alike[i, j]) + ALIKE), i, j) for j in at[card.section, card.number]]
    found: list[Link] = []
    taken_old: set[int] = set()
    taken_new: set[int] = set()
    for _, i, j in sorted(scored, reverse=True):
        if i not in taken_old and j not in taken_new:
            taken_old.add(i)
            taken_new.add(j)
            found.append(Link(old[i], new[j]))
    return found


def join(db: sqlite3.Connection, link: Link) -> None:
    """Give the new card the old one's answers, its state, and its identity for Anki."""
    with change(db):
        db.execute("update reviews set card = ? where card = ?", (link.new.id, link.old.id))
        row = db.execute("select guid, state, due, suspended from cards where id = ?", (link.old.id,)).fetchone()
        db.execute("delete from cards where id = ?", (link.old.id,))
        db.execute("update cards set guid = ?, state = ?, due = ?, suspended = ? where id = ?", (*row, link.new.id))


def renamed(db: sqlite3.Connection, deck: str, notes: Notes, own: Sequence[str]) -> str | None:
    """The deck whose notes these are under another name: its file is gone, and most of its questions are here."""
    if deck in decks(db):
        return None
    here = {item.question for item in notes.items}
    for name in own:
        rows = db.execute("select source_question, source from cards where deck = ? and not gone", (name,)).fetchall()
        files = {source for _, source in rows if source}
        if any(Path(file).exists() for file in files):
            continue
        shared = sum(question in here for question, _ in rows)
        wanted = SAME * len(rows) if files else NEARLY_ALL * max(len(rows), len(here))
        if rows and shared >= wanted:
            return name
    return None


def _text(card: Card) -> Text:
    return Text(card.section, card.question, card.answer)
