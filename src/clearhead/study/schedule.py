"""When to ask again: the package fsrs (Ye, Su and Cao 2022), behind plain dictionaries that a deck can keep."""

import importlib
from datetime import UTC, datetime
from functools import lru_cache
from types import ModuleType
from typing import Any

from clearhead.errors import UserError

PACKAGE = "fsrs"
RATINGS = ("again", "hard", "good", "easy")  # 1 to 4
RETENTION = 0.9  # the chance to remember at which a card is due

State = dict[str, Any]


def reviewed(state: State | None, rating: int, now: float) -> tuple[State, float]:
    """The state after a rating from 1 to 4 at `now` (seconds since 1970), and when the card is due; None is new."""
    if not 1 <= rating <= len(RATINGS):
        raise UserError(f"a rating is 1 to {len(RATINGS)} ({', '.join(RATINGS)}), not {rating}")
    fsrs, moment = _package(), datetime.fromtimestamp(now, UTC)
    card = fsrs.Card(card_id=1, due=moment) if state is None else fsrs.Card.from_dict(state)
    if card.last_review is not None and card.last_review > moment:  # by a clock that was ahead
        card.last_review = moment
    card, _ = _scheduler().review_card(card, fsrs.Rating(rating), moment)
    return card.to_dict(), card.due.timestamp()


def intervals(state: State | None, now: float) -> list[float]:
    """Seconds until the card would be due, for each rating."""
    return [reviewed(state, rating, now)[1] - now for rating in range(1, len(RATINGS) + 1)]


def recall(state: State | None, now: float) -> float:
    """The chance that the answer is still known; 0 for a new card."""
    if state is None:
        return 0.0
    card = _package().Card.from_dict(state)
    return float(_scheduler().get_card_retrievability(card, datetime.fromtimestamp(now, UTC)))


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


@lru_cache
def _scheduler() -> Any:
    return _package().Scheduler(desired_retention=RETENTION, enable_fuzzing=False)


def _package() -> ModuleType:
    try:
        return importlib.import_module(PACKAGE)
    except ImportError:
        raise UserError("spaced review needs the package fsrs: pip install 'clearhead[study]'") from None
