"""What a person imports: a model by its name, training on an array of tokens, search with plain functions.

Each of these is a few lines over the layers below, whose parts can be used as well. docs/python.md shows them at work.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clearhead.checkpoints import own
from clearhead.checkpoints.embedder import Embedder, is_encoder, load_embedder
from clearhead.checkpoints.export import write_folder, write_model
from clearhead.checkpoints.load import LoadedModel, load_model, locate
from clearhead.config import build
from clearhead.errors import UserError
from clearhead.generation.conversation import Conversation
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import Constraint, SamplingParams
from clearhead.generation.language_model import choices as one_of
from clearhead.generation.request import Request
from clearhead.generation.text_stream import TextStream
from clearhead.generation.text_stream import generate as texts_of
from clearhead.kernels.machine import choose_device
from clearhead.models.attention_weights import attention_weights
from clearhead.models.decoder import Decoder
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.models.quantize import is_quantized
from clearhead.text import load as text_files
from clearhead.text.begin import prompt_tokens, source_tokens
from clearhead.text.packing import Batch
from clearhead.text.protocol import Tokenizer as AnyTokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.text.training import train_tokenizer
from clearhead.training import loop
from clearhead.training.jsonl_log import Callback
from clearhead.training.progress import TrainingProgress

IN_MEMORY = Path("in memory")
TextOrIds = str | Sequence[int]
"""A text, or the ids of its tokens."""


def load(
    name: str | Path, device: str = "auto", dtype: torch.dtype | None = None, weights: str = "float"
) -> "Model | Embedder":
    """The model that a name means: a run's directory, a checkpoint's folder, a GGUF file, a hub id, smollm2 or minilm.

    An encoder comes as an `Embedder`, whose `embed` makes vectors of texts.

    dtype None: as it is stored, but float32 where the processor does not multiply that type itself. weights: "int8" or
    "int4" for matrices in whole numbers, which are faster and smaller and cannot be trained; "auto" for those that the
    file has so. UserError says what is missing or cannot be honored.
    """
    if is_encoder(locate(str(name))):
        if weights not in ("float", "auto"):
            raise UserError(f"{name} is an encoder, whose weights stay as they are; leave weights = {weights!r} out")
        return load_embedder(str(name), choose_device(device), dtype)
    return Model(load_model(str(name), choose_device(device), dtype, weights))


class Model:
    """A decoder with its tokenizer and, if it was taught to chat, its template."""

    def __init__(self, model: LoadedModel | Decoder, tokenizer: AnyTokenizer | None = None) -> None:
        """What was loaded, or a decoder of one's own and its tokenizer. Such a decoder may be trained on meanwhile."""
        self._changes = isinstance(model, Decoder)
        if isinstance(model, Decoder):
            if tokenizer is None:
                raise UserError("a decoder reads ids, not text; give its tokenizer too: Model(decoder, tokenizer)")
            model = LoadedModel("the model", IN_MEMORY, model, tokenizer)
        self.loaded = model

    @property
    def decoder(self) -> Decoder:
        return self.loaded.decoder

    @property
    def tokenizer(self) -> AnyTokenizer:
        return self.loaded.tokenizer

    def engine(self, texts: int = 1, kv_memory: int | None = None) -> Engine:
        """A new engine for so many texts at once: `add` requests, `step`, `cancel`."""
        return Engine(backend_for(self.loaded.model, texts, kv_memory), self.tokenizer)

    def ids(self, text: TextOrIds) -> list[int]:
        """The tokens of a text as a prompt has them, with what the tokenizer puts before every text; as an
        encoder-decoder's source has them, with what ends it too.
        """
        if not isinstance(text, str):
            return list(text)
        read = source_tokens if isinstance(self.loaded.model, EncoderDecoder) else prompt_tokens
        return read(self.tokenizer, text)

    def generate(
        self, prompt: TextOrIds, *, seed: int = 0, stop: str | Sequence[str] = (), beams: int = 0, **sampling: Any
    ) -> str:
        """What the model goes on with. See `SamplingParams` for max_tokens, temperature, top_k, top_p, min_p, ...

        Where nothing is said of temperature, it is the model's own generation config, or greedy. Constrained by one of
        `json_schema` (a dict, or its JSON), `regex`, `choices` (texts) and `grammar` (Lark), the text is one of those
        that it allows, complete within max_tokens.
        """
        request = replace(self._request(prompt, seed, stop, sampling), beams=beams)
        return texts_of(self._engine if not beams else self.engine(beams), request)[0].text

    def samples(
        self, prompt: TextOrIds, n: int, *, seed: int = 0, stop: str | Sequence[str] = (), **sampling: Any
    ) -> list[str]:
        """n texts drawn at once, the first of which `generate` gives for the same seed."""
        request = replace(self._request(prompt, seed, stop, sampling), n=n)
        return [text.text for text in texts_of(self.engine(n), request)]

    def stream(
        self, prompt: TextOrIds, *, seed: int = 0, stop: str | Sequence[str] = (), **sampling: Any
    ) -> Iterator[str]:
        """The text of `generate` in pieces, while it is written."""
        yield from TextStream(self._engine, self._request(prompt, seed, stop, sampling))

    def chat(
        self, messages: str | Sequence[Mapping[str, str]], *, seed: int = 0, stop: str | Sequence[str] = (),
        **sampling: float,
    ) -> str:  # fmt: skip
        """The answer to a message, or to a chat: {"role": "system" | "user" | "assistant", "content": ...}, ..."""
        template = self.loaded.template
        if template is None:
            raise UserError(f"{self.loaded.name} has no chat template: it was never taught to take turns; use generate")
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(map(dict, messages))
        if not turns or turns[-1].get("role") != "user":
            raise UserError("the last message of a chat must be the user's, which is answered")
        talk = Conversation(self._engine, template)
        talk.messages = turns[:-1]
        return "".join(talk.say(turns[-1]["content"], self._sampling(sampling), seed, _stops(stop)))

    @torch.no_grad()
    def logits(self, text: TextOrIds) -> Float[Tensor, "T V"]:
        """Of the token after each token of a text."""
        ids = self.ids(text)
        model = self.loaded.model.eval()
        if isinstance(model, EncoderDecoder):
            raise UserError(f"{self.loaded.name} is an encoder-decoder, whose logits follow a source and a target")
        return model.logits(model(torch.tensor([ids], device=self._device)))[0]

    def logprobs(self, text: TextOrIds) -> Float[Tensor, "T"]:
        """log p of each token of a text but the first, after those before it."""
        ids = torch.tensor(self.ids(text), device=self._device)
        log_p = self.logits(ids.tolist())[:-1].float().log_softmax(-1)
        return log_p.gather(1, ids[1:, None])[:, 0]

    def attentions(self, text: TextOrIds) -> list[Float[Tensor, "H T T"]]:
        """How much each token looks at those before it, by layer and head."""
        return attention_weights(self.decoder, self.ids(text))

    def save(self, folder: str | Path) -> Path:
        """In the form it was found in; a model of a GGUF file as a folder that Hugging Face reads.

        A decoder of one's own becomes a folder for `load`; `clearhead convert` makes others of it.
        """
        folder = Path(folder)
        if isinstance(self.loaded.model, Decoder) and is_quantized(self.decoder):
            raise UserError("a model in whole numbers is not saved; load it without weights, or use clearhead quantize")
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty; name a new folder")
        if self.loaded.path == IN_MEMORY:
            own.save(folder, self.decoder, self.tokenizer)
            return folder
        (write_folder if self.loaded.path.is_file() else write_model)(self.loaded, folder)
        return folder

    @property
    def _engine(self) -> Engine:
        """One that remembers the last text, but a new one where the weights may have changed."""
        return self.engine() if self._changes else self._kept

    @cached_property
    def _kept(self) -> Engine:
        return self.engine()

    @property
    def _device(self) -> torch.device:
        return self.loaded.model.embed.weight.device

    def _request(self, prompt: TextOrIds, seed: int, stop: str | Sequence[str], given: Mapping[str, Any]) -> Request:
        sampling = {name: value for name, value in given.items() if name not in CONSTRAINTS}
        constraint = _constraint({name: given[name] for name in CONSTRAINTS if given.get(name) is not None})
        return Request(self.ids(prompt), self._sampling(sampling), seed, _stops(stop), constraint=constraint)

    def _sampling(self, given: Mapping[str, Any]) -> SamplingParams:
        usual = {} if "temperature" in given else {"temperature": 0.0, **self.loaded.sampling}
        try:
            return SamplingParams(**{**usual, **given})
        except TypeError as error:
            raise UserError(f"{str(error).rpartition(' ')[2]} is no setting of sampling; see SamplingParams") from None


CONSTRAINTS = ("json_schema", "regex", "choices", "grammar")


def _constraint(given: Mapping[str, Any]) -> Constraint | None:
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} cannot both constrain a text; leave one out")
    match next(iter(given.items()), None):
        case None:
            return None
        case "json_schema", str() as text:
            return Constraint("json-schema", text)
        case "json_schema", schema:
            return Constraint("json-schema", json.dumps(schema))
        case "choices", texts:
            return one_of(texts)
        case name, text:
            return Constraint("regex" if name == "regex" else "lark", text)


def _stops(stop: str | Sequence[str]) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop)


class Tokenizer:
    """Tokenizers: trained on texts, or read from a file. Both are used by `encode` and `decode`."""

    @staticmethod
    def train(texts: Iterable[str], vocab_size: int = 8192, kind: str = "bpe") -> SubwordTokenizer:
        """kind: bpe, unigram, wordpiece, word or char."""
        return train_tokenizer(kind, texts, vocab_size)

    @staticmethod
    def load(path: str | Path) -> SubwordTokenizer | CharTokenizer:
        """From a folder, a tokenizer.json, vocab.json beside merges.txt, a file of ranks, or a GGUF file."""
        return text_files.load_tokenizer(Path(path))


def train(model: Any, data: Any, *, callbacks: Sequence[Callback] | None = None, seed: int = 0, **settings: Any) -> Any:
    """Train the model in place to predict the next token, and return it. Settings: see `training.loop.TrainConfig`.

    data: an array of token ids, of which rows of `seq_len` + 1 are drawn at random places; a function of the number of
    the micro-batch; or an iterator. The latter two give `Batch`es, or arrays "B T" whose rows are texts.
    What a function makes of the model as it is after the last step needs prefetch = 0, or it is made ahead.
    callbacks None: a progress bar. `checkpoint` names a file to go on from after Ctrl-C.
    """
    checkpoint, held_out = settings.pop("checkpoint", None), settings.pop("held_out", ())
    prefetch = settings.pop("prefetch", loop.PREFETCH)
    steps = settings.get("steps", loop.TrainConfig.steps)
    usual = {"warmup": min(loop.TrainConfig.warmup, steps // 10), "seed": seed}
    config = build(loop.TrainConfig, {**usual, **settings})
    bar = TrainingProgress() if callbacks is None else nullcontext()
    if isinstance(model, Decoder) and is_quantized(model):
        raise UserError("weights in whole numbers cannot be trained; load the model without weights")
    with bar as shown:
        loop.train(
            config, model, _batches(data, config, model), checkpoint=None if checkpoint is None else Path(checkpoint),
            callbacks=[shown] if shown is not None else list(callbacks or ()),
            held_out=[_batch(batch) for batch in held_out], prefetch=prefetch,
        )  # fmt: skip
    return model


def _batches(data: Any, config: loop.TrainConfig, model: Any) -> Callable[[int], Batch]:
    if callable(data):
        return lambda i: _batch(data(i))
    if isinstance(data, Iterator):
        return lambda i: _batch(next(data))
    ids = np.asarray(data)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise UserError(f"data of shape {ids.shape} and type {ids.dtype} is no array of token ids; give one dimension")
    if len(ids) <= config.seq_len:
        raise UserError(f"{len(ids)} tokens are too few for rows of {config.seq_len} + 1; lower seq_len, or give more")
    if isinstance(model, Decoder) and not 0 <= ids.min() <= ids.max() < model.config.vocab:
        raise UserError(
            f"token ids from {ids.min()} to {ids.max()} are not all among the {model.config.vocab} of the model; make "
            "it with vocab = tokenizer.vocab_size"
        )

    def drawn(i: int) -> Batch:
        rng = np.random.default_rng([config.seed % (1 << 63), i])
        starts = rng.integers(0, len(ids) - config.seq_len, config.batch_size)
        return _batch(ids[starts[:, None] + np.arange(config.seq_len + 1)])

    return drawn


def _batch(given: Any) -> Batch:
    """Rows that are texts, each token but the first to be learned."""
    if isinstance(given, Batch):
        return given
    rows = np.asarray(given, np.int64)
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise UserError(f"a batch of shape {rows.shape} holds no rows of tokens; give an array of two dimensions")
    tokens = rows[:, :-1]
    positions = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape).copy()
    return Batch(tokens, positions, np.ones_like(tokens), rows[:, 1:])
