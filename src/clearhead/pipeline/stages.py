"""The training stages of a run, in order: tokenizer, policy, rollouts, reward model.

A stage reads what the earlier ones left in the run directory and leaves its own result there, so a run that was stopped
between two stages, or inside one, goes on from files alone.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch

from clearhead.alignment.calibration import Calibration
from clearhead.alignment.labels import (
    RewardEpochs,
    by_problem,
    held_out_batches,
    reward_model_loss,
    share_ranked,
    sparse_reward_model_loss,
    split_paths,
)
from clearhead.alignment.reward import OUTCOME, PROCESS, RewardModel
from clearhead.alignment.rollouts import LabeledPath, collect
from clearhead.alignment.scorer import CalibratedScorer, LocalScorer
from clearhead.checkpoints import own
from clearhead.config import build
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.generation.language_model import SamplingParams, Tally
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import Decoder
from clearhead.nn.lora import merge
from clearhead.pipeline import few_rows, layout, preflight, pretrained, sizes, tokens
from clearhead.pipeline.context import Context
from clearhead.pipeline.data import calls_of, document, hidden, part_of, run_tasks, source
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.workers import at_once, do_jobs
from clearhead.reasoning.auto import PROBLEMS, STAGE_FIELDS, AutoChoice, AutoStage
from clearhead.reasoning.strategy import SearchConfig, StrategyContext
from clearhead.tasks.task import Task
from clearhead.text.packing import Document, PackedStream
from clearhead.text.prompt_format import IN_STEPS, Form
from clearhead.text.protocol import Tokenizer
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import JsonlLog
from clearhead.training.loop import TrainConfig, train

HELD_OUT_PROBLEMS = 40  # of each task, tried at every evaluation during training
CHOOSING_PROBLEMS = 100  # the same where an evaluation decides which weights are kept
HELD_OUT_PATHS = 0.15  # share of the labeled problems that the reward model is tried on, and no more than
HELD_OUT_MOST = 60  # problems
READER = 1_000_003  # added to the seed of whatever the reader draws
FEWEST_UNSEEN = 50
MOST_VALID = 1000  # valid problems that are used in all


def load_tokenizer(run: RunDir) -> Tokenizer:
    return own.load_tokenizer(run.path)


def load_policy(run: RunDir, device: torch.device) -> Decoder:
    return own.load_decoder(run.path, device)


def load_reward(run: RunDir, device: torch.device) -> RewardModel | None:
    """The reward model of a run; None if the run has trained none."""
    if not run.reward.is_file():
        return None
    tensors, described = checkpoint.load(run.reward)
    with torch.device("meta"):
        model = RewardModel(Decoder(own.decoder_config(run.reward, described)))
    own.fill(model, tensors, run.reward)
    return model.to(device)


def tokenizer_stage(context: Context) -> None:
    """Learn the tokens and measure how long the tasks' texts are in them, which every later size follows from."""
    tasks, recipe = context.tasks(), context.recipe
    found = preflight.survey(recipe, tasks)  # sizes that cannot work are an error here
    plan = preflight.plan(found, tasks, context.device)
    facts = preflight.facts(plan, tasks)
    own.save_tokenizer(context.run.path, found.tokenizer)
    if found.base:
        described = {"name": recipe.base, "model": asdict(found.base.decoder.config)}
        write_json(context.run.base, described)
    noted = sizes.to_plain(found.sizes, found.lengths) | {"rows": found.rows, "limits": dict(plan.limits)}
    write_json(context.run.sizes, noted)
    write_json(context.run.preflight, facts)
    context.say(tokens.told(found.tokenizer, tasks, recipe.seed))
    for line in preflight.lines(facts):
        context.say(line)


def pretrain_stage(context: Context) -> None:
    """The policy. Of a run that starts from a checkpoint, what that answers untaught is measured first."""
    recipe, run = context.recipe, context.run
    if recipe.base and not run.before.is_file():
        loaded = pretrained.load(recipe.base, context.device)
        with context.progress("answers before", len(recipe.tasks)) as advance:
            before = {}
            for name, task in context.tasks().items():
                before[name] = pretrained.answers(loaded, task, recipe)
                advance(1)
        write_json(run.before, before)
        for name, found in before.items():
            context.say(f"{name}: {recipe.base} answers {found['right']} of {found['asked']} test problems as it is")
    decoder = train_language_model(context, context.recipe.pretrain, "pretrain", "policy", context.recipe.seed)
    checkpoint.save(context.run.policy, decoder.state_dict(), {"model": asdict(decoder.config)})


def train_language_model(
    context: Context, config: TrainConfig, stage: str, label: str, seed: int, share: float = 1.0
) -> Decoder:
    """Train on drawn solutions, watching the held-out loss and the share solved at first try.

    Where the training rows can be memorized, as many of them are tried as well. With a `share` below 1 only that
    part of them is read.
    """
    recipe, tokenizer, tasks = context.recipe, context.tokenizer(), context.tasks()
    rows, config = few_rows.training_rows(tasks.values()), replace(config, seed=seed)
    if recipe.base:
        decoder = pretrained.load_as_noted(recipe.base, context.run, context.device).decoder
        pretrained.make_trainable(decoder, recipe, seed)
    else:
        decoder = Decoder(recipe.decoder(tokenizer.vocab_size), seed=seed).to(context.device)
    unread = tokenizer.pad_id if tokenizer.pad_id is not None else tokenizer.end_id or 0

    def stream(split: str, seed: int, hide: float = 0.0, respelled: float = 0.0) -> PackedStream:
        drawn = source(tasks, recipe.tasks, recipe.data.direct, split, recipe.seed)
        if share < 1 and split == "train":
            drawn = part_of(drawn, share)
        most = min(recipe.data.max_length, decoder.config.max_positions, config.seq_len)

        def draw(rng: random.Random) -> Document:
            return hidden(document(tokenizer, drawn, most, rng, respelled), hide, rng, unread)

        return PackedStream(draw, config.batch_size, config.seq_len, seed)

    def some(split: str) -> dict[str, list[str]]:
        n = CHOOSING_PROBLEMS if config.keep_best else HELD_OUT_PROBLEMS
        return {name: task.problems(split, n, recipe.seed) for name, task in tasks.items()}

    training = stream("train", seed, recipe.data.hide, tokens.respelled(tokenizer))
    asked, known = some("valid"), some("train") if rows else {}

    def on_eval(model: Any, step: int) -> Mapping[str, Any]:
        try_on = partial(
            first_try, model, tokenizer, tasks, longest=recipe.search.solution_tokens, kv_memory=recipe.kv_bytes
        )
        return try_on(asked) | ({"seen_first_try": try_on(known)["first_try"]} if known else {})

    log = JsonlLog(context.run.log(stage))
    warned = False

    def warn(event: Mapping[str, Any]) -> None:
        nonlocal warned
        counts = (sum(map(len, problems.values())) for problems in (known, asked))
        if event["kind"] == "eval" and known and few_rows.memorizes(event, *counts):
            log.emit("memorizes", step=event["step"], rows=rows)
            if not warned:
                context.say(few_rows.memorizing_line(label, event, rows))
            warned = True

    with context.watch(label) as watch:
        train(
            config, decoder, training.batch, pretrained.loss_of(recipe), log=log,
            checkpoint=context.run.checkpoint(stage), callbacks=[watch, warn], on_eval=on_eval,
            held_out=[stream("valid", recipe.seed + 1).batch(0)],
            seen=[stream("train", recipe.seed + 1).batch(0)] if rows else [],
        )  # fmt: skip
    merge(decoder)
    return decoder


def first_try(
    decoder: Decoder,
    tokenizer: Tokenizer,
    tasks: Mapping[str, Task],
    asked: Mapping[str, list[str]],
    longest: int,
    kv_memory: int | None = None,
    form: Form = IN_STEPS,
) -> dict[str, Any]:
    """Share of problems solved greedily in at most `longest` tokens, by task and the mean, and one solution to see."""
    engine = LocalEngine(decoder, tokenizer, kv_memory=kv_memory, tools=calls_of(tasks))
    accuracy, sample = {}, ""
    for name, task in tasks.items():
        fitting = [problem for problem in asked[name] if engine.fits(form.prompt(problem))]  # the others stay unsolved
        limit = SamplingParams(temperature=0.0, max_tokens=longest or decoder.config.max_positions)
        right = 0
        written = engine.generate([form.prompt(problem) for problem in fitting], limit, 1, [0] * len(fitting))
        for problem, (text,) in zip(fitting, written, strict=True):
            answer = task.answer(problem, form.steps(text.text)) if text.done else None
            right += answer is not None and task.check(problem, answer)
        accuracy[name] = right / max(len(asked[name]), 1)
        sample += f"{problem}\n{text.text}\n"
    return {"accuracy": accuracy, "first_try": sum(accuracy.values()) / len(accuracy), "sample": sample}


def reader_stage(context: Context) -> None:
    """A second language model of the same solutions, by another seed, for the reward model to grow from.

    Two models that learned from the same few problems make different slips, so each is a scorer of the other's
    solutions: what both find probable is right far more often. Where problems are drawn without end, the policy itself
    is the start, since it knows more and has memorized nothing.
    """
    if not few_rows.own_reader(context.recipe, few_rows.training_rows(context.tasks().values())):
        return
    decoder = train_language_model(context, context.recipe.pretrain, "reader", "reader", context.recipe.seed + READER)
    checkpoint.save(context.run.reader, decoder.state_dict(), {"model": asdict(decoder.config)})


def rollouts_stage(context: Context) -> None:
    """Explore and complete training problems with the policy; one file for each handful of problems."""
    recipe, config, tasks = context.recipe, context.recipe.rollouts, context.tasks()
    jobs = []
    for task in recipe.tasks:
        n = max(1, round(config.problems * task.rollouts))
        problems = labeled_problems(tasks[task.name], n, recipe.seed)
        for start in range(0, len(problems), config.at_once):
            path = context.run.rollouts / f"{task.name}-{start:06d}.json"
            jobs.append((path, (task.name, problems[start : start + config.at_once])))
    with context.progress("rollouts", len(jobs)) as advance:
        do_jobs(jobs, partial(label_problems, context.run.path, context.device.type), context.device, advance)
    if (cut := rollouts_cut_off(context.run))[0]:
        context.say(sizes.cut_off_line("rollouts", *cut, recipe, context.run.read_sizes()))


def labeled_problems(task: Task, n: int, seed: int) -> list[str]:
    """Up to n problems whose solutions the reward model learns from, first those that the policy has never seen.

    What a policy has memorized, it solves without a slip, and a reward model that grew from such a policy learns to
    recognize solutions instead of judging them. So where training problems are few, the unseen ones are all.
    """
    unseen = held_out_problems(task, seed).unseen[: max(1, n // 2)]
    if few_rows.are_few(few_rows.training_rows([task])) and len(unseen) >= FEWEST_UNSEEN:
        return held_out_problems(task, seed).unseen[:n]
    return list(dict.fromkeys([*unseen, *task.problems("train", n, seed + 7)]))[:n]


def label_problems(path: Path, device: str, job: tuple[str, list[str]]) -> dict[str, Any]:
    """The labeled paths of a handful of problems, as plain data, and how many completions a limit cut off."""
    engine, tasks, recipe = _labeler(path, device)
    (name, problems), tally = job, Tally()
    paths = [asdict(found) for found in collect(engine, tasks[name], problems, recipe.rollouts, recipe.seed, tally)]
    return {"paths": paths, "cut": tally.cut, "drawn": tally.drawn, "limits": tally.limits}


def rollouts_cut_off(run: RunDir) -> tuple[int, int, tuple[str, ...]]:
    """How many completions limits cut off, of how many, and the settings that did."""
    made = [_rollouts(file) for file in sorted(run.rollouts.glob("*.json"))]
    limits = tuple(sorted({limit for entry in made for limit in entry["limits"]}))
    return sum(entry["cut"] for entry in made), sum(entry["drawn"] for entry in made), limits


def _rollouts(file: Path) -> dict[str, Any]:
    """A piece of the rollouts; older runs have the paths alone."""
    found = read_json(file, layout.ROLLOUTS)
    return {"paths": found, "cut": 0, "drawn": 0, "limits": ()} if isinstance(found, list) else found


@lru_cache(maxsize=1)
def _labeler(path: Path, device: str) -> tuple[LocalEngine, dict[str, Task], Recipe]:
    """What a process that labels needs, loaded once."""
    run, where = RunDir(path), torch.device(device)
    recipe = run.recipe()
    tasks, part = run_tasks(run), recipe.kv_part(at_once(where))
    engine = LocalEngine(load_policy(run, where), load_tokenizer(run), kv_memory=part, tools=calls_of(tasks))
    return engine, tasks, recipe


def read_rollouts(run: RunDir) -> list[LabeledPath]:
    paths = []
    for file in sorted(run.rollouts.glob("*.json")):
        for entry in _rollouts(file)["paths"]:
            paths.append(LabeledPath(entry["problem"], tuple(entry["steps"]), entry["done"], tuple(entry["labels"])))
    return paths


def reward_stage(context: Context) -> None:
    """Train both heads of the reward model on the labeled rollouts, and keep the one that ranks held-out ones best.

    What grew from the policy is trained as a whole; of a model of its own the heads alone.
    """
    recipe, tokenizer = context.recipe, context.tokenizer()
    config = recipe.reward
    if config.eval_every and not config.keep_best:
        config = replace(config, keep_best="ranked")
    start = context.run.reader if context.run.reader.is_file() else context.run.policy
    decoder = own.load_file(start)
    if start == context.run.reader:  # few problems: its likelihoods are worth more than what they could teach it
        decoder.requires_grad_(False)
    elif recipe.base:
        pretrained.make_trainable(decoder, recipe, recipe.seed)
    model = RewardModel(decoder).to(context.device)
    paths, longest = read_rollouts(context.run), min(config.seq_len, decoder.config.max_positions)
    training, held_out = (
        by_problem(tokenizer, part, longest) for part in split_paths(paths, HELD_OUT_PATHS, HELD_OUT_MOST, recipe.seed)
    )
    if not training:
        raise UserError(
            f"no labeled solution has {longest} tokens or fewer; "
            + (sizes.FOR_FIXED if recipe.base else "raise reward.seq_len and model.max_positions, or set them to 0")
        )
    fed = RewardEpochs(training, config.batch_size, config.seq_len, recipe.seed)
    tried = held_out_batches(held_out or training, config.batch_size, config.seq_len, recipe.seed)

    def on_eval(model: Any, step: int) -> Mapping[str, Any]:
        shares = [share_ranked(model, tried, head) for head in (OUTCOME, PROCESS)]
        known = [share for share in shares if not math.isnan(share)]
        return {"ranked_outcome": shares[OUTCOME], "ranked_process": shares[PROCESS], "ranked": mean(known or [0.5])}

    log = JsonlLog(context.run.log("reward"))
    with context.watch("reward model") as watch:
        train(
            config, model, fed.batch, sparse_reward_model_loss if recipe.base else reward_model_loss,
            checkpoint=context.run.checkpoint("reward"),
            log=log, callbacks=[watch], held_out=tried, on_eval=on_eval,
            weight=lambda batch: 1,  # a batch's loss is a sum of means over labels, pairs and tokens, and of none alone
        )  # fmt: skip
    merge(model.decoder)
    checkpoint.save(context.run.reward, model.state_dict(), {"model": asdict(model.decoder.config)})


class HeldOut(NamedTuple):
    """Valid problems, which no policy learns from: what calibration asks, and what the reward model may learn from."""

    calibration: list[str]
    unseen: list[str]


def held_out_problems(task: Task, seed: int) -> HeldOut:
    """At most half of the valid problems for calibration."""
    valid = task.problems("valid", MOST_VALID, seed)
    n = min(PROBLEMS, (len(valid) + 1) // 2)
    return HeldOut(valid[:n], valid[n:])


class Models(NamedTuple):
    """The trained models of a run, ready to answer; None where it has none."""

    engine: LocalEngine
    scorer: LocalScorer | None
    searcher: LocalEngine | None


def strategy_context(
    models: Models, task: Task, search: SearchConfig, calibration: Calibration | None = None,
    choice: AutoChoice | None = None,
) -> StrategyContext:  # fmt: skip
    """What strategies work with, the scorer calibrated where it can be."""
    engine, scorer, searcher = models
    if scorer is None or calibration is None:
        return StrategyContext(engine, scorer, search, task.answer, choice, searcher=searcher)
    return StrategyContext(
        engine, CalibratedScorer(scorer, calibration), search, task.answer, choice, calibration.sharpness, searcher
    )


def run_strategy_context(run: RunDir, name: str, task: Task, models: Models, search: SearchConfig) -> StrategyContext:
    """The same for a task of a run, with what its calibration stage has found."""
    if not run.auto.is_file():
        return strategy_context(models, task, search)
    measured = read_json(run.auto, layout.AUTO)
    if name not in measured:
        raise UserError(f"{run.auto} says nothing about {name}; delete it and run again with --resume")
    found = measured[name]
    calibration = build(Calibration, found["calibration"]) if found["calibration"] else None
    stages = [build(AutoStage, {key: row[key] for key in STAGE_FIELDS}) for row in found["budgets"]]
    return strategy_context(models, task, search, calibration, AutoChoice(tuple(stages)))


def load_models(run: RunDir, tasks: Mapping[str, Task], device: torch.device, kv_memory: int | None) -> Models:
    """The trained models of a run, with the tools of its tasks; they share the memory for keys and values alike."""
    tokenizer, policy, reward = load_tokenizer(run), load_policy(run, device), load_reward(run, device)
    searcher = own.load_file(run.searcher).to(device) if run.searcher.is_file() else None
    part = kv_memory if kv_memory is None else kv_memory // (1 + (reward is not None) + (searcher is not None))
    return Models(
        LocalEngine(policy, tokenizer, kv_memory=part, tools=calls_of(tasks)),
        None if reward is None else LocalScorer(reward, tokenizer, kv_memory=part),
        None if searcher is None else LocalEngine(searcher, tokenizer, kv_memory=part),
    )


def workers_models(run: RunDir, tasks: Mapping[str, Task], device: torch.device) -> Models:
    """The same for one of the processes of a stage, who share what the recipe allows."""
    return load_models(run, tasks, device, run.recipe().kv_part(at_once(device)))
