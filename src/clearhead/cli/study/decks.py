"""The user's decks, as the verbs of `clearhead study` open them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from clearhead.errors import UserError
from clearhead.study.deck import GUIDE

if TYPE_CHECKING:
    from clearhead.study.notes import Item

NAME = re.compile(r"[\w][\w .+-]{0,59}")


@contextmanager
def opened() -> Iterator[sqlite3.Connection]:
    """The user's decks."""
    from clearhead.study import deck as decks

    with decks.opened(decks.own_decks()) as db:
        yield db


def guide(db: sqlite3.Connection) -> None:
    """Bring the deck of the guide in line with the guide."""
    from clearhead.study.importing import import_guide

    import_guide(db)


def guide_items() -> "list[Item]":
    """Every question of the guide with its answer."""
    from clearhead.study.notes import parse

    return [item for path in sorted(_chapters()) for item in parse(path.read_text(encoding="utf-8")).items]


def known(db: sqlite3.Connection, name: str) -> str:
    """The name of a deck that is there."""
    from clearhead.config import nearest
    from clearhead.study import deck as decks

    names = decks.decks(db)
    if name not in names:
        raise UserError(f"no deck {name!r}{nearest(name, names)}; `clearhead study list` shows them")
    return name


def deck_name(name: str) -> str:
    """A name that fits one line and one shell word."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name for a deck: up to 60 letters, digits, spaces and . + - _; give one with --deck"
        )
    return name


def own(db: sqlite3.Connection) -> list[str]:
    from clearhead.study import deck as decks

    return [name for name in decks.decks(db) if name != GUIDE]


def cut(text: str) -> str:
    """On one line of the terminal."""
    width = get_terminal_size().columns - 3
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _chapters() -> Iterator[Path]:
    from clearhead.study.examples import GUIDE as folder

    return folder.glob("*.md")
