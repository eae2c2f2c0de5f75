"""What verbs may say about the files of a recipe's task, and about the Python that a run brings along."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearhead.config import find_recipe, load_toml
from clearhead.errors import UserError
from clearhead.terminal import one_line

if TYPE_CHECKING:
    from clearhead.pipeline.rundir import RunDir

trust_option = click.option("--trust", is_flag=True, help="Run the Python that a run of another's brings, from now on.")


def allow(run: "RunDir", trust: bool) -> None:
    """Python of another's is run if the person says so, by --trust or when asked. UserError where nobody does."""
    from clearhead.pipeline import trust as code

    paths = run.python_files()
    if code.trusted(paths):
        return
    names = one_line(", ".join(map(str, paths)))
    asked = sys.stdin.isatty() and sys.stderr.isatty() and not trust
    if trust or (asked and click.confirm(f"This runs Python that came with the run: {names}. Go on?", err=True)):
        code.remember(paths)
    code.require(run.path, paths)


def read_recipe(name: str) -> tuple[dict[str, Any], str]:
    """The recipe of that name or path, and what to call it in an error.

    A file of problems, or a Python file that draws them, stands for the recipe own-task with this file in it.
    """
    from clearhead.tasks.records import SUFFIXES

    suffix = Path(name).suffix.lower()
    if suffix not in (*SUFFIXES, ".py"):
        path = find_recipe(name)
        return load_toml(path), str(path)
    data = load_toml(find_recipe("own-task"))
    source = f"{'python' if suffix == '.py' else 'file'}:{name}"
    return {**data, "name": Path(name).stem, "tasks": {"mine": {"source": source}}}, name


def put_columns(data: dict[str, Any], columns: str | None, skip_bad: bool) -> None:
    """Write `--columns problem=question,answer=label` and `--skip-bad` into the single task of the recipe."""
    if columns is None and not skip_bad:
        return
    flag = "--skip-bad" if columns is None else f"--columns {columns}"
    tasks = data.get("tasks", {})
    if len(tasks) != 1 or not all(isinstance(task, dict) for task in tasks.values()):
        raise UserError(f"{flag}: the recipe has {len(tasks)} tasks and not one; set it in the task's section")
    (task,) = tasks.values()
    if columns is not None:
        task["columns"] = {**task.get("columns", {}), **parse_columns(columns)}
    if skip_bad:
        task["skip_bad"] = True


def parse_columns(text: str) -> dict[str, str]:
    """What each column is called, as it is typed.

    >>> parse_columns("problem=question, answer=the label")
    {'problem': 'question', 'answer': 'the label'}
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(key.strip() and equals for key, equals, _ in pairs):
        raise UserError(f"--columns {text}: write it as problem=question,answer=label")
    return {key.strip(): name.strip() for key, _, name in pairs}
