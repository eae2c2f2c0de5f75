"""Strategies of one's choice on problems of one's choice, with the models of a finished run."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from clearhead.errors import UserError
from clearhead.pipeline.answer import AT_ONCE, prediction
from clearhead.pipeline.context import Progress
from clearhead.pipeline.data import run_tasks
from clearhead.pipeline.measure import answered, plan
from clearhead.pipeline.rundir import RunDir
from clearhead.reasoning.auto import AUTO
from clearhead.reasoning.evaluate import EvalResult, grade
from clearhead.reasoning.strategies import known_to, strategy_of
from clearhead.reasoning.strategy import CostPoint, StrategyContext, Trace
from clearhead.tasks import read_problems
from clearhead.tasks.file import FileTask
from clearhead.tasks.labeled import labeled
from clearhead.tasks.pieces import whole
from clearhead.tasks.task import Task

USUAL = (AUTO, "greedy", "self-consistency", "best-of-n-joint", "beam:4", "mcts-puct")
TEST_PROBLEMS = 100  # of the test split, where no file of problems is given


def chosen_task(run: RunDir, name: str | None) -> tuple[str, Task]:
    """A task of the run by its name, or its first."""
    tasks = run_tasks(run)
    name = name or next(iter(tasks))
    if name not in tasks:
        raise UserError(f"task {name!r} is not in this run; it was trained on {', '.join(tasks)}")
    return name, tasks[name]


def with_labels(task: Task, data: Path, columns: Mapping[str, str], skip_bad: bool) -> Task:
    """The task on new rows, whose columns are called as those of its own where nothing else is said."""
    rows = whole(task)
    own = rows.columns if isinstance(rows, FileTask) else {}
    return labeled(task, data, columns or own, skip_bad)


def chosen_problems(task: Task, file: Path | None, limit: int, seed: int) -> list[str]:
    return list(read_problems(file, task))[:limit] if file else task.problems("test", limit, seed)


def usual(context: StrategyContext) -> tuple[str, ...]:
    """What is compared where nothing is said: of the usual strategies those that the run has what they need for."""
    has_reward_model, has_searcher = context.scorer is not None, context.searcher is not None
    able = [name for name in USUAL if strategy_of(name).able(has_reward_model, has_searcher)]
    return tuple(name for name in able if context.choice or name != AUTO)


def evaluate(
    context: StrategyContext, name: str, task: Task, problems: Sequence[str], strategies: Sequence[str],
    budgets: Sequence[int], seeds: int, progress: Progress, unread: Collection[str] = (),
) -> list[EvalResult]:  # fmt: skip
    """Every strategy on every problem, checked; at those in `unread`, which the model cannot read, nothing is tried.

    A handful of problems advance together, so that memory is bounded.
    """
    known_to(context, strategies)
    if not problems:
        raise UserError(f"task {name} has no problem to measure on; give some with --problems or --data")
    results: list[EvalResult] = []
    jobs = plan(strategies, seeds, budgets)
    with progress(name, len(jobs) * len(problems)) as advance:
        for job in jobs:
            found: dict[str, list[Trace]] = {strategy: [] for strategy in job.strategies}
            for start in range(0, len(problems), AT_ONCE):
                chunk = problems[start : start + AT_ONCE]
                readable = [problem for problem in chunk if problem not in unread]
                made = answered(job.strategies, context, readable, job.budget, job.seed) if readable else {}
                for strategy, traces in found.items():
                    traces += _in_order(chunk, made.get(strategy, []))
                advance(len(chunk))
            results += [grade(task, strategy, job.seed, job.budget, traces) for strategy, traces in found.items()]
    return results


def _in_order(problems: Sequence[str], traces: Sequence[Trace]) -> list[Trace]:
    """A trace for each problem; at those that have none nothing was tried."""
    made = {trace.problem: trace for trace in traces}
    return [made.get(problem) or Trace(problem, (CostPoint(0, 0, 0.0, None),)) for problem in problems]


def lines(results: Sequence[EvalResult]) -> list[dict[str, Any]]:
    """A prediction for every problem, strategy, budget and seed."""
    return [prediction(result, entry, checked=True) for result in results for entry in result["problems"]]
