"""`clearhead diff`: where two models part, and by how much."""

import json
from dataclasses import asdict

import click

from clearhead.cli.examples import examples

SHOWN = 12  # of the tensors that differ
PROMPT = "The quick brown fox jumps over the lazy dog."


@click.command(
    epilog=examples(
        ("clearhead diff DIR model.gguf", "settings, tensors, hidden states"),
        ('clearhead diff runs/a runs/b --prompt "17 × 24"', "on a text of yours"),
        ("clearhead diff A B --json", "for a program"),
    )
)
@click.argument("a")
@click.argument("b")
@click.option("--prompt", default=PROMPT, help="The text that both read.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(a: str, b: str, prompt: str, as_json: bool) -> int | None:
    """Compare the models A and B. The exit code is 1 if they differ."""
    import torch

    from clearhead.pipeline.difference import difference
    from clearhead.pipeline.model import load_model

    cpu = torch.device("cpu")
    found = difference(load_model(a, cpu), load_model(b, cpu), prompt)
    same = not (found.settings or found.tensors or found.parted)
    if as_json:
        parted = None if found.parted is None else asdict(found.parted)
        click.echo(json.dumps({"same": same, "parted": parted, **asdict(found)}))
        return None if same else 1
    for name, (left, right) in found.settings.items():
        click.echo(f"{name}: {left} and {right}")
    for name, told in list(found.tensors.items())[:SHOWN]:
        click.echo(f"{name}: {told}")
    if len(found.tensors) > SHOWN:
        click.echo(f"and {len(found.tensors) - SHOWN} more tensors (--json lists them)")
    click.echo(f"{found.equal} tensors are equal, bit by bit")
    if not found.layers:
        click.echo("hidden states cannot be compared: the widths differ, or the second does not know the tokens")
    elif found.parted is None:
        click.echo("hidden states and logits are equal, bit by bit")
    else:
        first, last = found.parted, found.layers[-1]
        click.echo(f"they part at: {first.name}, by {first.largest:.3g}, {first.relative:.1e} of the largest")
        click.echo(f"{last.name}: apart by {last.largest:.3g}, {last.relative:.1e} of the largest")
    return None if same else 1
