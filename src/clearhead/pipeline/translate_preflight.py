"""What a run that translates is about to do, and how long that takes here: a few steps of each model are tried."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch

from clearhead.errors import UserError
from clearhead.models.translator import Translator, new_translator
from clearhead.pipeline import translate_models as models
from clearhead.pipeline.pairs import split
from clearhead.pipeline.translate_recipe import SCHEDULED, TranslateRecipe
from clearhead.pipeline.translate_stages import fitting, pairs_of, tokenizer_for
from clearhead.text.pairs import PairStream
from clearhead.training.optim import Optimizer
from clearhead.training.scheduled_sampling import scheduled_loss
from clearhead.training.step import Gradients, language_model_loss

TRIED = 4  # steps of each model; the first is not counted
TOKENIZED = 20_000  # pairs that are enough to know how long they are


def facts(recipe: TranslateRecipe, device: torch.device) -> dict[str, Any]:
    """The pairs and the models, with the seconds that their training will take."""
    found = pairs_of(recipe.data, recipe.seed)
    kept, held = split(found.pairs, recipe.data.held_out)
    tokenizer = tokenizer_for(recipe, kept[:TOKENIZED])
    pairs = fitting(tokenizer, kept[:TOKENIZED], recipe.data.max_tokens)
    if not pairs:
        raise UserError(f"every pair is longer than data.max_tokens = {recipe.data.max_tokens} on a side; raise it")
    end = models.end_of(tokenizer)
    shape = models.shape_of(recipe, tokenizer.vocab_size, end)
    trained = {}
    for name in recipe.trained:
        model = new_translator(models.base_name(name), shape, recipe.seed).to(device)
        stream = PairStream(pairs, recipe.train.batch_size, recipe.seed)
        seconds = step_seconds(
            recipe, name, model, [models.batch_of(model, stream.batch(i), end) for i in range(TRIED)]
        )
        trained[name] = {"parameters": model.config.parameters, "seconds": seconds * recipe.train.steps}
    return {
        "pairs": len(kept), "held_out": len(held), "bad": found.bad, "duplicates": found.duplicates,
        "too_long": len(kept[:TOKENIZED]) - len(pairs), "looked_at": len(kept[:TOKENIZED]),
        "source_tokens": sum(len(pair.source) for pair in pairs) / len(pairs),
        "target_tokens": sum(len(pair.target) for pair in pairs) / len(pairs),
        "vocabulary": tokenizer.vocab_size, "models": trained,
        "seconds": sum(model["seconds"] for model in trained.values()),
    }  # fmt: skip


def step_seconds(recipe: TranslateRecipe, name: str, model: Translator, batches: Sequence[Any]) -> float:
    """A step's time on this machine, the median of a few."""
    config = recipe.train
    loss = scheduled_loss if name.endswith(SCHEDULED) else language_model_loss
    gradients = Gradients(model, loss, torch.float32, compiled=False)
    optimizer = Optimizer(model, config.optimizer, config.lr, config.adam_lr, config.weight_decay)
    taken = []
    for step, batch in enumerate(batches):
        started = time.perf_counter()
        _, found = gradients([batch] * config.accumulate)
        optimizer.step(found, step + 1, 0.0)
        taken.append(time.perf_counter() - started)
    return median(taken[1:])


def lines(told: Mapping[str, Any]) -> list[str]:
    """The same for a person."""
    found = [
        f"pairs: {told['pairs']:,} to train on, {told['held_out']:,} held out; {told['source_tokens']:.0f} tokens of "
        f"source and {told['target_tokens']:.0f} of target in the mean, {told['vocabulary']:,} in the vocabulary"
    ]
    left_out = {"have an empty side": told["bad"], "are there twice": told["duplicates"]}
    found += [f"pairs: {count:,} {what} and are left out" for what, count in left_out.items() if count]
    if told["too_long"]:
        found.append(f"pairs: {told['too_long']:,} of {told['looked_at']:,} are longer than data.max_tokens")
    for name, model in told["models"].items():
        found.append(f"{name}: {model['parameters']:,} parameters, {minutes(model['seconds'])} of training")
    return [*found, f"time on this machine: {minutes(told['seconds'])}, and then the evaluation"]


def minutes(seconds: float) -> str:
    """
    >>> minutes(44), minutes(150)
    ('44 s', '2.5 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
