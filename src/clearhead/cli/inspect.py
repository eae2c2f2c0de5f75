"""`clearhead inspect`: what a model is, without loading it."""

import shutil
import textwrap

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.terminal import echo, echo_json, one_line

NARROWEST = 40  # columns


@click.command(
    epilog=examples(
        ("clearhead inspect runs/demo", "a run of yours"),
        ("clearhead inspect model.gguf --tensors", "every tensor of a file"),
        ("clearhead inspect DIR --json", "for a program"),
    )
)
@click.argument("model")
@click.option("--tensors", is_flag=True, help="List every tensor: shape, type, bytes.")
@json_option
def command(model: str, tensors: bool, as_json: bool) -> None:
    """Say what MODEL is: its family, sizes, types, memory, keys and values per token, tokenizer.

    MODEL is a run's directory, a folder with a checkpoint, a .safetensors or GGUF file, a hub id, or smollm2. Only
    tables are read, and checked; no weight is.
    """
    from clearhead.checkpoints import inspect

    found = inspect.inspect(model)
    if as_json:
        echo_json(inspect.as_json(found, tensors))  # names of tensors may hold anything
        return
    echo(one_line(str(found.path)))
    width = max(NARROWEST, shutil.get_terminal_size().columns)
    rows = list(inspect.lines(found))
    column = max(len(name) for name, _ in rows) + 4
    for name, value in rows:
        start = f"  {name}".ljust(column)
        echo(textwrap.fill(one_line(value), width, initial_indent=start, subsequent_indent=" " * column))
    if tensors:
        echo()
        longest = max((len(one_line(tensor.name)) for tensor in found.tensors), default=0)
        for tensor in found.tensors:
            shape = " x ".join(map(str, tensor.shape)) or "a number"
            line = f"{one_line(tensor.name):<{longest}}  {tensor.dtype:<5} {shape}, {inspect.size(tensor.nbytes)}"
            echo(textwrap.fill(line, width, subsequent_indent="    ", drop_whitespace=True))
