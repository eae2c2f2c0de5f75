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
from clearhead.alignment.judge import LocalJudge
from clearhead.alignment.rollouts import UNLABELLED, collect
from clearhead.errors import UserError
from clearhead.generation.engine import LocalEngine
from clearhead.generation.language_model import SampleConfig
from clearhead.kernels.attention import FULL, Pattern, capped, causal_bias
from clearhead.models.decoder import Decoder
from clearhead.pipeline.data import load_tasks
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.stages import Context, engine_and_judge, load_policy, load_tokenizer
from clearhead.pipeline.workers import do_jobs
from clearhead.reasoning.evaluate import Unit, final_answer, grade
from clearhead.reasoning.strategies import (
    PROCESS,
    SAMPLED,
    SINGLE,
    Bench,
    Draft,
    Grown,
    known,
    sampled,
    searched,
    single,
)  # fmt: skip
from clearhead.reasoning.tree import to_dict
from clearhead.tasks.task import StepChecked, Task
from clearhead.text.documents import join_steps, split_steps, steps_prompt

QUALITY_PROBLEMS = 60  # test problems on which the reward model is compared with the truth
QUALITY_SAMPLES = 16  # solutions of each
MAPPED = 160  # tokens of an attention map, more than a person looks at


def evaluation_stage(context: Context) -> None:
    """Measure every piece that has no file yet."""
    for task in context.tasks().values():  # drawn here once, and not by every worker at the same time
        task.problems("test", max(QUALITY_PROBLEMS, context.recipe.evaluation.problems), context.recipe.seed)
    jobs = plan_jobs(context)
    with context.progress("evaluation", len(jobs)) as advance:
        do_jobs(jobs, partial(work, context.run.path, context.device.type), context.device, advance)


class Job(NamedTuple):
    """One thing to measure: strategies ("piece"), the reward model ("quality"), a "tree", or the "attention" map."""

    kind: str
    task: str = ""
    piece: "Piece | None" = None
    shown: str = ""


def plan_jobs(context: Context) -> list[tuple[Path, Job]]:
    """Everything to measure, and the file that each result goes to; the long ones first."""
    recipe, folder, tasks = context.recipe, context.run.evaluation, context.tasks()
    config, judged = recipe.evaluation, context.run.reward.is_file()
    jobs = [
        (folder / name / f"{piece.file_name}.json", Job("piece", name, piece))
        for name in tasks
        for piece in plan(config.strategies, config.seeds, config.budgets)
    ]
    for name, task in tasks.items():
        if judged and isinstance(task, StepChecked):
            jobs.append((folder / name / "quality.json", Job("quality", name)))
    jobs += [(folder / f"tree-{i}.json", Job("tree", shown=shown)) for i, shown in enumerate(recipe.report.trees)]
    return [*jobs, (folder / "attention.json", Job("attention"))]


def work(path: Path, device: str, job: Job) -> dict[str, Any]:
    """Do one job with the models of a run; a process loads them once."""
    run, tasks, engine, judge = _models(path, device)
    recipe = run.recipe()
    if job.kind == "attention":
        return attention_map(run, tasks)
    if job.kind == "tree":
        return shown_tree(job.shown, tasks, engine, judge, recipe)
    task = tasks[job.task]
    if job.kind == "quality":
        assert judge is not None
        problems = task.problems("test", QUALITY_PROBLEMS, recipe.seed)
        return reward_quality(engine, judge, task, problems, recipe)
    assert job.piece is not None
    problems = task.problems("test", recipe.evaluation.problems, recipe.seed)
    bench, before = Bench(engine, judge, recipe.search, task.answer), engine.usage()
    units = measure(job.piece.strategies, bench, task, problems, job.piece.budget, job.piece.seed)
    return {"units": units, "usage": asdict(engine.usage() - before)}


@lru_cache(maxsize=1)
def _models(path: Path, device: str) -> tuple[RunDir, dict[str, Task], LocalEngine, LocalJudge | None]:
    run = RunDir(path)
    return run, load_tasks(run.recipe(), run.drawn), *engine_and_judge(run, torch.device(device))


class Piece(NamedTuple):
    """Strategies that are measured together, with one seed and one budget."""

    strategies: tuple[str, ...]
    seed: int
    budget: int

    @property
    def file_name(self) -> str:
        return f"{self.strategies[0].replace(':', '-')}-{self.budget}-{self.seed}"


def plan(strategies: Sequence[str], seeds: int, budgets: Sequence[int]) -> list[Piece]:
    """All that choose among samples share the samples; one greedy answer needs one seed; whoever can be stopped at any
    time runs once with the largest budget, sequential halving, which plans ahead, once with each.
    """
    most = max(budgets)
    pieces = [Piece((name,), 0, most) for name in strategies if name in SINGLE]
    together = tuple(name for name in strategies if name in SAMPLED)
    for seed in range(seeds):
        if together:
            pieces.append(Piece(together, seed, most))
        for name in strategies:
            if name not in (*SINGLE, *SAMPLED):
                pieces += [Piece((name,), seed, budget) for budget in (budgets if name == "halving" else [most])]
    return pieces


def measure(
    strategies: Sequence[str], bench: Bench, task: Task, problems: Sequence[str], budget: int, seed: int
) -> list[Unit]:
    """Run strategies that belong together and check what they answered."""
    known(strategies, judged=bench.judge is not None)
    if strategies[0] in SINGLE:
        answers = {strategies[0]: single(strategies[0], bench, problems)}
    elif strategies[0] in SAMPLED:
        answers = sampled(strategies, bench, problems, budget, seed)
    else:
        answers = {strategies[0]: searched(strategies[0], bench, problems, budget, seed)[0]}
    return [grade(task, name, seed, budget, attempts) for name, attempts in answers.items()]


def read_units(run: RunDir, task: str) -> list[Unit]:
    """Everything that was measured on a task."""
    files = sorted((run.evaluation / task).glob("*-*.json"))
    return [unit for file in files for unit in read_json(file)["units"]]


def read_usage(run: RunDir, task: str) -> dict[str, int]:
    """The engine's counts over all pieces measured on a task."""
    files = sorted((run.evaluation / task).glob("*-*.json"))
    total: dict[str, int] = {}
    for file in files:
        for key, value in read_json(file)["usage"].items():
            total[key] = total.get(key, 0) + value
    return total


def reward_quality(
    engine: LocalEngine, judge: LocalJudge, task: Task, problems: Sequence[str], recipe: Recipe
) -> dict[str, Any]:
    """The reward model on sampled test solutions: ranking and calibration against outcomes and against the truth."""
    assert isinstance(task, StepChecked)
    problems = [problem for problem in problems if engine.fits(steps_prompt(problem))]
    sampling = SampleConfig(max_tokens=recipe.search.most_solution_tokens)
    solutions = _solutions(engine, problems, sampling, recipe.seed)
    drafts: list[Draft] = []
    spans: list[tuple[int, int, bool]] = []  # of each solution: its drafts, and whether it ended right
    truth, outcome, ends, depth = [], [], [], []
    for problem, steps, done in solutions:
        answer = task.answer(problem, steps) if done else None
        right = answer is not None and task.check(problem, answer)
        spans.append((len(drafts), len(drafts) + len(steps), right))
        for length in range(1, len(steps) + 1):
            drafts.append(Draft(problem, steps[:length], done and length == len(steps)))
            truth.append(task.check_step(problem, steps[:length]))
            outcome.append(right)
            ends.append(drafts[-1].done)
            depth.append(length)
    verdicts = judge.verdicts(drafts)
    judge.forget(problems)
    process, good, won = verdicts[:, PROCESS], np.array(truth), np.array(outcome)
    at_end, depths = np.array(ends), np.array(depth)
    bins = quality.calibration(process, won)
    labels, label_truth = _label_truth(engine, task, problems, recipe)
    found = [
        quality.first_wrong((process[a:b] >= 0.5).tolist()) == quality.first_wrong(truth[a:b])
        for a, b, right in spans
        if not right
    ]
    return {
        "auc_process": quality.auc(process, good),
        "auc_outcome": quality.auc(verdicts[at_end, 1 - PROCESS], won[at_end]),
        "label_auc": quality.auc(labels, label_truth),
        "brier": quality.brier(process, won),
        "ece": quality.expected_calibration_error(bins),
        "calibration": [asdict(b) for b in bins],
        "first_error": {"accuracy": float(np.mean(found)), "n": len(found)} if found else None,
        "by_depth": [
            {
                "depth": int(d),
                "auc": quality.auc(process[depths == d], good[depths == d]),
                "n": int((depths == d).sum()),
            }
            for d in np.unique(depths)
        ],
    }


def _solutions(
    engine: LocalEngine, problems: Sequence[str], sampling: SampleConfig, seed: int
) -> list[tuple[str, tuple[str, ...], bool]]:
    nodes = engine.open([steps_prompt(problem) for problem in problems])
    drawn = engine.extend(nodes, QUALITY_SAMPLES, sampling, [seed + 1] * len(nodes), stop=None)
    engine.close(nodes)
    return [
        (problem, split_steps(text.text), text.done)
        for problem, texts in zip(problems, drawn, strict=True)
        for text in texts
        if text.text
    ]


def _label_truth(
    engine: LocalEngine, task: Any, problems: Sequence[str], recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """Automatic labels of test states, beside what `check_step` says of them. They are never trained on."""
    labels, truth = [], []
    for path in collect(engine, task, problems, recipe.rollouts, recipe.seed + 2):
        for length, label in enumerate(path.labels):
            if label != UNLABELLED and length:
                labels.append(label)
                truth.append(task.check_step(path.problem, path.steps[:length]))
    return np.array(labels), np.array(truth)


def shown_tree(
    wanted: str, tasks: Mapping[str, Task], engine: LocalEngine, judge: LocalJudge | None, recipe: Recipe
) -> dict[str, Any]:
    """The search tree of one problem, as the report draws it."""
    name, _, typed = wanted.partition(":")
    if name not in tasks:
        raise UserError(f"report.trees: {wanted!r} must be written 'task: problem' with one of {', '.join(tasks)}")
    task = tasks[name]
    problem = task.parse(typed.strip())
    strategy = next((s for s in recipe.evaluation.strategies if s.startswith("mcts")), "mcts-puct")
    if judge is None:
        strategy = "tree-of-thought"
    bench = Bench(engine, judge, recipe.search, task.answer)
    budget = max(recipe.evaluation.budgets)
    attempts, (grown,) = searched(strategy, bench, [problem], budget, recipe.seed)
    if grown is None:
        raise UserError(f"report.trees: {wanted!r:.60} is too long for the model's context; name a shorter problem")
    return tree_data(task, strategy, problem, grown, attempts[0].marks[-1].steps) | {"title": typed.strip()}


def tree_data(task: Task, strategy: str, problem: str, grown: Grown, steps: tuple[str, ...] | None) -> dict[str, Any]:
    """One root's tree as plain data, with the truth about each step where the task knows it."""
    result, row = grown
    root = to_dict(
        result.tree, row, lambda draft: draft.steps[-1] if draft.steps else draft.problem, result.chosen[row]
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
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    text = steps_prompt(problem)
    if engine.fits(text):
        ((written,),) = engine.generate([text], SampleConfig(temperature=0.0, max_tokens=MAPPED), 1, [0])
        text += written.text
    tokens = tokenizer.encode(text)[: min(MAPPED, decoder.config.max_positions)]
    layers = attention_weights(decoder, tokens)
    return {"title": join_steps([problem]), "tokens": [tokenizer.decode([t]) for t in tokens], "layers": layers}


@torch.no_grad()
def attention_weights(decoder: Decoder, tokens: Sequence[int]) -> list[list[list[list[float]]]]:
    """softmax(q kᵀ / √C) of every layer and head on one text, "L H T T" as lists rounded to three digits."""
    T = len(tokens)
    layers: list[Any] = []

    def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pattern: Pattern = FULL) -> torch.Tensor:
        bias = causal_bias(torch.zeros(1, T, dtype=torch.long), q.dtype, pattern.window)[0]
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = capped(torch.einsum("thc,shc->hts", q, k) / q.shape[-1] ** 0.5, pattern.softcap)
        weights = (scores + bias).softmax(-1)
        layers.append([[[round(x, 3) for x in row] for row in head] for head in weights.tolist()])
        return torch.einsum("hts,shc->thc", weights, v)

    decoder(torch.tensor(tokens), torch.arange(T), attend)
    return layers
