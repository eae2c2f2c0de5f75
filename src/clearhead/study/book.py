"""The guide as a book: chapters in their order, and how to find a question in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from clearhead.errors import UserError
from clearhead.study.notes import Item, parse
from clearhead.study.search import Entry, Index, concepts, stems

FILE = re.compile(r"(\d+)-(.+)\.md")
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
    """A question and its place: question `at` of a chapter, from 1. Its score says how well it fits what was sought."""

    chapter: Chapter
    at: int
    score: float = 0.0

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
    """What a topic means: a place (`20` or `20.3`), a chapter by name or title, else questions that speak of it.

    Questions come with their scores, the best first. UserError: nothing is found.
    """
    if place := PLACE.fullmatch(topic.strip()):
        return _at(chapters, int(place[1]), int(place[2]) if place[2] else None)
    if chapter := _named(chapters, topic):
        return all_of(chapter)
    everything = [one for chapter in chapters for one in all_of(chapter)]
    index = _index(tuple(entry_of(one) for one in everything))
    found = index.search(topic)
    if not found:
        near = index.nearest(topic)
        meant = f"; did you mean {' '.join(near)!r}?" if near else ""
        raise UserError(f"the guide says nothing of {topic!r}{meant}; `clearhead guide` lists its chapters")
    return [replace(everything[i], score=score) for i, score in found]


def _named(chapters: Sequence[Chapter], topic: str) -> Chapter | None:
    """The chapter of that name or title. A title with a colon goes by either part."""
    wanted = topic.strip().casefold()
    for chapter in chapters:
        if wanted in (chapter.name.casefold(), chapter.title.casefold(), f"{chapter.number:02}-{chapter.name}"):
            return chapter
    named = set(concepts(stems(topic)))
    for chapter in chapters:
        if named and any(named == set(concepts(stems(name))) for name in names_of(chapter)):
            return chapter
    return None


def names_of(chapter: Chapter) -> tuple[str, ...]:
    """What a chapter is called: as its file, and by each part of a title with a colon."""
    return (chapter.name, *chapter.title.split(": "))


@lru_cache(maxsize=1)
def _index(entries: tuple[Entry, ...]) -> Index:
    return Index(entries)


def entry_of(one: Found) -> Entry:
    """What is looked through of a question."""
    return Entry(one.item.question, (one.chapter.title, *one.item.section[1:]), one.item.answer)


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
