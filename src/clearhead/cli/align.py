"""`clearhead align`: a checkpoint learns from preferences, or from a reward for what it writes."""

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
from clearhead.cli.tune import default_folder, one_line, told_bad_rows, told_how_to_go_on
from clearhead.errors import UserError
from clearhead.files import write_whole
from clearhead.terminal import echo, echo_json

METHODS = ("dpo", "ppo", "grpo", "dr-grpo", "dapo", "rloo")


@click.command(
    epilog=examples(
        ("clearhead align smollm2 --data pairs.jsonl", "DPO on pairs of a better and a worse answer"),
        ("clearhead align DIR --data prompts.jsonl --method grpo --reward mine.py", "GRPO on a reward of yours"),
        (
            "clearhead align DIR --data prompts.jsonl --method ppo --reward pairs.jsonl",
            "a reward model of pairs, then PPO",
        ),
        ("clearhead align DIR --data pairs.jsonl --beta 0.3 --epochs 2", "closer to what the model was"),
        ("clearhead align DIR --data pairs.jsonl --resume", "go on after a stop"),
        ("clearhead align DIR --data pairs.jsonl --set align.warmup=20", "other settings"),
    )
)
@click.argument("model")
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="JSONL: prompt, chosen, rejected; or prompt."
)
@click.option("--method", type=click.Choice(METHODS), default="dpo", show_default=True, help="How it learns.")
@click.option(
    "--reward",
    type=click.Path(path_type=Path),
    help="Python file with reward(prompts, completions), or JSONL of pairs to learn one from.",
)
@click.option("--held-out", type=click.Path(path_type=Path), help="Rows to measure with. Default: a tenth of --data.")
@click.option("--out", type=click.Path(path_type=Path), help="The result's directory. Default: runs/align-NAME.")
@click.option("--beta", type=float, help="What the KL to the model as it was counts. Default: the method's.")
@click.option("--rounds", type=int, help="Rounds of drawing answers. Default: 60.")
@click.option("--problems", type=int, help="Prompts of a round. Default: 64.")
@click.option("--samples", type=int, help="Answers to each prompt. Default: 8.")
@click.option("--max-tokens", type=int, help="Longest answer that is drawn. Default: 128.")
@click.option("--full", is_flag=True, help="Train every weight instead of LoRA.")
@click.option("--merge", is_flag=True, help="Write the aligned model instead of an adapter.")
@click.option("--rank", type=int, help="Rank of the update of each matrix. Default: 8.")
@click.option("--epochs", type=float, help="Times through the pairs. Default: 1.")
@click.option("--steps", type=int, help="Steps, instead of epochs.")
@click.option("--pairs", type=int, help="Pairs in a step. Default: 8.")
@click.option("--lr", type=float, help="Learning rate. Default: 0.0002; 0.00001 with --full.")
@click.option("--max-length", type=int, help="Longest text in tokens. Default: the model's context.")
@training_seed_option
@set_option()
@control_tokens_option
@skip_bad_option
@resume_option
@kv_memory_option
@device_option
@json_option
def command(
    model: str, data: Path, method: str, reward: Path | None, held_out: Path | None, out: Path | None,
    settings: tuple[str, ...], skip_bad: bool, resume: bool, kv_memory: int | None, device: str, as_json: bool,
    full: bool, merge: bool, control_tokens: bool, beta: float | None, rounds: int | None, problems: int | None,
    samples: int | None, lr: float | None, **given: Any,
) -> None:  # fmt: skip
    """Align MODEL: by pairs of answers, or by a reward for answers of its own, and show what changes.

    MODEL is a run's directory, a folder with a checkpoint, a GGUF file, a hub id, or smollm2. A row of pairs is
    {"prompt": ..., "chosen": ..., "rejected": ...}, each a text or a list of messages. The other methods take prompts,
    {"prompt": ...} or {"messages": [...]}, and a reward: a Python file whose reward(prompts, completions) gives a list
    with a number for each answer, which is run, or a file of pairs that a reward model learns from first. The result
    is an adapter that `peft` can load, and a report.
    """
    from clearhead.config import build, override

    of_pairs = method == "dpo"
    drawn = {"rounds": rounds, "problems": problems, "samples": samples, "max_tokens": given.get("max_tokens")}
    reads_pairs = of_pairs or (reward is not None and reward.suffix == ".jsonl")
    by_file = {key: given.get(key) for key in (("steps",) if reads_pairs else ("epochs", "steps", "pairs"))}
    if of_pairs and (named := next((key for key, value in drawn.items() if value is not None), None)):
        raise UserError(
            f"--{named.replace('_', '-')} is for methods that draw answers, and DPO reads pairs; leave it out"
        )
    if not of_pairs and (named := next((key for key, value in by_file.items() if value is not None), None)):
        raise UserError(f"--{named} is for pairs, and {method} draws its answers in rounds; take --rounds")
    if "epochs" in given and given["epochs"] is not None and given["steps"] is not None:
        raise UserError("--epochs and --steps both say how long; leave out one of them")
    if full and given["rank"] is not None:
        raise UserError("--rank is LoRA's and --full trains every weight; leave out one of them")
    plain: dict[str, Any] = {"model": model, "data": str(data), "full": full, "merge": merge}
    plain["control_tokens"] = control_tokens
    plain |= {name: value for name, value in given.items() if value is not None}
    options = {"beta": beta, "rounds": rounds, "problems": problems, "samples": samples, "lr": lr}
    plain["align"] = {"method": method, **{key: value for key, value in options.items() if value is not None}}
    for path, what in (
        (data, "a JSONL file of rows"),
        (reward, "a Python file, or JSONL of pairs"),
        (held_out, "a JSONL file of rows"),
    ):
        if path and not path.is_file():
            wrong = "it is no regular file" if path.exists() else "there is no such file"
            raise UserError(f"cannot read {path}: {wrong}; name {what}")
    if reward:
        plain["align"]["reward"] = str(reward.resolve())
    if held_out:
        plain["held_out"] = str(held_out)

    from clearhead.cli.display import Display
    from clearhead.kernels.machine import choose_device
    from clearhead.pipeline import align_model as pipeline
    from clearhead.pipeline import tune
    from clearhead.pipeline.context import Context
    from clearhead.pipeline.rundir import RunDir

    config = build(pipeline.AlignModelConfig, override(plain, settings))
    if (config.model, config.data) != (model, data):
        raise UserError("--set changes neither the model nor the data; name them as MODEL and with --data")
    display, chosen = Display(), choose_device(device)
    folder = out or default_folder(model, resume, "align", pipeline.SETTINGS)
    prepared = told_bad_rows(lambda: prepare(config, chosen, skip_bad, kv_memory, display), display)
    tune.open_folder(folder, config, resume, pipeline.SETTINGS, "align")
    rows = len(prepared.pairs) + len(prepared.prompts), len(prepared.held_pairs) + len(prepared.held_prompts)
    display.say(f"{rows[0]} rows to learn from, {rows[1]} held out; directory: {folder}")
    context = Context(RunDir(folder), chosen, display.watch, display.say, display.progress)
    with told_how_to_go_on(display, folder, out):
        result = pipeline.align(prepared, context)
    write_report(folder)
    if as_json:
        echo_json({**result, "directory": str(folder)})
    else:
        show(result, folder)


def prepare(config: Any, device: Any, skip_bad: bool, kv_memory: int | None, display: Any) -> Any:
    """The model and its rows."""
    import torch

    from clearhead.checkpoints.load import load_model
    from clearhead.pipeline import align_model as pipeline

    loaded = load_model(config.model, device, torch.float32 if config.full else None)
    return pipeline.prepare(config, loaded, skip_bad, display.say, kv_memory)


def report_again(folder: Path, as_json: bool) -> None:
    """For `clearhead report`."""
    from clearhead.pipeline.align_model import RESULT
    from clearhead.pipeline.rundir import read_json

    if not (folder / RESULT).is_file():
        raise UserError(f"{folder} is not aligned to its end; go on with `clearhead align ... --resume --out {folder}`")
    write_report(folder)
    result = read_json(folder / RESULT)
    if as_json:
        echo_json({**result, "directory": str(folder)})
    else:
        show(result, folder)


def write_report(folder: Path) -> None:
    """report.html, from what the directory holds."""
    from clearhead.pipeline.align_model import LOG, REPORT, RESULT
    from clearhead.pipeline.rundir import read_json
    from clearhead.report.aligned import render
    from clearhead.training.jsonl_log import read

    write_whole(folder / REPORT, render(read_json(folder / RESULT), read(folder / LOG)))


def show(result: dict[str, Any], folder: Path) -> None:
    """The figures, and the first answers."""
    for answer in result["answers"][:3]:
        echo(f"asked   {one_line(answer['question'])}")
        echo(f"before  {one_line(answer['before'])}")
        echo(f"after   {one_line(answer['after'])}\n")
    for name, found in result["figures"].items():
        before, after, gain = (found[key] for key in ("before", "after", "gain"))
        echo(
            f"{name:<28} {before['estimate']:.3f} -> {after['estimate']:.3f}, "
            f"gain {gain['estimate']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
        )
    for line in result["health"]:
        echo(f"not well: {line}")
    echo(f"{result['steps']} steps, {result['seconds']:.0f} s, peak memory {result['peak_memory'] / 2**30:.2f} GiB")
    echo(f"result: {folder}, report: {folder / 'report.html'}")
