"""`clearhead tasks`: what a model can be trained on."""

import json

import click

from clearhead.cli.examples import examples
from clearhead.tasks import available


@click.command(
    epilog=examples(
        ("clearhead tasks", "names and statements"),
        ("clearhead tasks --json", "the same for a program"),
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of {name, statement}.")
def command(as_json: bool) -> None:
    """List the tasks a model can be trained on, by the name that a recipe uses."""
    tasks = available()
    if as_json:
        listing = [{"name": name, "statement": statement} for name, statement in tasks]
        click.echo(json.dumps(listing, indent=2, ensure_ascii=False))
        return
    width = max(len(name) for name, _ in tasks)
    for name, statement in tasks:
        click.echo(f"{name:<{width}}  {statement}")
