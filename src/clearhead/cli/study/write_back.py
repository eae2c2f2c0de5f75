"""`clearhead study write-back`: edits of cards put into the notes that they come from."""

import difflib
import sys
from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.cli.study.decks import GUIDE, cut, known, opened, own
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json


@click.command(
    "write-back",
    short_help="Put edits of cards into your notes, the diff shown first.",
    epilog=examples(
        ("clearhead study write-back", "show the diff, ask, and write"),
        ("clearhead study write-back --deck exam --yes", "write without asking"),
    ),
)
@click.option("--deck", "deck", help="Only of this deck; of all of your own if not given.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@json_option
def write_back(deck: str | None, yes: bool, as_json: bool) -> int | None:
    """Write what you changed in reviews, and answers of the guide that you took, into the Markdown of your notes.

    The diff is shown first. A file that has changed since its import is written to only where the question still
    stands as it was; what cannot be written is named. The exit code is 1 if anything was left.
    """
    from clearhead.files import write_bytes
    from clearhead.study import deck as decks
    from clearhead.study.reading import TEXTS, load
    from clearhead.study.write_back import Edit, written

    left: list[str] = []
    wrote: dict[str, int] = {}
    told = []
    with opened() as db:
        names = [known(db, deck)] if deck is not None else own(db)
        if names == [GUIDE]:
            raise UserError(f"the deck {GUIDE!r} comes with Clearhead; its text stays as it is")
        edited = {name: decks.edited(db, name) for name in names}
        files = sorted({card.source for cards in edited.values() for card, _, _ in cards})
        for file in files:
            mine = [(card, q, a) for cards in edited.values() for card, q, a in cards if card.source == file]
            path = Path(file)
            if not file or path.suffix.lower() not in TEXTS or not path.is_file():
                left += [f"{card.question}: no Markdown file of it is there" for card, _, _ in mine]
                continue
            data = load(path)
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                left += [f"{card.question}: {path.name} is no UTF-8" for card, _, _ in mine]
                continue
            edits = {Edit(q, a, card.question, card.answer): card for card, q, a in mine}
            found = written(text, list(edits))
            left += [f"{edit.question}: {why}" for edit, why in found.failed]
            if not found.done:
                continue
            diff = difflib.unified_diff(text.splitlines(), found.text.splitlines(), str(path), str(path), lineterm="")
            lines = list(diff)
            if not as_json:
                echo("\n".join(lines))
            if yes or (not as_json and sys.stdin.isatty() and click.confirm(f"write {path}?", default=False)):
                if load(path) != data:
                    raise UserError(f"{path} has changed while you looked at the diff; run it again")
                write_bytes(path, found.text.encode("utf-8"))
                with decks.change(db):
                    for edit in found.done:
                        decks.agree(db, edits[edit].id)
                wrote[str(path)] = len(found.done)
            told.append({"file": str(path), "diff": lines, "written": str(path) in wrote})
    if as_json:
        echo_json({"files": told, "left": left})
    else:
        for file, n in wrote.items():
            echo(f"{file}: {n} {'card' if n == 1 else 'cards'} written")
        if told and not wrote:
            echo("nothing is written; --yes writes it")
        for line in left:
            echo(cut(f"left: {line}"))
        if not told and not left:
            echo("no card differs from its notes")
    return 1 if left else None
