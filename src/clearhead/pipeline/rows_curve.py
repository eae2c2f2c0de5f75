"""Accuracy against rows: would more of them help, or more training, or another model to start from?

Models are trained on a quarter and on half of the rows as the policy was on all, each row read as often, and tried on
the same held-out problems. The error falls about as a power of the rows, so three points say, roughly, what a fourth
would be; how roughly is said as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clearhead.checkpoints.load import smollm2
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.pipeline import few_rows
from clearhead.pipeline.context import Context
from clearhead.pipeline.stages import first_try, load_policy, train_language_model
from clearhead.reasoning.statistics import wilson
from clearhead.training.jsonl_log import read

TRIED = 300  # held-out problems of each task
DRAWS = 4_000  # of the accuracies that the counts leave possible
TIMES = 4  # as many rows: what the advice looks ahead to
WORTH = 0.03  # of accuracy that an advice must promise
LEARNED = 0.9  # of its own training problems at first try: there is no more to learn from them


@dataclass(frozen=True)
class RowsPoint:
    """`right` of `tried` held-out problems solved at first try after training on so many rows, with its interval."""

    rows: int
    right: int
    tried: int
    accuracy: float
    low: float
    high: float


def point(rows: int, right: int, tried: int) -> RowsPoint:
    return RowsPoint(rows, right, tried, *wilson(right, tried))


def extrapolated(points: Sequence[RowsPoint], rows: int, seed: int = 0) -> tuple[float, float, float]:
    """Accuracy at so many rows, median and 95% interval, by error = c · rows^-b with b ≥ 0.

    Accuracies are drawn from their posterior (Jeffreys' prior), and the line through log error against log rows is
    fitted to each draw: what the counts leave open, the interval leaves open. That the power law goes on is assumed.
    """
    rng = np.random.default_rng(seed)
    right, tried = np.array([p.right for p in points]), np.array([p.tried for p in points])
    errors = rng.beta(tried - right + 0.5, right + 0.5, size=(DRAWS, len(points)))
    x = np.log([p.rows for p in points])
    y = np.log(errors)
    slope = (y * (x - x.mean())).sum(1) / ((x - x.mean()) ** 2).sum()
    error = np.exp(y.mean(1) + np.minimum(slope, 0) * (np.log(rows) - x.mean()))
    low, median, high = np.quantile(1 - np.minimum(error, 1), [0.025, 0.5, 0.975])
    return float(median), float(low), float(high)


def advice(points: Sequence[RowsPoint], seen: float, base: bool) -> str:
    """Would more rows, more training or another model to start from help?

    `seen` is the share of its own training problems that the policy solves, `base` whether a pretrained model is here.
    """
    last = points[-1]
    rows = TIMES * last.rows
    ahead, low, high = extrapolated(points, rows)
    outlook = f"with {rows:,} rows about {ahead:.0%} ({low:.0%} to {high:.0%}) after {last.accuracy:.0%}"
    if low - last.accuracy > WORTH:
        told = f"More rows would help: {outlook}, if the error goes on falling as it did."
    elif ahead - last.accuracy > WORTH:
        told = f"More rows may help: {outlook}; the interval leaves it open."
    else:
        told = f"More rows like these would hardly help: {outlook}."
    if seen < LEARNED and last.accuracy < LEARNED:
        told += f" It solves {seen:.0%} of its own training problems, so more training would help as well."
    elif last.accuracy < LEARNED:
        told += f" It solves {seen:.0%} of its own training problems, so more training would not."
        told += " A pretrained model may: --set model.from=smollm2." if base else ""
    return told


def rows_curve_stage(context: Context) -> None:
    """Leaves `rows_curve.json`: the points, and the advice."""
    recipe, tasks = context.recipe, context.tasks()
    rows = few_rows.training_rows(tasks.values())
    events = read(context.run.log("pretrain"))
    steps = max((event["step"] for event in events if event["kind"] == "step"), default=0)
    if not few_rows.curve(recipe, rows, steps):
        if few_rows.are_few(rows) and recipe.data.curve is None:
            context.say("accuracy against rows: not measured, since it takes a while; data.curve = true does it")
        return
    context.say("accuracy against rows: two trainings, together about three quarters as long as the policy's")
    tokenizer = context.tokenizer()
    asked = {name: task.problems("valid", TRIED, recipe.seed) for name, task in tasks.items()}

    def tried(decoder: Any, share: float) -> RowsPoint:
        found = first_try(decoder, tokenizer, tasks, asked, recipe.search.solution_tokens, recipe.kv_bytes)
        accuracy: Mapping[str, float] = found["accuracy"]
        right = sum(round(accuracy[name] * len(problems)) for name, problems in asked.items())
        return point(round(share * rows), right, sum(map(len, asked.values())))

    points = []
    for share in few_rows.SHARES:
        stage, label = f"rows-{share:g}", f"{share:g} of the rows"
        config = few_rows.in_steps(recipe.pretrain, max(1, round(share * steps)))
        points.append(tried(train_language_model(context, config, stage, label, recipe.seed, share), share))
    points.append(tried(load_policy(context.run, context.device), 1.0))
    last = [event for event in events if event["kind"] == "eval"][-1:]
    told = advice(points, last[0]["seen_first_try"] if last else 0.0, base=not recipe.base and pretrained_is_here())
    write_json(context.run.rows_curve, {"points": [asdict(found) for found in points], "advice": told})
    for found in points:
        context.say(f"{found.rows:,} rows: {found.accuracy:.0%} at first try ({found.low:.0%} to {found.high:.0%})")
    context.say(told)
    for share in few_rows.SHARES:
        context.run.checkpoint(f"rows-{share:g}").unlink(missing_ok=True)


def pretrained_is_here() -> bool:
    """Is the package with SmolLM2 installed?"""
    try:
        return smollm2().is_file()
    except UserError:
        return False
