"""Texts as vectors: an encoder with its tokenizer, and what its folder says of pooling, length and prompts.

The files beside the weights are those of sentence-transformers (modules.json and what it names). What they ask for and
is not had here is refused; a folder without them gives the mean of its tokens, and that is told.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clearhead.checkpoints.load import fitted, give_memory, json_object, kind_type, locate, open_weights
from clearhead.errors import UserError, warn
from clearhead.kernels.attention import texts_attend
from clearhead.kernels.linear import MANY, pack_linears
from clearhead.models import bert
from clearhead.models.encoder import Encoder
from clearhead.models.families import ENCODERS
from clearhead.text import load as text
from clearhead.text.subword import SubwordTokenizer

MODULES, LENGTHS, PROMPTS = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {  # hidden states "N T D" -> "N D", by their names there
    "cls": lambda x: x[:, 0],
    "max": lambda x: x.amax(1),
    "mean": lambda x: x.mean(1),
    "mean_sqrt_len_tokens": lambda x: x.sum(1) / x.shape[1] ** 0.5,
    "lasttoken": lambda x: x[:, -1],
}
POOLING_KEYS = {  # of earlier years, a key for each
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
USUAL = {  # in sentence_bert_config.json, what changes nothing
    "transformer_task": "feature-extraction", "module_output_name": "token_embeddings", "unpad_inputs": None,
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
}  # fmt: skip
TOGETHER = 4096  # tokens in a batch: what the layers make of them stays in the processor's cache
LONGEST = 1 << 20  # tokens; tokenizer_config.json says 1e30 for "no limit"


@dataclass(frozen=True)
class EmbedConfig:
    """What sentence-transformers files say: poolings side by side, length 1 or as it comes, tokens, prompts by name."""

    poolings: tuple[str, ...] = ("mean",)
    normalize: bool = False
    max_tokens: int = LONGEST
    lower: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    include_prompt: bool = True


@dataclass(frozen=True)
class Embedder:
    """`embed` gives texts as vectors. `encoder` has its matrices packed, and is for reading alone."""

    name: str
    path: Path
    encoder: Encoder
    tokenizer: SubwordTokenizer
    config: EmbedConfig

    @property
    def dimension(self) -> int:
        return self.encoder.config.d_model * len(self.config.poolings)

    @property
    def max_tokens(self) -> int:
        """The most that is read of a text, its first and last token included."""
        return min(self.config.max_tokens, self.encoder.config.context)

    def embed(
        self, texts: Sequence[str], *, prompt: str | None = None, advance: Callable[[int], None] = lambda texts: None
    ) -> Float[np.ndarray, "N D"]:
        """A vector for each text, whatever the others are. What is longer than `max_tokens` is cut, and that is told.

        prompt: what is put before each text; None: the model's default, which most have not.
        """
        if isinstance(texts, str):
            raise UserError("embed takes several texts; put the one into a list")
        before = self.config.prompts.get(self.config.default_prompt, "") if prompt is None else prompt
        if before and not self.config.include_prompt:
            raise UserError(f"{self.name} leaves its prompt out of the pooling, which is not done here; give prompt=''")
        ids = self.ids([before + each for each in texts])
        found = np.zeros((len(ids), self.dimension), np.float32)
        for batch in batches([len(one) for one in ids]):
            found[batch] = self.pooled([ids[i] for i in batch])
            advance(len(batch))
        return found

    def queries(self, texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
        """The same for questions, by the prompt that the model has for these."""
        return self.embed(texts, prompt=self.config.prompts.get("query"))

    def documents(
        self, texts: Sequence[str], advance: Callable[[int], None] = lambda texts: None
    ) -> Float[np.ndarray, "N D"]:
        """The same for what is searched."""
        told = (self.config.prompts.get(name) for name in ("document", "passage", "corpus"))
        return self.embed(texts, prompt=next((prompt for prompt in told if prompt is not None), None), advance=advance)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of texts with those that the tokenizer puts around each, the middle cut to `max_tokens`."""
        read = [each.strip().lower() if self.config.lower else each.strip() for each in texts]
        found, most = self.tokenizer.encode_many(read, add_special_tokens=True), self.max_tokens
        if not all(found):
            raise UserError(
                f"text {found.index([]) + 1} is empty, and {self.name} has no token to stand for it; leave it out"
            )
        long = [i for i, ids in enumerate(found) if len(ids) > most]
        if long:
            warn(
                f"{len(long)} of {len(texts)} texts have more than the {most} tokens that {self.name} reads; cut there"
            )
            (plain,), (framed,) = (self.tokenizer.encode_many(["a"], add_special_tokens=s) for s in (False, True))
            after = len(framed) - len(plain) - framed.index(plain[0])
            for i in long:
                found[i] = found[i][: most - after] + found[i][len(found[i]) - after :]
        return found

    def in_context(self, words: Sequence[tuple[str, int, int]]) -> Float[np.ndarray, "N D"]:
        """For each (text, start, end) the mean hidden state of the tokens of text[start:end]: the word as it is meant.

        UserError: a place without a token, or beyond what is read of the text.
        """
        pieces = [self.tokenizer.pieces(text, add_special_tokens=True) for text, _, _ in words]
        found = np.zeros((len(words), self.encoder.config.d_model), np.float32)
        for batch in batches([len(one) for one in pieces]):
            ids = [[piece.id for piece in pieces[i]] for i in batch]
            for i, hidden in zip(batch, self.hidden(ids).split([len(one) for one in ids]), strict=True):
                text, start, end = words[i]
                at = [k for k, piece in enumerate(pieces[i]) if piece.start < end and piece.end > start]
                if not at or len(pieces[i]) > self.max_tokens:
                    raise UserError(f"no token of {text[start:end]!r:.40} is among the {self.max_tokens} that are read")
                found[i] = hidden[at].mean(0).float().cpu().numpy()
        return found

    @torch.no_grad()
    def hidden(self, ids: Sequence[Sequence[int]]) -> Float[Tensor, "N D"]:
        """The last layer's states of texts that lie one behind the other."""
        device, lengths = self.encoder.embed.weight.device, [len(one) for one in ids]
        tokens = torch.tensor([i for one in ids for i in one], device=device)
        positions = torch.cat([torch.arange(n, device=device) for n in lengths])
        return self.encoder(tokens, positions, texts_attend(lengths))

    @torch.no_grad()
    def pooled(self, ids: Sequence[Sequence[int]]) -> Float[np.ndarray, "N D"]:
        """The vectors of such texts, neighbors of equal length as one product."""
        hidden = self.hidden(ids)
        runs = [(length, len(list(run))) for length, run in groupby(len(one) for one in ids)]
        parts = zip(runs, hidden.split([length * count for length, count in runs]), strict=True)
        vectors = torch.cat([self._pool(part.unflatten(0, (count, length))) for (length, count), part in parts])
        return (F.normalize(vectors, dim=-1) if self.config.normalize else vectors).float().cpu().numpy()

    def _pool(self, hidden: Float[Tensor, "N T D"]) -> Float[Tensor, "N E"]:
        return torch.cat([POOLINGS[name](hidden) for name in self.config.poolings], -1)


def batches(lengths: Sequence[int], tokens: int = TOGETHER) -> Iterator[list[int]]:
    """The numbers of texts, the longest first, as many at once as hold so many tokens.

    >>> list(batches([3, 9, 3, 4], tokens=8))
    [[1], [3, 0], [2]]
    """
    batch, size = list[int](), 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and size + lengths[i] > tokens:
            yield batch
            batch, size = [], 0
        batch.append(i)
        size += lengths[i]
    if batch:
        yield batch


def load_embedder(name: str, device: torch.device, dtype: torch.dtype | None = None) -> Embedder:
    """The embedding model that a name means: a folder, an id of the hub, or minilm."""
    path = locate(name)
    if not is_encoder(path):
        raise UserError(f"{name} is no encoder; name the folder of one of {', '.join(ENCODERS)}, a hub id, or minilm")
    config, weights = read_config(path)
    encoder = load_encoder(weights, device, dtype)
    tokenizer = text.load_tokenizer(path if text.has_tokenizer(path) else weights)
    if not isinstance(tokenizer, SubwordTokenizer):
        raise UserError(f"{path} has a tokenizer of characters, which puts no tokens around a text; take another model")
    tokenizer = fitted(tokenizer, encoder.config.vocab, path)
    pack_linears(encoder, MANY)
    return Embedder(name, path, encoder, tokenizer, config)


def load_encoder(folder: Path, device: torch.device, dtype: torch.dtype | None = None) -> Encoder:
    """The encoder of a folder with config.json and safetensors, without gradients; dtype as of `load_model`."""
    plain = json_object(folder / "config.json")
    shapes, types, read = open_weights(folder)
    with torch.device("meta"):
        encoder = Encoder(bert.config_from(plain, shapes)).to(dtype or kind_type(types, device))
    give_memory(encoder)
    bert.fill(encoder, str(plain["model_type"]), shapes, read, str(folder))
    return encoder.to(device)


def is_encoder(path: Path) -> bool:
    """Whether a folder holds an encoder, at its top or where its modules.json says."""
    first = path / "config.json"
    if (path / MODULES).is_file() and not first.is_file():
        return True
    return first.is_file() and str(json_object(first).get("model_type")) in ENCODERS


def read_config(path: Path) -> tuple[EmbedConfig, Path]:
    """What the folder says of pooling, and where in it the weights lie. UserError: a module or a key that we lack."""
    if not (path / MODULES).is_file():
        warn(f"{path} does not say how texts become vectors; the mean of their tokens is taken")
        return EmbedConfig(), path
    listed = _modules(path / MODULES)
    kinds = [kind.rpartition(".")[2] for kind, _ in listed]
    where = [path / folder for _, folder in listed]
    if any(not each.resolve().is_relative_to(path.resolve()) for each in where):
        raise UserError(f"{path / MODULES} names a folder outside of its own; get the model again")
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise UserError(
            f"{path / MODULES} asks for {' > '.join(kinds)}; only Transformer > Pooling and > Normalize can be honored"
        )
    poolings, include = _poolings(where[1] / "config.json")
    lengths, prompts = _beside(where[0] / LENGTHS), _beside(path / PROMPTS)
    for key, value in lengths.items():
        if key not in ("max_seq_length", "do_lower_case", *USUAL) or (value != USUAL.get(key, value) and value):
            raise UserError(f"{where[0] / LENGTHS}: {key} = {value!r:.80} cannot be honored")
    told = lengths.get("max_seq_length") or _beside(where[0] / text.CONFIG).get("model_max_length") or LONGEST
    return (
        EmbedConfig(
            poolings, len(kinds) > 2, max(3, min(int(told), LONGEST)), bool(lengths.get("do_lower_case")),
            {str(name): str(prompt) for name, prompt in (prompts.get("prompts") or {}).items()},
            str(prompts.get("default_prompt_name") or ""), include,
        ),
        where[0],
    )  # fmt: skip


def _modules(file: Path) -> list[tuple[str, str]]:
    """Type and folder of each."""
    try:
        return [(str(module["type"]), str(module["path"])) for module in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{file} is no list of modules: {error}; get it again") from None


def _poolings(file: Path) -> tuple[tuple[str, ...], bool]:
    """The poolings, in the order in which their vectors stand side by side, and whether a prompt's tokens count."""
    told = json_object(file)
    known = {"word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt", *POOLING_KEYS}
    if unknown := [key for key, value in told.items() if key not in known and value]:
        raise UserError(f"{file}: {unknown[0]} = {told[unknown[0]]!r:.80} cannot be honored")
    mode = told.get("pooling_mode")
    old = [name for key, name in POOLING_KEYS.items() if told.get(key, name == "mean")]
    found = [mode] if isinstance(mode, str) else list(mode) if mode else old
    wrong = [name for name in found if name not in POOLINGS]
    if wrong or not found:
        raise UserError(f"{file} asks for {wrong[0] if wrong else 'no pooling'}; {', '.join(POOLINGS)} can be had")
    return tuple(found), bool(told.get("include_prompt", True))


def _beside(file: Path) -> dict[str, Any]:
    return json_object(file) if file.is_file() else {}
