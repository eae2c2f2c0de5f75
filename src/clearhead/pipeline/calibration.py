"""The calibration stage: what the reward model and the strategies are worth on problems that nobody has learned from.

It leaves `auto.json`: of each task the calibration of the reward model (alignment.calibration), what "auto" does at
each budget (reasoning.auto), and one line that says why.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from clearhead.alignment import calibration
from clearhead.alignment.calibration import Calibration, Samples
from clearhead.alignment.reward import OUTCOME, PROCESS
from clearhead.alignment.scorer import LocalScorer
from clearhead.config import build
from clearhead.files import write_json
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.pipeline import layout
from clearhead.pipeline.context import Context
from clearhead.pipeline.data import run_tasks
from clearhead.pipeline.measure import measure
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.stages import Models, held_out_problems, strategy_context, workers_models
from clearhead.pipeline.workers import do_jobs
from clearhead.reasoning.auto import CANDIDATES, choose
from clearhead.reasoning.evaluate import at
from clearhead.reasoning.samples import SAMPLED
from clearhead.reasoning.statistics import bootstrap_mean
from clearhead.reasoning.strategies import strategy_of
from clearhead.reasoning.strategy import PartialSolution
from clearhead.tasks.task import Task
from clearhead.text.prompt_format import split_steps, steps_prompt

T = TypeVar("T")

SAMPLES = 16  # solutions of each problem that the calibration is fitted to
AT_ONCE = 50  # problems that are tried at the same time


def calibration_stage(context: Context) -> None:
    """First the reward model of each task is weighed, then the strategies that it may help are tried, all at once."""
    folder, tasks, run = context.run.path / "calibration", context.tasks(), context.run.path
    for task in tasks.values():  # drawn here once, and not by every worker at the same time
        held_out_problems(task, context.recipe.seed)
    has_reward_model = context.run.reward.is_file()
    fits = [(folder / f"{name}.json", CalibrationJob(name)) for name in tasks if has_reward_model]
    tries = [
        (folder / f"{name}-{together[0].replace(':', '-')}.json", CalibrationJob(name, together))
        for name in tasks
        for together in together_tried(has_reward_model, context.run.searcher.is_file())
    ]
    with context.progress("calibration", len(fits) + len(tries)) as advance:
        for jobs in (fits, tries):
            do_jobs(jobs, partial(work, run, context.device.type), context.device, advance)
    found = {}
    for name in tasks:
        scores = merged(read_json(path, layout.SCORES) for path, job in tries if job.task == name)
        fitted = next((read_json(path, layout.CALIBRATION) for path, job in fits if job.task == name), None)
        found[name] = chosen(scores, fitted)
    write_json(context.run.auto, found)
    for name, entry in found.items():
        context.say(f"{name}: {entry['why']}")


class CalibrationJob(NamedTuple):
    """The calibration of a task's reward model or, where there are strategies, their scores with that calibration."""

    task: str
    strategies: tuple[str, ...] = ()


def together_tried(has_reward_model: bool, has_searcher: bool = False) -> list[tuple[str, ...]]:
    """The candidates that have all they need, in groups that share their samples."""
    named = [name for name in CANDIDATES if strategy_of(name).able(has_reward_model, has_searcher)]
    sampled = [name for name in named if name in SAMPLED]
    groups = [tuple(name for name in sampled if SAMPLED[name].needs_reward_model == asks) for asks in (False, True)]
    return [group for group in [*groups, *((name,) for name in named if name not in sampled)] if group]


def work(path: Path, device: str, job: CalibrationJob) -> dict[str, Any]:
    tasks, models, recipe = _models(path, device)
    task = tasks[job.task]
    problems = held_out_problems(task, recipe.seed).calibration
    if not job.strategies:
        assert models.scorer is not None
        return asdict(fit(problems, draw(models.engine, models.scorer, task, problems, recipe)))
    known = path / "calibration" / f"{job.task}.json"
    fitted = build(Calibration, read_json(known, layout.CALIBRATION)) if known.is_file() else None
    context = strategy_context(models, task, recipe.search, fitted)
    budgets = recipe.evaluation.budgets
    scores: dict[str, dict[str, list[float]]] = {}
    for some in handfuls(problems):
        for result in measure(job.strategies, context, task, some, max(budgets), recipe.seed + 3):
            by_budget = scores.setdefault(result["strategy"], {str(budget): [] for budget in budgets})
            for budget in budgets:
                by_budget[str(budget)] += at([result], budget)[0][:, 0].tolist()
    return scores


def handfuls(problems: Sequence[T]) -> list[Sequence[T]]:
    """The problems in parts, since what all of them draw at once takes memory.

    >>> [len(part) for part in handfuls(["x"] * 120)]
    [50, 50, 20]
    """
    return [problems[start : start + AT_ONCE] for start in range(0, len(problems), AT_ONCE)]


@lru_cache(maxsize=1)
def _models(path: Path, device: str) -> tuple[dict[str, Task], Models, Recipe]:
    run = RunDir(path)
    tasks = run_tasks(run)
    return tasks, workers_models(run, tasks, torch.device(device)), run.recipe()


def merged(pieces: Iterable[Mapping[str, Mapping[str, list[float]]]]) -> dict[str, dict[int, list[float]]]:
    """Scores by strategy and budget, the cheaper candidates first."""
    found = {
        name: {int(budget): scores for budget, scores in by_budget.items()}
        for piece in pieces
        for name, by_budget in piece.items()
    }
    return {name: found[name] for name in CANDIDATES if name in found}


def chosen(scores: Mapping[str, Mapping[int, list[float]]], fitted: Mapping[str, Any] | None) -> dict[str, Any]:
    """What auto.json holds of one task."""
    choice = choose(scores)
    rows = []
    for stage in choice.stages:
        interval = bootstrap_mean(scores[stage.strategy][stage.spend])
        candidates = {name: float(np.mean(by_budget[stage.budget])) for name, by_budget in scores.items()}
        rows.append(asdict(stage) | {"low": interval.low, "high": interval.high, "candidates": candidates})
    return {
        "problems": len(next(iter(scores["greedy"].values()))),
        "calibration": fitted,
        "budgets": rows,
        "reward_model_helps": any(strategy_of(stage.strategy).needs_reward_model for stage in choice.stages),
        "why": why(rows),
    }


def why(rows: Sequence[dict[str, Any]]) -> str:
    """
    >>> why([{"budget": 600, "strategy": "odds-vote", "accuracy": .9, "candidates": {"greedy": .8, "odds-vote": .9}}])
    'auto is odds-vote from 600 tokens on: 90% of the held-out problems, greedy 80%'
    """
    told = [
        f"{row['strategy']} from {row['budget']:,} tokens on: {row['accuracy']:.0%}"
        for before, row in zip([None, *rows], rows, strict=False)
        if before is None or row["strategy"] != before["strategy"]
    ]
    return f"auto is {', then '.join(told)} of the held-out problems, greedy {rows[-1]['candidates']['greedy']:.0%}"


class DrawnSolutions:
    """Finished samples of some problems, with the logits of every state on their way."""

    def __init__(self) -> None:
        self.problem: list[int] = []
        self.z: list[np.ndarray] = []  # of each sample, of each of its steps: "steps 2"
        self.reward: list[np.ndarray] = []  # log p_reward of the same states, "steps"
        self.policy: list[float] = []
        self.steps: list[tuple[str, ...]] = []
        self.answer: list[str | None] = []
        self.right: list[bool] = []


def draw(
    engine: LocalEngine, scorer: LocalScorer, task: Task, problems: Sequence[str], recipe: Recipe
) -> DrawnSolutions:
    """Solutions of each problem as search draws them, read by the reward model and checked; none of one too long."""
    drawn = DrawnSolutions()
    for some in handfuls([(i, problem) for i, problem in enumerate(problems) if engine.fits(steps_prompt(problem))]):
        _draw(drawn, engine, scorer, task, some, recipe)
    return drawn


def _draw(
    drawn: DrawnSolutions,
    engine: LocalEngine,
    scorer: LocalScorer,
    task: Task,
    asked: Sequence[tuple[int, str]],
    recipe: Recipe,
) -> None:
    sampling = SamplingParams(max_tokens=recipe.search.most_solution_tokens)
    prompts, seeds = [steps_prompt(problem) for _, problem in asked], [recipe.seed + 2] * len(asked)
    texts = engine.generate(prompts, sampling, SAMPLES, seeds)
    for (i, problem), continuations in zip(asked, texts, strict=True):
        for text in continuations:
            if not text.done:
                continue
            steps = split_steps(text.text)
            solutions = [PartialSolution(problem, steps[:k], k == len(steps)) for k in range(1, len(steps) + 1)]
            answer = task.answer(problem, steps)
            reading = scorer.read(solutions)
            if np.isneginf(reading.likelihood).any():
                continue
            drawn.z.append(reading.z)
            drawn.reward.append(reading.likelihood)
            drawn.problem.append(i)
            drawn.policy.append(text.logprob)
            drawn.steps.append(steps)
            drawn.answer.append(answer)
            drawn.right.append(answer is not None and task.check(problem, answer))
        scorer.forget([problem])


def fit(problems: Sequence[str], drawn: DrawnSolutions) -> Calibration:
    """The heads on finished solutions and on their states, then the sharpness of a vote by the odds they give."""
    if not drawn.problem:
        return Calibration()
    z, reward = np.array([z[-1] for z in drawn.z]), np.array([each[-1] for each in drawn.reward])
    policy, right, first = np.array(drawn.policy), np.array(drawn.right), _distinct(drawn)
    samples = Samples(np.array(drawn.problem)[first], z[first], reward[first], policy[first], right[first])
    outcome, process = (calibration.fit_head(samples.z[:, head], samples) for head in (OUTCOME, PROCESS))
    step = calibration.fit_step(
        np.concatenate([z[:-1, PROCESS] for z in drawn.z]),
        np.concatenate([each[:-1] for each in drawn.reward]),
        np.repeat(right, [len(z) - 1 for z in drawn.z]),
    )
    odds: list[dict[str, list[float]]] = [defaultdict(list) for _ in problems]
    known: list[set[str]] = [set() for _ in problems]
    s = (outcome.logit(z[:, OUTCOME], reward, policy) + process.logit(z[:, PROCESS], reward, policy)) / 2
    for i in first:
        answer = drawn.answer[i]
        if answer is not None:
            odds[drawn.problem[i]][answer].append(float(s[i]))
            if drawn.right[i]:
                known[drawn.problem[i]].add(answer)
    return Calibration(outcome, process, step, calibration.sharpness(odds, known))


def _distinct(drawn: DrawnSolutions) -> list[int]:
    """The first sample of each solution."""
    first: dict[tuple[int, tuple[str, ...]], int] = {}
    for i, key in enumerate(zip(drawn.problem, drawn.steps, strict=True)):
        first.setdefault(key, i)
    return list(first.values())
