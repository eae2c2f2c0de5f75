"""When to ask again: the package fsrs (Ye, Su and Cao 2022), behind plain dictionaries that a deck can keep."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import ModuleType
from typing import Any

from clearhead.errors import UserError

PACKAGE = "fsrs"
RATINGS = ("again", "hard", "good", "easy")  # 1 to 4
RETENTION = 0.9  # the chance to remember at which a card is due

LEAST_FIT = 512  # answers from which FSRS's parameters are fitted to one's own; the package's own bound

State = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How to schedule: the chance to remember at which a card is due, and FSRS's parameters, its own where none."""

    retention: float = RETENTION
    parameters: tuple[float, ...] = ()


DEFAULT = Plan()


def reviewed(state: State | None, rating: int, now: float, plan: Plan = DEFAULT) -> tuple[State, float]:
    """The state after a rating from 1 to 4 at `now` (seconds since 1970), and when the card is due; None is new."""
    if not 1 <= rating <= len(RATINGS):
        raise UserError(f"a rating is 1 to {len(RATINGS)} ({', '.join(RATINGS)}), not {rating}")
    fsrs, moment = _package(), datetime.fromtimestamp(now, UTC)
    card = fsrs.Card(card_id=1, due=moment) if state is None else fsrs.Card.from_dict(state)
    if card.last_review is not None and card.last_review > moment:  # by a clock that was ahead
        card.last_review = moment
    card, _ = _scheduler(plan).review_card(card, fsrs.Rating(rating), moment)
    return card.to_dict(), card.due.timestamp()


def intervals(state: State | None, now: float, plan: Plan = DEFAULT) -> list[float]:
    """Seconds until the card would be due, for each rating."""
    return [reviewed(state, rating, now, plan)[1] - now for rating in range(1, len(RATINGS) + 1)]


def recall(state: State | None, now: float) -> float:
    """The chance that the answer is still known; 0 for a new card."""
    if state is None:
        return 0.0
    card = _package().Card.from_dict(state)
    return float(_scheduler(DEFAULT).get_card_retrievability(card, datetime.fromtimestamp(now, UTC)))


def spoken(seconds: float) -> str:
    """An interval in the largest unit that is not 0.

    >>> spoken(600), spoken(3 * 86400), spoken(86400 * 400), spoken(59.9999)
    ('10 min', '3 days', '13 months', '1 min')
    """
    seconds = round(seconds)  # a date has microseconds, and a minute may miss one
    for unit, size in (("months", 30 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= (2 if unit == "months" else 1) * size:
            n = round(seconds / size)
            return f"{n} {unit.removesuffix('s') if n == 1 else unit}"
    return "now"


def fitted(answers: Sequence[tuple[int, float, int]]) -> tuple[float, ...]:
    """FSRS's parameters fitted to (card, seconds since 1970, rating), in the order of time.

    UserError: there are too few answers, or the package's optimizer is not there.
    """
    if len(answers) < LEAST_FIT:
        raise UserError(f"there are {len(answers)} answers; {LEAST_FIT} are needed to fit the schedule to them")
    fsrs = _package()
    logs = [
        fsrs.ReviewLog(card, fsrs.Rating(rating), datetime.fromtimestamp(at, UTC), None) for card, at, rating in answers
    ]
    try:
        found = fsrs.Optimizer(logs).compute_optimal_parameters()
    except ImportError:
        raise UserError("fitting needs the optimizer of fsrs: pip install 'fsrs[optimizer]'") from None
    return tuple(float(value) for value in found)


@lru_cache(maxsize=8)
def _scheduler(plan: Plan) -> Any:
    given = {"parameters": plan.parameters} if plan.parameters else {}
    try:
        return _package().Scheduler(desired_retention=plan.retention, enable_fuzzing=False, **given)
    except ValueError as error:
        raise UserError(f"FSRS does not take these parameters: {str(error).splitlines()[0]}") from None


def _package() -> ModuleType:
    try:
        return importlib.import_module(PACKAGE)
    except ImportError:
        raise UserError("spaced review needs the package fsrs: pip install 'clearhead[study]'") from None
