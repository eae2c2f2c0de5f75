"""Before anything is trained: what the data are, what fits, about how long it will take here, and what to expect.

A survey trains the tokenizer and measures the texts in it; facts are plain data about it, lines what a person reads.
Nothing is written here. What is deliberately not here: how sizes follow from lengths (sizes.py), and why a row of a
file cannot be used (tasks/rows.py).
"""

import copy
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from clearhead.checkpoints.load import LoadedModel
from clearhead.errors import UserError
from clearhead.generation.backend import size
from clearhead.generation.cache import slot_bytes
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.pipeline import few_rows, pretrained, sizes, time_limit, unseen
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.sizes import SAMPLE, Lengths, Sizes
from clearhead.pipeline.tokens import train_tokenizer
from clearhead.pipeline.workers import at_once
from clearhead.reasoning.auto import CANDIDATES, PROBLEMS
from clearhead.reasoning.samples import SAMPLED, SAMPLES_AT_ONCE, SINGLE
from clearhead.tasks.file import FileTask
from clearhead.tasks.pieces import whole
from clearhead.tasks.rows import told as intake_lines
from clearhead.tasks.splits import SPLITS
from clearhead.tasks.task import Task
from clearhead.text.packing import Document, pack
from clearhead.text.prompt_format import steps_prompt
from clearhead.text.protocol import Tokenizer
from clearhead.training.loop import TrainConfig
from clearhead.training.optim import Optimizer
from clearhead.training.step import (
    Gradients,
    LossFn,
    compute_dtype,
    keep_freed_memory,
    language_model_loss,
    should_compile,
)

FEW = 1_000  # training problems below which a rule is seldom learned from scratch
MANY_TIMES = 30  # a problem seen so often is memorized
LONG = 1_800  # seconds from which on a run says how it can be shorter
TIMED_TOKENS = 1_024  # of a training step that is timed; longer ones take longer in proportion
TIMED_STEPS = 2  # after one that is not timed
TIMED_PROMPTS, TIMED_SAMPLES, TIMED_NEW = 32, 8, 16  # prompts continued at once, how often, and by how many tokens
# What a compiled pass takes of the time of one that is not: the demo's on an Intel Xeon with AMX in bfloat16 (0.29 of
# 0.65 s), and in float32 with AVX2 alone (1.24 of 1.65 s).
COMPILED = {torch.bfloat16: 0.45, torch.float32: 0.75}
READS = 2 / 3  # of a training pass: policy and reference read what was drawn, forward alone
NEW_SHARE = 0.1  # of the tokens that rollouts draw: the rest was drawn before, and costs nothing more


@dataclass(frozen=True)
class Survey:
    """The tokenizer of a run to be, the lengths of its tasks' texts in it, and its recipe with nothing left open.

    `rows` counts the training rows of all tasks, 0 where some task draws its problems afresh. `base`: the checkpoint
    that the run starts from, if it does.
    """

    tokenizer: Tokenizer
    lengths: Mapping[str, Lengths]
    sizes: Sizes
    recipe: Recipe
    rows: int
    base: LoadedModel | None = None


@dataclass(frozen=True)
class Speed:
    """Seconds on this machine: of a training step, and of a token that is generated among many texts at once."""

    step: float
    token: float


@dataclass(frozen=True)
class Plan:
    """A survey of the recipe that ends within its minutes, what each part takes, and what is less than was asked."""

    found: Survey
    asked: Recipe
    seconds: Mapping[str, float]
    limits: Mapping[str, int]


def survey(recipe: Recipe, tasks: dict[str, Task]) -> Survey:
    """UserError where a size that the recipe gives cannot work."""
    base, most = pretrained.load(recipe.base) if recipe.base else None, recipe.data.max_length
    tokenizer = base.tokenizer if base else train_tokenizer(tasks, recipe.seed, recipe.data.tokens)
    lengths = {name: sizes.measure(task, tokenizer, most, recipe.seed, name) for name, task in tasks.items()}
    found = sizes.sizes(lengths.values())
    rows = few_rows.training_rows(tasks.values())
    full = few_rows.followed(sizes.filled(recipe, found, base.decoder.config if base else None), rows)
    return Survey(tokenizer, lengths, found, full, rows, base)


def plan(found: Survey, tasks: Mapping[str, Task], device: torch.device) -> Plan:
    """Training steps and generation are timed for a moment on the device.

    UserError where the recipe leaves keys and values too little memory for its longest texts, or itself too few
    minutes.
    """
    _check_memory(found.recipe, found.recipe.decoder(found.tokenizer.vocab_size), device)
    speed = measured(found, tasks, device)

    def parts(recipe: Recipe) -> dict[str, float]:
        return estimate(replace(found, recipe=recipe), tasks, device, speed)

    limits = time_limit.limits(found.recipe, lambda recipe: sum(parts(recipe).values()))
    recipe = time_limit.limited(found.recipe, limits)
    return Plan(replace(found, recipe=recipe), found.recipe, parts(recipe), limits)


def facts(made: Plan, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Everything as plain data."""
    found, seconds = made.found, made.seconds
    recipe, vocab = found.recipe, found.tokenizer.vocab_size
    return {
        "tasks": {name: task_facts(found, name, task) for name, task in tasks.items()},
        "model": {
            "parameters": recipe.decoder(vocab).parameters, "vocabulary": vocab,
            "context": recipe.model["max_positions"],
            "rows": recipe.pretrain.batch_size, "tokens": recipe.pretrain.seq_len,
        },
        "ends_early": bool(recipe.pretrain.patience or recipe.pretrain.goal),
        "budgets": list(recipe.evaluation.budgets),
        "seconds": {**seconds, "all": sum(seconds.values())},
        "minutes": recipe.minutes, "limits": dict(made.limits),
        "warnings": [
            *time_limit.told(made.asked, made.limits), *_few(found, tasks), *sizes.too_tight(recipe, found.sizes),
        ],
    }  # fmt: skip


def _check_memory(recipe: Recipe, config: DecoderConfig, device: torch.device) -> None:
    """Each worker holds a policy and a reward model, and one that searches within a text where that is learned.

    Each of these holds the texts of one problem at the least.
    """
    models = 3 if recipe.in_context.steps else 2
    longest = max(config.max_positions, recipe.in_context.tokens if recipe.in_context.steps else 0)
    positions = SAMPLES_AT_ONCE * longest + max(recipe.evaluation.budgets)
    needed = models * at_once(device) * positions * slot_bytes(config, torch.float32)
    if recipe.kv_bytes is not None and recipe.kv_bytes < needed:
        raise UserError(
            f"kv_memory = {recipe.kv_memory!r} is too little: {at_once(device)} processes with {models} models each "
            f"may need {size(needed)} for the keys and values of one problem; raise it, or leave it out"
        )


def _few(found: Survey, tasks: Mapping[str, Task]) -> list[str]:
    """What is done about few rows, and whether they are enough."""
    told = few_rows.told(found.recipe, found.rows)
    if few_rows.are_few(found.rows):
        for name, task in tasks.items():
            told += unseen.told(name, unseen.unseen(task, found.recipe.seed))
    return told


def task_facts(found: Survey, name: str, task: Task) -> dict[str, Any]:
    """Splits, lengths, and how often training sees each problem; of a file also what was made of its rows."""
    recipe, lengths = found.recipe, found.lengths[name]
    rows = whole(task)
    report = rows.intake if isinstance(rows, FileTask) else None
    counted = {split: len(set(task.problems(split, SAMPLE, recipe.seed))) for split in SPLITS}
    splits = {split: report.splits[split] if report else counted[split] for split in SPLITS}
    endless = report is None and counted["train"] >= SAMPLE / 2  # whatever more there is, it was not counted
    return {
        "splits": splits, "endless": endless, "lengths": asdict(lengths), "sizes": sizes.told(name, lengths, recipe),
        "intake": intake_lines(report) if report else [],
        "rows": asdict(report) if report else None,
        "seen": None if endless else times_seen(recipe, name, lengths.median, splits["train"]),
    }  # fmt: skip


def times_seen(recipe: Recipe, name: str, median: int, problems: int) -> float:
    """How often the policy's training comes to each problem of a task."""
    share = {task.name: task.share for task in recipe.tasks}
    documents = few_rows.trained_tokens(recipe.pretrain) / max(median, 1) * share[name] / sum(share.values())
    return documents / max(problems, 1)


def expectation(problems: int, seen: float) -> str:
    """What to expect of so many problems, each seen so often, in a few words; "" where nothing speaks against them.

    >>> expectation(200, 100.0)
    'so few problems are memorized, and the rule is seldom learned: give some thousands, or a generator'
    """
    if problems < FEW:
        return "so few problems are memorized, and the rule is seldom learned: give some thousands, or a generator"
    if seen > MANY_TIMES:
        return "seen so often they are memorized: watch the held-out accuracy, and train less where it falls"
    return ""


def lines(told: Mapping[str, Any]) -> list[str]:
    """What a person reads before training starts."""
    found = []
    for name, task in told["tasks"].items():
        found += [f"{name}: {line}" for line in task["intake"]]
        found += [task["sizes"], _problems_line(name, task, told["ends_early"])]
    model, seconds = told["model"], told["seconds"]
    found.append(
        f"model: {model['parameters']:,} parameters, {model['vocabulary']} tokens, context "
        f"{model['context']:,}; a step reads {model['rows']} rows of {model['tokens']:,} tokens"
    )
    found.append(f"budgets: {', '.join(f'{budget:,}' for budget in told['budgets'])} tokens a problem")
    most = " at most" * told["ends_early"]
    found.append(
        f"time on this machine: {_minutes(seconds['all'])}{most} (policy {_minutes(seconds['policy'])}, "
        + (f"other language models {_minutes(seconds['others'])}, " if seconds["others"] else "")
        + (f"its own answers {_minutes(seconds['align'])}, " if seconds["align"] else "")
        + (f"search in one text {_minutes(seconds['in_context'])}, " if seconds["in_context"] else "")
        + f"reward model {_minutes(seconds['reward'])}, rollouts and evaluation {_minutes(seconds['answers'])})"
        + "; language models end sooner where they learn sooner" * told["ends_early"]
        + "; --minutes N does as much of it as fits" * (seconds["all"] > LONG and not told["minutes"])
    )
    return found + list(told["warnings"])


def _problems_line(name: str, task: Mapping[str, Any], at_most: bool) -> str:
    lengths, splits = task["lengths"], task["splits"]
    stepped = lengths["stepped"] / lengths["solved"]
    more = " or more" if task["endless"] else ""
    line = (
        f"{name}: {splits['train']:,}{more} problems to train on, {splits['valid']:,} to watch, "
        f"{splits['test']:,} to test; {stepped:.0%} with steps; {lengths['median']:,} tokens in the middle, "
        f"{lengths['document']:,} at most"
    )
    if task["seen"] is None:
        return line
    hint = expectation(splits["train"], task["seen"])
    times = f"{'at most' if at_most else 'about'} {task['seen']:,.0f} times"
    return f"{line}; each is seen {times}" + (f"; {hint}" if hint else "")


def _minutes(seconds: float) -> str:
    """
    >>> _minutes(40), _minutes(80), _minutes(400), _minutes(9000)
    ('under a minute', 'about a minute', 'about 7 minutes', 'about 2.5 hours')
    """
    if seconds < 60:
        return "under a minute"
    if seconds < 90:
        return "about a minute"
    return f"about {seconds / 60:.0f} minutes" if seconds < 5400 else f"about {seconds / 3600:.1f} hours"


def measured(found: Survey, tasks: Mapping[str, Task], device: torch.device) -> Speed:
    """What an untrained model of the size takes now."""
    recipe = found.recipe
    if found.base:
        decoder = copy.deepcopy(found.base.decoder).to(device)
        pretrained.make_trainable(decoder, recipe, recipe.seed)
    else:
        decoder = Decoder(recipe.decoder(found.tokenizer.vocab_size), seed=recipe.seed).to(device)
    a_step = step_seconds(
        recipe.pretrain, decoder, max(lengths.median for lengths in found.lengths.values()), pretrained.loss_of(recipe)
    )
    return Speed(a_step, token_seconds(LocalEngine(decoder, found.tokenizer, kv_memory=recipe.kv_bytes), tasks, recipe))


def estimate(found: Survey, tasks: Mapping[str, Task], device: torch.device, speed: Speed) -> dict[str, float]:
    """About the seconds of each part of the recipe."""
    recipe, a_step, a_token = found.recipe, speed.step, speed.token
    policy = recipe.pretrain.steps * a_step
    curve = few_rows.curve(recipe, found.rows, recipe.pretrain.steps) * sum(few_rows.SHARES)
    others = few_rows.own_reader(recipe, found.rows) + curve
    reward = policy * few_rows.trained_tokens(recipe.reward) / few_rows.trained_tokens(recipe.pretrain)
    drawn = rollout_tokens(found) + calibration_tokens(recipe, tasks) + evaluation_tokens(recipe, tasks)
    read = a_step / (recipe.pretrain.batch_size * recipe.pretrain.seq_len * recipe.pretrain.accumulate)
    return {
        "policy": policy, "others": others * policy, "reward": reward, "answers": drawn * a_token / at_once(device),
        "align": align_tokens(found) * (a_token + (recipe.align.updates + READS) * read),
        "in_context": in_context_seconds(recipe, a_token, read),
    }  # fmt: skip


def step_seconds(config: TrainConfig, decoder: Decoder, median: int, loss: LossFn = language_model_loss) -> float:
    """One training step: a few rows are timed, not compiled, and the update, then scaled to all rows."""
    keep_freed_memory()
    device = next(decoder.parameters()).device
    dtype = compute_dtype(config.dtype, device)
    rows = min(config.batch_size, max(1, TIMED_TOKENS // config.seq_len))
    text = Document([2] * (median // 2), [2] * (median - median // 2))
    batch = pack([text] * (rows * (config.seq_len // median)), config.seq_len)
    gradients = Gradients(decoder, loss, dtype, compiled=False)
    optimizer = Optimizer(decoder, config.optimizer, 0.0, 0.0, 0.0, dtype)
    passes, updates = [], []
    for _ in range(1 + TIMED_STEPS):
        started = time.perf_counter()
        _, found = gradients([batch])
        between = time.perf_counter()
        optimizer.step(found, 1, 0.0)
        passes.append(between - started)
        updates.append(time.perf_counter() - between)
    times = config.accumulate * config.batch_size / len(batch.tokens)
    parameters = sum(p.numel() for p in decoder.parameters())
    if should_compile(config.compile, parameters, few_rows.trained_tokens(config), device):
        times *= COMPILED[dtype]
    return min(passes[1:]) * times + min(updates[1:])


def token_seconds(engine: LocalEngine, tasks: Mapping[str, Task], recipe: Recipe) -> float:
    """One generated token, among many texts at once."""
    task = next(iter(tasks.values()))
    asked = map(steps_prompt, task.problems("valid", TIMED_PROMPTS, recipe.seed))
    prompts = [prompt for prompt in asked if engine.fits(prompt)]
    engine.generate(prompts[:1], SamplingParams(max_tokens=2), 1, [0])  # a first call prepares what others find
    started = time.perf_counter()
    engine.generate(prompts, SamplingParams(max_tokens=TIMED_NEW), TIMED_SAMPLES, list(range(len(prompts))))
    return (time.perf_counter() - started) / max(engine.usage().generated, 1)


def rollout_tokens(found: Survey) -> float:
    """Tokens that the rollouts generate: completions of every state that exploring reaches."""
    config, states, reached = found.recipe.rollouts, 1, 1
    for width in config.widths:
        reached *= width
        states += reached
    problems = sum(config.problems * task.rollouts for task in found.recipe.tasks)
    usual = max(lengths.median for lengths in found.lengths.values())
    return problems * states * config.completions * usual * NEW_SHARE


def align_tokens(found: Survey) -> float:
    """Tokens of the answers that the policy learns from, in all rounds, with those of their prompts."""
    config = found.recipe.align
    if config.method == "none":
        return 0.0
    usual = max(lengths.median for lengths in found.lengths.values())
    return max(1, len(config.betas)) * config.rounds * config.problems * config.samples * usual


def in_context_seconds(recipe: Recipe, a_token: float, read: float) -> float:
    """Learning to search within one text, from traces and then by reward; a search takes a third of its room."""
    config, align = recipe.in_context, recipe.in_context_align
    if not config.steps:
        return 0.0
    own = 0 if align.method == "none" else align.rounds * align.problems * align.samples * config.tokens / 3
    return config.steps * config.batch_size * config.tokens * read + own * (a_token + (align.updates + READS) * read)


def calibration_tokens(recipe: Recipe, tasks: Mapping[str, Task]) -> float:
    """Tokens of the strategies that "auto" is chosen from: each search, and twice for all that draw samples."""
    searches = [name for name in CANDIDATES if name not in (*SINGLE, *SAMPLED)]
    asked = sum(min(PROBLEMS, len(task.problems("valid", 2 * PROBLEMS, recipe.seed)) / 2) for task in tasks.values())
    return asked * (len(searches) + 2) * max(recipe.evaluation.budgets)


def evaluation_tokens(recipe: Recipe, tasks: Mapping[str, Task]) -> float:
    """Tokens that the evaluation may spend: the largest budget for each search and once for all that draw samples."""
    config = recipe.evaluation
    searches = [name for name in config.strategies if name not in (*SINGLE, *SAMPLED)]
    runs = len(searches) + any(name in SAMPLED for name in config.strategies)
    return len(tasks) * config.problems * config.seeds * runs * max(config.budgets)
