"""`clearhead study settings`, `fit` and `unbury`: how one reviews."""

from dataclasses import asdict, replace

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.cli.study.decks import known, opened
from clearhead.terminal import echo, echo_json


@click.command(
    short_help="Limits of a day, order, retention, leeches.",
    epilog=examples(
        ("clearhead study settings", "what is stored"),
        ("clearhead study settings --new 10 --retention 0.95", "fewer new cards, remembered better"),
    ),
)
@click.option("--new", type=int, help="New cards a day.")
@click.option("--reviews", type=int, help="Other cards a day.")
@click.option("--order", help="due: the most overdue first; random: another order each day.")
@click.option("--retention", type=float, help="The chance to remember at which a card comes back, 0.7 to 0.99.")
@click.option("--leech", type=int, help="Suspend a card that was forgotten so often; 0 never does.")
@click.option("--reset", is_flag=True, help="Go back to the defaults, the fitted schedule included.")
@json_option
def settings(
    new: int | None, reviews: int | None, order: str | None, retention: float | None, leech: int | None, reset: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Show how you review, or store it for all reviews to come. `clearhead study --new N` counts for one review."""
    from clearhead.study.settings import Settings, load, save

    given = {"new": new, "reviews": reviews, "order": order, "retention": retention, "leech": leech}
    given = {key: value for key, value in given.items() if value is not None}
    with opened() as db:
        if reset:
            save(db, None)
        told = Settings() if reset else load(db)
        if given:
            told = replace(told, **given)  # type: ignore[arg-type]
            save(db, told)
    if as_json:
        echo_json(asdict(told))
        return
    for key, value in asdict(told).items():
        fit = "fitted to your answers" if value else "those of FSRS; `clearhead study fit` fits them"
        echo(f"{key:<10} {fit if key == 'parameters' else value}")


@click.command(
    short_help="Fit the schedule to your own answers.",
    epilog=examples(("clearhead study fit", "once there are 512 answers")),
)
@json_option
def fit(as_json: bool) -> None:
    """Fit the parameters of FSRS to all answers that you gave, and schedule by them from now on."""
    from clearhead.study import deck as decks
    from clearhead.study.schedule import fitted
    from clearhead.study.settings import load, save

    with opened() as db:
        answers = decks.answers(db)
        found = fitted(answers)
        save(db, replace(load(db), parameters=found))
    if as_json:
        echo_json({"answers": len(answers), "parameters": found})
        return
    echo(f"fitted to {len(answers)} answers; the next ones are scheduled by it")


@click.command(
    short_help="Ask buried cards again today.",
    epilog=examples(("clearhead study unbury", "of all decks"), ("clearhead study unbury --deck exam", "of one deck")),
)
@click.option("--deck", "deck", help="In this deck only.")
@json_option
def unbury(deck: str | None, as_json: bool) -> None:
    """Ask the cards again that were buried until tomorrow."""
    import time

    from clearhead.study import deck as decks

    with opened() as db:
        names = decks.decks(db) if deck is None else [known(db, deck)]
        with decks.change(db):
            n = decks.unbury(db, names, time.time())
    if as_json:
        echo_json({"unburied": n})
        return
    echo(f"{n} will be asked again today")
