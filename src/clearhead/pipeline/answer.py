"""One problem put to the models of a finished run."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from clearhead.errors import UserError
from clearhead.pipeline.data import load_tasks
from clearhead.pipeline.measure import tree_data
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import engine_and_judge
from clearhead.reasoning.evaluate import final_answer
from clearhead.reasoning.strategies import SAMPLED, SEARCHES, SINGLE, Bench, family, known, sampled, searched, single
from clearhead.tasks.task import Task, knows


@dataclass(frozen=True)
class Answer:
    """What a strategy answered, whether it is right, and what it cost."""

    task: str
    problem: str
    strategy: str
    steps: tuple[str, ...] | None
    answer: str | None
    correct: bool | None  # None: the task does not know the answer to this problem
    generated: int
    reward: int
    seconds: float
    tree: dict[str, Any] | None

    def plain(self, with_tree: bool) -> dict[str, Any]:
        data = asdict(self)
        if not with_tree:
            del data["tree"]
        return data


def solve(
    run: RunDir, typed: str, task_name: str | None, strategy: str | None, budget: int, seed: int, device: torch.device
) -> Answer:
    """Read the problem, answer it, check the answer."""
    task, problem = recognise(load_tasks(run.recipe(), run.drawn), typed, task_name)
    engine, judge = engine_and_judge(run, device)
    chosen = strategy or ("greedy" if judge is None else "mcts-puct")
    known([chosen], judged=judge is not None)
    bench = Bench(engine, judge, run.recipe().search, task.answer)
    tree = None
    if chosen in SINGLE:
        (attempt,) = single(chosen, bench, [problem])
    elif chosen in SAMPLED:
        (attempt,) = sampled([chosen], bench, [problem], budget, seed)[chosen]
    else:
        assert family(chosen) in SEARCHES
        (attempt,), (grown,) = searched(chosen, bench, [problem], budget, seed)
        tree = tree_data(task, chosen, problem, grown, attempt.marks[-1].steps)["root"] if grown else None
    last = attempt.marks[-1]
    answer = None if last.steps is None else final_answer(task, chosen, problem, last.steps)
    correct = (answer is not None and task.check(problem, answer)) if knows(task, problem) else None
    return Answer(
        task.name, problem, chosen, last.steps, answer, correct, last.generated, last.reward, last.seconds, tree
    )


def recognise(tasks: dict[str, Task], typed: str, name: str | None) -> tuple[Task, str]:
    """The task that a typed problem belongs to, and its canonical text."""
    if name is not None and name not in tasks:
        raise UserError(f"task {name!r} is not in this run; it was trained on {', '.join(tasks)}")
    errors = []
    for task in [tasks[name]] if name else tasks.values():
        try:
            return task, task.parse(typed)
        except UserError as error:
            errors.append(str(error))
    if len(errors) == 1:
        raise UserError(errors[0])
    raise UserError(f"no task of this run can read {typed[:60]!r}; {'; '.join(errors)}")
