"""A run that is to end within so many minutes: how much less it does of all that takes time.

Deliberately not here: how long a run takes (preflight.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from clearhead.errors import UserError
from clearhead.pipeline.recipe import Recipe

LEAST = {  # of each setting that time is saved on, unless a recipe asks for less itself
    "pretrain.steps": 100,
    "reward.steps": 50,
    "align.rounds": 2,
    "in_context.steps": 50,
    "in_context_align.rounds": 2,
    "rollouts.problems": 40,
    "evaluation.problems": 40,
    "evaluation.seeds": 1,
}
USED = 0.9  # of the minutes: what was timed for a moment is not exact, and the report takes a while
HALVINGS = 10  # of the interval in which the share is looked for


def reduced(recipe: Recipe, share: float) -> dict[str, int]:
    """The settings of `LEAST` that are lower at this share of what the recipe asks for.

    What is only measured goes first, by the share's square: fewer problems widen an interval, and nothing else.

    >>> from clearhead.pipeline.recipe import parse
    >>> sorted(reduced(parse({"tasks": {"game24": {}}, "pretrain": {"steps": 900}}), 0.5).items())[-2:]
    [('reward.steps', 150), ('rollouts.problems', 500)]
    """
    asked = {key: _value(recipe, key) for key in LEAST if _counts(recipe, key)}
    shares = {key: share**2 if key.startswith("evaluation.") else share for key in asked}
    less = {key: max(min(value, LEAST[key]), int(shares[key] * value)) for key, value in asked.items()}
    return {key: value for key, value in less.items() if value < asked[key]}


def limited(recipe: Recipe, limits: Mapping[str, int]) -> Recipe:
    """The recipe with these settings instead of its own."""
    changed: dict[str, dict[str, Any]] = {}
    for key, value in limits.items():
        section, _, name = key.partition(".")
        changed.setdefault(section, {})[name] = value
        if name == "steps" and hasattr(config := getattr(recipe, section), "warmup"):
            changed[section]["warmup"] = min(config.warmup, value - 1)
    return replace(recipe, **{key: replace(getattr(recipe, key), **values) for key, values in changed.items()})


def limits(recipe: Recipe, seconds: Callable[[Recipe], float]) -> dict[str, int]:
    """What must be less so that the recipe ends within its minutes, by the largest share that does; {} for nothing.

    `seconds`: what a recipe takes. UserError where the least of everything takes longer.
    """
    most = 60 * recipe.minutes * USED
    if not recipe.minutes or seconds(recipe) <= most:
        return {}
    low, high = 0.0, 1.0
    if (least := seconds(limited(recipe, reduced(recipe, low)))) > most:
        raise UserError(
            f"minutes = {recipe.minutes:g} are too few: the least that makes sense takes {least / 60 / USED:.1f} here; "
            "raise it, measure fewer evaluation.strategies, or take a smaller model"
        )
    for _ in range(HALVINGS):
        share = (low + high) / 2
        low, high = (share, high) if seconds(limited(recipe, reduced(recipe, share))) <= most else (low, share)
    return reduced(recipe, low)


def told(recipe: Recipe, found: Mapping[str, int]) -> list[str]:
    """A line about what is less, so that the recipe ends within its minutes."""
    if not found:
        return []
    less = ", ".join(f"{key} {_value(recipe, key):,} -> {value:,}" for key, value in found.items())
    return [f"to end within {recipe.minutes:g} minutes: {less}; more minutes teach more"]


def _counts(recipe: Recipe, key: str) -> bool:
    """Learning by rewards has rounds only where there is a method."""
    section, _, name = key.partition(".")
    return name != "rounds" or getattr(recipe, section).method != "none"


def _value(recipe: Recipe, key: str) -> int:
    section, _, name = key.partition(".")
    value: int = getattr(getattr(recipe, section), name)
    return value
