"""`clearhead run`: a whole recipe, from nothing to the report."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.intake import allow, put_columns, read_recipe, trust_option
from clearhead.cli.options import (
    device_option,
    json_option,
    resume_option,
    set_option,
    skip_bad_option,
    training_seed_option,
)
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json

if TYPE_CHECKING:
    from clearhead.pipeline.recipes import AnyRecipe
    from clearhead.pipeline.rundir import RunDir


@click.command(
    epilog=examples(
        ("clearhead run demo", "the main job: ten minutes on two cores"),
        ("clearhead run recipes/game24.toml --out runs/mine", "another recipe, a directory of your choice"),
        ("clearhead run demo --set pretrain.steps=2000 --seed 1", "change any setting"),
        ("clearhead run text --set data.files=PATH", "a language model of any text"),
        ("clearhead run translate", "from recurrent networks to transformers: the same pairs, side by side"),
        ("clearhead run demo --holdout game24=mine.txt", "keep problems of yours out of training, and test on them"),
        ("clearhead run my.csv --columns problem=question,answer=label", "your own problems; columns by their names"),
        ("clearhead run my.csv --minutes 15", "as much as this machine can do in that time"),
        ("clearhead run my-task.toml --dry-run", "what the data are and about how long it takes, without a run"),
        ("clearhead run --resume runs/demo", "go on where a stopped run was"),
        ("clearhead run --from runs/demo --redo reward --set reward.steps=900", "a new run from an old one's stages"),
        (
            "clearhead run --from runs/demo --redo align --set align.method=grpo",
            "its policy learns from its own answers",
        ),
    )
)
@click.argument("recipe", required=False)
@click.option("--out", type=click.Path(path_type=Path), help="The run's directory. Default: runs/NAME.")
@training_seed_option
@set_option()
@click.option(
    "--holdout", "holdouts", multiple=True, metavar="[TASK=]FILE",
    help="Problems, one a line, to keep out of training and test on.",
)  # fmt: skip
@click.option(
    "--minutes", type=float,
    help="End within about so many on this machine, and for that train and measure less.",
)  # fmt: skip
@click.option("--columns", metavar="KEY=COLUMN,...", help="What the file calls problem, answer, steps and split.")
@skip_bad_option
@click.option(
    "--dry-run", is_flag=True, help="Tell what the data are, what fits and about how long it takes; then stop."
)
@resume_option
@click.option("--from", "source", type=click.Path(path_type=Path), help="A run to take finished stages from.")
@click.option("--redo", metavar="STAGE", help="With --from: do this stage and those after it anew.")
@device_option
@trust_option
@json_option
def command(
    recipe: str | None, out: Path | None, seed: int | None, settings: tuple[str, ...], holdouts: tuple[str, ...],
    minutes: float | None, columns: str | None, skip_bad: bool, dry_run: bool, resume: bool, source: Path | None,
    redo: str | None, device: str, trust: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train on the tasks of RECIPE, learn a reward model, compare strategies, and write a report.

    A recipe of the kind "text" trains a language model on any text instead: plain text, JSONL, Parquet, a folder; one
    of the kind "translate" trains models that translate, on pairs of texts.

    RECIPE is a TOML file, or the name of one that comes with Clearhead: agent, blocksworld, countdown, demo, game24,
    history, overoptimization, own-task, text, translate. A file of problems (JSONL, JSON, CSV, Parquet), or a Python
    file that draws them, is run by the recipe own-task.

    With --resume RECIPE may be the directory of a run, which holds its recipe and the files that this names. With
    --from there is none: the new run has the recipe of the old one, and --set may change what is done anew.
    """
    from clearhead.config import override
    from clearhead.pipeline.recipes import parse_any
    from clearhead.pipeline.rundir import create, free_path, reopen

    _check_together(recipe, resume, source, redo)
    old, data, where = _given(recipe, out, resume, source)
    if old:
        allow(old, trust)
    data = override(data, settings)
    if seed is not None:
        data["seed"] = seed
    if minutes is not None:
        data["minutes"] = minutes
    for holdout in holdouts:
        _hold_out(data, holdout)
    put_columns(data, columns, skip_bad)
    wanted = parse_any(data, where)
    if not resume:
        _check_inputs(wanted)
    if dry_run:
        _tell(wanted, device, as_json)
        return

    from clearhead.checkpoints.export import missing_form
    from clearhead.cli.display import Display
    from clearhead.cli.report import write_report
    from clearhead.kernels.machine import choose_device
    from clearhead.pipeline import run as pipeline
    from clearhead.pipeline.context import Context
    from clearhead.pipeline.kinds import kind_of
    from clearhead.pipeline.recipe import Recipe
    from clearhead.pipeline.text_recipe import TextRecipe

    chosen = choose_device(device)
    parent = Path("runs")
    if resume:
        run = reopen(old.path if old else out or _latest(parent, wanted.name), wanted)
        allow(run, trust)
        if not run.finished(kind_of(wanted).reads_until):
            _check_inputs(run.any_recipe())
    else:
        facts = pipeline.facts(shlex.join(["clearhead", *sys.argv[1:]]), chosen)
        place = out or free_path(parent, wanted.name)
        run = pipeline.begin_from(old, redo, place, wanted, facts) if old and redo else create(place, wanted, facts)
    display = Display()
    display.say(f"run directory: {run.path}")
    resolved, context = run.any_recipe(), Context(run, chosen, display.watch, display.say, display.progress)
    made_here = isinstance(resolved, TextRecipe) or (isinstance(resolved, Recipe) and not resolved.base)
    missing = missing_form(run.decoder(vocab=8)) if made_here else None
    if missing:  # not after the training
        display.say(f"export: {missing}")
    try:
        pipeline.go(context, kind_of(resolved).stages)
    except KeyboardInterrupt:
        display.say(f"stopped; go on with: {run.resume_command}" + ("" if device == "auto" else f" --device {device}"))
        raise
    except UserError:
        if not resume and not run.read_state()["stages"]:
            shutil.rmtree(run.path)  # made a moment ago, and there is nothing in it to go on from
        raise
    summary = write_report(run)
    display.headline(summary, as_json)


def _tell(recipe: "AnyRecipe", device: str, as_json: bool) -> None:
    """The preflight alone: nothing is written."""
    from clearhead.kernels.machine import choose_device
    from clearhead.pipeline.kinds import kind_of

    kind = kind_of(recipe)
    facts = kind.dry_run(recipe, choose_device(device))
    if as_json:
        echo_json(facts)
        return
    for line in kind.told(facts):
        echo(line)


def _check_together(recipe: str | None, resume: bool, source: Path | None, redo: str | None) -> None:
    if source and (recipe or resume):
        raise UserError(f"--from {source} takes the recipe of that run; leave out {recipe or '--resume'}")
    if (source is None) != (redo is None):
        raise UserError("--from RUN and --redo STAGE go together: which run, and from which stage on anew")
    if not (recipe or resume or source):
        raise UserError(
            "name a RECIPE: demo, game24, own-task, text or another that `clearhead run --help` lists, or a TOML file"
        )


def _given(
    recipe: str | None, out: Path | None, resume: bool, source: Path | None
) -> "tuple[RunDir | None, dict[str, Any], str]":
    """The run that holds the recipe, None where RECIPE names it; its settings; what to call it in an error."""
    from clearhead.pipeline.rundir import RunDir

    if source:
        run = RunDir(source)
        return run, run.settings(), str(run.config)
    if recipe and not RunDir(Path(recipe)).config.is_file():
        return None, *read_recipe(recipe)
    named = Path(recipe) if recipe else out
    if named is None:
        raise UserError("name the run to go on with: clearhead run --resume runs/NAME")
    if not resume:
        raise UserError(f"{recipe} is a run; go on with it by --resume, or start from it by --from {recipe}")
    if out and named.absolute() != out.absolute():
        raise UserError(f"--resume goes on in {recipe}; leave out --out {out}")
    run = RunDir(named)
    return run, run.settings(), str(run.config)


def _check_inputs(recipe: "AnyRecipe") -> None:
    """A missing file or an unknown task must be told before anything is written."""
    from clearhead.pipeline.kinds import kind_of

    kind_of(recipe).check(recipe)


def _hold_out(data: dict[str, Any], holdout: str) -> None:
    """Write `--holdout FILE` or `--holdout TASK=FILE` into the recipe."""
    tasks = data.get("tasks", {})
    name, equals, file = holdout.partition("=")
    if not equals:
        name, file = next(iter(tasks), ""), holdout
        if len(tasks) != 1:
            raise UserError(f"--holdout {holdout}: the recipe has {len(tasks)} tasks; write --holdout TASK=FILE")
    if not isinstance(tasks.get(name), dict):
        raise UserError(f"--holdout {holdout}: the recipe has no task {name!r}; its tasks are {', '.join(tasks)}")
    tasks[name]["holdout"] = file


def _latest(parent: Path, name: str) -> Path:
    """The newest run of that name."""
    runs = [path for path in parent.glob(f"{name}*") if (path / "config.toml").is_file()]
    if not runs:
        raise UserError(f"there is no run of {name} in {parent}/ to resume; leave out --resume, or name it with --out")
    return max(runs, key=lambda path: (path / "state.json").stat().st_mtime)
