"""`clearhead quantize`: a model in 8 or 4 bits, and what that costs."""

from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json

HELD_OUT = 20_000  # characters of the default text


@click.command(
    epilog=examples(
        ("clearhead quantize smollm2 small.gguf", "8 bits"),
        ("clearhead quantize DIR small.gguf --bits 4", "4 bits, the embedding in 8"),
        ("clearhead quantize DIR small.gguf --text held-out.txt", "measured on a text of yours"),
    )
)
@click.argument("model")
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--bits", type=click.Choice(["8", "4"]), default="8", show_default=True, help="Bits of a weight.")
@click.option("--text", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="The text whose perplexity is measured. Default: 20,000 characters about Python.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace what is at OUT.")
@json_option
def command(model: str, target: Path, bits: str, text: Path | None, force: bool, as_json: bool) -> None:
    """Write MODEL to the GGUF file OUT with its matrices in whole numbers, and say what that did to it.

    MODEL is what `convert` takes. 8 bits are Q8_0, 4 bits Q4_1 with the embedding in Q8_0; llama.cpp reads the file,
    and `--weights auto` multiplies by its blocks as they are. Perplexity is measured before and after, on text that the
    model should not have learned by heart.
    """
    from clearhead.checkpoints.inspect import size
    from clearhead.checkpoints.quantize import quantize
    from clearhead.cli.display import Display

    done = quantize(model, target, int(bits), held_out(text), force, Display().progress)
    if as_json:
        echo_json({
            "path": str(done.path), "type": done.kind, "tokens": done.tokens,
            "bytes": {"before": done.bytes_before, "after": done.bytes_after},
            "perplexity": {"before": done.perplexity_before, "after": done.perplexity_after},
        })  # fmt: skip
        return
    ratio = done.perplexity_after / done.perplexity_before
    echo(f"{done.path}: {done.kind}, {size(done.bytes_after)}; the weights were {size(done.bytes_before)}")
    echo(
        f"perplexity {done.perplexity_before:.4g} before and {done.perplexity_after:.4g} after, {ratio:.4f} times, "
        f"over {done.tokens:,} tokens"
    )


def held_out(path: Path | None) -> str:
    """The text of a file, or the beginning of what Python says about itself."""
    if path is None:
        from pydoc_data.topics import topics

        return "\n\n".join(topics.values())[:HELD_OUT]
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: {error}; give one in UTF-8") from None
