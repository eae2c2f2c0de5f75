"""Problems put to the models of a finished run: one with its search tree, or many at once as predictions."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import torch

from clearhead.config import build, override, to_dict
from clearhead.errors import UserError
from clearhead.generation.language_model import LanguageModel
from clearhead.generation.local import LocalEngine
from clearhead.generation.remote import RemoteModel
from clearhead.pipeline.data import run_tasks
from clearhead.pipeline.measure import answered, tree_data
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_models, run_strategy_context
from clearhead.reasoning.auto import AUTO
from clearhead.reasoning.evaluate import final_answer, grade
from clearhead.reasoning.lockstep import Result
from clearhead.reasoning.searches import SearchTrace
from clearhead.reasoning.strategies import known, run_strategies
from clearhead.reasoning.strategy import SearchConfig, StrategyContext
from clearhead.tasks import load
from clearhead.tasks.labeled import Labeled
from clearhead.tasks.rows import Typed
from clearhead.tasks.task import Task, UsesTools, expected, knows
from clearhead.text.begin import prompt_tokens
from clearhead.text.prompt_format import direct_prompt, steps_prompt

AT_ONCE = 64  # problems that advance together: more are hardly faster, and the memory they take grows with them


Watch = Callable[[Callable[[], dict[str, Any]]], None]
"""Told of a way to the tree as it is now, which need not be gone; what it raises ends the search."""


@dataclass(frozen=True)
class Solver:
    """Who answers, a run or an endpoint, and the one strategy that it answers with.

    `context`: what strategies work with at a task, by its name. `origin`: what tells its models from others.
    """

    tasks: Mapping[str, Task]
    model: LanguageModel
    context: Callable[[str], StrategyContext]
    origin: str
    search: SearchConfig
    strategy: str
    budget: int
    seed: int


@dataclass(frozen=True)
class SolveResult:
    """What a strategy answered, whether it is right, and what it cost."""

    task: str
    problem: str
    strategy: str
    steps: tuple[str, ...] | None
    answer: str | None
    expected: str | None  # None: the task has no right answer to show
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


def solver(
    run: RunDir,
    strategy: str | None,
    budget: int,
    seed: int,
    settings: Sequence[str],
    device: torch.device,
    kv_memory: int | None = None,
) -> Solver:
    """Load what answers; `settings` are search settings as they are typed."""
    recipe = run.recipe()
    search = with_search(recipe.search, settings)
    tasks = run_tasks(run)
    models = load_models(run, tasks, device, recipe.kv_bytes if kv_memory is None else kv_memory)
    chosen = strategy or usual_strategy(run, models.scorer is not None)
    known([chosen], models.scorer is not None, run.auto.is_file(), models.searcher is not None)

    def context(name: str) -> StrategyContext:
        return run_strategy_context(run, name, tasks[name], models, search)

    return Solver(tasks, models.engine, context, fingerprint(run), search, chosen, budget, seed)


def endpoint_solver(
    address: str, task_name: str | None, strategy: str | None, budget: int, seed: int, settings: Sequence[str]
) -> Solver:
    """The same for a model behind an OpenAI-compatible endpoint, which has no reward model; the task is named."""
    search, chosen = with_search(SearchConfig(), settings), strategy or "greedy"
    known([chosen], False, False, False)
    name, task = endpoint_task(task_name)
    model = RemoteModel.at(address)
    context = StrategyContext(model, None, search, task.answer)
    return Solver({name: task}, model, lambda _: context, f"{address} {model.model}", search, chosen, budget, seed)


def endpoint_task(name: str | None) -> tuple[str, Task]:
    """UserError for none, and for one whose tools would have to be called within a text."""
    if name is None:
        raise UserError("an endpoint does not say what it was trained on; name a task, as in --task game24")
    task = load(name)
    if isinstance(task, UsesTools):
        raise UserError(
            f"task {name} calls tools within a text, which no endpoint does; try clearhead eval agent URL --task {name}"
        )
    return name, task


def fingerprint(run: RunDir) -> str:
    """Of all the models of a run, and of what was measured of them."""
    made = (run.policy, run.aligned, run.reward, run.searcher, run.auto)
    return sha256(b"".join(path.read_bytes() for path in made if path.is_file())).hexdigest()


def usual_strategy(run: RunDir, has_reward_model: bool) -> str:
    """What a problem is solved with where nothing is said: what helped on held-out problems, if that was measured."""
    if run.auto.is_file():
        return AUTO
    return "mcts-puct" if has_reward_model else "greedy"


def with_search(search: SearchConfig, settings: Sequence[str]) -> SearchConfig:
    """The search settings of a run with some of them changed; nothing else of a trained model can be."""
    mine = to_dict(search)
    for setting in settings:
        if not setting.startswith("search."):
            names = ", ".join(f"search.{name}" for name in mine)
            raise UserError(f"--set {setting}: a finished run takes search settings alone: {names}")
    return build(SearchConfig, override({"search": mine}, settings)["search"], "search")


def solve(solver: Solver, typed: str, task_name: str | None, watch: Watch | None = None) -> SolveResult:
    """Read the problem, answer it, check the answer. `watch` is told while a tree grows."""
    name, problem = recognize(solver.tasks, typed, task_name)
    if why := unreadable(solver.model, problem, solver.strategy):
        raise UserError(why)
    task, tree, context = solver.tasks[name], None, solver.context(name)
    if watch is not None:
        context = context._replace(watch=lambda result: watch(lambda: grown(task, solver.strategy, problem, result)))
    found, trees = run_strategies([solver.strategy], context, [problem], solver.budget, solver.seed)
    (tried,) = found[solver.strategy]
    for search_trace in filter(None, trees):
        tree = tree_data(task, solver.strategy, problem, search_trace, tried.points[-1].steps)["root"]
    last = tried.points[-1]
    answer = None if last.steps is None else final_answer(task, solver.strategy, problem, last.steps)
    correct = (answer is not None and task.check(problem, answer)) if knows(task, problem) else None
    return SolveResult(
        task.name, problem, solver.strategy, last.steps, answer, expected(task, problem), correct, last.generated,
        last.reward, last.seconds, tree,
    )  # fmt: skip


def grown(task: Task, strategy: str, problem: str, result: Result) -> dict[str, Any]:
    """The only tree of a search as it is now."""
    root: dict[str, Any] = tree_data(task, strategy, problem, SearchTrace(result, 0), None)["root"]
    return root


def predictions(solver: Solver, typed: Sequence[Typed], task_name: str | None) -> Iterator[list[dict[str, Any]]]:
    """The predictions for many problems in their order, a handful at a time, so that memory is bounded.

    A problem that cannot be read has an "error" in its place and does not keep the others from an answer. An answer
    that goes with a problem decides what is right, as in `clearhead eval --data`.
    """
    for start in range(0, len(typed), AT_ONCE):
        yield _predict(solver, typed[start : start + AT_ONCE], task_name)


def _predict(solver: Solver, typed: Sequence[Typed], task_name: str | None) -> list[dict[str, Any]]:
    read = [_read(solver, each.problem, task_name) for each in typed]
    asked: dict[str, dict[str, None]] = {}  # the problems of each task, each once
    for found in read:
        if isinstance(found, tuple):
            asked.setdefault(found[0], {})[found[1]] = None
    made = {}
    for name, problems in asked.items():
        task = solver.tasks[name]
        traces = answered([solver.strategy], solver.context(name), list(problems), solver.budget, solver.seed)
        graded = grade(task, solver.strategy, solver.seed, solver.budget, traces[solver.strategy])
        for entry in graded["problems"]:
            made[name, entry["problem"]] = {"task": name} | prediction(graded, entry, knows(task, entry["problem"]))
    return [
        _compared(solver, made[found], each) if isinstance(found, tuple) else {"problem": each.problem, "error": found}
        for each, found in zip(typed, read, strict=True)
    ]


def _compared(solver: Solver, made: dict[str, Any], typed: Typed) -> dict[str, Any]:
    """The prediction, by the answer that came with the problem where one did."""
    if typed.answer is None:
        return made
    task = Labeled(solver.tasks[made["task"]], {made["problem"]: typed.answer})
    right = made["answer"] is not None and task.check(made["problem"], made["answer"])
    return made | {"expected": typed.answer, "correct": right}


def about(solver: Solver, typed: Sequence[Typed], task_name: str | None) -> dict[str, Any]:
    """All that predictions depend on: two calls with equal facts would make the same."""
    return {
        "models": solver.origin, "problems": sha256(json.dumps(typed).encode()).hexdigest(),
        "task": task_name, "strategy": solver.strategy, "budget": solver.budget, "seed": solver.seed,
        "search": to_dict(solver.search),
    }  # fmt: skip


def tally(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many problems came to what end."""
    read = [entry for entry in entries if "error" not in entry]
    return {
        "problems": len(entries),
        "right": sum(entry["correct"] is True for entry in read),
        "wrong": sum(entry["correct"] is False and entry["answer"] is not None for entry in read),
        "not_checked": sum(entry["correct"] is None and entry["answer"] is not None for entry in read),
        "unanswered": sum(entry["answer"] is None for entry in read),
        "cut_off": sum(entry["cut_off"] for entry in read),
        "not_read": len(entries) - len(read),
    }


def prediction(result: Any, entry: Any, checked: bool) -> dict[str, Any]:
    """One problem of a graded result as a line for a program; correct is None where nobody knows the answer."""
    generated, reward, seconds, correct = entry["marks"][-1]
    return {
        "problem": entry["problem"], "answer": entry["answer"], "expected": entry["expected"],
        "correct": bool(correct) if checked else None, "steps": entry["steps"],
        "strategy": result["strategy"], "budget": result["budget"], "seed": result["seed"],
        "tokens": generated + reward, "generated": generated, "reward": reward, "seconds": seconds,
        "cut_off": entry["answer"] is None and entry["cut"] > 0, "cut": entry["cut"], "drawn": entry["drawn"],
    }  # fmt: skip


def _read(solver: Solver, typed: str, task_name: str | None) -> tuple[str, str] | str:
    """(the name of its task, the canonical problem), or why the problem cannot be answered."""
    try:
        name, problem = recognize(solver.tasks, typed, task_name)
    except UserError as error:
        return str(error)
    return unreadable(solver.model, problem, solver.strategy) or (name, problem)


def unreadable(model: LanguageModel, problem: str, strategy: str) -> str | None:
    """Why the model cannot be asked this problem, None where it can."""
    prompt = direct_prompt(problem) if strategy == "direct" else steps_prompt(problem)
    if not isinstance(model, LocalEngine):
        return None if model.fits(prompt) else "the problem is longer than the endpoint's context; shorten it"
    try:
        length = len(prompt_tokens(model.tokenizer, prompt))
    except UserError as error:
        return str(error)
    if length < model.max_positions:
        return None
    return f"the problem is {length} tokens long, and the model's context is {model.max_positions}; shorten it"


def recognize(tasks: Mapping[str, Task], typed: str, name: str | None) -> tuple[str, str]:
    """The name of the task that a typed problem belongs to, and its canonical text."""
    if name is not None and name not in tasks:
        raise UserError(f"task {name!r} is not in this run; it was trained on {', '.join(tasks)}")
    errors = []
    for candidate in [name] if name else tasks:
        try:
            return candidate, tasks[candidate].parse(typed)
        except UserError as error:
            errors.append(str(error))
    if len(errors) == 1:
        raise UserError(errors[0])
    raise UserError(f"no task of this run can read {typed[:60]!r}; {'; '.join(errors)}")
