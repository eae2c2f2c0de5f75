"""`clearhead study import`: notes as a deck, in whatever style they are written."""

import re
import shlex
import sqlite3
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.cli.study.decks import GUIDE, cut, deck_name, opened, own
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json

if TYPE_CHECKING:
    from clearhead.study.apkg import Package
    from clearhead.study.importing import Changes
    from clearhead.study.notes import Notes
    from clearhead.study.reading import Source

SHOWN = 5  # lines named for each kind of change
FAMILIES = (  # of `study/styles.py`, which is imported when it is needed
    "heading", "bold", "number", "bullet", "label", "details", "table", "card", "definition", "glossary", "paragraph",
)  # fmt: skip


@click.command(
    "import",
    short_help="Notes as a deck, or a deck brought in line with its notes.",
    epilog=examples(
        ("clearhead study import notes.md", "a deck named notes"),
        ("clearhead study import notes.md --deck exam", "a deck named exam"),
        ("clearhead study import notes/ --preview", "what a folder holds; nothing is written"),
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--deck", "deck", help="Its name; that of the file if not given.")
@click.option(
    "--style", "family", type=click.Choice(FAMILIES), help="How questions are marked; found out if not given."
)
@click.option("--relink", is_flag=True, help="Keep the history of renamed files and of rewritten questions, unasked.")
@click.option("--preview", is_flag=True, help="Say what was found, and write nothing.")
@json_option
def import_(
    files: tuple[Path, ...], deck: str | None, family: str | None, relink: bool, preview: bool, as_json: bool
) -> None:
    """Read notes into a deck: files, folders, or - for standard input.

    The style is found out: headings, bold lines, numbered items, Q: and A:, folds, tables, glossaries, flashcards of
    Obsidian, Logseq and RemNote, in Markdown, HTML, org-mode, Jupyter notebooks, CSV and the text that Anki exports;
    or a package of Anki (.apkg or .colpkg) with its images and every answer given. Lists of terms are cards below a
    heading such as "Glossary", and anywhere with --style glossary. What was found is said first. Headings above a
    question are its section. Imported again, changed notes keep what you have learned; a file that was renamed, or a
    question that was wholly rewritten, is asked about, or taken by --relink.
    """
    from clearhead.study.importing import import_notes, take_history
    from clearhead.study.reading import joined

    package = _package(files)
    sources = _sources(files, family or "") if package is None else []
    name = deck_name(deck if deck is not None else _named(files))
    if name == GUIDE:
        raise UserError(f"the deck {GUIDE!r} is Clearhead's own guide; give yours another name with --deck")
    notes = joined(sources) if package is None else _of_package(package, name, preview)
    unanswered = sum(not item.answer for item in notes.items)
    told = {"deck": name, "questions": len(notes.items), "unanswered": unanswered, "todos": len(notes.todos)}
    if not as_json:
        _say(sources)
    if preview:
        if as_json:
            echo_json(told | _seen(sources) | {"items": [asdict(item) for item in notes.items]})
        return
    with opened() as db:
        was = _renamed(db, name, notes, relink, as_json)
        done = import_notes(db, name, notes)
        taken = take_history(db, name, package.learned) if package is not None else (0, 0)
        joined_to = _relinked(db, name, relink, as_json)
    if as_json:
        linked = {"history": list(taken), "renamed": was, "relinked": [list(pair) for pair in joined_to]}
        echo_json(told | _seen(sources) | asdict(done) | linked)
        return
    echo(f"{name}: {len(notes.items)} questions, {unanswered} without an answer, {len(notes.todos)} TODOs")
    if package is not None:
        echo(f"{taken[1]} answers given in Anki, to {taken[0]} cards")
        _list(f"{len(package.left_out)} left out", package.left_out)
    _changes(done)
    total = f"{len(done.added)} new, {done.kept} kept"
    echo(total if done.kept else f"Review them: clearhead study --deck {shlex.quote(name)}")


def _renamed(db: sqlite3.Connection, name: str, notes: "Notes", relink: bool, quiet: bool) -> str | None:
    """The deck of the same notes under the name that their file had, called as they are now where that is meant."""
    from clearhead.study.deck import rename
    from clearhead.study.relink import renamed

    was = renamed(db, name, notes, own(db))
    if was is None:
        return None
    asked = f"these are the notes of the deck {was!r}, whose file is gone; go on with it?"
    if not relink and not _agreed(asked, quiet):
        if not quiet:
            echo(f"the deck {was!r} has most of these questions, and its file is gone; --relink goes on with it")
        return None
    rename(db, was, name)
    if not quiet:
        echo(f"{was} is called {name} now, with its history")
    return was


def _relinked(db: sqlite3.Connection, name: str, relink: bool, quiet: bool) -> list[tuple[str, str]]:
    """(old question, new question) of the cards that were joined."""
    from clearhead.study.relink import join, links

    done = []
    found = links(db, name)
    for link in found:
        old, new = link.old.question.splitlines()[0], link.new.question.splitlines()[0]
        if relink or _agreed(f"{cut(old)}\n  was answered before. Is it now\n{cut(new)}", quiet):
            join(db, link)
            done.append((old, new))
    if not quiet:
        for _, new in done:
            echo(f"relinked: {cut(new)}")
        left = len(found) - len(done)
        if left and not sys.stdin.isatty():
            echo(f"{left} new questions may be old ones, rewritten; --relink gives them the history of those")
    return done


def _agreed(question: str, quiet: bool) -> bool:
    """Asked at a terminal; elsewhere nobody agrees."""
    return not quiet and sys.stdin.isatty() and click.confirm(question, default=False)


def _package(files: Sequence[Path]) -> "Package | None":
    """What a package of Anki holds; None where the files are none."""
    from clearhead.study.apkg import MAX_PACKAGE_BYTES, read
    from clearhead.study.reading import load

    if not any(file.suffix.lower() in (".apkg", ".colpkg") for file in files):
        return None
    if len(files) > 1:
        raise UserError(f"a package of Anki is imported alone, not with {len(files) - 1} other files")
    return read(load(files[0], MAX_PACKAGE_BYTES), files[0].name)


def _of_package(package: "Package", name: str, preview: bool) -> "Notes":
    """Its cards as notes; its images into the folder of the user's data, beside which the cards look for them."""
    import os
    from dataclasses import replace

    from clearhead.files import data_folder, write_bytes
    from clearhead.study.notes import Notes

    folder = data_folder(os.environ) / "media" / name
    if not preview:
        for image, data in package.media.items():
            write_bytes(folder / image, data)
    source = str(folder / "notes.apkg")
    return Notes("", tuple(replace(item, source=source) for item in package.items), (), ())


def _sources(files: Sequence[Path], family: str) -> "list[Source]":
    from clearhead.study.notes import MAX_NOTES_BYTES
    from clearhead.study.reading import Source, gather, seen_in

    if files != (Path("-"),):
        return gather(files, family)
    data = sys.stdin.buffer.read(MAX_NOTES_BYTES + 1)
    if len(data) > MAX_NOTES_BYTES:
        raise UserError(f"standard input goes on beyond {MAX_NOTES_BYTES:,} bytes; notes have at most that many")
    seen = seen_in(data, "standard input", family)
    if not seen.notes.items:
        raise UserError("standard input holds no questions; write each as a heading, `### What is ...?`")
    return [Source(Path("-"), seen)]


def _named(files: Sequence[Path]) -> str:
    """A deck's name from that of its file or folder."""
    if files[0] == Path("-"):
        raise UserError("standard input has no name; give the deck one with --deck NAME")
    one = files[0].resolve() if files[0].is_dir() else files[0]
    return re.sub(r"[^\w .+-]+", "-", one.stem if not one.is_dir() else one.name).strip(" .-")[:60]


def _say(sources: "Sequence[Source]") -> None:
    """How questions are written in each file, which are doubtful, and what was left."""
    for source in sources:
        seen = source.seen
        if not seen.notes.items:
            continue
        styles = ", ".join(f"{n} as {style!r}" for style, n in seen.styles[:3])
        echo(cut(f"{source.path}: found {len(seen.notes.items)} questions, {styles}"))
        doubtful = [f"line {line}: {question.splitlines()[0]}" for line, question in seen.doubtful]
        _list(f"{len(doubtful)} doubtful, which ask nothing by their form", doubtful)
        inside = [f"line {line}: {words}" for line, words in seen.inside]
        _list(f"{len(inside)} left within answers", inside)
        stray = [f"line {line.line}: {line.text}" for line in seen.notes.stray]
        _list(f"{len(stray)} {'line that belongs' if len(stray) == 1 else 'lines that belong'} to no question", stray)
    empty = [str(source.path) for source in sources if not source.seen.notes.items]
    _list(f"{len(empty)} {'file' if len(empty) == 1 else 'files'} without a question", empty)


def _list(head: str, lines: Sequence[str]) -> None:
    if lines:
        echo(f"  {head}:")
        for line in lines[:SHOWN]:
            echo(f"    {cut(line)}")
        if len(lines) > SHOWN:
            echo(f"    and {len(lines) - SHOWN} more")


def _seen(sources: "Sequence[Source]") -> dict[str, object]:
    styles: Counter[str] = Counter()
    for source in sources:
        styles.update(dict(source.seen.styles))
    doubtful = [(str(source.path), line, words) for source in sources for line, words in source.seen.doubtful]
    inside = [(str(source.path), line, words) for source in sources for line, words in source.seen.inside]
    stray = [(str(source.path), line.line, line.text) for source in sources for line in source.seen.notes.stray]
    return {"styles": dict(styles), "doubtful": doubtful, "inside": inside, "stray": stray}


def _changes(done: "Changes") -> None:
    for kind in ("added", "changed", "moved", "removed", "returned"):
        found = getattr(done, kind)
        if not found or (kind == "added" and not done.kept):
            continue
        echo(f"{len(found)} {kind}{' (their reviews are kept)' if kind == 'removed' else ''}")
        for question in found[:SHOWN]:
            echo(f"  {cut(question.splitlines()[0])}")
        if len(found) > SHOWN:
            echo(f"  and {len(found) - SHOWN} more")
