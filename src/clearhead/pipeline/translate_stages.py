"""The stages of a run that translates: pairs as tokens, then each model trained on the same ones.

The files of pairs are read once; what the later stages need of them is in the run directory.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch

from clearhead.checkpoints import own
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.models.translator import new_translator
from clearhead.pipeline import translate_models as models
from clearhead.pipeline.context import Context
from clearhead.pipeline.pairs import FoundPairs, TextPair, read_pairs, split
from clearhead.pipeline.recipe import memory_of
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.text_stages import given_tokenizer
from clearhead.pipeline.translate_recipe import SCHEDULED, PairDataConfig, TranslateRecipe
from clearhead.text.number_words import number_pairs
from clearhead.text.pairs import Pair, PairStream
from clearhead.text.protocol import Tokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.text.training import interruptible, train_tokenizer
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import JsonlLog
from clearhead.training.loop import train
from clearhead.training.scheduled_sampling import scheduled_loss
from clearhead.training.step import language_model_loss

WATCHED = 8  # batches of held-out pairs that are tried while training


def check(recipe: TranslateRecipe) -> None:
    """What can be told before a run directory is made."""
    for path in recipe.data.paths:
        if not path.is_file():
            raise UserError(f"{path} is no file; name a file of pairs, or two files that are line by line a pair")
    if recipe.tokenizer.path:
        given_tokenizer(recipe.tokenizer.path)


def pairs_of(data: PairDataConfig, seed: int) -> FoundPairs:
    """The pairs of the files, or made ones."""
    if data.paths:
        return read_pairs(data.paths, data.source, data.target, data.skip_bad)
    made = dict.fromkeys(TextPair(*pair) for pair in number_pairs(data.pairs, data.longest, seed))
    return FoundPairs(list(made), 0, data.pairs - len(made))


def pairs_stage(context: Context) -> None:
    """Read or make the pairs, hold some out, learn the tokenizer, and keep all as tokens."""
    recipe, run = context.run.translate_recipe(), context.run
    found = pairs_of(recipe.data, recipe.seed)
    kept, held = split(found.pairs, recipe.data.held_out)
    tokenizer = tokenizer_for(recipe, kept)
    own.save_tokenizer(run.path, tokenizer)
    sides = [fitting(tokenizer, side, recipe.data.max_tokens) for side in (kept, held)]
    long = len(found.pairs) - sum(map(len, sides))
    if not all(sides):
        raise UserError(
            f"every {'held-out' if sides[0] else 'training'} pair is longer than data.max_tokens = "
            f"{recipe.data.max_tokens} on a side; raise it"
        )
    checkpoint.save(run.pairs, {**_packed("train", sides[0]), **_packed("held", sides[1])}, {})
    told = {
        "train": len(sides[0]), "held_out": len(sides[1]), "bad": found.bad, "duplicates": found.duplicates,
        "too_long": long, "vocabulary": tokenizer.vocab_size,
        "source_tokens": sum(len(pair.source) for pair in sides[0]),
        "target_tokens": sum(len(pair.target) for pair in sides[0]),
    }  # fmt: skip
    write_json(run.pairs_told, told)
    context.say(f"pairs: {told['train']:,} to train on, {told['held_out']:,} held out; {tokenizer.vocab_size} tokens")
    for count, what in (
        (found.bad, "had an empty side"), (found.duplicates, "were there before"),
        (long, f"are longer than data.max_tokens = {recipe.data.max_tokens}"),
    ):  # fmt: skip
        if count:
            context.say(f"pairs: {count:,} {what} and are left out")


def tokenizer_for(recipe: TranslateRecipe, pairs: Sequence[TextPair]) -> Tokenizer:
    """One for both languages, learned from the training pairs, or the one that is named."""
    config = recipe.tokenizer
    if config.path:
        return given_tokenizer(config.path)
    texts = chain.from_iterable(pairs)
    if config.kind == "char":
        return CharTokenizer.train(texts, byte_fallback=True)
    return interruptible(partial(train_tokenizer, "bpe", texts, config.vocab))


def fitting(tokenizer: Tokenizer, pairs: Sequence[TextPair], most: int) -> list[Pair]:
    """The pairs as tokens, those with more than `most` on a side left out."""
    sources, targets = (tokenizer.encode_many([pair[side] for pair in pairs]) for side in (0, 1))
    return [
        Pair(source, target)
        for source, target in zip(sources, targets, strict=True)
        if 0 < len(source) <= most and 0 < len(target) <= most
    ]


def _packed(name: str, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
    """Ids one pair after the other, and where each ends."""
    found = {}
    for side in Pair._fields:
        texts = [getattr(pair, side) for pair in pairs]
        found[f"{name}.{side}.ids"] = torch.tensor(list(chain.from_iterable(texts)), dtype=torch.int32)
        found[f"{name}.{side}.ends"] = torch.tensor(np.cumsum([len(text) for text in texts]))
    return found


def load_pairs(run: RunDir, name: str) -> list[Pair]:
    """The pairs to "train" on, or those that are "held" out."""
    tensors, _ = checkpoint.load(run.pairs)

    def texts(side: str) -> Iterator[list[int]]:
        ids, start = tensors[f"{name}.{side}.ids"].tolist(), 0
        for end in tensors[f"{name}.{side}.ends"].tolist():
            yield ids[start:end]
            start = end

    return [Pair(*sides) for sides in zip(texts("source"), texts("target"), strict=True)]


def log_name(name: str) -> str:
    """What the log and the checkpoint of a training are called."""
    return f"train-{name}"


def train_stage(context: Context) -> None:
    """Train each model on the same pairs."""
    recipe, run = context.run.translate_recipe(), context.run
    waiting = [name for name in recipe.trained if not run.translator(name).is_file()]
    pairs, held = (load_pairs(run, name) if waiting else [] for name in ("train", "held"))
    run.translator("").parent.mkdir(exist_ok=True)
    for name in waiting:
        train_one(context, name, pairs, held)


def train_one(context: Context, name: str, pairs: Sequence[Pair], held: Sequence[Pair]) -> None:
    """One model, with its held-out loss and a translation now and then."""
    recipe, run, tokenizer = context.run.translate_recipe(), context.run, load_tokenizer(context.run)
    end = models.end_of(tokenizer)
    shape = models.shape_of(recipe, tokenizer.vocab_size, end)
    model = new_translator(models.base_name(name), shape, recipe.seed).to(context.device)
    scheduled, rows = name.endswith(SCHEDULED), recipe.train.batch_size
    stream = PairStream(pairs, rows, recipe.seed)

    def batch(step: int) -> Any:
        return models.batch_of(model, stream.batch(step), end, recipe.sampled_at(step) if scheduled else 0.0)

    def on_eval(trained: Any, step: int) -> Mapping[str, Any]:
        source = held[0].source
        (said,) = models.translate(
            trained, tokenizer, [source], models.Search(), most_tokens, memory_of(recipe.kv_memory)
        )
        return {"sample": f"{tokenizer.decode(source)} -> {said.text}"}

    watched = [
        models.batch_of(model, held[at : at + rows], end) for at in range(0, min(len(held), WATCHED * rows), rows)
    ]
    with context.watch(name) as watch:
        train(
            recipe.train, model, batch, scheduled_loss if scheduled else language_model_loss,
            checkpoint=run.checkpoint(log_name(name)), log=JsonlLog(run.log(log_name(name))), callbacks=[watch],
            held_out=watched, on_eval=on_eval,
        )  # fmt: skip
    models.save(run.translator(name), model)


def most_tokens(source: int) -> int:
    """How long the translation of so many tokens may become."""
    return 2 * source + 16
