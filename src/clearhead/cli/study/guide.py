"""`clearhead guide`: questions and answers about all of it, read in the terminal."""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.errors import UserError
from clearhead.files import write_whole
from clearhead.terminal import Shown, echo, echo_json

if TYPE_CHECKING:
    from clearhead.study.book import Chapter, Found

WIDEST = 100  # columns; longer lines are hard to read
LISTED = 30  # questions
ALSO = 6  # of those found, that are named with the first one's answer


@click.command(
    epilog=examples(
        ("clearhead guide", "its chapters"),
        ("clearhead guide kv-cache", "a chapter, by name or number"),
        ("clearhead guide 20.3", "one question with its answer"),
        ("clearhead guide RoPE", "what answers it, or a list where several do"),
        ("clearhead guide warmup --json", "the same for a program"),
        ("clearhead guide --html pages", "all of it for a browser"),
    ),
)
@click.argument("topic", nargs=-1)
@click.option("--html", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write it as web pages.")
@json_option
def command(topic: tuple[str, ...], folder: Path | None, as_json: bool) -> None:
    """Read the guide: questions from the dot product to tree search, answered, with code that was run.

    Without TOPIC, list its chapters. TOPIC is a chapter, a question such as 20.3, or words to look for.
    """
    from clearhead.study import book
    from clearhead.study.examples import GUIDE
    from clearhead.study.search import is_clear

    chapters = book.read(GUIDE)
    if folder is not None:
        if topic:
            raise UserError(f"--html writes the whole guide; leave out {' '.join(topic)!r}")
        _write(chapters, folder, as_json)
        return
    if not topic:
        _contents(chapters, as_json)
        return
    found = book.find(chapters, " ".join(topic))
    if as_json:
        echo_json([_plain(one) for one in found])
    elif found == book.all_of(found[0].chapter):
        _read(found)
    elif is_clear([one.score for one in found]):
        _read(found[:1], see_also=found[1:ALSO])
    else:
        _list(found)


def _contents(chapters: "Sequence[Chapter]", as_json: bool) -> None:
    if as_json:
        keys = ("number", "name", "title")
        listing = [{key: getattr(one, key) for key in keys} | {"questions": len(one.items)} for one in chapters]
        echo_json(listing)
        return
    name, title = (max(len(getattr(one, key)) for one in chapters) for key in ("name", "title"))
    name = min(name, 24)
    room = max(10, _columns() - name - 16)
    for one in chapters:
        shown = one.title if len(one.title) <= room else f"{one.title[: room - 1]}…"
        echo(f"{one.number:>2}  {one.name:<{name}}  {shown:<{min(room, title)}}  {len(one.items):>3}")
    echo(f"{sum(len(one.items) for one in chapters)} questions; read on with: clearhead guide {chapters[0].name}")


def _write(chapters: "Sequence[Chapter]", folder: Path, as_json: bool) -> None:
    """All pages, in a folder that is new, empty, or holds an earlier guide."""
    from clearhead.study import site

    index = folder / "index.html"
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; name a folder for the pages")
        mine = index.is_file() and site.MARK in index.read_text(encoding="utf-8", errors="replace")
        if folder.is_dir() and any(folder.iterdir()) and not mine:
            raise UserError(f"{folder} holds other files; name an empty folder, or one that this has written before")
        pages = site.pages(chapters)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            write_whole(folder / name, text)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from error
    if as_json:
        echo_json({"index": str(index), "pages": len(pages)})
        return
    echo(f"{len(pages)} pages; open {index}")


def _list(found: "Sequence[Found]") -> None:
    """Questions with their places, the best first."""
    from clearhead.study.view import one_line

    width = max(len(one.place) for one in found)
    room = max(20, _columns() - width - 2)
    for one in found[:LISTED]:
        question = one_line(one.item.question)
        shown = question if len(question) <= room else f"{question[: room - 1]}…"
        echo(f"{one.place:>{width}}  {shown}")
    more = f", {len(found) - LISTED} not shown" if len(found) > LISTED else ""
    echo(f"{len(found)} questions{more}; read: clearhead guide {found[0].place}")


def _read(found: "Sequence[Found]", see_also: "Sequence[Found]" = ()) -> None:
    """Questions with their answers, page by page on a terminal; below them others by their titles."""
    from clearhead.console import SafeConsole
    from clearhead.study.view import Answer, one_line

    terminal = sys.stdout.isatty()
    out = io.StringIO()
    page = SafeConsole(file=out, width=min(WIDEST, _columns()), force_terminal=terminal, highlight=False)
    section: tuple[str, ...] = ()
    for one in found:
        if one.item.section != section:
            section = one.item.section
            page.print(f"\n{' / '.join(section)}", style="dim", markup=False)
        page.print(f"\n{one.place}  {one_line(one.item.question)}\n", style="bold", markup=False)
        page.print(Answer(one.item.answer))
    if see_also:
        page.print("\nSee also", style="dim", markup=False)
        for one in see_also:
            named = f"{one.place:>5}  {one_line(one.item.question)}"
            page.print(named, markup=False, overflow="ellipsis", no_wrap=True)
    text = Shown("\n".join(line.rstrip() for line in out.getvalue().strip("\n").split("\n")))
    if terminal and text.count("\n") >= _rows() - 1:
        options = os.environ.get("LESS", "")
        if "r" not in options.lower():
            os.environ["LESS"] = f"{options} -R".strip()  # without it less shows color as codes, so click leaves it out
        click.echo_via_pager(text + "\n")
    else:
        echo(text)


def _plain(one: "Found") -> dict[str, object]:
    item = one.item
    return {
        "place": one.place,
        "chapter": one.chapter.name,
        "section": list(item.section),
        "question": item.question,
        "answer": item.answer,
    }


def _columns() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _rows() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().lines
