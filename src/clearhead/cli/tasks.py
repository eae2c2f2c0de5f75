"""`clearhead tasks`: what a model can be trained on."""

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.tasks import available
from clearhead.terminal import echo, echo_json


@click.command(
    epilog=examples(
        ("clearhead tasks", "names and statements"),
        ("clearhead tasks --json", "the same for a program"),
    )
)
@json_option
def command(as_json: bool) -> None:
    """List the tasks a model can be trained on, by the name that a recipe uses."""
    tasks = available()
    if as_json:
        listing = [{"name": name, "statement": statement} for name, statement in tasks]
        echo_json(listing)
        return
    width = max(len(name) for name, _ in tasks)
    for name, statement in tasks:
        echo(f"{name:<{width}}  {statement}")
