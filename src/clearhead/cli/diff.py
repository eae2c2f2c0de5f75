"""`clearhead diff`: where two models part, and by how much."""

import shutil
import textwrap
from dataclasses import asdict

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.terminal import echo, echo_json, one_line

SHOWN = 12  # of the tensors that differ
PROMPT = "The quick brown fox jumps over the lazy dog."


@click.command(
    epilog=examples(
        ("clearhead diff DIR model.gguf", "settings, tensors, hidden states"),
        ('clearhead diff runs/a runs/b --prompt "17 × 24"', "on a text of yours"),
        ("clearhead diff A B --layers", "how the difference grows"),
        ("clearhead diff a.safetensors b.safetensors", "two files of tensors"),
    )
)
@click.argument("a")
@click.argument("b")
@click.option("--prompt", default=PROMPT, help="The text that both read.")
@click.option("--layers", is_flag=True, help="Show every layer's difference.")
@json_option
def command(a: str, b: str, prompt: str, layers: bool, as_json: bool) -> int | None:
    """Compare the models A and B: settings, tensors, and what they compute on a text.

    A and B are runs, folders, GGUF files, hub ids or smollm2, in any mixture, or two files of tensors. The exit code is
    1 if they differ.
    """
    from clearhead.checkpoints.diff import difference

    found = difference(a, b, prompt)
    code = None if found.same else 1
    if as_json:
        parted = None if found.parted is None else asdict(found.parted)
        echo_json({"same": found.same, "parted": parted, **asdict(found)})
        return code
    for name, (left, right) in found.settings.items():
        say(f"{name}: {left} and {right}")
    for name, told in list(found.tensors.items())[:SHOWN]:
        say(f"{name}: {told}")
    if len(found.tensors) > SHOWN:
        say(f"and {len(found.tensors) - SHOWN} more tensors (--json lists them)")
    say(f"{found.equal} of {found.equal + len(found.tensors)} tensors are equal, bit by bit")
    if found.not_run:
        say(f"no text was run: {found.not_run}")
        return code
    if layers:
        for step in found.steps:
            echo(f"  {step.name:<20} {step.largest:10.3g} {step.relative:9.1e}")
    if found.parted is None:
        say("hidden states and logits are equal, bit by bit")
        return code
    first, last = found.parted, found.steps[-1]
    say(f"they part at: {first.name}, by {first.largest:.3g}, {first.relative:.1e} of the largest")
    say(f"{last.name}: apart by {last.largest:.3g}, {last.relative:.1e} of the largest")
    if found.next_tokens:
        say("likeliest next token: {!r} and {!r}".format(*found.next_tokens))
    return code


def say(line: str) -> None:
    """A line of a file's words, folded to the terminal and unable to steer it."""
    echo(textwrap.fill(one_line(line), shutil.get_terminal_size().columns, subsequent_indent="    "))
