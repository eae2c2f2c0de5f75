"""`clearhead convert`: a model as a Hugging Face folder or as a GGUF file."""

from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.terminal import echo, echo_json


@click.command(
    epilog=examples(
        ("clearhead convert model.gguf DIR", "a folder for transformers"),
        ("clearhead convert DIR model.gguf", "a file for llama.cpp"),
        ("clearhead convert DIR small.gguf --dtype q8_0", "in a quarter of the room"),
    )
)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--dtype", type=click.Choice(["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"]),
              help="Type of the weights. Default: as they are; f32 where they are quantized or mixed.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace what is at DST.")
@json_option
def command(source: str, target: Path, dtype: str | None, force: bool, as_json: bool) -> None:
    """Write the model SRC to DST: a GGUF file if DST ends in .gguf, else a folder as Hugging Face has it.

    SRC is a run's directory, a folder with a checkpoint or an adapter, a GGUF file, a hub id, or smollm2. Tokenizer and
    chat template travel along. What the target cannot express is an error; DST is written whole or not at all.
    """
    from clearhead.checkpoints.convert import convert
    from clearhead.checkpoints.inspect import size
    from clearhead.cli.display import Display

    done = convert(source, target, dtype, force, Display().progress)
    if as_json:
        echo_json({
            "path": str(done.path), "form": done.form, "dtype": done.dtype, "parameters": done.parameters,
            "bytes": done.nbytes,
        })  # fmt: skip
        return
    echo(f"{done.path}: {done.form}, {done.parameters:,} parameters as {done.dtype}, {size(done.nbytes)}")
