"""Aligning a checkpoint: from a file of pairs, or of prompts and a reward, to an adapter or the aligned model.

    align.toml                   the settings            align.jsonl         everything measured on the way
    before.json                  the untouched model     align.json          the result in figures
    align.checkpoint.safetensors to go on from           report.html         before and after, side by side
    reward.safetensors           a reward model's updates, where one learns from pairs first, and reward.jsonl
    adapter_model.safetensors, adapter_config.json       LoRA, as PEFT writes it; or, in full or merged,
    model.safetensors, config.json, tokenizer.json       the model

What is learned stands in alignment (dpo, rounds), what a row may be in text.preference_data, how a model is written in
pipeline.tune.
"""

import copy
import hashlib
import json
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from clearhead.alignment.answers import Answer, Prompt, draw
from clearhead.alignment.dpo import DpoLoss, Pair, count_pairs, pair_batch, reference_logprobs
from clearhead.alignment.environment import Environment, Rewards, rewarded
from clearhead.alignment.methods import AlignConfig, in_parts
from clearhead.alignment.policy_gradient import ActorCritic, policy_of
from clearhead.alignment.preference_model import PreferenceModel, batch_of, preference_loss, rewards, share_preferred
from clearhead.alignment.rounds import Rounds, loss_of
from clearhead.checkpoints import export
from clearhead.checkpoints.load import LoadedModel, is_adapter
from clearhead.config import to_dict
from clearhead.doctor.checkup import round_lines
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.nn.lora import TARGETS, LoraConfig, resolved
from clearhead.pipeline import tune
from clearhead.pipeline.context import Context
from clearhead.pipeline.learn import FULL_LR, KEPT, LORA_LR, rounds_of
from clearhead.pipeline.rewards import of_file
from clearhead.pipeline.rundir import read_json
from clearhead.reasoning.statistics import bootstrap_difference, bootstrap_mean
from clearhead.text.preference_data import (
    LIKE_PAIRS,
    LIKE_PROMPTS,
    PairRow,
    PromptRow,
    asked_tokens,
    pair_row,
    pair_tokens,
    prompt_row,
)
from clearhead.text.sft_data import read_lines
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import Event, JsonlLog
from clearhead.training.loop import LARGEST_SEED, TrainConfig, train
from clearhead.training.step import compute_dtype, mean_loss, working_copy

SETTINGS, BEFORE, RESULT, LOG = "align.toml", "before.json", "align.json", "align.jsonl"
REWARD, REWARD_LOG = "reward.safetensors", "reward.jsonl"
REWARD_CHECKPOINT = "reward.checkpoint.safetensors"
CHECKPOINT, REPORT = "align.checkpoint.safetensors", "report.html"
MOST_HELD = 64  # prompts that are asked at every evaluation
OF_DRAWN = ("reward", "rounds", "problems", "samples", "epochs", "minibatches", "temperature", "search", "budget")
DRAWN = 4  # answers to each of them at temperature 1, before and after


@dataclass(frozen=True)
class AlignModelConfig:
    """How to align a checkpoint; 0 leaves a choice open: `max_length` to the model, `steps` to the epochs.

    `align` is as in a recipe (alignment.methods): with pairs, its method, `beta`, `lr` and the like count, and a step
    reads `pairs` of them; with a reward, all of it counts.
    """

    model: str
    data: Path
    align: AlignConfig = field(default_factory=lambda: AlignConfig(method="dpo"))
    held_out: Path | None = None
    full: bool = False
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = TARGETS
    epochs: float = 1.0
    steps: int = 0
    pairs: int = 8
    max_length: int = 0
    max_tokens: int = 128
    seed: int = 0
    merge: bool = False
    control_tokens: bool = False
    shown: int = 6

    def __post_init__(self) -> None:
        for name in ("pairs", "max_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        for name in ("steps", "max_length", "shown"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} = {getattr(self, name)} must be 0 or more")
        if not 0 < self.epochs < math.inf:
            raise UserError(f"epochs = {self.epochs} must be a positive number")
        if abs(self.seed) > LARGEST_SEED:
            raise UserError(f"seed = {self.seed} is too large; -{LARGEST_SEED} to {LARGEST_SEED} are possible")
        if self.full and self.merge:
            raise UserError("full training has nothing to merge; leave out merge")
        if self.align.method in ("none", "expert-iteration"):
            raise UserError(f"method = {self.align.method!r} needs a task's checker and search; take dpo, grpo or ppo")
        if self.of_pairs and (drawn := next((name for name in OF_DRAWN if self.align.changes(name)), None)):
            raise UserError(
                f"align.{drawn} is for methods that draw answers; DPO learns from the pairs of its file alone"
            )
        if not self.of_pairs and not self.align.reward.endswith((".py", ".jsonl")):
            raise UserError(
                f"{self.align.method} needs a reward: name a Python file with reward(prompts, completions), or a JSONL "
                "file of pairs that a reward model learns from"
            )
        unread = ("max_tokens",) if self.of_pairs else ("steps",) if self.reward_pairs else ("steps", "epochs", "pairs")
        if named := next(
            (f.name for f in fields(self) if f.name in unread and getattr(self, f.name) != f.default), None
        ):
            raise UserError(
                f"{named} = {getattr(self, named)} would change nothing with {self.align.method}; leave it out"
            )
        _ = self.low_rank

    @property
    def of_pairs(self) -> bool:
        return self.align.method == "dpo"

    @property
    def reward_pairs(self) -> Path | None:
        """The pairs that a reward model learns from before the policy does."""
        return Path(self.align.reward) if self.align.reward.endswith(".jsonl") else None

    @property
    def low_rank(self) -> LoraConfig | None:
        """The updates beside the weights; None where the weights themselves are trained."""
        return None if self.full else LoraConfig(self.rank, self.alpha, self.dropout, self.targets)


@dataclass(frozen=True)
class AlignRun:
    """A model, and what it learns from: pairs or prompts, those held out beside them."""

    config: AlignModelConfig
    loaded: LoadedModel
    pairs: list[Pair]
    held_pairs: list[Pair]
    prompts: list[Prompt]
    held_prompts: list[Prompt]
    kv_memory: int | None = None

    @property
    def length(self) -> int:
        """Tokens in a row: the longest text's."""
        every = (*self.pairs, *self.held_pairs)
        of_pairs = max((len(p.prompt) + max(len(p.chosen), len(p.rejected)) for p in every), default=0)
        if self.config.of_pairs:
            return of_pairs
        longest = max(len(prompt.tokens) for prompt in (*self.prompts, *self.held_prompts))
        return max(of_pairs, min(self.loaded.decoder.config.max_positions, longest + self.config.max_tokens))

    @property
    def align(self) -> AlignConfig:
        """The settings, with the parts that a step of this model is computed in."""
        align, length = self.config.align, self.length
        texts = 2 * self.config.pairs if self.config.of_pairs else align.problems * align.samples // align.minibatches
        written = length if self.config.of_pairs else min(self.config.max_tokens, length)
        return in_parts(align, self.loaded.decoder.config, texts, length, written)

    @property
    def steps_of_an_epoch(self) -> int:
        return -(-len(self.pairs) // self.config.pairs)

    @property
    def training(self) -> TrainConfig:
        config, align = self.config, self.align
        steps = align.rounds * align.updates
        if config.of_pairs:
            steps = config.steps or max(1, round(config.epochs * self.steps_of_an_epoch))
        a_round = 1 if config.of_pairs else align.updates
        lr = align.lr or (FULL_LR if config.full else LORA_LR)
        return TrainConfig(
            steps=steps, batch_size=1, seq_len=self.length, optimizer="adamw", lr=lr, adam_lr=lr,
            weight_decay=align.weight_decay, warmup=min(align.warmup, steps - 1), clip=align.clip,
            accumulate=align.accumulate, eval_every=align.eval_every * a_round, save_every=align.save_every * a_round,
            compile="off", seed=config.seed,
        )  # fmt: skip

    @property
    def digest(self) -> str:
        """Of everything that is learned from: a run goes on with the same rows only."""
        told = json.dumps([self.pairs, self.held_pairs, [p.tokens for p in (*self.prompts, *self.held_prompts)]])
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def prepare(
    config: AlignModelConfig, loaded: LoadedModel, skip_bad: bool = False, say: Callable[[str], None] = print,
    kv_memory: int | None = None,
) -> AlignRun:  # fmt: skip
    """What can be wrong with the data is told before a file is written.

    `kv_memory`: bytes for keys and values at most, while answers are drawn.
    """
    if is_adapter(Path(loaded.name)) and not (config.full or config.merge):
        raise UserError(f"{loaded.name} is an adapter, and one for it would be none for any model; add --merge")
    context = loaded.decoder.config.max_positions
    if config.max_length > context:
        raise UserError(f"max_length = {config.max_length} is more than the model's context of {context}; lower it")
    if config.low_rank is None or config.merge:
        export.check(loaded)
    else:
        resolved(loaded.decoder, config.low_rank)
    learned, held = _both(config, config.data, config.held_out, loaded, skip_bad, say, config.of_pairs)
    pairs: tuple[list[Any], list[Any]] = ([], [])
    if config.of_pairs:
        made = AlignRun(config, loaded, learned, held, [], [], kv_memory)
    else:
        if config.reward_pairs:
            pairs = _both(config, config.reward_pairs, None, loaded, skip_bad, say, True)
        made = AlignRun(config, loaded, *pairs, learned, held, kv_memory)
    _ = made.training
    return made


def _both(
    config: AlignModelConfig, data: Path, held_out: Path | None, loaded: LoadedModel, skip_bad: bool,
    say: Callable[[str], None], of_pairs: bool,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """What a file holds to learn from, and what it, or another, holds to measure with."""
    rows = _read(config, data, loaded, skip_bad, say, of_pairs)
    learned, held = (
        (rows, _read(config, held_out, loaded, skip_bad, say, of_pairs))
        if held_out
        else tune.split(rows, itemgetter(0))
    )
    if not learned:
        raise UserError(f"{data} has one row; give at least two, one to learn from and one to measure with")
    return [item for _, item in learned], [item for _, item in held]


def _read(
    config: AlignModelConfig, path: Path, loaded: LoadedModel, skip_bad: bool, say: Callable[[str], None],
    of_pairs: bool,
) -> list[tuple[str, Any]]:  # fmt: skip
    """Each row's opening and what is learned from it; BadRows, or what is left without them."""
    limit = config.max_length or loaded.decoder.config.max_positions
    rows: list[Any]
    if of_pairs:
        rows, wrong = read_lines(path, pair_row, LIKE_PAIRS)
    else:
        rows, wrong = read_lines(path, prompt_row, LIKE_PROMPTS)
    found = []
    for row in rows:
        number, opening = (row.chosen.line, row.chosen.opening) if of_pairs else (row.line, row.opening)
        try:
            item = _pair(row, config, loaded, limit) if of_pairs else _prompt(row, config, loaded, limit)
            found.append((opening, item))
        except UserError as error:
            wrong.append(f"{path}, line {number}: {error}")
    return tune.usable(path, found, wrong, skip_bad, say)


def _pair(row: PairRow, config: AlignModelConfig, loaded: LoadedModel, limit: int) -> Pair:
    pair = Pair(*pair_tokens(row, loaded.tokenizer, loaded.template, config.control_tokens))
    longest = len(pair.prompt) + max(len(pair.chosen), len(pair.rejected)) - 1
    if longest > limit:
        raise UserError(f"{longest} tokens are too long; {limit} are possible, shorten it")
    return pair


def _prompt(row: PromptRow, config: AlignModelConfig, loaded: LoadedModel, limit: int) -> Prompt:
    text, tokens = asked_tokens(row, loaded.tokenizer, loaded.template, config.control_tokens)
    if len(tokens) >= limit:
        raise UserError(f"{len(tokens)} tokens leave no room for an answer; {limit} are possible, shorten it")
    return Prompt(text, tokens, problem=str(row.messages[-1]["content"]))


def align(prepared: AlignRun, context: Context) -> dict[str, Any]:
    """Measure, learn, measure again, and write the result, which is returned as plain data."""
    config, folder = prepared.config, context.run.path
    if (folder / RESULT).is_file():
        context.say("done before")
        return cast(dict[str, Any], read_json(folder / RESULT))
    started = time.perf_counter()
    decoder, log = prepared.loaded.decoder, JsonlLog(folder / LOG)
    reference = copy.deepcopy(decoder).requires_grad_(False).eval()
    reward = None if config.of_pairs else reward_of(prepared, reference, context)
    if not (folder / BEFORE).is_file():
        write_json(folder / BEFORE, measured(prepared, reference, reference, reward, context.device))
    lora = config.low_rank
    tune.make_trainable(decoder, lora, config.seed)
    sizes = tune.parameters(decoder)
    share = sizes["trainable"] / sizes["total"]
    context.say(f"trainable: {sizes['trainable']:,} of {sizes['total']:,} parameters ({share:.2%})")
    if reward is None:
        _learn_from_pairs(prepared, reference, context, log)
    else:
        _learn_from_answers(prepared, reference, reward, context, log)
    decoder.eval()
    before, after = read_json(folder / BEFORE), measured(prepared, decoder, reference, reward, context.device)
    result = {
        "model": prepared.loaded.name, "method": config.align.learns.label, "parameters": sizes,
        "peak_memory": tune.peak_memory(context.device), "steps": prepared.training.steps,
        "rows": len(prepared.pairs if config.of_pairs else prepared.prompts),
        "held_out_rows": len(prepared.held_pairs if config.of_pairs else prepared.held_prompts),
        "seconds": time.perf_counter() - started, "settings": _plain(config),
        "figures": compared(before, after), "health": list(round_lines(rounds_of(log)).values()),
        "answers": [
            {"question": prompt.problem, "prompt": prompt.text, "before": old, "after": new, "answer": ""}
            for prompt, old, new in zip(prepared.held_prompts, before["answers"], after["answers"], strict=False)
        ],
    }  # fmt: skip
    tune.save(prepared.loaded, folder, lora, config.merge)
    write_json(folder / RESULT, result)
    for name in (CHECKPOINT, KEPT):
        (folder / name).unlink(missing_ok=True)
    return result


def _plain(config: AlignModelConfig) -> dict[str, Any]:
    plain = to_dict(config)
    return {**{key: value for key, value in plain.items() if key != "align"}, **plain["align"]}


def _meta(prepared: AlignRun) -> dict[str, Any]:
    return {"digest": prepared.digest, "lora": to_dict(prepared.config.low_rank) if prepared.config.low_rank else None}


def _learn_from_pairs(prepared: AlignRun, reference: Any, context: Context, log: JsonlLog) -> None:
    config, length, device = prepared.config, prepared.length, context.device
    parts = prepared.align.accumulate
    fixed = working_copy(reference, compute_dtype("auto", device))  # as the steps compute the policy
    with context.progress("reference", len(prepared.pairs) + len(prepared.held_pairs)) as advance:
        log_ref = reference_logprobs(prepared.pairs, length, fixed, device, advance=advance)
        held_ref = reference_logprobs(prepared.held_pairs, length, reference, device, advance=advance)
    del fixed
    held = [
        pair_batch(prepared.held_pairs[at : at + config.pairs], held_ref[at : at + config.pairs], length)
        for at in range(0, len(prepared.held_pairs), config.pairs)
    ]
    loss = DpoLoss(config.align.starting_beta)

    def batch(i: int) -> Any:
        step, part = divmod(i, parts)
        of_step = shuffled(len(prepared.pairs), config.pairs, step, config.seed)
        some = np.array_split(of_step, parts)[part].tolist()
        return pair_batch([prepared.pairs[j] for j in some], log_ref[some], length)

    def on_eval(model: Any, step: int) -> Mapping[str, Any]:
        return {"held_out_loss": mean_loss(model, held, loss, device, count_pairs)}

    _train(prepared, prepared.loaded.decoder, batch, loss, context, log, on_eval, 4)


def _learn_from_answers(prepared: AlignRun, reference: Any, reward: Rewards, context: Context, log: JsonlLog) -> None:
    config, decoder = prepared.config, prepared.loaded.decoder
    model: Any = decoder
    if config.align.critic:
        critic = copy.deepcopy(reference)
        tune.make_trainable(critic, config.low_rank, config.seed + 1)
        model = ActorCritic(decoder, critic).to(context.device)
    prompts = prepared.prompts

    def stream(first: int, n: int) -> list[Prompt]:
        found = []
        for number in range(first, first + n):
            epoch, at = divmod(number, len(prompts))
            found.append(random.Random(f"{config.seed}/align/{epoch}").sample(prompts, len(prompts))[at])
        return found

    environment = Environment(stream, reward, max_tokens=config.max_tokens)
    rounds = Rounds(
        prepared.align, environment, prepared.loaded.tokenizer, model, reference, prepared.length, config.seed,
        compute_dtype("auto", context.device), log, context.run.path / KEPT, prepared.kv_memory,
    )  # fmt: skip

    def on_eval(trained: Any, step: int) -> Mapping[str, Any]:
        scores = _scores(prepared, policy_of(trained), reward, likeliest(config), 1)[0]
        told = rounds_of(log)[-1]
        context.say(
            f"round {told['round'] + 1}: reward {told['reward']:.3f}, held-out greedy {scores.mean():.3f}, "
            f"KL {told['kl_token']:.3f} nats a token, entropy {told['entropy']:.3f}"
        )
        return {"held_out_reward": float(scores.mean())}

    _train(prepared, model, rounds.batch, loss_of(config.align), context, log, on_eval, 0)


def reward_of(prepared: AlignRun, start: Any, context: Context) -> Rewards:
    """The user's function, or the scores of a reward model that learns from pairs first, from the model at `start`."""
    config, file, length, device = prepared.config, context.run.path / REWARD, prepared.length, context.device
    if not config.reward_pairs:
        return of_file(config.align.reward)
    model = PreferenceModel(copy.deepcopy(start)).to(device)
    tune.make_trainable(model.decoder, config.low_rank, config.seed)
    if not file.is_file():
        _learn_reward(prepared, model, context)
        trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        checkpoint.save(file, trained, {})
        (context.run.path / REWARD_CHECKPOINT).unlink()
    model.load_state_dict(checkpoint.load(file)[0], strict=False)
    model.requires_grad_(False).eval()
    share = share_preferred(model, prepared.held_pairs, length, device)
    context.say(
        f"the reward model prefers the chosen answer in {share:.0%} of {len(prepared.held_pairs)} held-out pairs"
    )
    return lambda prompts, answers: rewards(model, prompts, answers, length, device)


def _learn_reward(prepared: AlignRun, model: PreferenceModel, context: Context) -> None:
    config, folder, length = prepared.config, context.run.path, prepared.length
    steps = max(1, round(config.epochs * prepared.steps_of_an_epoch))
    lr = FULL_LR if config.full else LORA_LR
    settings = TrainConfig(
        steps=steps, batch_size=1, seq_len=length, optimizer="adamw", lr=lr, adam_lr=lr, weight_decay=0.0,
        warmup=min(config.align.warmup, steps - 1), save_every=config.align.save_every, compile="off", seed=config.seed,
    )  # fmt: skip

    def batch(i: int) -> Any:
        return batch_of(
            [prepared.pairs[j] for j in shuffled(len(prepared.pairs), config.pairs, i, config.seed)], length
        )

    with context.watch("reward model") as watch:
        train(
            settings, model, batch, preference_loss, checkpoint=folder / REWARD_CHECKPOINT,
            log=JsonlLog(folder / REWARD_LOG), callbacks=[watch], meta=_meta(prepared),
        )  # fmt: skip


def shuffled(n: int, size: int, step: int, seed: int) -> list[int]:
    """Which of n rows a step reads: all of them once an epoch, in a new order each time."""
    epoch, within = divmod(step, -(-n // size))
    order = random.Random(f"{seed}/{epoch}").sample(range(n), n)
    return order[within * size : (within + 1) * size]


def likeliest(config: AlignModelConfig) -> SamplingParams:
    return SamplingParams(temperature=0.0, max_tokens=config.max_tokens)


def _train(
    prepared: AlignRun, model: Any, batch: Callable[[int], Any], loss: Any, context: Context, log: JsonlLog,
    on_eval: Callable[[Any, int], Mapping[str, Any]], prefetch: int,
) -> None:  # fmt: skip
    def note(event: Event) -> None:
        if event["kind"] == "step" and (numbers := loss.drain()):
            log.emit("learned", step=event["step"], **numbers)

    model.train()
    with context.watch(f"align, {prepared.config.align.learns.label}") as watch:
        train(
            prepared.training, model, batch, loss, checkpoint=context.run.path / CHECKPOINT, log=log,
            callbacks=[watch, note], meta=_meta(prepared), on_eval=on_eval, prefetch=prefetch,
        )  # fmt: skip


def measured(
    prepared: AlignRun, decoder: Any, reference: Any, reward: Rewards | None, device: torch.device
) -> dict[str, Any]:
    """What a model makes of the held-out rows, as plain data: scores by row, and its answers in words."""
    config = prepared.config
    if reward is None:
        pairs, length = prepared.held_pairs, prepared.length
        log_p = reference_logprobs(pairs, length, decoder, device)
        log_ref = reference_logprobs(pairs, length, reference, device)
        margins = config.align.starting_beta * (log_p - log_ref) @ np.array([1.0, -1.0])
        preferred = log_p[:, 0] > log_p[:, 1]
        return {"pairs": {"margin": margins.tolist(), "likelier": preferred.astype(float).tolist()}, "answers": []}
    greedy, answers = _scores(prepared, decoder, reward, likeliest(config), 1)
    sampled, _ = _scores(prepared, decoder, reward, SamplingParams(max_tokens=config.max_tokens), DRAWN)
    return {
        "pairs": {}, "greedy": greedy.tolist(), "sampled": sampled.tolist(),
        "answers": [found[0].text for found in answers[: config.shown]],
    }  # fmt: skip


def _scores(
    prepared: AlignRun, decoder: Any, reward: Rewards, sampling: SamplingParams, n: int
) -> tuple[np.ndarray, list[list[Answer]]]:
    """The rewards of n answers to each held-out prompt, "P n", and the answers."""
    prompts = prepared.held_prompts[:MOST_HELD]
    engine = LocalEngine(decoder, prepared.loaded.tokenizer, kv_memory=prepared.kv_memory)
    answers = draw(engine, prompts, n, sampling, [prepared.config.seed + i for i in range(len(prompts))])
    return np.array(rewarded(reward, prompts, answers)), answers


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Means with their intervals, before and after, and the paired gain."""
    named = {
        "reward of a greedy answer": ("greedy",), "reward of a sampled answer": ("sampled",),
        "chosen answer likelier": ("pairs", "likelier"), "margin in nats times beta": ("pairs", "margin"),
    }  # fmt: skip

    def at(found: Mapping[str, Any], path: tuple[str, ...]) -> Any:
        for key in path:
            found = found.get(key, {})
        return found

    return {
        name: {
            "before": bootstrap_mean(at(before, path))._asdict(), "after": bootstrap_mean(at(after, path))._asdict(),
            "gain": bootstrap_difference(at(after, path), at(before, path))._asdict(),
        }
        for name, path in named.items() if at(before, path)
    }  # fmt: skip
