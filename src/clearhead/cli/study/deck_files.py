"""`clearhead study export` and `restore`: decks as files."""

import time
from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.cli.study.decks import GUIDE, guide, guide_items, known, opened, own
from clearhead.errors import UserError
from clearhead.terminal import echo, to_json

MAX_BACKUP_BYTES = 500_000_000  # bytes of a file to restore


@click.command(
    short_help="Decks as JSON or for Anki.",
    epilog=examples(
        ("clearhead study export --json decks.json", "everything, to be restored"),
        ("clearhead study export --deck guide --anki g.apkg", "the guide for Anki"),
    ),
)
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="Write decks and answers to this file.")
@click.option(
    "--anki", type=click.Path(path_type=Path), help="Write a package for Anki to this file: words, no answers given."
)
@click.option("--deck", "deck", help="Only this deck. For Anki: your only one, else the guide, if not given.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def export(as_json: Path | None, anki: Path | None, deck: str | None, force: bool) -> None:
    """Write decks to a file: whole as JSON, for `restore`, or their questions and answers as a package for Anki."""
    from clearhead.study import deck as decks

    path = as_json or anki
    if path is None or (as_json and anki):
        raise UserError("give one file: --json FILE or --anki FILE")
    if path.exists() and not force:
        raise UserError(f"{path} is there already; --force writes over it")
    with opened() as db:
        guide(db)
        names = [known(db, deck)] if deck is not None else decks.decks(db)
        if as_json:
            from clearhead.study.backup import to_json

            data = to_json(db, names).encode()
        else:
            from clearhead.study.anki import package
            from clearhead.study.answers import filled

            mine = own(db)
            if deck is None and len(mine) > 1:
                raise UserError(f"which deck? --deck NAME, one of {', '.join(decks.decks(db))}")
            names = [deck] if deck is not None else mine or decks.decks(db)
            told = decks.cards(db, names[0])
            if names[0] != GUIDE:
                told = filled(told, guide_items())
            data = package(names[0], told, time.time())
        cards = sum(len(decks.cards(db, name)) for name in names)
    _write(path, data)
    echo(f"{path}: {cards} cards of {', '.join(names)}, {len(data):,} bytes")


@click.command(
    short_help="Decks from such a file.",
    epilog=examples(("clearhead study restore decks.json", "the decks of that file, with all answers")),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace decks of the same name, with their answers.")
@json_option
def restore(file: Path, replace: bool, as_json: bool) -> None:
    """Put back the decks that `clearhead study export --json FILE` wrote: all of them, or none."""
    from clearhead.study.backup import from_json

    try:
        if file.stat().st_size > MAX_BACKUP_BYTES:
            raise UserError(f"{file} has {file.stat().st_size:,} bytes; decks have at most {MAX_BACKUP_BYTES:,}")
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as UTF-8 text: {error}") from error
    with opened() as db:
        done = from_json(db, text, replace)
    echo(to_json(done) if as_json else "\n".join(f"{name}: {n} cards" for name, n in done.items()))


def _write(path: Path, data: bytes) -> None:
    """All of it, or nothing."""
    from clearhead.files import write_bytes

    try:
        write_bytes(path, data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
