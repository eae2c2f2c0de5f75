"""A recipe: the TOML file that says what a run trains on, how, and what it measures afterwards.

Each section is one flat dataclass that belongs to the layer it configures; here they only meet. Sections left out
keep their defaults, unknown keys are refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from clearhead.alignment.methods import AlignConfig
from clearhead.alignment.rollouts import RolloutConfig
from clearhead.alignment.traces import InContextConfig
from clearhead.config import build, check_file_name, nearest, parse_bytes, renamed, to_dict
from clearhead.errors import UserError
from clearhead.models.decoder import MAX_SIZES, PRESETS, DecoderConfig
from clearhead.nn.lora import LoraConfig
from clearhead.reasoning.evaluate import EvaluationConfig
from clearhead.reasoning.strategies import known
from clearhead.reasoning.strategy import SearchConfig
from clearhead.tasks import load
from clearhead.tasks.task import Task
from clearhead.training.loop import TrainConfig


@dataclass(frozen=True)
class TaskConfig:
    """One task of the run. `source` is what `clearhead tasks` lists; empty means the section's own name.

    `share` is its part of the training documents, `rollouts` multiplies the problems that are labeled for the reward
    model: a task whose solutions are short and alike can afford more. `pieces` makes steps of answers that have none:
    the separator that ends a step, "off", or "auto": a separator that nearly all answers have.
    """

    name: str
    source: str = ""
    share: float = 1.0
    rollouts: float = 1.0
    holdout: str = ""
    pieces: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Task:
        holdout = Path(self.holdout) if self.holdout else None
        return load(self.source or self.name, holdout=holdout, **self.options)


SHORTEST = 8  # tokens that a document may have at most, at least
OWN = (
    "source",
    "share",
    "rollouts",
    "holdout",
    "pieces",
)  # keys of a task's section that are ours; the others are the task's


@dataclass(frozen=True)
class DataConfig:
    """What is written from the tasks: `direct` is the share of documents that ask for the bare answer.

    `hide` is the share of training documents whose problem can be read in part only, so that solutions are worked out
    and not remembered. Documents of more than `max_length` tokens
    are left out. `tokens` are characters, or subwords where they pay. `curve`: measure accuracy against rows, which
    takes three quarters of the policy's time again; left out, only where that is short.
    """

    direct: float = 0.1
    max_length: int = 2048
    hide: float = 0.0
    tokens: Literal["auto", "characters", "subwords"] = "auto"
    curve: bool | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.hide <= 1:
            raise UserError(f"data.hide = {self.hide} must be 0 to 1")
        if not 0 <= self.direct < 1:
            raise UserError(f"data.direct = {self.direct} must be at least 0 and below 1")
        if not SHORTEST <= self.max_length <= MAX_SIZES["max_positions"] // 2:
            raise UserError(f"data.max_length = {self.max_length} must be at least {SHORTEST} tokens, such as 2048")


@dataclass(frozen=True)
class ReportConfig:
    """`trees`: problems whose search is drawn, written "task: problem"; `compare`: a strategy and its baseline."""

    trees: tuple[str, ...] = ()
    examples: int = 6
    compare: tuple[str, str] = ("auto", "self-consistency")
    compare_at: int = 0  # the budget of the comparison; 0: the largest that both spend


@dataclass(frozen=True)
class Recipe:
    """What a file says, all sections checked. Sizes that are 0 follow from the data: `sizes.filled` puts them in.

    `minutes`: the run does less of what takes time until it should end within so many (time_limit.py); 0: no limit.
    """

    name: str
    seed: int
    tasks: tuple[TaskConfig, ...]
    data: DataConfig
    model: Mapping[str, Any]
    lora: LoraConfig
    pretrain: TrainConfig
    rollouts: RolloutConfig
    reward: TrainConfig
    align: AlignConfig
    in_context: InContextConfig
    in_context_align: AlignConfig
    search: SearchConfig
    evaluation: EvaluationConfig
    report: ReportConfig
    kv_memory: str = ""
    minutes: float = 0.0

    def kv_part(self, parts: int) -> int | None:
        """What each of so many, who hold keys and values at the same time, may have of them."""
        return None if self.kv_bytes is None else self.kv_bytes // parts

    @property
    def kv_bytes(self) -> int | None:
        """Bytes for keys and values, None for a share of what is free."""
        return memory_of(self.kv_memory)

    @property
    def base(self) -> str:
        """The checkpoint that the run starts from, "" where it starts from nothing."""
        return str(self.model.get("from", ""))

    @property
    def full(self) -> bool:
        """Of a base: whether all its weights are trained, and not the low-rank updates beside them alone."""
        return bool(self.model.get("full", False))

    def decoder(self, vocab: int) -> DecoderConfig:
        """The shape of the language model. A base has its own, `vocab` included, once the run has read it."""
        if self.base:
            return build(DecoderConfig, {key: self.model[key] for key in self.model if key not in OF_BASE}, "model")
        unknown = not self.model.get("max_positions", 1)  # 0, which the data will replace
        return decoder_config({k: v for k, v in self.model.items() if not (unknown and k == "max_positions")}, vocab)


def decoder_config(model: Mapping[str, Any], vocab: int) -> DecoderConfig:
    """The preset's values, overridden by what the section `model` names."""
    chosen = dict(model)
    preset = chosen.pop("preset", "demo")
    if preset not in PRESETS:
        raise UserError(f"model.preset = {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    return build(DecoderConfig, {**PRESETS[preset], **chosen, "vocab": vocab}, "model")


PLAIN_D_FF = {"demo": 768, "small": 1024, "medium": 2048}  # of the presets, as long as relu2 was the default


def model_section(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section `model`. It always says its MLP, so that a run keeps it whatever the default becomes."""
    return {"mlp": DecoderConfig.mlp, **table(data, "model")}


OF_BASE = ("from", "full")  # what the section `model` says of a checkpoint to start from, and nothing else beside it


def base_section(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section `model` of a run that starts from a checkpoint, which has a shape already."""
    name, full = model["from"], model.get("full", False)
    if not isinstance(name, str) or not name:
        raise UserError(f"model.from = {name!r} must name a model: a run, a folder, a GGUF file, smollm2")
    if not isinstance(full, bool):
        raise UserError(f"model.full = {full!r} must be true (train all weights) or false (LoRA)")
    if other := next((key for key in model if key not in OF_BASE), None):
        raise UserError(f"model.{other}: a run from {name} has that model's shape; leave it out")
    path = Path(name).expanduser()
    return {"from": str(path.resolve()) if path.exists() else name, "full": full}


def with_old_default(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The recipe that an old run kept: of a time when answers stayed whole, relu2 was the MLP that no one named, and
    settings of training had other names.
    """
    if data.get("kind") not in (None, "text"):  # kinds that are younger
        return data
    tasks = {name: {"pieces": "off", **section} for name, section in table(data, "tasks").items()}
    data = {**data, "tasks": tasks} if tasks else data
    for key in ("pretrain", "reward", "model"):
        if key in data:
            data = {**data, key: renamed(table(data, key))}
    model = table(data, "model")
    if "mlp" in model or "from" in model:
        return data
    preset = model.get("preset", "demo")
    width = {"d_ff": PLAIN_D_FF[preset]} if preset in PLAIN_D_FF else {}
    return {**data, "model": {"mlp": "relu2", **width, **model}}


SECTIONS = {
    "data": DataConfig,
    "lora": LoraConfig,
    "pretrain": TrainConfig,
    "rollouts": RolloutConfig,
    "reward": TrainConfig,
    "align": AlignConfig,
    "in_context": InContextConfig,
    "in_context_align": AlignConfig,
    "search": SearchConfig,
    "evaluation": EvaluationConfig,
    "report": ReportConfig,
}


FOR_TASKS: dict[str, dict[str, Any]] = {  # what the sections of training say that leave it out
    "pretrain": {"batch_size": 0, "seq_len": 0, "weight_decay": 0.1, "eval_every": 50, "save_every": 50},
    "reward": {
        "batch_size": 0, "seq_len": 0, "steps": 300, "lr": 0.01, "adam_lr": 0.002, "warmup": 20,
        "eval_every": 50, "save_every": 50,
    },
}  # fmt: skip
UNTIL_LEARNED = {"steps": 1800, "keep_best": "first_try", "patience": 4, "goal": 0.99}  # without a number of steps
_TUNED = {"batch_size": 0, "seq_len": 0, "optimizer": "adamw", "weight_decay": 0.0, "warmup": 10, "compile": "off"}
FOR_BASE: dict[str, dict[str, Any]] = {  # the same of a run that starts from a checkpoint
    "pretrain": {**_TUNED, "eval_every": 25, "save_every": 25},
    "reward": {**_TUNED, "steps": 150, "eval_every": 25, "save_every": 25},
}
BASE_RATES = {True: 3e-5, False: 5e-4}  # adam_lr where all weights learn, and where LoRA does
BASE_STEPS = 200  # instead of the steps of UNTIL_LEARNED


def parse(data: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Check the whole file before anything runs. Raises UserError on the first thing that is wrong."""
    outside = [field.name for field in fields(_TopLevel)]
    known = {*outside, "tasks", "model", *SECTIONS}
    for key in data:
        if key not in known:
            raise UserError(f"{where}: {key} is not a setting{nearest(key, known)}")
    top = build(_TopLevel, {key: data[key] for key in outside if key in data}, where)
    check_file_name(top.name, f"{where}: name")
    memory_of(top.kv_memory)
    if not 0 <= top.minutes < math.inf:
        raise UserError(f"minutes = {top.minutes} must be positive, or 0 for no limit")
    tasks = tuple(_task(name, section) for name, section in table(data, "tasks").items())
    if not tasks:
        raise UserError(f"{where} names no task; add a section such as [tasks.game24]")
    based = "from" in table(data, "model")
    model = base_section(table(data, "model")) if based else model_section(data)
    given = {key: {**_defaults(key, model), **table(data, key)} for key in SECTIONS}
    if "steps" not in given["pretrain"]:
        fewer = {"steps": BASE_STEPS} if based else {}
        given["pretrain"] = {**UNTIL_LEARNED, **fewer, **given["pretrain"]}
    if table(data, "lora") and (not based or model["full"]):
        raise UserError("[lora] is for runs from a checkpoint: set model.from to one, and leave model.full out")
    if based and given["data"].get("tokens", "auto") != "auto":
        raise UserError(
            f"data.tokens = {given['data']['tokens']!r}: a run from {model['from']} has that model's tokens"
        )
    sections: dict[str, Any] = {key: build(cls, given[key], key) for key, cls in SECTIONS.items()}
    for key in ("pretrain", "reward"):
        if sections[key].seed not in (0, top.seed):
            raise UserError(f"{key}.seed = {sections[key].seed}: a run has one seed; set it at the top, or with --seed")
    _check_in_context(sections)
    evaluation: EvaluationConfig = sections["evaluation"]
    if sections["in_context"].steps and SEARCHER not in evaluation.strategies:
        sections["evaluation"] = replace(evaluation, strategies=(*evaluation.strategies, SEARCHER))
    recipe = Recipe(**to_dict(top), tasks=tasks, model=model, **sections)
    if not based:
        recipe.decoder(vocab=8)  # a wrong model section must be told now, not after the data is made
    return replace(recipe, **{key: replace(sections[key], seed=top.seed) for key in ("pretrain", "reward")})


SEARCHER = "in-context"  # the strategy that is measured wherever a model has learned it


def _check_in_context(sections: Mapping[str, Any]) -> None:
    """Nothing that a recipe says of searching within one text may come to nothing."""
    config, align = sections["in_context"], sections["in_context_align"]
    if align.betas:
        raise UserError(f"in_context_align.betas = {list(align.betas)}: only [align] compares several; set beta")
    if config.steps:
        return
    if config != InContextConfig():
        raise UserError("[in_context] would change nothing without steps; set in_context.steps, such as 400")
    if align.method != "none":
        raise UserError(f"in_context_align.method = {align.method!r} needs in_context.steps, such as 400")
    known(sections["evaluation"].strategies, has_searcher=False)


def to_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as it was resolved, defaults included; `parse` of it gives the same recipe."""
    plain: dict[str, Any] = {"name": recipe.name, "seed": recipe.seed}
    plain |= {key: value for key in ("kv_memory", "minutes") if (value := getattr(recipe, key))}
    plain["tasks"] = {task.name: {**{key: getattr(task, key) for key in OWN}, **task.options} for task in recipe.tasks}
    plain["model"] = dict(recipe.model)
    plain |= {key: to_dict(getattr(recipe, key)) for key in SECTIONS}
    if not recipe.base or recipe.full:
        del plain["lora"]
    for key in ("pretrain", "reward"):
        del plain[key]["seed"]  # which is the run's, and stands at the top
    return plain


def _defaults(section: str, model: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a section of training says that leaves it out."""
    if "from" not in model:
        return FOR_TASKS.get(section, {})
    return {"adam_lr": BASE_RATES[model["full"]], **FOR_BASE[section]} if section in FOR_BASE else {}


@dataclass(frozen=True)
class _TopLevel:
    """The keys of a recipe that stand outside sections."""

    name: str = "run"
    seed: int = 0
    kv_memory: str = ""
    minutes: float = 0.0


def memory_of(kv_memory: str) -> int | None:
    """Bytes, None where nothing is said."""
    try:
        return parse_bytes(kv_memory) if kv_memory else None
    except UserError as error:
        raise UserError(f"kv_memory = {error}") from None


def table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key, {})
    if not isinstance(found, Mapping):
        raise UserError(f"{key} = {found!r} must be a section: write [{key}] with its keys below")
    return found


def _task(name: str, section: Any) -> TaskConfig:
    if not isinstance(section, Mapping):
        raise UserError(f"tasks.{name} = {section!r} must be a section: write [tasks.{name}] with its keys below")
    check_file_name(name, "the name of a task")
    own = {key: value for key, value in section.items() if key in OWN}
    options = {key: value for key, value in section.items() if key not in own}
    config = replace(build(TaskConfig, {"name": name, **own}, f"tasks.{name}"), options=options)
    for key in ("share", "rollouts"):
        if getattr(config, key) <= 0:
            raise UserError(
                f"tasks.{name}.{key} = {getattr(config, key)} must be above 0; leave the task out to skip it"
            )
    return config
