"""The guide as a book: chapters in their order, and how to find a question in them."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearhead.errors import UserError
from clearhead.study.match import similarity
from clearhead.study.notes import Item, parse

FILE = re.compile(r"(\d+)-(.+)\.md")
ALIKE = 0.1  # a cosine
CLOSEST = 10  # questions
PLACE = re.compile(r"(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Chapter:
    """One file of the guide. Its questions are counted through, whatever their numbers within a section are."""

    number: int
    name: str  # of the file, without its number
    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Found:
    """A question and its place: question `at` of a chapter, from 1."""

    chapter: Chapter
    at: int

    @property
    def item(self) -> Item:
        return self.chapter.items[self.at - 1]

    @property
    def place(self) -> str:
        return f"{self.chapter.number}.{self.at}"


def read(folder: Path) -> list[Chapter]:
    """Every chapter of a folder, by number."""
    chapters = []
    for path in folder.glob("*.md"):
        if named := FILE.fullmatch(path.name):
            notes = parse(path.read_text(encoding="utf-8"))
            chapters.append(Chapter(int(named[1]), named[2], notes.title, notes.items))
    return sorted(chapters, key=lambda chapter: chapter.number)


def find(chapters: Sequence[Chapter], topic: str) -> list[Found]:
    """What a topic means: a place (`20` or `20.3`), a chapter by name or title, else every question with all its words.

    Questions that hold the words themselves come before those whose answer does; where none has them all, the most
    alike are found. UserError: nothing is.
    """
    if place := PLACE.fullmatch(topic.strip()):
        return _at(chapters, int(place[1]), int(place[2]) if place[2] else None)
    wanted = topic.strip().casefold()
    for chapter in chapters:
        if wanted in (chapter.name.casefold(), chapter.title.casefold(), f"{chapter.number:02}-{chapter.name}"):
            return all_of(chapter)
    words = re.findall(r"\w+", wanted)
    everything = [one for chapter in chapters for one in all_of(chapter)]
    found = [one for one in everything if words and all(word in _text(one) for word in words)]
    if found:
        return sorted(found, key=lambda one: -sum(word in one.item.question.casefold() for word in words))
    alike = similarity([wanted], [_text(one) for one in everything])[0]
    ranked = sorted(zip(alike.tolist(), range(len(everything)), strict=True), key=lambda pair: -pair[0])
    found = [everything[i] for score, i in ranked[:CLOSEST] if score >= ALIKE]
    if not found:
        close = difflib.get_close_matches(wanted, [chapter.name for chapter in chapters], 1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise UserError(f"the guide says nothing of {topic!r}{meant}; `clearhead guide` lists its chapters")
    return found


def all_of(chapter: Chapter) -> list[Found]:
    return [Found(chapter, at) for at in range(1, len(chapter.items) + 1)]


def _at(chapters: Sequence[Chapter], number: int, at: int | None) -> list[Found]:
    chapter = next((chapter for chapter in chapters if chapter.number == number), None)
    if chapter is None:
        raise UserError(f"there is no chapter {number}; the guide has {chapters[0].number} to {chapters[-1].number}")
    if at is None:
        return all_of(chapter)
    if not 1 <= at <= len(chapter.items):
        raise UserError(f"there is no question {number}.{at}; the chapter has 1 to {len(chapter.items)}")
    return [Found(chapter, at)]


def _text(one: Found) -> str:
    return " ".join((one.chapter.title, *one.item.section, one.item.question, one.item.answer)).casefold()
