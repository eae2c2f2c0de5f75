"""The review of cards at the terminal: a question, time to think, the answer, and a rating.

Every answer is on disk before the next question is shown. Keys act without Enter on a terminal; from a pipe each line
is one key.
"""

import os
import select
import shutil
import sqlite3
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from clearhead.cli.study.decks import GUIDE, cut, guide_items
from clearhead.errors import UserError
from clearhead.study import deck as decks
from clearhead.study import schedule
from clearhead.study.notes import Item
from clearhead.study.session import Wanted, first, rate, state_of
from clearhead.terminal import Shown, echo, joined, styled

if sys.platform != "win32":
    import termios
    import tty

WIDTH = 80
LISTED = 10  # cards that a search shows
HELP = (
    "t type your answer, g take the guide's as yours, u undo, b bury until tomorrow, s suspend, e edit,"
    " / search, q quit"
)


@dataclass
class Session:
    """What has happened so far. `undone` holds, for every action, how to take it back and which card it was."""

    db: sqlite3.Connection
    wanted: Wanted
    began: float
    ratings: list[int] = field(default_factory=list)
    undo: list[tuple[Callable[[], object], int, bool]] = field(default_factory=list)  # (take back, card, was rated)
    back: int | None = None  # the card that comes next because its action was taken back
    guide: list[Item] | None = None  # read when the first card without an answer comes


def review(db: sqlite3.Connection, wanted: Wanted) -> bool:
    """Ask until nothing waits or the user has had enough; whether it was ended by Ctrl-C."""
    session = Session(db, wanted, time.time())
    try:
        with by_key():
            _all(session)
        interrupted = False
    except KeyboardInterrupt:
        interrupted = True
        echo()
    echo(summary(session, time.time()))
    return interrupted


def _all(session: Session) -> None:
    wanted = session.wanted
    while wanted.limit is None or len(session.ratings) < wanted.limit:
        card, n = first(session.db, wanted, time.time())
        if session.back is not None:
            card, n = decks.card(session.db, session.back), n + 1
            session.back = None
        if card is None or not _one(session, card, n):
            return


def summary(session: Session, now: float) -> str:
    """What was done, and when to come again."""
    done = Counter(session.ratings)
    told = ", ".join(f"{done[rating]} {name}" for rating, name in enumerate(schedule.RATINGS, 1) if done[rating])
    minutes = schedule.spoken(max(60, now - session.began))
    lines = [f"{len(session.ratings)} answered in {minutes}: {told}" if told else "nothing answered"]
    _, waiting = first(session.db, session.wanted, now)
    if waiting:
        lines.append(f"{waiting} more {'waits' if waiting == 1 else 'wait'}")
    elif (following := decks.next_due(session.db, session.wanted.names, now)) is not None:
        lines.append(f"the next card comes in {schedule.spoken(following - now)}")
    return "\n".join(lines)


def _one(session: Session, card: decks.Card, waiting: int) -> bool:
    """One card, from its question to what is done with it; False to end."""
    place = cut(f"{waiting} left · {card.deck} · {' / '.join(card.section[-2:])}")
    if sys.stdout.isatty() and sys.stdin.isatty():
        click.clear()
    echo(styled(f"\n{place}", dim=True))
    echo(asked(card))
    revealed = False
    while True:
        if not revealed:
            key = _key("[any key: answer, ?: help] ")
        else:
            plan = session.wanted.settings.plan
            waits = zip(schedule.RATINGS, schedule.intervals(state_of(card), time.time(), plan), strict=True)
            told = [f"{n} {name} {schedule.spoken(seconds)}" for n, (name, seconds) in enumerate(waits, 1)]
            key = _key(f"[{', '.join(told)}] ")
        if key in ("q", "\x04", None):
            return False
        if key == "?":
            echo(HELP)
        elif key == "/":
            _search(session)
        elif key == "e":
            card = _edit(session, card)
            echo(asked(card))
            if revealed:
                echo(shown(card.answer))
        elif key == "g":
            card = _take_guide(session, card)
        elif key == "t":
            _typed(session, card)
            revealed = True
        elif key == "u":
            if not session.undo:
                echo("nothing to undo")
                continue
            take_back, back, rated = session.undo.pop()
            try:
                take_back()
            except UserError as error:
                echo(error)
                continue
            session.back = back
            if rated:
                session.ratings.pop()
            return True
        elif key in ("b", "s"):
            _hide(session, card, key)
            return True
        elif not revealed:
            revealed = True
            _paged(joined(("\n", shown(_answer(session, card)), "\n")), asked(card))
        elif key in ("1", "2", "3", "4"):
            _rate(session, card, int(key))
            return True
        else:
            echo("1 to 4, or ? for help")


def shown(text: str) -> Shown:
    """Text of notes for the terminal: formulas as signs, code in colors where there are any."""
    from clearhead.study.view import printed

    return printed(text, min(WIDTH, max(20, _columns())), color=sys.stdout.isatty())


def asked(card: decks.Card) -> Shown:
    """The question on as many lines as it needs, and below it what it is posed with: code, numbers, choices."""
    head, _, rest = card.question.partition("\n\n")
    first = styled("\n".join(_wrapped(head)), bold=True)
    return joined((first, "\n\n", shown(rest))) if rest.strip() else first


def _answer(session: Session, card: decks.Card) -> str:
    """The card's answer; the guide's, marked as such, where the notes have none."""
    from clearhead.study.answers import is_answered, of_guide

    if is_answered(card.answer):
        return card.answer
    if card.deck != GUIDE:
        session.guide = guide_items() if session.guide is None else session.guide
        if told := of_guide([card], session.guide)[0]:
            return told
    return card.answer or "(the notes have no answer to this); e writes one"


def _take_guide(session: Session, card: decks.Card) -> decks.Card:
    """The card with the guide's answer as its own; `clearhead study write-back` puts it into the notes."""
    told = _answer(session, card)
    if card.deck == GUIDE or told == card.answer or "\n\n" not in told:
        echo("the guide has no answer to this, or the notes have one")
        return card
    decks.edit(session.db, card.id, card.question, told.partition("\n\n")[2])
    session.undo.append((lambda: decks.edit(session.db, card.id, card.question, card.answer), card.id, False))
    echo("taken; `clearhead study write-back` puts it into your notes")
    return decks.card(session.db, card.id)


def _paged(text: Shown, question: Shown) -> None:
    """What is longer than the terminal comes page by page, the question above each."""
    lines = str(text).split("\n")
    room = shutil.get_terminal_size().lines - str(question).count("\n") - 6
    if not (sys.stdout.isatty() and sys.stdin.isatty()) or len(lines) <= room or room < 5:
        echo(text)
        return
    for at in range(0, len(lines), room):
        if at:
            click.clear()
            echo(question)
            echo()
        echo(Shown("\n".join(lines[at : at + room])))
        if at + room < len(lines) and _key(f"[{len(lines) - at - room} lines more: any key] ") in ("q", "\x04", None):
            return


def _typed(session: Session, card: decks.Card) -> None:
    """An answer typed, compared with the card's claim by claim."""
    from clearhead.study.answers import covered

    typed = _line("your answer: ")
    answer = _answer(session, card)
    told = covered(typed, answer)
    for point, found in told:
        echo("\n  ".join(_wrapped(point, "✓ " if found else "· ")))
    if told:
        echo(f"{sum(found for _, found in told)} of {len(told)} points have most of their words in your answer")
    _paged(joined(("\n", shown(answer), "\n")), asked(card))


def _wrapped(text: str, mark: str = "") -> list[str]:
    from clearhead.study.view import one_line

    width = min(WIDTH, max(20, _columns())) - 3
    return textwrap.wrap(mark + one_line(text), width, break_on_hyphens=False)


def _rate(session: Session, card: decks.Card, rating: int) -> None:
    now = time.time()
    done, forgotten = rate(session.db, card, rating, session.wanted.settings, now)
    session.ratings.append(rating)

    def take_back() -> None:
        decks.undo(session.db, done)
        decks.suspend(session.db, card.id, card.suspended)

    session.undo.append((take_back, card.id, True))
    if forgotten:
        echo(f"forgotten {forgotten} times: suspended. Write it anew, or `clearhead study unsuspend` asks it again")


def _hide(session: Session, card: decks.Card, key: str) -> None:
    if key == "b":
        decks.bury(session.db, card.id, decks.next_day(time.time()))
        session.undo.append((lambda: decks.bury(session.db, card.id, card.buried_until), card.id, False))
        echo("buried until tomorrow")
    else:
        decks.suspend(session.db, card.id)
        session.undo.append((lambda: decks.suspend(session.db, card.id, card.suspended), card.id, False))
        echo("suspended; `clearhead study unsuspend` brings it back")


def _search(session: Session) -> None:
    words = _line("search: ")
    found = decks.search(session.db, words, session.wanted.names) if words else []
    for card in found[:LISTED]:
        echo("\n  ".join(_wrapped(f"{' / '.join(card.section[-1:])}: {card.question}", "- ")))
    echo(f"{len(found)} found" + (f", {LISTED} of them shown" if len(found) > LISTED else ""))


def _edit(session: Session, card: decks.Card) -> decks.Card:
    """The card as the editor leaves it, in the words of the notes; as it was where that is no card."""
    from clearhead.study.notes import parse
    from clearhead.study.styles import recognize

    if not sys.stdin.isatty() and not os.environ.get("VISUAL") and not os.environ.get("EDITOR"):
        echo("set EDITOR to edit without a terminal")
        return card
    head, _, posed = card.question.partition("\n\n")
    parts = [posed, "**Answer**", card.answer] if posed else [card.answer]
    text = "\n\n".join([f"{card.number}) {head}", *(textwrap.indent(part, "    ") for part in parts)]) + "\n"
    try:
        with by_line():
            edited = click.edit(text, extension=".md")
    except click.ClickException as error:
        echo(error.format_message())
        return card
    read = (lambda told: recognize(told, "number").notes) if posed else parse
    items = read(edited).items if edited is not None else ()
    if edited is None or edited == text:
        echo("unchanged")
        return card
    if len(items) != 1:
        echo(f"unchanged: there must be one line `{card.number}) question`, and the answer below it")
        return card
    decks.edit(session.db, card.id, items[0].question, items[0].answer)
    was = (card.question, card.answer)
    session.undo.append((lambda: decks.edit(session.db, card.id, *was), card.id, False))
    return decks.card(session.db, card.id)


def _key(prompt: str) -> str | None:
    """One key, without Enter on a terminal; the first letter of a line otherwise. None at the end of the input."""
    if not sys.stdin.isatty():
        echo(prompt, nl=False)
        line = sys.stdin.readline()
        echo()
        return (line.strip()[:1] or " ") if line else None
    echo(styled(prompt, dim=True), nl=False)
    with by_key():
        key = _read_key()
    echo()
    return key


@contextmanager
def by_key() -> Iterator[None]:
    """The terminal hands over every key at once and shows none of them; Ctrl-C still interrupts."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSADRAIN)  # not TCSAFLUSH: what was typed ahead is kept
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def by_line() -> Iterator[None]:
    """The terminal as an editor or a line of text wants it, within `by_key`."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    changed = termios.tcgetattr(terminal)
    changed[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _read_key() -> str | None:
    if sys.platform == "win32":
        return click.getchar()
    terminal = sys.stdin.fileno()
    key = os.read(terminal, 1)
    if key == b"\x1b":  # an arrow, say: the rest of it is no key
        while select.select([terminal], [], [], 0.01)[0]:
            os.read(terminal, 1)
    return key.decode("ascii", "replace") or None


def _line(prompt: str) -> str:
    echo(prompt, nl=False)
    with by_line():
        line = sys.stdin.readline()
    if not sys.stdin.isatty():
        echo()
    return line.strip()


def _columns() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns
