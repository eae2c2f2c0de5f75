"""`clearhead tune`: a model goes on learning from chats or prompts with responses."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import (
    control_tokens_option,
    device_option,
    json_option,
    resume_option,
    set_option,
    skip_bad_option,
    training_seed_option,
)
from clearhead.cli.sampling import kv_memory_option
from clearhead.errors import UserError
from clearhead.files import write_whole
from clearhead.terminal import echo, echo_json

SHOWN_ROWS = 20  # bad ones, each in a line


@click.command(
    epilog=examples(
        ("clearhead tune smollm2 --data chats.jsonl", "LoRA on all matrices"),
        ("clearhead tune DIR --data qa.jsonl --targets q,v", "some of them"),
        ("clearhead tune DIR --data qa.jsonl --full --lr 1e-5", "all weights"),
        ("clearhead tune DIR --data qa.jsonl --resume", "go on after a stop"),
        ("clearhead tune DIR --data qa.jsonl --set warmup=20", "other settings"),
    )
)
@click.argument("model")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="JSONL: messages, or prompt and response.")
@click.option("--held-out", type=click.Path(path_type=Path), help="Rows to measure with. Default: a tenth of --data.")
@click.option("--out", type=click.Path(path_type=Path), help="The result's directory. Default: runs/tune-NAME.")
@click.option("--full", is_flag=True, help="Train every weight instead of LoRA.")
@click.option("--merge", is_flag=True, help="Write the tuned model instead of an adapter.")
@click.option("--rank", type=int, help="Rank of the update of each matrix. Default: 8.")
@click.option("--alpha", type=float, help="The update counts alpha / rank. Default: 16.")
@click.option("--dropout", type=float, help="Of the update's input. Default: 0.")
@click.option("--targets", help="Of q,k,v,o,gate,up,down. Default: all.")
@click.option("--epochs", type=float, help="Times through the data. Default: 3.")
@click.option("--steps", type=int, help="Steps, instead of epochs.")
@click.option("--lr", type=float, help="Learning rate. Default: 0.0005; 0.00003 with --full.")
@click.option("--batch", type=int, help="Tokens in a step. Default: 1024.")
@click.option("--max-length", type=int, help="Longest example in tokens. Default: the model's context.")
@training_seed_option
@set_option()
@control_tokens_option
@skip_bad_option
@resume_option
@kv_memory_option
@device_option
@json_option
def command(
    model: str, data: Path, held_out: Path | None, out: Path | None, targets: str | None, settings: tuple[str, ...],
    skip_bad: bool, resume: bool, kv_memory: int | None, device: str, as_json: bool, full: bool, merge: bool,
    control_tokens: bool, **given: Any,
) -> None:  # fmt: skip
    """Tune MODEL on the answers in a file, and show what it says before and after.

    MODEL is a run's directory, a folder with a checkpoint, a GGUF file, a hub id, or smollm2. A row of the file is
    {"messages": [{"role": "user", "content": ...}, {"role": "assistant", ...}]} or {"prompt": ..., "response": ...}.
    Only what the assistant writes is learned. The result is an adapter that `peft` can load, and a report.

    Control tokens are the template's to write: special ones that a message spells are text, and so are others, such as
    <think>, except in what the assistant says. --control-tokens makes all of them tokens.
    """
    from clearhead.config import build, override

    plain: dict[str, Any] = {"model": model, "data": str(data), "full": full, "merge": merge}
    plain["control_tokens"] = control_tokens
    plain |= {name: value for name, value in given.items() if value is not None}
    if held_out:
        plain["held_out"] = str(held_out)
    if targets is not None:
        plain["targets"] = [target.strip() for target in targets.split(",")]
    lora_only = [name for name in ("rank", "alpha", "dropout", "targets") if name in plain]
    if full and lora_only:
        raise UserError(f"--{lora_only[0]} is LoRA's and --full trains every weight; leave out one of them")
    if "epochs" in plain and "steps" in plain:
        raise UserError("--epochs and --steps both say how long; leave out one of them")
    if not data.is_file():
        wrong = "it is no regular file" if data.exists() else "there is no such file"
        raise UserError(f"cannot read {data}: {wrong}; name a JSONL file of chats or prompts")

    from clearhead.cli.display import Display
    from clearhead.kernels.machine import choose_device
    from clearhead.pipeline import tune as pipeline
    from clearhead.pipeline.context import Context
    from clearhead.pipeline.rundir import RunDir

    config = build(pipeline.TuneConfig, override(plain, settings))
    if (config.model, config.data) != (model, data):
        raise UserError("--set changes neither the model nor the data; name them as MODEL and with --data")
    display = Display()
    chosen = choose_device(device)
    folder = out or default_folder(model, resume)
    prepared = told_bad_rows(lambda: prepare(config, model, chosen, skip_bad, kv_memory, display), display)
    pipeline.open_folder(folder, config, resume)
    display.say(f"{len(prepared.training)} examples to learn from, {len(prepared.held)} held out; directory: {folder}")
    context = Context(RunDir(folder), chosen, display.watch, display.say, display.progress)
    with told_how_to_go_on(display, folder, out):
        result = pipeline.tune(prepared, context)
    write_report(folder)
    if as_json:
        echo_json({**result, "directory": str(folder)})
        return
    show(result, folder)


def prepare(
    config: Any, model: str, device: Any, skip_bad: bool, kv_memory: int | None, display: Any
) -> Any:  # fmt: skip
    """The model and its examples."""
    import torch

    from clearhead.checkpoints.load import load_model
    from clearhead.pipeline import tune as pipeline

    loaded = load_model(model, device, torch.float32 if config.full else None)
    return pipeline.prepare(config, loaded, skip_bad, display.say, display.progress, kv_memory)


@contextmanager
def told_how_to_go_on(display: Any, folder: Path, out: Path | None) -> Iterator[None]:
    """After Ctrl-C, the command that goes on, with the directory where none was named."""
    try:
        yield
    except KeyboardInterrupt:
        again = [word for word in sys.argv[1:] if word != "--resume"] + ["--resume"]
        again += [] if out else ["--out", str(folder)]
        display.say(f"stopped; go on with: {shlex.join(['clearhead', *again])}")
        raise


def told_bad_rows(prepare: Callable[[], Any], display: Any) -> Any:
    """What `prepare` gives; where rows cannot be used, each of them is told in a line."""
    from clearhead.pipeline.tune import BadRows

    try:
        return prepare()
    except BadRows as bad:
        for line in bad.lines[:SHOWN_ROWS]:
            display.say(line)
        if len(bad.lines) > SHOWN_ROWS:
            display.say(f"and {len(bad.lines) - SHOWN_ROWS} more")
        raise


def default_folder(model: str, resume: bool, verb: str = "tune", settings: str = "tune.toml") -> Path:
    """runs/VERB-NAME, or the first free name after it; with `resume`, the newest that has the file `settings`."""
    from clearhead.pipeline.rundir import free_path

    parent, name = Path("runs"), f"{verb}-{Path(model).name or 'model'}"
    if not resume:
        return free_path(parent, name)
    found = [path for path in parent.glob(f"{name}*") if (path / settings).is_file()]
    if not found:
        raise UserError(f"there is no run {name} in {parent}/ to resume; leave out --resume, or name it with --out")
    return max(found, key=lambda path: (path / settings).stat().st_mtime)


def report_again(folder: Path, as_json: bool) -> None:
    """For `clearhead report`."""
    from clearhead.pipeline.rundir import read_json
    from clearhead.pipeline.tune import RESULT

    if not (folder / RESULT).is_file():
        raise UserError(f"{folder} is not tuned to its end; go on with `clearhead tune ... --resume --out {folder}`")
    write_report(folder)
    result = read_json(folder / RESULT)
    if as_json:
        echo_json({**result, "directory": str(folder)})
    else:
        show(result, folder)


def write_report(folder: Path) -> None:
    """report.html, from what the directory holds."""
    from clearhead.pipeline.rundir import read_json
    from clearhead.pipeline.tune import LOG, REPORT, RESULT
    from clearhead.report.tuning import render
    from clearhead.training.jsonl_log import read

    write_whole(folder / REPORT, render(read_json(folder / RESULT), read(folder / LOG)))


def show(result: dict[str, Any], folder: Path) -> None:
    """The figures, and the first answers."""
    loss, sizes = result["held_out_loss"], result["parameters"]
    for answer in result["answers"][:3]:
        echo(f"asked   {one_line(answer['question'])}")
        echo(f"before  {one_line(answer['before'])}")
        echo(f"after   {one_line(answer['after'])}\n")
    echo(f"held-out loss {loss['before']:.4f} -> {loss['after']:.4f} nats a token")
    echo(
        f"{sizes['trainable']:,} of {sizes['total']:,} parameters trained, {result['steps']} steps, "
        f"{result['seconds']:.0f} s, peak memory {result['peak_memory'] / 2**30:.2f} GiB"
    )
    echo(f"result: {folder}, report: {folder / 'report.html'}")


def one_line(text: str, width: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[:width] + "…"
