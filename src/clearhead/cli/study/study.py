"""`clearhead study`: notes as decks of cards, and their review."""

from dataclasses import asdict

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option, refuse_before
from clearhead.cli.study.check_notes import check
from clearhead.cli.study.deck_files import export, restore
from clearhead.cli.study.deck_stats import stats
from clearhead.cli.study.decks import GUIDE, cut, guide, known, opened, own
from clearhead.cli.study.import_notes import import_
from clearhead.cli.study.interview import interview
from clearhead.cli.study.settings import fit, settings, unbury
from clearhead.cli.study.write_back import write_back
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json

OK, INTERRUPTED = 0, 130  # exit codes


@click.group(
    invoke_without_command=True,
    subcommand_metavar="[COMMAND] ...",
    epilog=examples(
        ("clearhead study", "review what is due: your decks, else the guide"),
        ("clearhead study --deck guide --section attention", "a part of the guide"),
        ("clearhead study import notes.md", "your notes as a deck"),
        ("clearhead study list", "the decks, and what waits in them"),
    ),
)
@click.option("--deck", "deck", help="Review this deck; all of your own if not given, the guide if you have none.")
@click.option("--section", default="", help="Only below headings that hold these words.")
@click.option("--new", type=click.IntRange(0), help="New cards a day. Default: as `settings` has it, 20 at first.")
@click.option("--limit", type=click.IntRange(1), help="End after this many answers.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, deck: str | None, section: str, new: int | None, limit: int | None, as_json: bool
) -> int | None:
    """Review questions and answers, your own notes or the guide, each when it is about to be forgotten.

    A question is shown; think, press any key for the answer, and rate how well you knew it: 1 again, 2 hard, 3 good,
    4 easy. Beside each stands when the card would come back. u takes the last answer back, b buries a card until
    tomorrow, s suspends it for good, e edits it, t types an answer to be compared, g takes the guide's answer as yours,
    / searches, q ends. Each answer is saved at once. With --json the
    cards that wait are told, and nothing is asked.
    """
    if ctx.invoked_subcommand:
        refuse_before(ctx)
        return None
    import time

    from clearhead.cli.study.review import review
    from clearhead.study import deck as decks
    from clearhead.study.session import Wanted, queue
    from clearhead.study.settings import load

    with opened() as db:
        guide(db)
        names = [known(db, deck)] if deck is not None else own(db) or [GUIDE]
        if section and not decks.inside([card for name in names for card in decks.cards(db, name)], section):
            raise UserError(f"no section of {', '.join(names)} holds {section!r}; `clearhead study search` finds cards")
        stored = load(db)
        wanted = Wanted(names, section, stored.new if new is None else new, limit, stored)
        if as_json:
            keys = ("id", "deck", "section", "number", "question", "answer", "due")
            waiting = queue(db, wanted, time.time())[:limit]
            echo_json([{key: getattr(card, key) for key in keys} for card in waiting])
            return OK
        return INTERRUPTED if review(db, wanted) else OK


@command.command(
    "list",
    short_help="The decks, and what waits in them.",
    epilog=examples(("clearhead study list --json", "the same for a program")),
)
@json_option
def list_(as_json: bool) -> None:
    """List the decks, and how many of their cards wait."""
    import time

    from clearhead.study import deck as decks

    with opened() as db:
        guide(db)
        rows = decks.counts(db, time.time())
    if as_json:
        echo_json([asdict(row) for row in rows])
        return
    width = max(len(row.deck) for row in rows)
    echo(f"{'':<{width}}  cards   due   new")
    for row in rows:
        echo(f"{row.deck:<{width}}  {row.cards:>5} {row.due:>5} {row.new:>5}")


@command.command(
    short_help="Find cards by their words.",
    epilog=examples(
        ("clearhead study search softmax", "cards that speak of it"),
        ("clearhead study search kv cache --deck guide", "in one deck only, with both words"),
    ),
)
@click.argument("words", nargs=-1, required=True)
@click.option("--deck", "deck", help="In this deck only.")
@json_option
def search(words: tuple[str, ...], deck: str | None, as_json: bool) -> None:
    """Find the cards that hold all WORDS, in question, answer or section."""
    from clearhead.study import deck as decks

    with opened() as db:
        guide(db)
        found = decks.search(db, " ".join(words), decks.decks(db) if deck is None else [known(db, deck)])
    if as_json:
        keys = ("deck", "section", "number", "question", "answer", "suspended")
        echo_json([{key: getattr(card, key) for key in keys} for card in found])
        return
    for card in found:
        echo(f"{card.deck}: {cut(' / '.join(card.section[-2:]))}\n  {cut(f'{card.number}) {card.question}')}")
    echo(f"{len(found)} found")


@command.command(
    short_help="Ask suspended cards again.",
    epilog=examples(
        ("clearhead study unsuspend", "all of your decks and of the guide"),
        ("clearhead study unsuspend softmax --deck guide", "those of one deck that speak of it"),
    ),
)
@click.argument("words", nargs=-1)
@click.option("--deck", "deck", help="In this deck only.")
@json_option
def unsuspend(words: tuple[str, ...], deck: str | None, as_json: bool) -> None:
    """Ask the suspended cards again that hold all WORDS; without words, all of them."""
    from clearhead.study import deck as decks

    with opened() as db:
        names = decks.decks(db) if deck is None else [known(db, deck)]
        found = [card for card in decks.search(db, " ".join(words), names) if card.suspended]
        with decks.change(db):
            for card in found:
                decks.suspend(db, card.id, suspended=False)
    if as_json:
        echo_json([card.question for card in found])
        return
    for card in found:
        echo(f"  {cut(card.question)}")
    echo(f"{len(found)} will be asked again")


@command.command(
    short_help="Forget a deck and its answers.",
    epilog=examples(("clearhead study remove notes --yes", "the deck, and every answer to its cards")),
)
@click.argument("deck")
@click.option("--yes", is_flag=True, help="Do it: this cannot be undone.")
def remove(deck: str, yes: bool) -> None:
    """Forget a deck of yours with every answer to its cards. Your notes stay as they are."""
    from clearhead.study import deck as decks

    with opened() as db:
        name = known(db, deck)
        if name == GUIDE:
            raise UserError(f"the deck {GUIDE!r} comes with Clearhead and cannot be removed")
        answers = next(count.reviews for count in decks.counts(db, 0.0) if count.deck == name)
        if not yes:
            raise UserError(
                f"{name} has been answered {_times(answers)}, and that would be lost; --yes removes it all the same"
            )
        decks.remove(db, name)
    echo(f"{name} is removed; it had been answered {_times(answers)}")


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


for verb in (import_, write_back, settings, fit, unbury, check, interview, stats, export, restore):
    command.add_command(verb)
