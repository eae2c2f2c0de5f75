"""A run's policy learns from its own answers, by the one training loop: what is trained, how long, what is told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clearhead.alignment.methods import AlignConfig, in_parts
from clearhead.alignment.policy_gradient import ActorCritic, policy_of
from clearhead.alignment.rounds import Rounds, loss_of
from clearhead.checkpoints import own
from clearhead.doctor.checkup import round_lines
from clearhead.models.decoder import Decoder
from clearhead.nn.lora import merge
from clearhead.pipeline import pretrained
from clearhead.pipeline.context import Context
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rewards import HOLDERS, environment, most
from clearhead.pipeline.stages import first_try
from clearhead.tasks.task import Task
from clearhead.text.prompt_format import IN_STEPS, Form
from clearhead.text.protocol import Tokenizer
from clearhead.training.jsonl_log import Event, JsonlLog, read
from clearhead.training.loop import TrainConfig, train
from clearhead.training.step import compute_dtype

SCRATCH_LR, FULL_LR, LORA_LR = 2e-4, 1e-5, 2e-4  # AdamW's, by what is trained
FALLS = 0.7  # share of the steps before the learning rate falls
WATCHED = 200  # held-out problems of each task, at most
KEPT = "align.round.safetensors"


def learn(
    context: Context, config: AlignConfig, name: str, tasks: Mapping[str, Task], tokenizer: Tokenizer,
    start: Path, reference: Decoder, form: Form = IN_STEPS,
) -> Decoder:  # fmt: skip
    """What the policy of the file `start` becomes; its record and checkpoint are called `name`."""
    recipe, run = context.recipe, context.run
    length = recipe.reward.seq_len if form == IN_STEPS else reference.config.max_positions
    texts, written = config.problems * config.samples // config.minibatches, min(most(recipe, form), length)
    config = in_parts(config, reference.config, texts, length, written)
    model, log = trainable(start, recipe, config, context.device), JsonlLog(run.log(name))
    rounds = Rounds(
        config, environment(context, config, tasks, tokenizer, model, form), tokenizer, model, reference, length,
        recipe.seed, compute_dtype("auto", context.device), log, run.path / KEPT,
        recipe.kv_part(HOLDERS),
    )  # fmt: skip
    loss, warned = loss_of(config), set[str]()
    asked = {key: task.problems("valid", WATCHED, recipe.seed) for key, task in tasks.items()}

    def on_eval(trained: Any, step: int) -> Mapping[str, Any]:
        found = first_try(
            policy_of(trained), tokenizer, tasks, asked, most(recipe, form), recipe.kv_part(HOLDERS), form
        )
        told = rounds_of(log)
        if told:
            context.say(round_line(told[-1], found["first_try"]))
        for name, line in round_lines(told).items():
            if name not in warned:
                context.say(f"align: {line}")
                warned.add(name)
        return found

    def note(event: Event) -> None:
        if event["kind"] == "step" and (numbers := loss.drain()):
            log.emit("learned", step=event["step"], **numbers)

    with context.watch(f"align, {config.learns.label}") as watch:
        train(
            training(config, recipe), model, rounds.batch, loss, checkpoint=run.checkpoint(name), log=log,
            callbacks=[watch, note], on_eval=on_eval, prefetch=0,
        )  # fmt: skip
    decoder: Decoder = policy_of(model)
    merge(decoder)
    return decoder.eval()


def training(config: AlignConfig, recipe: Recipe) -> TrainConfig:
    """The steps of all rounds. A checkpoint is written where a round ends, so that none is ever begun twice."""
    steps = config.rounds * config.updates
    lr = config.lr or (SCRATCH_LR if not recipe.base else FULL_LR if recipe.full else LORA_LR)
    return TrainConfig(
        steps=steps, batch_size=1, seq_len=recipe.reward.seq_len, optimizer="adamw", lr=lr, adam_lr=lr,
        weight_decay=config.weight_decay, warmup=min(config.warmup, steps - 1), decay_start=FALLS, clip=config.clip,
        accumulate=config.accumulate, eval_every=config.eval_every * config.updates,
        save_every=config.save_every * config.updates, compile="off", seed=recipe.seed,
    )  # fmt: skip


def trainable(file: Path, recipe: Recipe, config: AlignConfig, device: torch.device) -> Any:
    """The policy, and a critic of the same start beside it where the method has one."""

    def loaded(seed: int) -> Decoder:
        decoder = own.load_file(file).to(device)
        if recipe.base:
            pretrained.make_trainable(decoder, recipe, seed)
        return decoder

    policy = loaded(recipe.seed)
    return ActorCritic(policy, loaded(recipe.seed + 1)).to(device) if config.critic else policy


def rounds_of(log: JsonlLog) -> list[dict[str, Any]]:
    return [event for event in read(log.path) if event["kind"] == "round"] if log.path.is_file() else []


def round_line(told: Mapping[str, Any], accuracy: float) -> str:
    truth = f", really right {told['truth']:.0%}" if "truth" in told else ""
    return (
        f"align, round {told['round'] + 1}: reward {told['reward']:.3f}{truth}, held-out first try {accuracy:.0%}, "
        f"KL {told['kl']:.2f} nats an answer, entropy {told['entropy']:.3f} nats a token, {told['length']:.0f} tokens"
    )
