"""The kinds of runs: what a recipe of each is, its stages in order, and how its directory is summed up.

A new kind is a row of this table; whoever goes through stages, writes reports or reads recipes looks here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clearhead.checkpoints.own import FILES
from clearhead.errors import UserError
from clearhead.pipeline import (
    preflight,
    stages,
    summary,
    text_stages,
    text_summary,
    translate_measure,
    translate_preflight,
    translate_stages,
    translate_summary,
)
from clearhead.pipeline.align import align_stage
from clearhead.pipeline.calibration import calibration_stage
from clearhead.pipeline.data import load_tasks
from clearhead.pipeline.in_context import in_context_stage
from clearhead.pipeline.measure import evaluation_stage
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.recipes import AnyRecipe
from clearhead.pipeline.rows_curve import rows_curve_stage
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.text_recipe import TextRecipe
from clearhead.pipeline.translate_recipe import TranslateRecipe


@dataclass(frozen=True)
class Stage:
    """A stage, which settings it is the first to read, and what it leaves in the run directory."""

    name: str
    do: Callable[[Any], None]
    reads: tuple[str, ...]  # sections or single settings; the longest pattern that fits a setting decides
    leaves: tuple[str, ...]  # patterns of files and folders


TASK_STAGES: tuple[Stage, ...] = (
    Stage(
        "tokenizer", stages.tokenizer_stage,
        ("seed", "minutes", "tasks", "data.tokens", "data.max_length", "model.from"),
        ("tokenizer*.json", "sizes.json", "base.json", "preflight.json", "drawn"),
    ),
    Stage(
        "pretrain", stages.pretrain_stage, ("tasks.*.share", "data", "model", "lora", "pretrain"),
        ("pretrain.*", "before.json", "policy.safetensors"),
    ),
    Stage("rows-curve", rows_curve_stage, ("data.curve",), ("rows_curve.json", "rows-*")),
    Stage("reader", stages.reader_stage, ("rollouts.reader",), ("reader.*",)),
    Stage("rollouts", stages.rollouts_stage, ("tasks.*.rollouts", "rollouts"), ("rollouts",)),
    Stage("reward", stages.reward_stage, ("reward",), ("reward.*",)),
    Stage("align", align_stage, ("align",), ("align*.*", "overoptimization.json")),
    Stage("in-context", in_context_stage, ("in_context", "in_context_align"), ("in_context*",)),
    Stage("calibration", calibration_stage, ("search", "evaluation.budgets"), ("auto.json", "calibration")),
    Stage("evaluation", evaluation_stage, ("evaluation", "report"), ("evaluation",)),
)  # fmt: skip

TEXT_STAGES: tuple[Stage, ...] = (
    Stage("corpus", text_stages.corpus_stage, ("data",), ("corpus.json",)),
    Stage("tokenizer", text_stages.tokenizer_stage, ("tokenizer",), ("tokenizer*.json",)),
    Stage("shards", text_stages.shards_stage, (), ("tokens",)),
    Stage(
        "pretrain", text_stages.pretrain_stage, ("seed", "model", "pretrain"),
        ("pretrain*", *FILES.values(), "encoder"),
    ),
    Stage("comparison", text_stages.comparison_stage, ("recall", "cost"), ("comparison", "recall-*")),
    Stage("evaluation", text_stages.evaluation_stage, ("evaluation",), ("evaluation",)),
)  # fmt: skip

TRANSLATE_STAGES: tuple[Stage, ...] = (
    Stage(
        "pairs", translate_stages.pairs_stage, ("seed", "data", "tokenizer"),
        ("pairs.json", "pairs.safetensors", "tokenizer*.json"),
    ),
    Stage(
        "train", translate_stages.train_stage, ("models", "scheduled", "sampled", "model", "train"),
        ("train-*", "models"),
    ),
    Stage("evaluation", translate_measure.evaluation_stage, ("evaluation",), ("evaluation",)),
)  # fmt: skip


@dataclass(frozen=True)
class RunKind:
    """`check` fails where something that a recipe names is not there; `dry_run` tells what is known beforehand, and
    `told` says it in lines.

    `report_data` and `headline` sum a directory up. After the stage `reads_until`, the files that a recipe names are
    not needed any more; the empty name: they are kept in the run.
    """

    recipe: type
    stages: tuple[Stage, ...]
    check: Callable[[Any], object]
    dry_run: Callable[[Any, Any], Mapping[str, Any]]
    told: Callable[[Mapping[str, Any]], list[str]]
    report_data: Callable[[RunDir], dict[str, Any]]
    headline: Callable[[RunDir, Mapping[str, Any]], dict[str, Any]]
    reads_until: str = ""


def _task_dry_run(recipe: Recipe, device: Any) -> Mapping[str, Any]:
    tasks = load_tasks(recipe)
    return preflight.facts(preflight.plan(preflight.survey(recipe, tasks), tasks, device), tasks)


def _text_dry_run(recipe: TextRecipe, device: Any) -> Mapping[str, Any]:
    raise UserError("--dry-run is for recipes of tasks, and this one learns running text; leave it out")


KINDS = {
    "task": RunKind(
        Recipe, TASK_STAGES, load_tasks, _task_dry_run, preflight.lines, summary.report_data, summary.headline
    ),
    "text": RunKind(
        TextRecipe, TEXT_STAGES, text_stages.check, _text_dry_run, preflight.lines, text_summary.report_data,
        text_summary.headline, "shards",
    ),
    "translate": RunKind(
        TranslateRecipe, TRANSLATE_STAGES, translate_stages.check, translate_preflight.facts,
        translate_preflight.lines, translate_summary.report_data, translate_summary.headline, "pairs",
    ),
}  # fmt: skip


def kind_of(recipe: AnyRecipe) -> RunKind:
    return next(kind for kind in KINDS.values() if isinstance(recipe, kind.recipe))
