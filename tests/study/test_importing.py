"""Notes imported, shuffled, edited and imported again: every review stays with its question."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhead.study import deck as decks
from clearhead.study.importing import Changes, import_notes
from clearhead.study.notes import parse

TOPICS = [
    "attention",
    "gradients",
    "perplexity",
    "dropout",
    "momentum",
    "kernels",
    "beams",
    "entropy",
    "norms",
    "caches",
]
ASKED = ["What are {}?", "Why do models need {} in training?", "How much do {} cost in memory and time?", "Derive {}."]


def notes_text(topics: list[str]) -> str:
    return "\n\n".join(
        f"## About {topic}\n\n"
        + "\n\n".join(f"{i}) {ask.format(topic)}\n\n    Say {i} about {topic}." for i, ask in enumerate(ASKED, 1))
        for topic in topics
    )


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with decks.opened(tmp_path / "decks.db") as opened:
        yield opened


def histories(db: sqlite3.Connection) -> dict[int, list[tuple[float, int]]]:
    found: dict[int, list[tuple[float, int]]] = {}
    for card, at, rating in db.execute("select card, at, rating from reviews order by id"):
        found.setdefault(card, []).append((at, rating))
    return found


def test_shuffled_and_edited_notes_lose_no_history(db: sqlite3.Connection) -> None:
    text = notes_text(TOPICS)
    first = import_notes(db, "mine", parse(text))
    assert len(first.added) == 40 and first.kept == 0
    before = {card.question: card.id for card in decks.cards(db, "mine")}
    for n, number in enumerate(before.values()):
        decks.record_review(db, number, at=100.0 + n, rating=n % 4 + 1, state=f'"{n}"', due=200.0 + n)
    reviews = histories(db)
    shuffled = TOPICS.copy()
    random.Random(1).shuffle(shuffled)
    edits = {f"What are {topic}?": f"So what exactly are {topic}?" for topic in TOPICS}
    changed_text = notes_text(shuffled)
    for old, new in edits.items():
        changed_text = changed_text.replace(old, new)
    again = import_notes(db, "mine", parse(changed_text))
    assert not again.added and not again.removed and again.kept == 40
    assert set(again.changed) == set(edits.values())
    after = {card.question: card for card in decks.cards(db, "mine")}
    assert {edits.get(question, question): number for question, number in before.items()} == {
        q: c.id for q, c in after.items()
    }
    assert histories(db) == reviews and all(card.state and card.due for card in after.values())
    assert [card.question for card in decks.cards(db, "mine")] == [item.question for item in parse(changed_text).items]
    assert import_notes(db, "mine", parse(changed_text)) == Changes((), (), (), (), (), 40)


def test_what_left_comes_back_with_its_history(db: sqlite3.Connection) -> None:
    import_notes(db, "mine", parse("1) One?\n\n    1\n\n2) Two of them?\n\n    2\n"))
    one = decks.cards(db, "mine")[0]
    decks.record_review(db, one.id, 5.0, 3, "{}", 6.0)
    gone = import_notes(db, "mine", parse("2) Two of them?\n\n    2\n"))
    assert gone.removed == ("One?",) and [card.question for card in decks.cards(db, "mine")] == ["Two of them?"]
    assert decks.due(db, ["mine"], 10.0, new=9)[0].question == "Two of them?"
    back = import_notes(db, "mine", parse("2) Two of them?\n\n    2\n\n1) One?\n\n    1\n"))
    assert back == Changes((), (), (), (), ("One?",), 1)
    assert decks.cards(db, "mine")[1] == decks.Card(**vars(one) | {"position": 1, "state": "{}", "due": 6.0, "line": 5})


def test_one_that_moved_is_named_and_no_other(db: sqlite3.Connection) -> None:
    items = [f"{word}?\n\n    Of {word}." for word in ("Apple", "Bread", "Cheese", "Dates")]
    import_notes(db, "m", parse("\n\n".join(f"{i}) {item}" for i, item in enumerate(items, 1))))
    moved = import_notes(
        db, "m", parse("\n\n".join(f"{i}) {item}" for i, item in enumerate([items[3], *items[:3]], 1)))
    )
    assert moved == Changes((), (), ("Dates?",), (), (), 4)
    assert [card.number for card in decks.cards(db, "m")] == [1, 2, 3, 4]


def test_an_edit_made_here_lasts_until_the_notes_say_something_new(db: sqlite3.Connection) -> None:
    import_notes(db, "m", parse("1) Waht?\n\n    This.\n"))
    (card,) = decks.cards(db, "m")
    decks.edit(db, card.id, "What?", "That.")
    assert import_notes(db, "m", parse("1) Waht?\n\n    This.\n")).changed == ()
    assert decks.cards(db, "m")[0].answer == "That."
    assert import_notes(db, "m", parse("1) Waht?\n\n    This one.\n")).changed == ("Waht?",)
    assert decks.cards(db, "m")[0].answer == "This one." and decks.cards(db, "m")[0].id == card.id


def test_decks_do_not_mix(db: sqlite3.Connection) -> None:
    for name in ("a", "b"):
        assert import_notes(db, name, parse("1) One?\n"), digest=name).added == ("One?",)
    assert decks.decks(db) == ["a", "b"] and decks.digest_of(db, "b") == "b" and decks.digest_of(db, "c") is None
