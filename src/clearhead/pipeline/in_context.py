"""The stage that puts search into the model: it learns from what its rollouts tried how to search within one text.

First by supervised fine-tuning on traces (alignment.traces), then, where the recipe says a method, from its own
searches by reward. It leaves in_context.safetensors, which the strategy "in-context" asks; the policy stays as it was.
"""

import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from clearhead.alignment.traces import InContextConfig, explored, trace
from clearhead.checkpoints import own
from clearhead.errors import UserError
from clearhead.models.decoder import Decoder
from clearhead.nn.lora import merge
from clearhead.pipeline import pretrained
from clearhead.pipeline.context import Context
from clearhead.pipeline.data import Solved, encode
from clearhead.pipeline.learn import KEPT, learn
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.stages import HELD_OUT_PROBLEMS, first_try, read_rollouts
from clearhead.text.packing import Document, PackedStream
from clearhead.text.prompt_format import IN_CONTEXT, join_steps
from clearhead.text.protocol import Tokenizer
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import JsonlLog
from clearhead.training.loop import TrainConfig, train

TRIES = 20  # traces of one problem that are drawn for one that fits


def in_context_stage(context: Context) -> None:
    """Nothing, where the recipe gives it no steps, or a kill came after the last of them."""
    recipe, run = context.recipe, context.run
    if not recipe.in_context.steps or run.searcher.is_file():
        return
    tasks, tokenizer = context.tasks(), context.tokenizer()
    taught = run.path / "in_context.taught.safetensors"
    if not taught.is_file():
        decoder = imitate(context, tokenizer)
        checkpoint.save(taught, decoder.state_dict(), {"model": asdict(decoder.config)})
    decoder = own.load_file(taught).to(context.device).requires_grad_(False).eval()
    if recipe.in_context_align.method != "none":
        decoder = learn(
            context, recipe.in_context_align, "in_context_align", tasks, tokenizer, taught, decoder, IN_CONTEXT
        )
    checkpoint.save(run.searcher, decoder.state_dict(), {"model": asdict(decoder.config)})
    for path in (taught, run.path / KEPT):
        with suppress(FileNotFoundError):
            path.unlink()


def imitate(context: Context, tokenizer: Tokenizer) -> Decoder:
    """The policy after it has learned to write the searches that its rollouts tell of."""
    recipe, run, tasks = context.recipe, context.run, context.tasks()
    decoder = with_room(own.load_decoder(run.path, context.device), recipe)
    if recipe.base:
        pretrained.make_trainable(decoder, recipe, recipe.seed)
    config = training(recipe.in_context, decoder.config.max_positions, recipe.seed)
    stream = traces(context, tokenizer, config)
    asked = {name: task.problems("valid", HELD_OUT_PROBLEMS, recipe.seed) for name, task in tasks.items()}

    def on_eval(model: Any, step: int) -> Mapping[str, Any]:
        return first_try(model, tokenizer, tasks, asked, config.seq_len, recipe.kv_bytes, IN_CONTEXT)

    with context.watch("search in one text") as watch:
        train(
            config, decoder, stream.batch, pretrained.loss_of(recipe), log=JsonlLog(run.log("in_context")),
            checkpoint=run.checkpoint("in_context"), callbacks=[watch], on_eval=on_eval,
        )  # fmt: skip
    merge(decoder)
    return decoder


def traces(context: Context, tokenizer: Tokenizer, config: TrainConfig) -> PackedStream:
    """Rows of searches, each drawn anew from what was explored of a problem; those too long for a row left out."""
    trees = explored(read_rollouts(context.run))

    def draw(rng: random.Random) -> Document:
        for _ in range(TRIES * len(trees)):
            tree = rng.choice(trees)
            if lines := trace(tree, rng):
                document = encode(tokenizer, Solved(IN_CONTEXT.prompt(tree.problem), join_steps(lines)))
                if len(document.prompt) + len(document.solution) <= config.seq_len:
                    return document
        raise UserError(
            f"no search of the rollouts fits in_context.tokens = {config.seq_len} tokens; raise it, or set "
            "in_context.steps = 0"
        )

    if not trees:
        raise UserError("in_context: the rollouts solve no problem, so there is no search to learn; train longer first")
    return PackedStream(draw, config.batch_size, config.seq_len, config.seed)


def training(config: InContextConfig, length: int, seed: int) -> TrainConfig:
    return TrainConfig(
        steps=config.steps, batch_size=config.batch_size, seq_len=min(config.tokens, length), lr=config.lr,
        adam_lr=config.adam_lr, weight_decay=config.weight_decay, warmup=min(config.warmup, config.steps - 1),
        eval_every=config.eval_every, save_every=config.save_every, seed=seed,
    )  # fmt: skip


def with_room(decoder: Decoder, recipe: Recipe) -> Decoder:
    """The same weights with as much room as a search may take, its problem included.

    Where that is more than the policy had, the base of rotary positions grows with it, so that a text as long turns no
    channel further than before (Xiong et al. 2023, "adjusted base frequency"); the weights learn to read it so. A
    checkpoint that the run started from has the room that it has, and never more.
    """
    shape, room = decoder.config, recipe.in_context.tokens
    if room == shape.max_positions or (room > shape.max_positions and recipe.base):
        return decoder
    if shape.positions == "learned":
        raise UserError(
            f"in_context.tokens = {room}: learned positions are those of model.max_positions = {shape.max_positions}; "
            "set it to that, or model.positions = 'rotary'"
        )
    theta = shape.rope_theta * max(1.0, room / shape.max_positions)
    fitted = Decoder(replace(shape, max_positions=room, rope_theta=theta))
    fitted.load_state_dict(decoder.state_dict())
    return fitted.to(next(decoder.parameters()).device)
