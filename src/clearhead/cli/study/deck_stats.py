"""`clearhead study stats`: how learning goes."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.cli.study.decks import cut, guide, known, opened
from clearhead.cli.study.passes import of_problem, record
from clearhead.terminal import echo, echo_json

WEAKEST = 5


SHADES = " ░▒▓█"


def heat(by_day: Sequence[int], now: float) -> list[str]:
    """Seven lines, Monday first, a column for each week; a day's shade says how many of the busiest day's answers."""
    import time

    from clearhead.study.deck import day_start

    weekday = time.localtime(day_start(now) + 43200).tm_wday
    most = max(*by_day, 1)
    lines = []
    for day in range(7):
        row = [by_day[at] for at in range(len(by_day)) if (weekday - (len(by_day) - 1 - at)) % 7 == day]
        shades = "".join(SHADES[-(-n * (len(SHADES) - 1) // most)] for n in row)
        lines.append(f"{'MTWTFSS'[day]} {shades}".rstrip())
    return lines


@click.command(
    "stats",
    short_help="What is due, what comes, what is weak.",
    epilog=examples(
        ("clearhead study stats", "all decks together"),
        ("clearhead study stats --deck guide --json", "one deck, for a program"),
    ),
)
@click.option("--deck", "deck", help="Of this deck; of all if not given.")
@json_option
def stats(deck: str | None, as_json: bool) -> None:
    """Say what is due, what comes in the next seven days, how much was known, and which sections are weakest.

    Retention is the share of answers in the last 30 days, to cards that were learned before, that were not "again".
    Exercises and problems, which belong to no deck, are counted where none is named.
    """
    import time

    from clearhead.study import deck as decks
    from clearhead.study.practice import exercise, progress
    from clearhead.study.practice.problem_set import PROBLEMS
    from clearhead.study.statistics import statistics

    now = time.time()
    with opened() as db:
        guide(db)
        names = [known(db, deck)] if deck is not None else decks.used(db) or decks.decks(db)
        found = statistics(db, names, now)
    done = progress.read(record()) if deck is None else {}
    practice = {
        "exercises": progress.tally(done, exercise.names()),
        "problems": progress.tally(done, [of_problem(name) for name in PROBLEMS]),
    }
    if as_json:
        echo_json(asdict(found) | ({key: asdict(one) for key, one in practice.items()} if deck is None else {}))
        return
    echo(f"{found.cards} cards in {', '.join(names)}: {found.due} due, {found.new} never seen")
    echo(f"answers: {found.answers}, today {found.answers_today}")
    if found.retention is None:
        echo("retention: nothing yet that was learned and asked again")
    else:
        echo(f"retention: {found.retention:.0%} of {found.retention_of} answers in 30 days")
    echo(f"streak: {found.streak} {'day' if found.streak == 1 else 'days'}")
    for kind, counted in practice.items() if deck is None else ():
        echo(f"{kind}: {counted.passed} of {counted.all} passed, {counted.tried} tried")
    if found.answers:
        echo("\nAnswers in the last half year, a column for each week")
        for line in heat(found.by_day, now):
            echo(f"  {line}")
    echo("\nDue")
    longest = max(*found.forecast, 1)
    for day, n in enumerate(found.forecast):
        name = (
            "today" if day == 0 else time.strftime("%a %d", time.localtime(decks.day_start(now) + 86400 * (day + 0.5)))
        )
        echo(f"  {name:<6} {n:>4} {'█' * round(30 * n / longest)}".rstrip())
    weak = [one for one in found.weakest if one.again][:WEAKEST]
    if weak:
        echo("\nWeakest sections")
    for one in weak:
        told = f"  {one.again} of {one.answers} again, {one.known:.0%} known now: {(one.deck, *one.section)[-1]}"
        echo(cut(told))
