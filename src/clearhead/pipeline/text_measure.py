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
from torch import Tensor, nn
from torch.func import functional_call

from clearhead.checkpoints import own
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.pipeline.context import Context
from clearhead.pipeline.recipe import memory_of
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.text_models import TextModel, continuations
from clearhead.pipeline.text_recipe import TextEvaluationConfig
from clearhead.text.packing import IGNORE_INDEX, Batch
from clearhead.text.protocol import Tokenizer
from clearhead.text.shards import Shards
from clearhead.text.subword import SubwordTokenizer
from clearhead.training.step import hidden_states, to_tensors

LOGITS = 1 << 24  # in memory at once
ROWS = 32
REACH_WINDOWS = 64  # of held-out text, from whose last loss a gradient is followed back


def measure_writers(context: Context) -> None:
    """Every model that predicts the next token and has no file yet."""
    recipe, run, tokenizer = context.run.text_recipe(), context.run, load_tokenizer(context.run)
    prompts, length = recipe.evaluation.prompts, recipe.pretrain.seq_len
    for kind in recipe.writers:
        path = run.evaluation / f"{kind}.json"
        if path.is_file():
            continue
        model = own.load_model(run.model(kind), context.device)
        written = continuations(model, tokenizer, recipe.evaluation, prompts, memory_of(recipe.kv_memory))
        found = {
            **measure(context, kind, model, tokenizer),
            "parameters": model.config.parameters,
            "reach": reach(model, Shards(context.run.tokens), length),
            "samples": [{"prompt": p, "text": text} for p, text in zip(prompts, written, strict=True)],
        }
        write_json(path, found)


@torch.no_grad()
def measure(context: Context, kind: str, model: TextModel, tokenizer: Tokenizer) -> dict[str, Any]:
    """The figures of one model on the held-out text."""
    recipe, shards = context.run.text_recipe(), Shards(context.run.tokens)
    length, config = recipe.pretrain.seq_len, recipe.evaluation
    rows = max(1, min(ROWS, LOGITS // (length * tokenizer.vocab_size)))
    sizes, sums, counts = token_bytes(tokenizer), np.zeros(length), np.zeros(length, np.int64)
    measured, every = batches(shards, rows, length, config)
    size = 0
    with context.progress(f"evaluation: {kind}", measured) as advance:
        for batch in islice(shards.windows("held", rows, length), 0, None, every):
            losses = token_losses(model, to_tensors(batch, context.device)).double().cpu().numpy()
            is_target = batch.targets != IGNORE_INDEX
            at = batch.positions[is_target]
            sums += np.bincount(at, losses[is_target], length)
            counts += np.bincount(at, minlength=length)
            size += int(sizes[batch.targets[is_target]].sum())
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


def token_losses(model: TextModel, batch: Any) -> Float[Tensor, "B T"]:
    """-log p of each target in nats, 0 where there is none. `batch` holds tensors."""
    logits = model.logits(hidden_states(model, batch)).float()
    return F.cross_entropy(logits.mT, batch.targets, ignore_index=IGNORE_INDEX, reduction="none")


def token_bytes(tokenizer: Tokenizer) -> Int[np.ndarray, "V"]:
    """How many bytes of UTF-8 each token spells; none for special tokens.

    >>> from clearhead.text.tokenizer import CharTokenizer
    >>> token_bytes(CharTokenizer("aé")).tolist()
    [0, 0, 1, 2]
    """
    ids = range(tokenizer.vocab_size)
    if isinstance(tokenizer, SubwordTokenizer):  # of which a token may be half a character
        return np.array([len(tokenizer.decode_bytes([i])) for i in ids])
    return np.array([len(tokenizer.decode([i]).encode("utf-8", "replace")) for i in ids])


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


def reach(model: TextModel, shards: Shards, length: int) -> list[dict[str, float]]:
    """How much of the last loss's gradient arrives at the token k places before: |d loss_T / d e_{T-k}| over k.

    e is the embedding that the model reads. The root of the mean square over windows, as a share of k = 0, the token
    that the last target follows; in stretches as in `by_position`. Pascanu, Mikolov and Bengio 2013, section 2.1.
    """
    windows = whole_windows(shards, length, REACH_WINDOWS)
    if windows is None:
        return []
    device = next(model.parameters()).device
    squares = np.zeros(length)
    for start in range(0, len(windows.tokens), ROWS // 4):
        part = Batch(*(array[start : start + ROWS // 4] for array in windows))
        g = embedding_gradient(model, to_tensors(part, device)).double().cpu().numpy()
        squares += (g**2).sum((0, 2))[::-1]  # k = 0 first
    if not squares[0] > 0:
        return []
    stretches = by_position(squares, np.ones(length, np.int64))
    return [{"distance": s["seen"] - 1, "share": math.sqrt(s["loss"] / squares[0])} for s in stretches]


def embedding_gradient(model: TextModel, batch: Any) -> Float[Tensor, "B T D"]:
    """d loss_T / d e_t of the last position T, row by row.

    The model reads a table in which every place of the batch is a token of its own, so any model will do.
    """
    rows = model.embed.weight.detach()[batch.tokens].flatten(0, 1).requires_grad_()
    places = torch.arange(len(rows), device=rows.device).view(batch.tokens.shape)
    hidden = functional_call(_Reader(model), {"model.embed.weight": rows}, (batch._replace(tokens=places),))
    loss = F.cross_entropy(model.logits(hidden[:, -1]), batch.targets[:, -1], reduction="sum")
    return torch.autograd.grad(loss, rows)[0].unflatten(0, batch.tokens.shape)


class _Reader(nn.Module):
    """A model that reads a batch, as `functional_call` wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> Tensor:
        return hidden_states(self.model, batch)


def whole_windows(shards: Shards, length: int, most: int) -> Batch | None:
    """Held-out windows that lie in one document and hold no padding, at most `most`; None if there is none."""
    found: list[Batch] = []
    for batch in shards.windows("held", ROWS, length):
        whole = (batch.segments == 1).all(1) & (batch.targets != IGNORE_INDEX).all(1)
        found.append(Batch(*(array[whole] for array in batch)))
        if sum(len(part.tokens) for part in found) >= most:
            break
    windows = Batch(*(np.concatenate(arrays)[:most] for arrays in zip(*found, strict=True)))
    return windows if len(windows.tokens) else None
