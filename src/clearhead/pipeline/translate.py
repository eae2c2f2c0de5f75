"""Sentences translated by the models of a run, side by side."""

import time
from collections.abc import Sequence
from typing import Any

import torch

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.models.translator import attends
from clearhead.pipeline import translate_models as models
from clearhead.pipeline.recipe import memory_of
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.translate_stages import most_tokens


def side_by_side(
    run: RunDir, texts: Sequence[str], names: Sequence[str], search: models.Search, device: torch.device
) -> dict[str, dict[str, Any]]:
    """Of each model, all that it makes of the texts and the seconds for it; `names` empty: of all that are trained."""
    recipe, tokenizer = run.translate_recipe(), load_tokenizer(run)
    there = [name for name in recipe.trained if run.translator(name).is_file()]
    if not there:
        raise UserError(f"{run.path} has no trained model yet; go on with: {run.resume_command}")
    if wrong := [name for name in names if name not in there]:
        raise UserError(f"{run.path} has no model {wrong[0]!r}{nearest(wrong[0], there)}; it has {', '.join(there)}")
    sources = [tokenizer.encode(" ".join(text.split())) for text in texts]
    for text, source in zip(texts, sources, strict=True):
        if not source:
            raise UserError("an empty sentence cannot be translated; give one with a word in it")
        if len(source) > 2 * recipe.data.max_tokens:
            raise UserError(
                f"{text:.40}... is {len(source)} tokens long, and these models read {2 * recipe.data.max_tokens} at "
                "most; shorten it"
            )
    found = {}
    for name in names or there:
        model = models.load(run.translator(name), device)
        how = search if attends(model) else search._replace(coverage_penalty=0.0)
        started = time.perf_counter()
        said = models.translate(model, tokenizer, sources, how, most_tokens, memory_of(recipe.kv_memory))
        found[name] = {
            "translations": [translation.text for translation in said],
            "log_p": [sum(token.logprob for token in translation.tokens) for translation in said],
            "finished": [translation.ended for translation in said],
            "coverage_penalty": how.coverage_penalty, "seconds": time.perf_counter() - started,
        }  # fmt: skip
    return found
