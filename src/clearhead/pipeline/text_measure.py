"""The evaluation of a language model: bits a byte of held-out text, the loss by position, and what it writes.

Held-out text is cut into windows of the training length and every token is predicted once, from what stands before it
in its window and in its document. Bits per byte are all nats over all bytes of the tokens that were predicted, the
ends of documents counted in the nats: a figure that does not depend on how the text was cut into tokens.
"""

import math
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.pipeline.rundir import write_json
from clearhead.pipeline.stages import load_policy, load_tokenizer
from clearhead.pipeline.text_recipe import TextEvaluationConfig
from clearhead.pipeline.text_stages import TextContext, continuations
from clearhead.text.packing import NO_TARGET
from clearhead.text.shards import Shards
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.training.step import to_tensors

LOGITS = 1 << 24  # in memory at once
ROWS = 32


def evaluation_stage(context: TextContext) -> None:
    recipe, run = context.recipe, context.run
    tokenizer, model = load_tokenizer(run), load_policy(run, context.device)
    found = measure(context, model, tokenizer)
    written = continuations(model, tokenizer, recipe.evaluation, recipe.evaluation.prompts)
    found["samples"] = [
        {"prompt": prompt, "text": text} for prompt, text in zip(recipe.evaluation.prompts, written, strict=True)
    ]
    write_json(run.evaluation / "decoder.json", found)


@torch.no_grad()
def measure(context: TextContext, model: Any, tokenizer: CharTokenizer | SubwordTokenizer) -> dict[str, Any]:
    """The figures of one model on the held-out text."""
    shards, length, config = context.shards(), context.recipe.pretrain.tokens, context.recipe.evaluation
    rows = max(1, min(ROWS, LOGITS // (length * tokenizer.vocab_size)))
    sizes, sums, counts = token_bytes(tokenizer), np.zeros(length), np.zeros(length, np.int64)
    measured, every = batches(shards, rows, length, config)
    size = 0
    with context.progress("evaluation", measured) as advance:
        for batch in islice(shards.windows("held", rows, length), 0, None, every):
            losses = token_losses(model, to_tensors(batch, context.device)).double().cpu().numpy()
            learned = batch.targets != NO_TARGET
            at = batch.positions[learned]
            sums += np.bincount(at, losses[learned], length)
            counts += np.bincount(at, minlength=length)
            size += int(sizes[batch.targets[learned]].sum())
            advance(1)
    nats, tokens = float(sums.sum()), int(counts.sum())
    if not math.isfinite(nats):
        raise UserError("the loss on held-out text is not a finite number; train again with a lower pretrain.lr")
    return {
        "nats": nats, "tokens": tokens, "bytes": size, "bits_per_byte": nats / math.log(2) / size,
        "loss": nats / tokens, "perplexity": math.exp(nats / tokens), "by_position": by_position(sums, counts),
    }  # fmt: skip


def batches(shards: Shards, rows: int, length: int, config: TextEvaluationConfig) -> tuple[int, int]:
    """How many batches are measured, and that it is every n-th, so that no more than the wanted tokens are."""
    there = -(-sum(-(-(tokens - 1) // length) for tokens in shards.index.held.shards) // rows)
    every = max(1, math.ceil(shards.index.held.tokens / config.tokens))
    return -(-there // every), every


def token_losses(model: Any, batch: Any) -> Float[Tensor, "B T"]:
    """-log p of each target in nats, 0 where there is none. `batch` holds tensors."""
    logits = model.logits(model(batch.tokens, batch.positions, causal_attend(batch.segments))).float()
    return F.cross_entropy(logits.mT, batch.targets, ignore_index=NO_TARGET, reduction="none")


def token_bytes(tokenizer: CharTokenizer | SubwordTokenizer) -> Int[np.ndarray, "V"]:
    """How many bytes of UTF-8 each token spells; none for special tokens.

    >>> token_bytes(CharTokenizer("aé")).tolist()
    [0, 0, 1, 2]
    """
    ids = range(tokenizer.vocab_size)
    if isinstance(tokenizer, CharTokenizer):
        return np.array([len(tokenizer.decode([i]).encode("utf-8", "replace")) for i in ids])
    return np.array([len(tokenizer.decode_bytes([i])) for i in ids])


def by_position(sums: Float[np.ndarray, "T"], counts: Int[np.ndarray, "T"]) -> list[dict[str, float]]:
    """The mean loss after so many tokens, in stretches that grow by the root of 2; `seen` is a stretch's mean place.

    >>> places = by_position(np.array([8.0, 6, 5, 9]), np.array([2, 2, 2, 4]))
    >>> [(place["seen"], round(place["loss"], 2)) for place in places]
    [(1.0, 4.0), (2.0, 3.0), (3.67, 2.33)]
    """
    bounds = sorted({min(len(sums), int(2 ** (i / 2))) for i in range(2 * len(sums).bit_length() + 2)} | {0})
    found = []
    for low, high in pairwise(bounds):
        n = int(counts[low:high].sum())
        if n:
            seen = float((np.arange(low, high) + 1) @ counts[low:high]) / n  # the token before the target counts
            found.append({"seen": round(seen, 2), "loss": float(sums[low:high].sum()) / n, "count": n})
    return found
