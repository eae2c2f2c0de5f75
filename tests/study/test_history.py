"""A hundred and twenty questions, edited as notes are over months: each keeps its history, and none takes another's."""

import random
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from clearhead.study import deck as decks
from clearhead.study.importing import import_notes
from clearhead.study.notes import Notes
from clearhead.study.reading import gather, joined
from clearhead.study.relink import join, links, renamed

SUBJECTS = {
    "sickle": "a short curved blade swung with one hand", "harrow": "a frame of spikes that breaks clods",
    "windmill": "sails on a shaft that turn a stone", "granary": "a raised store that keeps mice away",
    "orchard": "rows of trees pruned for light", "beehive": "frames of comb in stacked boxes",
    "cistern": "a lined pit that gathers rain", "hedge": "shrubs cut half through and laid over",
    "kiln": "a chamber whose draft is set by the door", "loom": "threads held tight while others cross them",
    "forge": "a hearth blown hot by bellows", "ferry": "a flat boat hauled along a rope",
}  # fmt: skip
ASKED = (
    "What is a {} for?", "Which parts of a {} wear out first?", "How was a {} paid for in a poor year?",
    "Explain why a {} had to be shared", "What happens to a {} in hard frost?",
    "Name two ways in which a {} was made safer", "Who repaired the {} of a village?",
    "How long does a new {} last?", "What did a {} cost compared with a cow?", "Describe the sound of a {} at work",
)  # fmt: skip
ANEW = "Tell the story of your grandfather and his {}"


@dataclass(frozen=True)
class Asked:
    """A question, and the number by which the test knows it, whatever becomes of its words."""

    key: int
    section: str
    question: str
    answer: str


def first() -> list[Asked]:
    return [
        Asked(i * len(ASKED) + j, name.title(), question.format(name), f"It is {about}; point {j} of {name} follows.")
        for i, (name, about) in enumerate(SUBJECTS.items())
        for j, question in enumerate(ASKED)
    ]


def as_items(asked: list[Asked]) -> str:
    return written(asked, "{n}) {question}\n\n    {answer}\n")


def as_headings(asked: list[Asked]) -> str:
    return written(asked, "### {question}\n\n{answer}\n")


def written(asked: list[Asked], form: str) -> str:
    parts = ["# Farm\n"]
    for n, one in enumerate(asked, 1):
        if n == 1 or asked[n - 2].section != one.section:
            parts.append(f"## {one.section}\n")
        parts.append(form.format(n=n, question=one.question, answer=one.answer))
    return "\n".join(parts)


def read(path: Path, text: str) -> Notes:
    path.write_text(text, encoding="utf-8")
    return joined(gather([path]))


def kept(db: sqlite3.Connection, deck: str, asked: list[Asked]) -> int:
    """Questions whose card is there, once, with its own history and nobody else's."""
    cards = {card.question: card for card in decks.cards(db, deck)}
    rows = db.execute("select card, at from reviews").fetchall()
    told = {card: {at for other, at in rows if other == card} for card, _ in rows}
    assert len(cards) == len(asked)
    return sum(told.get(cards[one.question].id) == {float(one.key)} for one in asked)


@pytest.mark.parametrize("seed", range(2))
def test_every_question_keeps_its_history(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = tmp_path / "farm.md"
    now = first()
    assert len(now) == 120
    with decks.opened(tmp_path / "decks.db") as db:
        assert len(import_notes(db, "farm", read(path, as_items(now))).added) == 120
        for card, one in zip(decks.cards(db, "farm"), now, strict=True):
            db.execute("insert into reviews (card, at, rating) values (?, ?, 3)", (card.id, one.key))

        def edited(change: str, style: str = "items") -> None:
            text = (as_items if style == "items" else as_headings)(now)
            done = import_notes(db, "farm", read(path, text))
            assert not done.added and not done.removed, change
            assert kept(db, "farm", now) == 120, change

        some = rng.sample(range(120), 40)
        now = [
            replace(o, question=o.question.replace("a ", "an old ", 1) if o.key in some else o.question) for o in now
        ]
        edited("a word in 40 questions")
        others = rng.sample(range(120), 40)
        now = [replace(o, answer="Written anew, at more length." if o.key in others else o.answer) for o in now]
        edited("40 answers rewritten")
        now = [
            replace(o, question=f"{o.question.rstrip('?')}, and since when?" if o.key % 5 == 0 else o.question)
            for o in now
        ]
        edited("24 questions made longer")
        sections = sorted({o.section for o in now})
        rng.shuffle(sections)
        now = [replace(o, section=f"About the {o.section.lower()}") for s in sections for o in now if o.section == s]
        edited("sections renamed and in another order")
        moved = set(rng.sample(range(120), 30))
        now = [o for o in now if o.key not in moved] + [replace(o, section="Others") for o in now if o.key in moved]
        edited("30 questions moved to a section of their own")
        edited("another style", "headings")
        edited("and back")

        away = set(rng.sample(range(120), 20))
        gone = [o for o in now if o.key in away]
        now = [o for o in now if o.key not in away]
        assert len(import_notes(db, "farm", read(path, as_items(now))).removed) == 20 and kept(db, "farm", now) == 100
        now = [*now, *gone]
        assert len(import_notes(db, "farm", read(path, as_items(now))).returned) == 20 and kept(db, "farm", now) == 120

        path.unlink()
        path = tmp_path / "country.md"
        notes = read(path, as_items(now))
        assert renamed(db, "country", notes, ["farm"]) == "farm"
        decks.rename(db, "farm", "country")
        assert not import_notes(db, "country", notes).added and kept(db, "country", now) == 120

        anew = {rng.choice([o.key for o in now if name in o.question]): name for name in SUBJECTS}
        now = [replace(o, question=ANEW.format(anew[o.key]), answer="?") if o.key in anew else o for o in now]
        import_notes(db, "country", read(path, as_items(now)))
        offered = links(db, "country")
        assert len(offered) == len(db.execute("select 1 from cards where gone").fetchall())
        for link in offered:
            join(db, link)
        assert kept(db, "country", now) == 120
