"""The evaluation of models that translate: how good on held-out pairs, by length and by position, and how fast.

A loss is that of teacher forcing: every token is predicted after the true ones before it. A translation is free
running: after the model's own. The difference by position is exposure bias (Ranzato et al. 2016).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float

from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.models.attention_weights import attention_weights
from clearhead.models.decoder import Decoder
from clearhead.models.translator import Translator, attends
from clearhead.pipeline import translate_models as models
from clearhead.pipeline.context import Context
from clearhead.pipeline.recipe import memory_of
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.translate_stages import load_pairs, most_tokens
from clearhead.reasoning.statistics import wilson
from clearhead.text.packing import IGNORE_INDEX
from clearhead.text.pairs import Pair
from clearhead.text.protocol import Tokenizer
from clearhead.training.step import hidden_states, to_tensors

PACKAGE = "sacrebleu"
SACREBLEU = "BLEU and chrF need sacrebleu, which is not installed: pip install 'clearhead[translate]'"
LENGTHS = 6  # stretches of source lengths
ROWS = 64
READABLE = 24  # tokens of a source whose alignment is drawn


def evaluation_stage(context: Context) -> None:
    """Every model that has no file yet."""
    recipe, run, tokenizer = context.run.translate_recipe(), context.run, load_tokenizer(context.run)
    config = recipe.evaluation
    held = spread(load_pairs(run, "held"), config.pairs)
    if find_spec(PACKAGE) is None:
        context.say(SACREBLEU)
    for name in recipe.trained:
        path = run.evaluation / f"{name}.json"
        if path.is_file():
            continue
        model = models.load(run.translator(name), context.device)
        coverage = config.coverage_penalty if attends(model) else 0.0
        search = models.Search(config.beams, config.length_penalty, coverage)
        with context.progress(f"evaluation: {name}", 2 * len(held)) as advance:
            found = measure(model, tokenizer, held, search, memory_of(recipe.kv_memory), advance)
        found["examples"] = examples(model, tokenizer, held, config.examples, memory_of(recipe.kv_memory))
        write_json(path, found)


def spread(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """At most so many, evenly from all."""
    return [pairs[round(at)] for at in np.linspace(0, len(pairs) - 1, min(most, len(pairs)))]


def measure(
    model: Translator,
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    search: models.Search,
    kv_memory: int | None,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """The figures of one model on these pairs."""
    forced = teacher_forced(model, pairs, models.end_of(tokenizer))
    references = [tokenizer.decode(pair.target) for pair in pairs]
    sources = [pair.source for pair in pairs]
    ways: dict[str, Any] = {}
    said: dict[str, list[models.Translation]] = {}
    for way, how in (("greedy", models.Search()), ("beam", search)):
        started = time.perf_counter()
        said[way] = models.translate(model, tokenizer, sources, how, most_tokens, kv_memory, advance)
        seconds = time.perf_counter() - started
        texts = [translation.text for translation in said[way]]
        written = sum(len(translation.tokens) + translation.ended for translation in said[way])
        ways[way] = {
            **scores(texts, references), "seconds": seconds, "tokens_per_second": written / seconds,
            "unfinished": sum(not translation.ended for translation in said[way]),
        }  # fmt: skip
    free = [
        wrong([*(token.id for token in translation.tokens)], translation.ended, pair.target)
        for translation, pair in zip(said["greedy"], pairs, strict=True)
    ]
    tokens = sum(len(losses) for losses in forced.losses)
    return {
        "parameters": model.config.parameters, "pairs": len(pairs), "tokens": tokens,
        "loss": float(sum(losses.sum() for losses in forced.losses)) / tokens, **ways,
        "by_length": by_length(pairs, forced.losses, said["beam"], references),
        "by_position": by_position(forced.wrong, free),
    }  # fmt: skip


class Forced(NamedTuple):
    """Of each pair, for every token of the target and its end: the loss in nats, and whether the argmax was wrong."""

    losses: list[Float[np.ndarray, "T"]]
    wrong: list[Bool[np.ndarray, "T"]]


@torch.no_grad()
def teacher_forced(model: Translator, pairs: Sequence[Pair], end: int) -> Forced:
    """UserError where a loss is no number."""
    device = next(model.parameters()).device
    losses: list[Float[np.ndarray, "T"]] = []
    errors: list[Bool[np.ndarray, "T"]] = []
    for at in range(0, len(pairs), ROWS):
        batch = to_tensors(models.batch_of(model, pairs[at : at + ROWS], end), device)
        logits = model.logits(hidden_states(model, batch)).float()
        loss = F.cross_entropy(logits.mT, batch.targets, ignore_index=IGNORE_INDEX, reduction="none")
        missed = logits.argmax(-1) != batch.targets
        for row, learned in enumerate(batch.targets != IGNORE_INDEX):
            losses.append(loss[row, learned].double().cpu().numpy())
            errors.append(missed[row, learned].cpu().numpy())
    if not all(np.isfinite(part).all() for part in losses):
        raise UserError("the loss on held-out pairs is not a finite number; train again with a lower train.adam_lr")
    return Forced(losses, errors)


def wrong(tokens: Sequence[int], ended: bool, target: Sequence[int]) -> Bool[np.ndarray, "T"]:
    """Whether each token of the target, and its end, was not what stands there.

    >>> wrong([7, 8], True, [7, 9, 9]).tolist(), wrong([7], True, [7]).tolist()
    ([False, True, True, True], [False, False])
    """
    end = -1
    said = [*tokens, end] if ended else list(tokens)
    wanted = [*target, end]
    return np.array([i >= len(said) or said[i] != token for i, token in enumerate(wanted)])


def scores(texts: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """The share that is exactly the reference, with its interval, and BLEU and chrF where sacrebleu is installed.

    Post 2018; Papineni et al. 2002; Popović 2015.
    """
    exact = wilson(sum(a == b for a, b in zip(texts, references, strict=True)), len(texts))
    found: dict[str, Any] = {"exact": exact._asdict()}
    if find_spec(PACKAGE):
        sacrebleu = import_module(PACKAGE)
        for name, metric in (("bleu", sacrebleu.BLEU()), ("chrf", sacrebleu.CHRF())):
            found[name] = metric.corpus_score(list(texts), [list(references)]).score
            found[f"{name}_signature"] = str(metric.get_signature())
    return found


def by_length(
    pairs: Sequence[Pair],
    losses: Sequence[Float[np.ndarray, "T"]],
    said: Sequence[models.Translation],
    references: Sequence[str],
) -> list[dict[str, Any]]:
    """Loss and scores of sources of about one length, in stretches that hold as many pairs each."""
    order = np.argsort([len(pair.source) for pair in pairs], kind="stable")
    found = []
    for part in np.array_split(order, min(LENGTHS, len(pairs))):
        some = part.tolist()
        lengths = [len(pairs[i].source) for i in some]
        tokens = sum(len(losses[i]) for i in some)
        found.append({
            "low": min(lengths), "high": max(lengths), "length": sum(lengths) / len(some), "pairs": len(some),
            "loss": float(sum(losses[i].sum() for i in some)) / tokens,
            **without_signatures(scores([said[i].text for i in some], [references[i] for i in some])),
        })  # fmt: skip
    return found


def without_signatures(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if not key.endswith("signature")}


def by_position(
    forced: Sequence[Bool[np.ndarray, "T"]], free: Sequence[Bool[np.ndarray, "T"]]
) -> list[dict[str, float]]:
    """The share of wrong tokens after the true ones and after the model's own, in stretches that grow by the root of 2.

    >>> found = by_position([np.array([True, False])], [np.array([True, True])])
    >>> [(place["position"], place["forced"], place["free"]) for place in found]
    [(1.0, 1.0, 1.0), (2.0, 0.0, 1.0)]
    """
    longest = max(map(len, forced))
    sums, counts = np.zeros((2, longest)), np.zeros(longest, np.int64)
    for rows in zip(forced, free, strict=True):
        counts[: len(rows[0])] += 1
        for kind, row in enumerate(rows):
            sums[kind, : len(row)] += row
    bounds = sorted({min(longest, int(2 ** (i / 2))) for i in range(2 * longest.bit_length() + 2)} | {0})
    found = []
    for low, high in pairwise(bounds):
        n = int(counts[low:high].sum())
        shares = sums[:, low:high].sum(1) / n
        position = float((np.arange(low, high) + 1) @ counts[low:high]) / n
        found.append({"position": position, "forced": float(shares[0]), "free": float(shares[1]), "count": n})
    return found


def examples(
    model: Translator, tokenizer: Tokenizer, pairs: Sequence[Pair], most: int, kv_memory: int | None
) -> list[dict[str, Any]]:
    """Some translations from the shortest source to the longest, and what each word looked at where that is short."""
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i].source))
    places = sorted({round(at) for at in np.linspace(0, len(order) - 1, most)})
    chosen = [pairs[order[at]] for at in places]
    said = models.translate(model, tokenizer, [pair.source for pair in chosen], models.Search(), most_tokens, kv_memory)
    found = []
    for pair, translation in zip(chosen, said, strict=True):
        ids = [token.id for token in translation.tokens]
        found.append({
            "source": tokenizer.decode(pair.source), "reference": tokenizer.decode(pair.target),
            "translation": translation.text,
            "alignment": alignment(model, tokenizer, pair.source, ids) if len(pair.source) <= READABLE else None,
        })  # fmt: skip
    return found


@torch.no_grad()
def alignment(
    model: Translator, tokenizer: Tokenizer, source: Sequence[int], target: Sequence[int]
) -> dict[str, Any] | None:
    """How each written token, and the end, looked at the source: the weights of the attention between the two."""
    target = target[: 2 * READABLE]
    weights = source_weights(model, source, target, models.end_of(tokenizer))
    if weights is None:
        return None
    spelled = [[tokenizer.decode([i]) for i in ids] for ids in (source, target)]
    return {"source": spelled[0], "target": [*spelled[1], ""], "weights": weights.round(4).tolist()}


def source_weights(
    model: Translator, source: Sequence[int], target: Sequence[int], end: int
) -> Float[np.ndarray, "T S"] | None:
    """The model's own weights; of a decoder, its last layer's heads' mean on the source's part of the text."""
    S, device = len(source), next(model.parameters()).device
    if isinstance(model, Decoder):
        layer = attention_weights(model, [*source, end, *target])[-1].mean(0)
        return np.asarray(layer[S:, :S].float().cpu().numpy())
    row = torch.tensor([list(source)], device=device)
    mask = torch.ones_like(row, dtype=torch.bool)
    memory, state = model.encode(row, mask)
    weights = model.read(torch.tensor([[model.config.start, *target]], device=device), state, memory, mask).weights
    return None if weights is None else np.asarray(weights[0].float().cpu().numpy())
