"""`clearhead convert`: a model in another form."""

import json
from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.errors import UserError

TYPES = ("f32", "f16", "bf16", "q8_0")


@click.command(
    epilog=examples(
        ("clearhead convert smollm2 smollm2-hf", "GGUF to a folder of Hugging Face"),
        ("clearhead convert DIR model.gguf --dtype q8_0", "a folder to GGUF, eight bits a weight"),
        ("clearhead convert runs/text my-model", "a run, for other programs"),
    )
)
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--dtype", type=click.Choice(TYPES), help="Type of the matrices. Default: as they are; GGUF: f32.")
@click.option("--force", is_flag=True, help="Write over what is there.")
@click.option("--json", "as_json", is_flag=True, help="Say as JSON what was written.")
def command(source: str, target: Path, dtype: str | None, force: bool, as_json: bool) -> None:
    """Write SOURCE (a run, a folder, a GGUF file, a hub id) as TARGET.

    TARGET is a GGUF file if its name ends in .gguf, and a folder of Hugging Face otherwise. Tokenizer and chat template
    travel along. What TARGET has no word for is an error, and then nothing is written.
    """
    to_gguf = target.suffix == ".gguf"
    if to_gguf and dtype == "bf16":
        raise UserError("--dtype bf16 cannot be written into GGUF here; choose f32, f16 or q8_0")
    if not to_gguf and dtype == "q8_0":
        raise UserError("--dtype q8_0 is for GGUF files; end the target's name in .gguf, or choose f32, f16 or bf16")
    if target.exists() and not force and (target.is_file() or any(target.iterdir())):
        raise UserError(f"{target} is there already; name another place, or write over it with --force")
    if target.exists() and target.is_file() != to_gguf:
        raise UserError(f"{target} is a {'file' if target.is_file() else 'folder'}; a model cannot take its place")
    import torch

    from clearhead.pipeline.export import write_folder, write_gguf
    from clearhead.pipeline.model import load_model

    types = {None: None, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "q8_0": torch.float32}
    loaded = load_model(source, torch.device("cpu"), torch.float32 if to_gguf else types[dtype])
    if to_gguf:
        write_gguf(loaded, target, (dtype or "f32").upper())
        size = target.stat().st_size
    else:
        write_folder(loaded, target)
        size = sum(file.stat().st_size for file in target.iterdir())
    if as_json:
        click.echo(json.dumps({"source": source, "target": str(target), "bytes": size}))
    else:
        click.echo(f"{target}: {size / 1e6:,.1f} MB")
