"""The evaluation stage: strategies at equal compute, the reward model against the truth, trees and attention to see.

Every measured piece is a file of its own in the run's `evaluation` folder, so a run that was stopped measures only
what is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from clearhead.alignment import quality
from clearhead.alignment.rollouts import collect, labeled_states
from clearhead.errors import UserError
from clearhead.generation.backend import in_halves
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.attention_weights import attention_weights
from clearhead.pipeline import layout, tokens
from clearhead.pipeline.context import Context
from clearhead.pipeline.data import calls_of, run_tasks
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.stages import Models, load_policy, load_tokenizer, run_strategy_context, workers_models
from clearhead.pipeline.workers import do_jobs
from clearhead.reasoning.evaluate import EvalResult, final_answer, grade
from clearhead.reasoning.samples import SAMPLED, SINGLE
from clearhead.reasoning.searches import SearchTrace, searched
from clearhead.reasoning.statistics import bootstrap_mean
from clearhead.reasoning.strategies import known_to, run_strategies, strategy_of
from clearhead.reasoning.strategy import PROCESS, PartialSolution, Scorer, StrategyContext, Trace
from clearhead.reasoning.tree import to_dict
from clearhead.tasks.task import StepChecked, Task
from clearhead.text.begin import prompt_tokens
from clearhead.text.prompt_format import join_steps, split_steps, steps_prompt

QUALITY_PROBLEMS = 100  # test problems on which the reward model is compared with what turned out
TRUTH_PROBLEMS = 60  # of them, those whose labels are compared with the truth about steps, which takes rollouts
QUALITY_SAMPLES = 16  # solutions of each
MAPPED = 160  # tokens of an attention map, more than a person looks at


def evaluation_stage(context: Context) -> None:
    """Do every job that has no file yet."""
    for task in context.tasks().values():  # drawn here once, and not by every worker at the same time
        task.problems("test", max(QUALITY_PROBLEMS, context.recipe.evaluation.problems), context.recipe.seed)
    jobs = plan_jobs(context)
    with context.progress("evaluation", len(jobs)) as advance:
        do_jobs(jobs, partial(work, context.run.path, context.device.type), context.device, advance)


class MeasureJob(NamedTuple):
    """One thing to measure: an `EvalJob`, the reward model ("quality"), a "tree", or the "attention" map."""

    kind: str
    task: str = ""
    eval_job: "EvalJob | None" = None
    shown: str = ""


def plan_jobs(context: Context) -> list[tuple[Path, MeasureJob]]:
    """Everything to measure, and the file that each result goes to; the long ones first."""
    recipe, folder, tasks = context.recipe, context.run.evaluation, context.tasks()
    config, has_reward_model = recipe.evaluation, context.run.reward.is_file()
    jobs = [
        (folder / name / f"{job.file_name}.json", MeasureJob("strategies", name, job))
        for name in tasks
        for job in plan(config.strategies, config.seeds, config.budgets)
    ]
    if has_reward_model:
        jobs += [(folder / name / "quality.json", MeasureJob("quality", name)) for name in tasks]
    jobs += [
        (folder / f"tree-{i}.json", MeasureJob("tree", shown=shown)) for i, shown in enumerate(recipe.report.trees)
    ]
    return [*jobs, (folder / "attention.json", MeasureJob("attention"))]


def work(path: Path, device: str, job: MeasureJob) -> dict[str, Any]:
    """Do one job with the models of a run; a process loads them once."""
    run, tasks, models = _models(path, device)
    engine = models.engine
    recipe = run.recipe()
    if job.kind == "attention":
        return attention_map(run, tasks)
    if job.kind == "tree":
        return shown_tree(run, job.shown, tasks, models, recipe)
    task = tasks[job.task]
    if job.kind == "quality":
        problems = task.problems("test", QUALITY_PROBLEMS, recipe.seed)
        context = run_strategy_context(run, job.task, task, models, recipe.search)
        return reward_quality(engine, context, task, problems, recipe)
    assert job.eval_job is not None
    problems = task.problems("test", recipe.evaluation.problems, recipe.seed)
    context, before = run_strategy_context(run, job.task, task, models, recipe.search), engine.usage()
    results = measure(job.eval_job.strategies, context, task, problems, job.eval_job.budget, job.eval_job.seed)
    return {"units": results, "usage": asdict(engine.usage() - before)}


@lru_cache(maxsize=1)
def _models(path: Path, device: str) -> tuple[RunDir, dict[str, Task], Models]:
    run = RunDir(path)
    tasks = run_tasks(run)
    return run, tasks, workers_models(run, tasks, torch.device(device))


class EvalJob(NamedTuple):
    """Strategies that are measured together, with one seed and one budget."""

    strategies: tuple[str, ...]
    seed: int
    budget: int

    @property
    def file_name(self) -> str:
        return f"{self.strategies[0].replace(':', '-')}-{self.budget}-{self.seed}"


def plan(strategies: Sequence[str], seeds: int, budgets: Sequence[int]) -> list[EvalJob]:
    """All that choose among samples share the samples, those that ask the reward model and those that do not, since its
    tokens are paid for; one greedy answer needs one seed; whoever can be stopped at any time runs once with the largest
    budget, what plans ahead once with each.
    """
    most = max(budgets)
    jobs = [EvalJob((name,), 0, most) for name in strategies if name in SINGLE]
    free = tuple(name for name in strategies if name in SAMPLED and not SAMPLED[name].needs_reward_model)
    paid = tuple(name for name in strategies if name in SAMPLED and SAMPLED[name].needs_reward_model)
    for seed in range(seeds):
        jobs += [EvalJob(together, seed, most) for together in (free, paid) if together]
        for name in strategies:
            if name not in (*SINGLE, *SAMPLED):
                each = [most] if strategy_of(name).anytime else budgets
                jobs += [EvalJob((name,), seed, budget) for budget in each]
    return jobs


def measure(
    strategies: Sequence[str], context: StrategyContext, task: Task, problems: Sequence[str], budget: int, seed: int
) -> list[EvalResult]:
    """Run strategies that belong together and check what they answered."""
    found = answered(strategies, context, problems, budget, seed)
    return [grade(task, name, seed, budget, traces) for name, traces in found.items()]


def answered(
    strategies: Sequence[str], context: StrategyContext, problems: Sequence[str], budget: int, seed: int
) -> dict[str, list[Trace]]:
    """What strategies that belong together make of each problem; all advance at once, as far as there is memory."""
    known_to(context, strategies)

    def traces(some: Sequence[str]) -> list[tuple[Trace, ...]]:
        found = run_strategies(strategies, context, some, budget, seed)[0]
        return list(zip(*(found[name] for name in strategies), strict=True))

    made = in_halves(traces, problems)
    return {name: [row[i] for row in made] for i, name in enumerate(strategies)}


def read_units(run: RunDir, task: str) -> list[EvalResult]:
    """Everything that was measured on a task."""
    files = sorted((run.evaluation / task).glob("*-*.json"))
    return [result for file in files for result in read_json(file, layout.EVAL_RESULTS)["units"]]


def read_usage(run: RunDir, task: str) -> dict[str, int]:
    """The engine's counts over all that was measured on a task."""
    files = sorted((run.evaluation / task).glob("*-*.json"))
    total: dict[str, int] = {}
    for file in files:
        for key, value in read_json(file, layout.EVAL_RESULTS)["usage"].items():
            total[key] = total.get(key, 0) + value
    return total


def reward_quality(
    engine: LocalEngine, context: StrategyContext, task: Task, problems: Sequence[str], recipe: Recipe
) -> dict[str, Any]:
    """The reward model on sampled test solutions: within problems and over all, and how far its probabilities hold.

    Against outcomes; where the task knows the truth about steps, against that as well.
    """
    scorer = context.scorer
    assert scorer is not None
    problems = [problem for problem in problems if engine.fits(steps_prompt(problem))]
    drawn = _solutions(engine, problems, SamplingParams(max_tokens=recipe.search.most_solution_tokens), recipe.seed)
    states = [
        PartialSolution(solution.problem, solution.steps[:length]) if length < len(solution.steps) else solution
        for solution in drawn
        for length in range(1, len(solution.steps) + 1)
    ]
    ends = np.cumsum([len(solution.steps) for solution in drawn])
    answers = [task.answer(solution.problem, solution.steps) if solution.done else None for solution in drawn]
    right = np.array([a is not None and task.check(d.problem, a) for d, a in zip(drawn, answers, strict=True)], bool)
    won = np.repeat(right, [len(solution.steps) for solution in drawn])
    values = np.array(in_halves(partial(read_and_forget, scorer), states)).reshape(-1, 2)
    process, depth = values[:, PROCESS], np.array([len(state.steps) for state in states])
    done = np.array([state.done for state in states], bool)
    number = {problem: i for i, problem in enumerate(problems)}
    whose = np.array([number[state.problem] for state in states])
    bins = quality.calibration(process, won)
    found: dict[str, Any] = {
        "within": {
            "all": _share(quality.right_first(process[done], whose[done], won[done])),
            "outcome": _share(quality.right_first(values[done, 1 - PROCESS], whose[done], won[done])),
            "by_depth": [
                {"depth": int(d)} | _share(quality.right_first(process[at], whose[at], won[at]))
                for d in np.unique(depth)
                for at in [(depth == d) & ~done]
                if at.any()
            ],
        },
        "auc_outcome": quality.auc(values[done, 1 - PROCESS], won[done]),
        "brier": quality.brier(process, won),
        "ece": quality.expected_calibration_error(bins),
        "calibration": [asdict(b) for b in bins],
    }
    if not isinstance(task, StepChecked):
        return found
    truth = np.array([task.check_step(state.problem, state.steps) for state in states], bool)
    labels, label_truth = _label_truth(engine, task, problems[:TRUTH_PROBLEMS], recipe)
    firsts = [
        quality.first_wrong((process[end - len(solution.steps) : end] >= 0.5).tolist())
        == quality.first_wrong(truth[end - len(solution.steps) : end].tolist())
        for solution, end, ok in zip(drawn, ends, right, strict=True)
        if not ok
    ]
    return found | {
        "auc_process": quality.auc(process, truth),
        "label_auc": quality.auc(labels, label_truth),
        "first_error": {"accuracy": float(np.mean(firsts)), "n": len(firsts)} if firsts else None,
        "by_depth": [
            {"depth": int(d), "auc": quality.auc(process[at], truth[at]), "n": int(at.sum())}
            for d in np.unique(depth)
            for at in [depth == d]
        ],
    }


def read_and_forget(scorer: Scorer, solutions: Sequence[PartialSolution]) -> list[np.ndarray]:
    """The values of each solution; nothing of the texts is kept, whatever went wrong."""
    try:
        return list(scorer.values(solutions))
    finally:
        scorer.forget(list({solution.problem for solution in solutions}))


def _share(shares: np.ndarray) -> dict[str, Any]:
    """The mean over problems with its interval; None where no problem has a right and a wrong sample."""
    if not len(shares):
        return {"pairs": 0, "right_first": None, "low": None, "high": None}
    interval = bootstrap_mean(shares)
    return {"pairs": len(shares), "right_first": interval.estimate, "low": interval.low, "high": interval.high}


def _solutions(
    engine: LocalEngine, problems: Sequence[str], sampling: SamplingParams, seed: int
) -> list[PartialSolution]:
    prompts = [steps_prompt(problem) for problem in problems]
    drawn = engine.generate(prompts, sampling, QUALITY_SAMPLES, [seed + 1] * len(problems))
    return [
        PartialSolution(problem, split_steps(text.text), text.done, logprob=text.logprob)
        for problem, texts in zip(problems, drawn, strict=True)
        for text in texts
        if text.text
    ]


def _label_truth(
    engine: LocalEngine, task: Any, problems: Sequence[str], recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """Automatic labels of test states, beside what `check_step` says of them. They are never trained on."""
    labels, truth = [], []
    paths = list(collect(engine, task, problems, recipe.rollouts, recipe.seed + 2))
    for (problem, steps, _), label in labeled_states(paths).items():
        if steps:
            labels.append(label)
            truth.append(task.check_step(problem, steps))
    return np.array(labels), np.array(truth)


def shown_tree(run: RunDir, wanted: str, tasks: Mapping[str, Task], models: Models, recipe: Recipe) -> dict[str, Any]:
    """The search tree of one problem, as the report draws it."""
    name, _, typed = wanted.partition(":")
    if name not in tasks:
        raise UserError(f"report.trees: {wanted!r} must be written 'task: problem' with one of {', '.join(tasks)}")
    task = tasks[name]
    problem = task.parse(typed.strip())
    strategy = next((s for s in recipe.evaluation.strategies if s.startswith("mcts")), "mcts-puct")
    if models.scorer is None:
        strategy = "tree-of-thought"
    context = run_strategy_context(run, name, task, models, recipe.search)
    budget = max(recipe.evaluation.budgets)
    traces, (search_trace,) = searched(strategy, context, [problem], budget, recipe.seed)
    if search_trace is None:
        raise UserError(f"report.trees: {wanted!r:.60} is too long for the model's context; name a shorter problem")
    return tree_data(task, strategy, problem, search_trace, traces[0].points[-1].steps) | {"title": typed.strip()}


def tree_data(
    task: Task, strategy: str, problem: str, search_trace: SearchTrace, steps: tuple[str, ...] | None
) -> dict[str, Any]:
    """One root's tree as plain data, with the truth about each step where the task knows it."""
    result, row = search_trace
    root = to_dict(
        result.tree,
        row,
        lambda solution: solution.steps[-1] if solution.steps else solution.problem,
        result.chosen[row],
    )
    _add_truth(root, task, problem, ())
    answer = None if steps is None else final_answer(task, strategy, problem, steps)
    return {"problem": problem, "strategy": strategy, "answer": answer, "root": root}


def _add_truth(node: dict[str, Any], task: Task, problem: str, steps: tuple[str, ...]) -> None:
    if steps and isinstance(task, StepChecked):
        node["correct"] = task.check_step(problem, steps)
    for child in node["children"]:
        _add_truth(child, task, problem, (*steps, child["text"]))


def attention_map(run: RunDir, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """What every head looks at in the beginning of one solved problem of the first task that has one."""
    tokenizer, decoder, recipe = load_tokenizer(run), load_policy(run, torch.device("cpu")), run.recipe()
    name, task = next(iter(tasks.items()))
    wanted = next((tree for tree in recipe.report.trees if tree.startswith(f"{name}:")), None)
    few = task.problems("test", 20, recipe.seed)
    problem = task.parse(wanted.partition(":")[2].strip()) if wanted else min(few, key=len)
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32, kv_memory=recipe.kv_bytes, tools=calls_of(tasks))
    text = steps_prompt(problem)
    if engine.fits(text):
        ((written,),) = engine.generate([text], SamplingParams(temperature=0.0, max_tokens=MAPPED), 1, [0])
        text += written.text
    ids = prompt_tokens(tokenizer, text)[: min(MAPPED, decoder.config.max_positions)]
    layers = [
        [[[round(x, 3) for x in row] for row in head] for head in layer.tolist()]
        for layer in attention_weights(decoder, ids)
    ]
    return {"title": join_steps([problem]), "tokens": tokens.names(tokenizer, ids), "layers": layers}
