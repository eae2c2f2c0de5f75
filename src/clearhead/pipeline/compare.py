"""Strategies of one's choice on problems of one's choice, with the models of a finished run."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from clearhead.errors import UserError
from clearhead.pipeline.data import load_tasks
from clearhead.pipeline.measure import measure, plan
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import bench_for, engine_and_judge
from clearhead.reasoning.evaluate import Row, Unit, table
from clearhead.reasoning.strategies import known
from clearhead.tasks import read_problems

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


def evaluate(
    run: RunDir, task_name: str | None, file: Path | None, strategies: Sequence[str], budgets: Sequence[int],
    seeds: int, limit: int, device: torch.device, progress: Progress,
) -> list[Row]:  # fmt: skip
    """The table of the strategies, at every budget."""
    recipe = run.recipe()
    tasks = load_tasks(recipe, run.drawn)
    name = task_name or next(iter(tasks))
    if name not in tasks:
        raise UserError(f"task {name!r} is not in this run; it was trained on {', '.join(tasks)}")
    task = tasks[name]
    problems = list(read_problems(file, task))[:limit] if file else task.problems("test", limit, recipe.seed)
    engine, judge = engine_and_judge(run, device)
    known(strategies, judged=judge is not None)
    bench = bench_for(run, name, task, engine, judge, recipe.search)
    units: list[Unit] = []
    pieces = plan(strategies, seeds, budgets)
    with progress(name, len(pieces)) as advance:
        for piece in pieces:
            units += measure(piece.strategies, bench, task, problems, piece.budget, piece.seed)
            advance(1)
    return table(units, budgets)
