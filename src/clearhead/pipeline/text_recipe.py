"""A recipe of the kind "text": what running text a run learns, how it is cut into tokens, and what is asked at the end.

Deliberately not here: tasks, reward models and search, which are the other kind's (recipe.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from clearhead.config import build, check_file_name, nearest, to_dict
from clearhead.errors import UserError
from clearhead.models.decoder import DecoderConfig
from clearhead.models.encoder import EncoderConfig
from clearhead.models.recurrent import RecurrentConfig, matched
from clearhead.nn.recurrent import Cell
from clearhead.pipeline.recipe import decoder_config, memory_of, model_section, table
from clearhead.text.training import MAX_VOCAB, SMALLEST
from clearhead.training.loop import TrainConfig

KIND = "text"
MODELS = ("decoder", "lstm", "rnn", "conv", "encoder")
RECALL_HEAD = 32  # channels of a head


@dataclass(frozen=True)
class TextDataConfig:
    """`files` are files or folders, one or a list; none: Python's documentation. `field` is that of JSONL and Parquet
    rows. About `held_out` of the documents are never trained on.
    """

    files: str | tuple[str, ...] = ()
    field: str = "text"
    held_out: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise UserError(f"data.held_out = {self.held_out} must be between 0 and 1, such as 0.05")

    @property
    def paths(self) -> list[Path]:
        names = [self.files] if isinstance(self.files, str) else self.files
        return [Path(name).expanduser() for name in names if name]


@dataclass(frozen=True)
class TextTokenizerConfig:
    """Byte-level BPE of `vocab` tokens, or every character a token; `path`: one that exists already."""

    kind: Literal["bpe", "char"] = "bpe"
    vocab: int = 2048
    path: str = ""

    def __post_init__(self) -> None:
        if not SMALLEST["bpe"] <= self.vocab <= MAX_VOCAB:
            raise UserError(f"tokenizer.vocab = {self.vocab} must be {SMALLEST['bpe']} to {MAX_VOCAB}")


@dataclass(frozen=True)
class RecallConfig:
    """A test of memory (recall.py): at most `pairs` in a row, of `symbols` first ones and as many second ones; with 0
    `steps` there is none.

    `d_model` and `n_layers` are the decoder's, whose size the other models match. `asked`: answers that are measured
    for each number of pairs.
    """

    steps: int = 0
    pairs: int = 32
    symbols: int = 64
    batch_size: int = 32
    d_model: int = 64
    n_layers: int = 2
    asked: int = 2000

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("pairs", 2), ("batch_size", 1), ("n_layers", 1), ("asked", 1)):
            if getattr(self, name) < least:
                raise UserError(f"recall.{name} = {getattr(self, name)} must be at least {least}")
        if self.symbols < self.pairs:
            raise UserError(f"recall.symbols = {self.symbols} must be at least recall.pairs = {self.pairs}")
        if self.d_model < RECALL_HEAD or self.d_model % RECALL_HEAD:
            raise UserError(f"recall.d_model = {self.d_model} must be a multiple of {RECALL_HEAD}")

    @property
    def vocab(self) -> int:
        return 2 * self.symbols

    @property
    def tokens(self) -> int:
        """Of the longest row."""
        return 4 * self.pairs

    def decoder(self) -> DecoderConfig:
        heads = self.d_model // RECALL_HEAD
        return DecoderConfig(
            self.vocab, d_model=self.d_model, n_layers=self.n_layers, n_heads=heads, n_kv_heads=heads,
            d_ff=2 * self.d_model, max_positions=self.tokens,
        )  # fmt: skip

    def recurrent(self, kind: Cell) -> RecurrentConfig:
        return as_large(kind, self.vocab, self.decoder().parameters, self.tokens)


@dataclass(frozen=True)
class CostConfig:
    """The `lengths` of text at which a token's cost is measured (cost_by_length.py); none: it is not."""

    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(length < 1 for length in self.lengths) or list(self.lengths) != sorted(set(self.lengths)):
            raise UserError(f"cost.lengths = {list(self.lengths)} must be positive and grow")


@dataclass(frozen=True)
class TextEvaluationConfig:
    """At most `tokens` of the held-out text are measured, spread over all of it; each prompt is continued."""

    tokens: int = 500_000
    prompts: tuple[str, ...] = ("",)
    sample_tokens: int = 120
    temperature: float = 0.8

    def __post_init__(self) -> None:
        for name in ("tokens", "sample_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"evaluation.{name} = {getattr(self, name)} must be at least 1")
        if not 0 <= self.temperature < 100:
            raise UserError(f"evaluation.temperature = {self.temperature} must be 0 or a small positive number")


@dataclass(frozen=True)
class TextRecipe:
    name: str
    seed: int
    data: TextDataConfig
    tokenizer: TextTokenizerConfig
    model: Mapping[str, Any]
    pretrain: TrainConfig
    recall: RecallConfig
    cost: CostConfig
    evaluation: TextEvaluationConfig
    kv_memory: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The models to train on the same text, of `MODELS`."""
        kind = self.model.get("kind", "decoder")
        return tuple(map(str, kind if isinstance(kind, list | tuple) else [kind]))

    @property
    def writers(self) -> tuple[str, ...]:
        """Those that predict the next token; an encoder fills in masked ones."""
        return tuple(kind for kind in self.kinds if kind != "encoder")

    def encoder(self, vocab: int) -> EncoderConfig:
        """As wide, deep and many-headed as the decoder, with BERT's parts."""
        like = self.decoder(vocab)
        return EncoderConfig(
            vocab, like.d_model, like.n_layers, like.n_heads, 4 * like.d_model, like.max_positions, dropout=like.dropout
        )

    def decoder(self, vocab: int) -> DecoderConfig:
        return decoder_config({key: value for key, value in self.model.items() if key != "kind"}, vocab)

    def recurrent(self, kind: Cell, vocab: int) -> RecurrentConfig:
        """As large as the decoder."""
        return as_large(kind, vocab, self.decoder(vocab).parameters, self.pretrain.seq_len)


def as_large(kind: Cell, vocab: int, parameters: int, length: int) -> RecurrentConfig:
    """Of so many parameters; convolutions in as many layers as see rows of that length whole.

    >>> as_large("conv", 99, 100_000, 256).n_layers, as_large("lstm", 99, 100_000, 256).n_layers
    (8, 2)
    """
    layers = max(1, (length - 1).bit_length()) if kind == "conv" else RecurrentConfig.n_layers
    return matched(kind, vocab, parameters, layers)


SECTIONS = {
    "data": TextDataConfig,
    "tokenizer": TextTokenizerConfig,
    "pretrain": TrainConfig,
    "recall": RecallConfig,
    "cost": CostConfig,
    "evaluation": TextEvaluationConfig,
}


@dataclass(frozen=True)
class _TopLevel:
    """The keys of a recipe that stand outside sections."""

    kind: Literal["text"]
    name: str = "run"
    seed: int = 0
    kv_memory: str = ""


def parse(data: Mapping[str, Any], where: str = "recipe") -> TextRecipe:
    """Check the whole file before anything runs. Raises UserError on the first thing that is wrong."""
    known = {field.name for field in fields(_TopLevel)} | {*SECTIONS, "model"}
    if unknown := [key for key in data if key not in known]:
        raise UserError(f"{where}: {unknown[0]} is not a setting{nearest(unknown[0], known)}")
    top = build(_TopLevel, {key: value for key, value in data.items() if key not in (*SECTIONS, "model")}, where)
    check_file_name(top.name, f"{where}: name")
    memory_of(top.kv_memory)
    sections: dict[str, Any] = {key: build(cls, table(data, key), key) for key, cls in SECTIONS.items()}
    if sections["pretrain"].seed not in (0, top.seed):
        raise UserError(f"pretrain.seed = {sections['pretrain'].seed}: a run has one seed; set it at the top")
    sections["pretrain"] = replace(sections["pretrain"], seed=top.seed)
    found = TextRecipe(top.name, top.seed, model=model_section(data), kv_memory=top.kv_memory, **sections)
    wrong = [kind for kind in found.kinds if kind not in MODELS]
    if wrong or not found.kinds or len(set(found.kinds)) < len(found.kinds):
        raise UserError(
            f"model.kind = {found.model['kind']!r}: write one or several, each once, of {', '.join(MODELS)}"
        )
    for name in ("batch_size", "seq_len"):
        if getattr(found.pretrain, name) < 1:
            raise UserError(f"pretrain.{name} = {getattr(found.pretrain, name)} must be at least 1")
    context = found.decoder(vocab=8).max_positions
    if found.pretrain.seq_len > context:
        raise UserError(
            f"pretrain.seq_len = {found.pretrain.seq_len} is more than the model's context; "
            f"lower it, or raise model.max_positions = {context}"
        )
    if found.recall != RecallConfig() and not found.recall.steps:
        raise UserError("[recall] would change nothing without steps; set recall.steps, such as 400")
    if (found.recall.steps or found.cost.lengths) and not found.writers:
        raise UserError("[recall] and [cost] are of models that predict the next token; name one in model.kind")
    return found


def to_plain(recipe: TextRecipe) -> dict[str, Any]:
    """The recipe as it was resolved, defaults included; `parse` of it gives the same recipe."""
    model = {key: list(value) if isinstance(value, tuple) else value for key, value in recipe.model.items()}
    plain: dict[str, Any] = {"kind": KIND, "name": recipe.name, "seed": recipe.seed, "model": model}
    if recipe.kv_memory:
        plain["kv_memory"] = recipe.kv_memory
    plain |= {key: to_dict(getattr(recipe, key)) for key in SECTIONS}
    del plain["pretrain"]["seed"]  # which is the run's, and stands at the top
    return plain
