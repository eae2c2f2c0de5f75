"""Decks under hard use: killed in the middle, opened twice, given other people's files."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.study import deck as decks
from clearhead.study.importing import import_notes
from clearhead.study.notes import parse

NOTES = """\
# Animals

1) What barks?

    A dog.

## Large

1) What has a trunk?

    An elephant.

2) What roars?
"""
NOON = 1_800_000_000.0


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with decks.opened(tmp_path / "deep" / "decks.db") as opened:
        import_notes(opened, "animals", parse(NOTES))
        yield opened


def questions(cards: list[decks.Card]) -> list[str]:
    return [card.question for card in cards]


def test_what_is_due(db: sqlite3.Connection) -> None:
    dog, trunk, roar = decks.cards(db, "animals")
    assert decks.due(db, ["animals"], NOON, new=2) == [dog, trunk]
    decks.record_review(db, trunk.id, NOON, 3, "{}", NOON + 60)
    assert questions(decks.due(db, ["animals"], NOON + 59, new=0)) == []
    assert questions(decks.due(db, ["animals"], NOON + 60, new=1)) == ["What has a trunk?", "What barks?"]
    assert questions(decks.due(db, ["animals"], NOON, new=0, ahead=60)) == ["What has a trunk?"]
    assert questions(decks.due(db, ["animals"], NOON, section="large", new=9)) == ["What roars?"]
    assert decks.introduced(db, ["animals"], NOON + 1) == 1 and decks.introduced(db, ["animals"], NOON + 2 * 86400) == 0
    decks.bury(db, dog.id, decks.next_day(NOON))
    assert questions(decks.due(db, ["animals"], NOON, new=9)) == ["What roars?"]
    assert questions(decks.due(db, ["animals"], NOON + 86400, new=9))[1:] == ["What barks?", "What roars?"]
    decks.suspend(db, roar.id)
    assert "What roars?" not in questions(decks.due(db, ["animals"], NOON + 86400, new=9))
    assert decks.counts(db, NOON + 60) == [decks.Count("animals", 3, new=2, due=1, suspended=1, gone=0, reviews=1)]


def test_undo_brings_the_state_before_back(db: sqlite3.Connection) -> None:
    card = decks.cards(db, "animals")[0]
    first = decks.record_review(db, card.id, NOON, 3, "one", NOON + 60)
    second = decks.record_review(db, card.id, NOON + 60, 1, "two", NOON + 90)
    assert decks.undo(db, second) == card.id
    assert decks.cards(db, "animals")[0].state == "one" and decks.cards(db, "animals")[0].due == NOON + 60
    decks.undo(db, first)
    assert decks.cards(db, "animals")[0] == card and db.execute("select count(*) from reviews").fetchone() == (0,)


def test_search(db: sqlite3.Connection) -> None:
    assert questions(decks.search(db, "LARGE what", ["animals"])) == ["What has a trunk?", "What roars?"]
    assert questions(decks.search(db, "elephant trunk", ["animals"])) == ["What has a trunk?"]
    assert decks.search(db, "whale", ["animals"]) == []


def test_a_day_ends_at_four() -> None:
    noon = time.mktime((2026, 5, 5, 12, 0, 0, 0, 0, -1))
    start = decks.day_start(noon)
    assert time.localtime(start)[:4] == (2026, 5, 5, 4) and time.localtime(decks.next_day(noon))[:4] == (2026, 5, 6, 4)
    assert decks.day_start(start - 1) < start == decks.day_start(start)


@pytest.mark.parametrize("data", [b"these are words and no database, for sure", b"SQLite format 3\0" + b"\0" * 2000])
def test_a_file_that_is_no_deck_is_left_as_it_is(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "decks.db"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"decks\.db"), decks.opened(path):
        pass
    assert path.read_bytes() == data and os.listdir(tmp_path) == ["decks.db"]


def test_databases_of_others_and_of_the_future(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("create table cards (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match="another program"), decks.opened(path):
        pass
    assert path.read_bytes() == before
    later = tmp_path / "later.db"
    with decks.opened(later) as db:
        db.execute("pragma user_version = 99")
    with pytest.raises(UserError, match="newer"), decks.opened(later):
        pass


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="CLEARHEAD_DATA"), decks.opened(tmp_path / "file" / "decks.db"):
        pass


def test_a_second_process_waits_or_hears_one_line(
    db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decks, "WAIT", 0.05)
    card = decks.cards(db, "animals")[0]
    with decks.change(db):
        db.execute("update cards set number = 7")
        with (
            pytest.raises(UserError, match="in use by another"),
            decks.opened(tmp_path / "deep" / "decks.db") as second,
        ):
            assert decks.cards(second, "animals")[0].number == 1  # reading is free, and sees what was before
            decks.record_review(second, card.id, NOON, 3, "{}", NOON)
    assert decks.cards(db, "animals")[0].state is None


def test_a_change_that_fails_leaves_nothing(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        decks.record_review(db, 1, NOON, 5, "{}", NOON)
    assert decks.cards(db, "animals")[0].state is None and not db.in_transaction


WORKER = """
import sys
from pathlib import Path
from clearhead.study import deck as decks
from clearhead.study.importing import import_notes
from clearhead.study.notes import parse
texts = ["\\n".join(f"{i}) {word} {i} {i * 7919}?" for i in range(1, 61)) for word in ("What is", "Say what is")]
with decks.opened(Path(sys.argv[1])) as db:
    print("ready", flush=True)
    turn = 0
    while True:
        import_notes(db, "d", parse(texts[turn % 2]))
        for card in decks.cards(db, "d")[:10]:
            before = int(card.state or 0)
            decks.record_review(db, card.id, 1.0, 3, str(before + 1), float(before + 1))
        turn += 1
"""


def test_killed_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "decks.db"
    chance = random.Random(0)
    seen = 0
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", WORKER, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.25))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with decks.opened(path) as db:
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)
            cards = decks.cards(db, "d")
            assert (
                len(cards) in (0, 60) and len({card.question[:3] for card in cards}) <= 1
            )  # one wording, not half of each
            assert db.execute("select count(*) from cards").fetchone() == (len(cards),)
            for card in cards:  # every review is whole: the card's state counts them
                (n,) = db.execute("select count(*) from reviews where card = ?", (card.id,)).fetchone()
                assert int(card.state or 0) == n and (card.due or 0) == n
            total = db.execute("select count(*) from reviews").fetchone()[0]
            assert total >= seen
            seen = total
    assert seen > 0


def test_a_clock_that_was_ahead_locks_nothing(db: sqlite3.Connection) -> None:
    """A year ahead by mistake: what was answered, introduced and buried then comes as if it had been now."""
    dog, trunk, roar = decks.cards(db, "animals")
    year = 365 * 86400.0
    decks.record_review(db, dog.id, NOON + year, 3, "{}", NOON + year + 30 * 86400)
    decks.bury(db, trunk.id, decks.next_day(NOON + year))
    assert decks.introduced(db, ["animals"], NOON) == 0
    assert questions(decks.due(db, ["animals"], NOON, new=9)) == ["What barks?", "What has a trunk?", "What roars?"]
    assert decks.counts(db, NOON)[0].due == 1
    decks.record_review(db, dog.id, NOON, 3, "{}", NOON + 600)
    assert questions(decks.due(db, ["animals"], NOON + 1)) == [], "it was answered now, and waits"
    assert questions(decks.due(db, ["animals"], NOON + 600)) == ["What barks?"]
    decks.record_review(db, roar.id, NOON + 30, 3, "{}", NOON + 600)
    assert "What roars?" not in questions(decks.due(db, ["animals"], NOON)), "half a minute is no clock ahead"


def test_an_answer_given_elsewhere_since_is_not_taken_back_with_ones_own(db: sqlite3.Connection) -> None:
    dog = decks.cards(db, "animals")[0]
    mine = decks.record_review(db, dog.id, NOON, 3, '{"mine": 1}', NOON + 60)
    theirs = decks.record_review(db, dog.id, NOON + 60, 4, '{"theirs": 1}', NOON + 600)
    with pytest.raises(UserError, match="answered again elsewhere"):
        decks.undo(db, mine)
    assert decks.card(db, dog.id).state == '{"theirs": 1}'
    decks.undo(db, theirs)
    decks.undo(db, mine)
    assert decks.card(db, dog.id).state is None
    with pytest.raises(UserError, match="answered again elsewhere"):
        decks.undo(db, mine)


def test_decks_of_the_first_version_are_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with decks.opened(path) as db:
        import_notes(db, "animals", parse(NOTES))
        before = decks.cards(db, "animals")
        db.execute("drop index cards_by_guid")
        db.execute("drop index cards_by_due")
        for column in ("guid", "source", "line"):
            db.execute(f"alter table cards drop column {column}")
        db.execute("drop table settings")
        db.execute("pragma user_version = 1")
    with decks.opened(path) as db:
        after = decks.cards(db, "animals")
        assert [(card.id, card.question, card.answer) for card in after] == [
            (c.id, c.question, c.answer) for c in before
        ]
        assert len({card.guid for card in after}) == 3 and all(card.guid for card in after)
        decks.store(db, "new", "7")
        assert decks.setting(db, "new") == "7" and decks.setting(db, "other") is None
    with decks.opened(path) as db:
        assert [card.guid for card in decks.cards(db, "animals")] == [card.guid for card in after], "given once"


def test_the_first_card_and_their_number_are_those_of_the_queue(db: sqlite3.Connection) -> None:
    import_notes(db, "more", parse("1) One?\n\n2) Two?\n"))
    cards = decks.cards(db, "animals")
    for moment, card in enumerate(cards[:2]):
        for new in (0, 1, 2, 9):
            for ahead in (0.0, 60.0):
                for names in (["animals"], ["more", "animals"]):
                    waiting = decks.due(db, names, NOON, new=new, ahead=ahead)
                    first, n = decks.first_due(db, names, NOON, new, ahead)
                    assert (first, n) == (waiting[0] if waiting else None, len(waiting))
        decks.record_review(db, card.id, NOON - 100 + moment, 3, "{}", NOON + 30 - 60 * moment)
