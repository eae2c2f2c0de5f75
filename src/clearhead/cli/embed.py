"""`clearhead embed`: texts as vectors, and searched by their meaning."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import device_option, dtype_option, json_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json, one_line

if TYPE_CHECKING:
    from clearhead.pipeline.embed import Hit, Unit

SHOWN = 300  # letters of a passage that was found


@click.command(
    epilog=examples(
        ("clearhead embed minilm notes.txt > vectors.jsonl", "a vector for each line"),
        ('clearhead embed minilm notes/ --query "how to reset" --top 3', "the nearest paragraphs of a folder"),
        ("clearhead embed minilm notes/ --out notes.safetensors", "embed once"),
        ('clearhead embed minilm notes.safetensors --query "reset"', "and search as often as you like"),
        ("echo 'one text' | clearhead embed minilm -", "from a pipe"),
    )
)
@click.argument("model")
@click.argument("file")
@click.option("--per", "unit", type=click.Choice(["line", "paragraph", "file"]),
              help="What is one text. Default: a line; a paragraph in a folder.")  # fmt: skip
@click.option("--field", default="text", show_default=True, help="The text in a file of rows (JSONL, CSV, Parquet).")
@click.option("--out", type=click.Path(path_type=Path), help="Write .jsonl, .npy or .safetensors instead of printing.")
@click.option("--query", help="Show the texts nearest to this one.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many of them.")
@dtype_option
@device_option
@json_option
def command(
    model: str, file: str, unit: "Unit | None", field: str, out: Path | None, query: str | None, top: int, dtype: str,
    device: str, as_json: bool,
) -> None:  # fmt: skip
    """Turn the texts of FILE into vectors of MODEL, or find those nearest to a query.

    MODEL is minilm (`make models`), a folder of a BERT, RoBERTa or DistilBERT encoder, or a hub id. FILE is text, rows
    (JSONL, JSON, CSV, Parquet), a folder, - for standard input, or what --out has kept as .safetensors. Without --out
    and --query the vectors are printed, a JSON object a line.
    """
    import torch

    from clearhead.checkpoints.embedder import load_embedder
    from clearhead.cli.display import Display
    from clearhead.kernels.machine import choose_device
    from clearhead.pipeline import embed

    if query is not None and not query.strip():
        raise UserError("--query is empty; type what to look for")
    if out is not None:
        embed.check_out(out)
    embedder = load_embedder(model, choose_device(device), None if dtype == "auto" else getattr(torch, dtype))
    found, vectors = embed.embedded(embedder, file, unit, field, partial(Display().progress, "embed"))
    if out is not None:
        embed.write(out, embedder.name, found, vectors)
    if query is not None:
        hits = embed.nearest(embedder.queries([query])[0], vectors, found, top)
        if as_json:
            echo_json({"query": query, "hits": [{"cosine": hit.cosine, **hit.passage._asdict()} for hit in hits]})
            return
        for hit in hits:
            echo(_line(hit))
    elif out is None:
        echo(embed.rows(found, vectors), nl=False)
    elif as_json:
        echo_json({"texts": len(found), "dimension": embedder.dimension, "out": str(out)})
    else:
        echo(f"{out}: {len(found):,} texts, {embedder.dimension} numbers each", err=True)


def _line(hit: "Hit") -> str:
    text = one_line(hit.passage.text)
    more = "…" if len(text) > SHOWN else ""
    return f"{hit.cosine:.3f}  {one_line(hit.passage.file)}:{hit.passage.line}  {text[:SHOWN]}{more}"
