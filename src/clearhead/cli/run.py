"""`clearhead run`: a whole recipe, from nothing to the report."""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.intake import put_columns, read_recipe
from clearhead.errors import UserError

if TYPE_CHECKING:
    from clearhead.pipeline.recipe import Recipe
    from clearhead.pipeline.text_recipe import TextRecipe


@click.command(
    epilog=examples(
        ("clearhead run demo", "the main job: ten minutes on two cores"),
        ("clearhead run recipes/game24.toml --out runs/mine", "another recipe, a directory of your choice"),
        ("clearhead run demo --set pretrain.steps=2000 --seed 1", "change any setting"),
        ("clearhead run text --set data.files=PATH", "a language model of any text"),
        ("clearhead run demo --holdout game24=mine.txt", "keep problems of yours out of training, and test on them"),
        ("clearhead run my.csv --columns problem=question,answer=label", "your own problems; columns by their names"),
        ("clearhead run my-task.toml --dry-run", "what the data are and about how long it takes, without a run"),
        ("clearhead run demo --resume", "go on where a stopped run was"),
    )
)
@click.argument("recipe")
@click.option("--out", type=click.Path(path_type=Path), help="The run's directory. Default: runs/NAME.")
@click.option("--seed", type=int, help="Seed of everything random, instead of the recipe's.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting of the recipe.")
@click.option(
    "--holdout", "holdouts", multiple=True, metavar="[TASK=]FILE",
    help="Problems, one a line, to keep out of training and test on.",
)  # fmt: skip
@click.option("--columns", metavar="KEY=COLUMN,...", help="What the file calls problem, answer, steps and split.")
@click.option("--skip-bad", is_flag=True, help="Leave out rows of the file that cannot be used.")
@click.option(
    "--dry-run", is_flag=True, help="Tell what the data are, what fits and about how long it takes; then stop."
)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--json", "as_json", is_flag=True, help="Print the headline figures as JSON at the end.")
def command(
    recipe: str, out: Path | None, seed: int | None, settings: tuple[str, ...], holdouts: tuple[str, ...],
    columns: str | None, skip_bad: bool, dry_run: bool, resume: bool, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Train on the tasks of RECIPE, learn a reward model, compare ways of searching, and write a report.

    A recipe of the kind "text" trains a language model on any text instead: plain text, JSONL, Parquet, a folder.

    RECIPE is a TOML file, or the name of one that comes with Clearhead: demo, game24, own-task, text. A file of
    problems (JSONL, JSON, CSV, Parquet), or a Python file that draws them, is run by the recipe own-task.
    """
    from clearhead.config import override
    from clearhead.pipeline.data import load_tasks
    from clearhead.pipeline.text_recipe import TextRecipe, parse_any

    data, where = read_recipe(recipe)
    data = override(data, settings)
    if seed is not None:
        data["seed"] = seed
    for holdout in holdouts:
        _hold_out(data, holdout)
    put_columns(data, columns, skip_bad)
    resolved = parse_any(data, where)
    if isinstance(resolved, TextRecipe):  # a missing file or an unknown task must be told before anything is written
        from clearhead.pipeline.text_stages import check

        check(resolved)
    else:
        load_tasks(resolved)
    if dry_run:
        _tell(resolved, device, as_json)
        return

    from clearhead.cli.display import Display
    from clearhead.cli.report import write_report
    from clearhead.pipeline import run as pipeline
    from clearhead.pipeline.export import missing_form
    from clearhead.pipeline.rundir import create, free_path, reopen
    from clearhead.pipeline.stages import Context
    from clearhead.pipeline.text_stages import TextContext

    chosen = pipeline.choose_device(device)
    parent = Path("runs")
    if resume:
        run = reopen(out or _latest(parent, resolved.name), resolved)
    else:
        command_line = shlex.join(["clearhead", *sys.argv[1:]])
        run = create(out or free_path(parent, resolved.name), resolved, pipeline.facts(command_line, chosen))
    display = Display()
    display.say(f"run directory: {run.path}")
    if missing := missing_form(resolved.decoder(vocab=8)):  # not after the training
        display.say(f"export: {missing}")
    shown = (run, chosen, display.watch, display.say, display.progress)
    try:
        if isinstance(resolved, TextRecipe):
            pipeline.go(TextContext(resolved, *shown), pipeline.TEXT_STAGES)
        else:
            pipeline.go(Context(*shown), pipeline.STAGES)
    except KeyboardInterrupt:
        display.say(f"stopped; go on with: clearhead run {shlex.quote(recipe)} --resume --out {run.path}")
        raise
    except UserError:
        if not resume and not run.read_state()["stages"]:
            shutil.rmtree(run.path)  # made a moment ago, and there is nothing in it to go on from
        raise
    summary = write_report(run)
    display.headline(summary, as_json)


def _tell(recipe: "Recipe | TextRecipe", device: str, as_json: bool) -> None:
    """The preflight alone: nothing is written."""
    from clearhead.cli.display import escaped
    from clearhead.pipeline import preflight
    from clearhead.pipeline.data import load_tasks
    from clearhead.pipeline.run import choose_device
    from clearhead.pipeline.text_recipe import TextRecipe

    if isinstance(recipe, TextRecipe):
        raise UserError("--dry-run is for recipes of tasks, and this one learns running text; leave it out")
    tasks = load_tasks(recipe)
    facts = preflight.facts(preflight.survey(recipe, tasks), tasks, choose_device(device))
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for line in preflight.lines(facts):
        click.echo(escaped(line))


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
