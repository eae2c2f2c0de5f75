"""The models of a run that translates: their shapes, the batches that each reads, their files, and their translations.

Deliberately not here: training (translate_stages) and measuring them (translate_measure).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from clearhead.checkpoints.own import fill, stated
from clearhead.config import build
from clearhead.errors import UserError
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.sampling import Token
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from clearhead.models.seq2seq import Seq2Seq, Seq2SeqConfig
from clearhead.models.translator import Translator
from clearhead.pipeline.translate_recipe import SCHEDULED, TranslateRecipe
from clearhead.text.packing import Batch
from clearhead.text.pairs import Pair, PairBatch, concatenated, pair_batch
from clearhead.text.protocol import Tokenizer
from clearhead.training import checkpoint

AT_ONCE = 128  # texts that are translated together


def shape_of(recipe: TranslateRecipe, vocab: int, end: int) -> EncoderDecoderConfig:
    """The encoder-decoder transformer, whose size all others have. What ends a target also begins it."""
    model = recipe.model
    return EncoderDecoderConfig(
        vocab, model.d_model, model.n_layers, model.n_layers, model.n_heads, model.d_ff,
        max_positions=2 * recipe.data.max_tokens, dropout=model.dropout, start=end,
    )  # fmt: skip


def base_name(name: str) -> str:
    """The model of a training: that of scheduled sampling is one of the others."""
    return name.removesuffix(f"-{SCHEDULED}")


def end_of(tokenizer: Tokenizer) -> int:
    if tokenizer.end_id is None:
        raise UserError("this tokenizer has no token that ends a text; take one that has, or leave tokenizer.path out")
    return tokenizer.end_id


def batch_of(model: Translator, pairs: Sequence[Pair], end: int, sampled: float = 0.0) -> Batch | PairBatch:
    """The same pairs as each kind of model reads them."""
    if isinstance(model, Decoder):
        return concatenated(pairs, end)
    return pair_batch(pairs, model.config.start, end, sampled)


def save(path: Path, model: Translator) -> None:
    checkpoint.save(path, model.state_dict(), {"kind": type(model).__name__, "model": asdict(model.config)})


def load(path: Path, device: torch.device) -> Translator:
    """The model in a file that `save` wrote."""
    tensors, described = checkpoint.load(path)
    kinds: dict[str, tuple[type, Callable[..., Any]]] = {
        "Seq2Seq": (Seq2SeqConfig, Seq2Seq), "EncoderDecoder": (EncoderDecoderConfig, EncoderDecoder),
        "Decoder": (DecoderConfig, Decoder),
    }  # fmt: skip
    if described.get("kind") not in kinds:
        raise UserError(f"{path} does not say which model it holds; restore the file that the run wrote")
    config, make = kinds[described["kind"]]
    built: Any = build(config, stated(path, described), f"{path}: model")
    with torch.device("meta"):
        model: Translator = make(built)
    fill(model, tensors, path)
    return model.to(device).eval().requires_grad_(False)


class Translation(NamedTuple):
    """What a model made of a source: text, its tokens (the end not among them), whether it ended by itself."""

    text: str
    tokens: list[Token]
    ended: bool


class Search(NamedTuple):
    """How to look for a translation: greedily, or with so many `beams`."""

    beams: int = 0
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0


def translate(
    model: Translator,
    tokenizer: Tokenizer,
    sources: Sequence[Sequence[int]],
    search: Search,
    most: Callable[[int], int],
    kv_memory: int | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Translation]:
    """Every source translated, many at a time; `most(n)` tokens at most for one of n tokens."""
    engine = Engine(backend_for(model, AT_ONCE, kv_memory), tokenizer)
    end, found = end_of(tokenizer), []
    for at in range(0, len(sources), AT_ONCE):
        requests = []
        for source in sources[at : at + AT_ONCE]:
            prompt = [*source, end] if isinstance(model, Decoder) else source
            sampling = SamplingParams(temperature=0, max_tokens=most(len(source)))
            requests.append(
                engine.add(
                    Request(
                        prompt, sampling, beams=search.beams, length_penalty=search.length_penalty,
                        coverage_penalty=search.coverage_penalty,
                    )
                )
            )  # fmt: skip
        tokens: dict[int, list[Token]] = {request: [] for request in requests}
        ended = dict.fromkeys(requests, False)
        while engine.unfinished:
            for event in engine.step():
                ended[event.request] |= event.finish == "end"
                if event.finish != "end":
                    tokens[event.request].append(event.token)
                if event.finish:
                    advance(1)
        for request in requests:
            text = tokenizer.decode([token.id for token in tokens[request]])
            found.append(Translation(text, tokens[request], ended[request]))
    return found
