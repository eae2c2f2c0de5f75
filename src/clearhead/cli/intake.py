"""What `clearhead run` may say about the file of a recipe's one task, written into that recipe."""

from pathlib import Path
from typing import Any

from clearhead.config import find_recipe, load_toml
from clearhead.errors import UserError


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
