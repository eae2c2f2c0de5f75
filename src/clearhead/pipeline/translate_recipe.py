"""A recipe of the kind "translate": pairs of texts, and the models that all learn to translate from them.

Every model reads the same pairs in the same order with the same tokenizer, takes as many steps and has about as many
parameters. Deliberately not here: reading pairs (pairs.py) and building the models (translate_models.py).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from clearhead.config import build, check_file_name, nearest, to_dict
from clearhead.errors import UserError
from clearhead.pipeline.recipe import memory_of, table
from clearhead.pipeline.text_recipe import TextTokenizerConfig
from clearhead.training.loop import TrainConfig

KIND = "translate"
MODELS = ("lstm", "bahdanau", "luong-dot", "luong-general", "luong-concat", "transformer", "decoder-only")
SCHEDULED = "scheduled"  # what the name of a model that learned by scheduled sampling ends in
GIVEN = ("seed", "seq_len", "compile", "dtype")  # of a TrainConfig, that follow from the rest here


@dataclass(frozen=True)
class PairDataConfig:
    """`files`: one of pairs, or two that are line by line a pair; none: lists of 1 to `longest` numbers in English and
    German, `pairs` of them. `source` and `target` are the fields of rows. Pairs of which a side has more than
    `max_tokens` tokens are left out. About `held_out` of the sources are never trained on.
    """

    files: str | tuple[str, ...] = ()
    source: str = "source"
    target: str = "target"
    held_out: float = 0.05
    max_tokens: int = 96
    skip_bad: bool = False
    pairs: int = 40_000
    longest: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise UserError(f"data.held_out = {self.held_out} must be between 0 and 1, such as 0.05")
        for name, most in (("max_tokens", 1 << 16), ("pairs", 1 << 24), ("longest", 1 << 10)):
            if not 1 <= getattr(self, name) <= most:
                raise UserError(f"data.{name} = {getattr(self, name)} must be 1 to {most}")

    @property
    def paths(self) -> list[Path]:
        names = [self.files] if isinstance(self.files, str) else self.files
        return [Path(name).expanduser() for name in names if name]


@dataclass(frozen=True)
class TranslateModelConfig:
    """The encoder-decoder transformer, of `n_layers` layers on each side; the other models are as large as it is."""

    d_model: int = 96
    n_layers: int = 2
    n_heads: int = 4
    d_ff: int = 256
    dropout: float = 0.0


@dataclass(frozen=True)
class TranslateEvaluationConfig:
    """At most `pairs` held-out pairs are translated, spread over all; the first `examples` are shown with what each
    word looked at. `beams`, `length_penalty` and `coverage_penalty` are those of beam search; coverage is for the
    models that attend to a source.
    """

    pairs: int = 300
    examples: int = 4
    beams: int = 4
    length_penalty: float = 0.6
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pairs", "examples", "beams"):
            if getattr(self, name) < 1:
                raise UserError(f"evaluation.{name} = {getattr(self, name)} must be at least 1")
        for name in ("length_penalty", "coverage_penalty"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"evaluation.{name} = {getattr(self, name)} must be 0 or a positive number")


@dataclass(frozen=True)
class TranslateRecipe:
    """`scheduled`: which of the models learn a second time, with up to `sampled` of what they read their own words."""

    name: str
    seed: int
    models: tuple[str, ...]
    scheduled: tuple[str, ...]
    sampled: float
    data: PairDataConfig
    tokenizer: TextTokenizerConfig
    model: TranslateModelConfig
    train: TrainConfig
    evaluation: TranslateEvaluationConfig
    kv_memory: str = ""

    @property
    def trained(self) -> tuple[str, ...]:
        """Every training, by its name."""
        return self.models + tuple(f"{name}-{SCHEDULED}" for name in self.scheduled)

    def sampled_at(self, step: int) -> float:
        """The share of own words: from nothing evenly up to `sampled` at the last step."""
        return self.sampled * (step + 1) / self.train.steps


SECTIONS = {
    "data": PairDataConfig,
    "tokenizer": TextTokenizerConfig,
    "model": TranslateModelConfig,
    "train": TrainConfig,
    "evaluation": TranslateEvaluationConfig,
}


@dataclass(frozen=True)
class _TopLevel:
    """The keys of a recipe that stand outside sections."""

    kind: Literal["translate"]
    name: str = "run"
    seed: int = 0
    models: tuple[str, ...] = ("lstm", "bahdanau", "transformer")
    scheduled: tuple[str, ...] = ()
    sampled: float = 0.25
    kv_memory: str = ""


def parse(data: Mapping[str, Any], where: str = "recipe") -> TranslateRecipe:
    """Check the whole file before anything runs. Raises UserError on the first thing that is wrong."""
    known = {field.name for field in fields(_TopLevel)} | set(SECTIONS)
    if unknown := [key for key in data if key not in known]:
        raise UserError(f"{where}: {unknown[0]} is not a setting{nearest(unknown[0], known)}")
    top = build(_TopLevel, {key: value for key, value in data.items() if key not in SECTIONS}, where)
    check_file_name(top.name, f"{where}: name")
    memory_of(top.kv_memory)
    for key in GIVEN:
        if key in table(data, "train"):
            raise UserError(
                f"train.{key} is not set here: it follows from the run's seed, data and models; leave it out"
            )
    sections: dict[str, Any] = {key: build(cls, table(data, key), key) for key, cls in SECTIONS.items()}
    rest = {key: value for key, value in asdict(top).items() if key != "kind"}
    found = TranslateRecipe(**rest, **sections)
    _check_models(found)
    given: dict[str, Any] = {"seed": top.seed, "seq_len": found.data.max_tokens, "compile": "off", "dtype": "float32"}
    return replace(found, train=replace(found.train, **given))


def _check_models(recipe: TranslateRecipe) -> None:
    for key, names, among in (("models", recipe.models, MODELS), ("scheduled", recipe.scheduled, recipe.models)):
        if wrong := [name for name in names if name not in among]:
            raise UserError(f"{key}: there is no {wrong[0]!r}; write some of {', '.join(among)}")
        if len(set(names)) < len(names):
            raise UserError(f"{key} = {list(names)} names one twice; write each once")
    if not recipe.models:
        raise UserError(f"models is empty; write some of {', '.join(MODELS)}")
    if "decoder-only" in recipe.scheduled:
        raise UserError("scheduled: decoder-only reads source and target as one text; write models with an encoder")
    if not 0 < recipe.sampled <= 1:
        raise UserError(f"sampled = {recipe.sampled} must be above 0 and at most 1, such as 0.25")
    if recipe.train.batch_size < 1:
        raise UserError(f"train.batch_size = {recipe.train.batch_size} must be at least 1")


def to_plain(recipe: TranslateRecipe) -> dict[str, Any]:
    """The recipe as it was resolved, defaults included; `parse` of it gives the same recipe."""
    plain: dict[str, Any] = {
        "kind": KIND, "name": recipe.name, "seed": recipe.seed, "models": list(recipe.models),
        "scheduled": list(recipe.scheduled), "sampled": recipe.sampled,
        **{key: to_dict(getattr(recipe, key)) for key in SECTIONS},
    }  # fmt: skip
    if recipe.kv_memory:
        plain["kv_memory"] = recipe.kv_memory
    for key in GIVEN:
        del plain["train"][key]
    return plain
