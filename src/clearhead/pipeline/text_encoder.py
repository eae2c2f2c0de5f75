"""The encoder of a run on text: trained to fill in masked tokens, measured so, and left as a BERT's folder.

It reads the run's own tokens and one more, the mask, whose id is the vocabulary's size.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from torch import nn

from clearhead.checkpoints.embedder import LENGTHS, MODULES
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.formats import safetensors
from clearhead.kernels.attention import bidirectional_attend
from clearhead.models import bert
from clearhead.models.encoder import Encoder
from clearhead.pipeline.context import Context
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.text_measure import batches
from clearhead.pipeline.text_models import log_name
from clearhead.text.char_export import as_subword
from clearhead.text.packing import IGNORE_INDEX, Batch
from clearhead.text.protocol import Tokenizer
from clearhead.text.shards import Shards
from clearhead.text.tokenizer import CharTokenizer
from clearhead.training.jsonl_log import JsonlLog
from clearhead.training.loop import train
from clearhead.training.masked import mask_tokens, masked_loss
from clearhead.training.step import to_tensors

KIND, MASK = "encoder", "[MASK]"
HELD = 1 << 40  # where the numbers of held-out batches begin, so that they are masked as no batch of training is
FILLED = 3  # windows shown with their gaps
AROUND = 12  # tokens shown to each side of a gap
ROWS = 32


@dataclass(frozen=True)
class Masker:
    """Hides tokens of batches, each batch by its number and the seed alone."""

    vocab: int
    end_id: int
    seed: int

    def __call__(self, batch: Batch, number: int) -> Batch:
        rng = np.random.default_rng([self.seed % (1 << 63), number])
        return mask_tokens(batch, self.vocab, self.vocab, rng, special=frozenset({self.end_id}))


def masker(context: Context, tokenizer: Tokenizer) -> Masker:
    assert tokenizer.end_id is not None
    return Masker(tokenizer.vocab_size, tokenizer.end_id, context.run.text_recipe().seed)


def pretrain_encoder(context: Context, held: list[Batch]) -> None:
    """Train it on the windows that the other kinds read, and leave it in its folder. `held` are held-out windows."""
    recipe, run, tokenizer = context.run.text_recipe(), context.run, load_tokenizer(context.run)
    shards, config, hide = Shards(run.tokens), recipe.pretrain, masker(context, tokenizer)
    model = Encoder(recipe.encoder(tokenizer.vocab_size + 1), seed=recipe.seed).to(context.device)
    watched = [hide(batch, HELD + i) for i, batch in enumerate(held)]

    def batch(step: int) -> Batch:
        return hide(shards.batch(config.batch_size, config.seq_len, recipe.seed, step), step)

    def on_eval(model: nn.Module, step: int) -> Mapping[str, Any]:
        assert isinstance(model, Encoder)
        return {"sample": next(iter(filled_in(model, tokenizer, watched[0])), {"text": ""})["text"]}

    name = log_name(KIND)
    with context.watch(KIND) as watch:
        train(
            config, model, batch, masked_loss, checkpoint=run.checkpoint(name), log=JsonlLog(run.log(name)),
            callbacks=[watch], held_out=watched, on_eval=on_eval,
        )  # fmt: skip
    write_folder(run.encoder, model, tokenizer)


@torch.no_grad()
def measure_encoder(context: Context, model: Encoder, tokenizer: Tokenizer) -> dict[str, Any]:
    """The loss on hidden tokens of held-out text, and how many are told right; some gaps with what it put there."""
    recipe, shards, hide = context.run.text_recipe(), Shards(context.run.tokens), masker(context, tokenizer)
    length = recipe.pretrain.seq_len
    there, every = batches(shards, ROWS, length, recipe.evaluation)
    nats, right, count, shown = 0.0, 0, 0, list[dict[str, Any]]()
    with context.progress(f"evaluation: {KIND}", there) as advance:
        for i, plain in enumerate(shards.windows("held", ROWS, length)):
            if i % every:
                continue
            batch = hide(plain, HELD + i)
            asked = batch.targets != IGNORE_INDEX
            if asked.any():
                log_p = log_probabilities(model, batch).log_softmax(-1)
                truth = torch.as_tensor(batch.targets[asked], device=log_p.device)
                nats -= float(log_p.gather(1, truth[:, None]).sum())
                right += int((log_p.argmax(1) == truth).sum())
                count += int(asked.sum())
            shown = shown or filled_in(model, tokenizer, batch)
            advance(1)
    if not count or not math.isfinite(nats):
        raise UserError("the loss on hidden tokens of held-out text is not a finite number; lower pretrain.lr")
    return {
        "parameters": model.config.parameters, "loss": nats / count, "accuracy": right / count, "tokens": count,
        "filled": shown,
    }  # fmt: skip


def log_probabilities(model: Encoder, batch: Batch) -> torch.Tensor:
    """The logits at the hidden places, "N V", in their order."""
    rows = to_tensors(batch, model.embed.weight.device)
    hidden = model(rows.tokens, rows.positions, bidirectional_attend(rows.segments))
    return model.logits(hidden[rows.targets != IGNORE_INDEX]).float()


@torch.no_grad()
def filled_in(model: Encoder, tokenizer: Tokenizer, batch: Batch) -> list[dict[str, Any]]:
    """Of the first windows the first masked token: the text around its gap, what stood there, what is put there."""
    some = Batch(*(array[:FILLED] for array in batch))
    found, guesses = list[dict[str, Any]](), log_probabilities(model, some).argmax(1).tolist()
    places = np.argwhere(some.targets != IGNORE_INDEX).tolist()
    for row in range(len(some.tokens)):
        at = next(
            (i for i, (r, t) in enumerate(places) if r == row and some.tokens[r, t] == tokenizer.vocab_size), None
        )
        if at is None:
            continue
        t, tokens = places[at][1], np.where(some.targets[row] == IGNORE_INDEX, some.tokens[row], some.targets[row])
        same = some.segments[row] == some.segments[row, t]
        before = tokenizer.decode(tokens[max(0, t - AROUND) : t][same[max(0, t - AROUND) : t]].tolist())
        after = tokenizer.decode(tokens[t + 1 : t + 1 + AROUND][same[t + 1 : t + 1 + AROUND]].tolist())
        truth, guess = (tokenizer.decode([i]) for i in (int(tokens[t]), min(guesses[at], tokenizer.vocab_size - 1)))
        found.append({"text": f"{before}[{guess}]{after}", "truth": truth, "guess": guess})
    return found


def write_folder(folder: Path, model: Encoder, tokenizer: Tokenizer) -> None:
    """As a BERT of Hugging Face whose texts are the mean of their tokens; the weights last."""
    backend = as_subword(tokenizer).backend if isinstance(tokenizer, CharTokenizer) else None
    library = tokenizers.Tokenizer.from_str(backend.to_str() if backend else tokenizer.to_json())
    library.add_special_tokens([MASK])
    if library.token_to_id(MASK) != tokenizer.vocab_size:
        raise UserError(f"the tokenizer has holes in its vocabulary, or a {MASK} already; train the run's own")
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": MASK, "model_max_length": model.config.context}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", bert.config_to(model.config, tokenizer.pad_id or 0))
    write_json(folder / "tokenizer.json", json.loads(library.to_str()))
    write_json(folder / "tokenizer_config.json", told)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    kinds = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in modules]
    write_json(folder / MODULES, kinds)
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": "mean"})
    write_json(folder / LENGTHS, {"max_seq_length": model.config.context, "do_lower_case": False})
    safetensors.write_folder(folder, bert.tensors_to(model))
