"""How one reviews, stored beside the decks: limits of a day, order, retention, leeches, and the fitted schedule."""

import json
import math
import sqlite3
from dataclasses import asdict, dataclass, fields

from clearhead.errors import UserError
from clearhead.study.deck import change, setting, store
from clearhead.study.schedule import RETENTION, Plan

ORDERS = ("due", "random")
KEY = "review"


@dataclass(frozen=True)
class Settings:
    """`leech`: a card that was forgotten so often is suspended; 0 never does."""

    new: int = 20  # cards a day that were never seen
    reviews: int = 1000  # other cards a day
    order: str = "due"
    retention: float = RETENTION
    leech: int = 8
    parameters: tuple[float, ...] = ()

    @property
    def plan(self) -> Plan:
        return Plan(self.retention, self.parameters)


def load(db: sqlite3.Connection) -> Settings:
    """What was stored, and the defaults for the rest. UserError: what is stored is damaged."""
    text = setting(db, KEY)
    if text is None:
        return Settings()
    try:
        given = json.loads(text)
        known = {field.name for field in fields(Settings)}
        told = {key: value for key, value in given.items() if key in known}
        return checked(Settings(**told | {"parameters": tuple(map(float, given.get("parameters", ())))}))
    except (ValueError, TypeError, AttributeError):
        raise UserError("the stored settings of reviews cannot be read; `clearhead study settings --reset`") from None


def save(db: sqlite3.Connection, settings: Settings | None) -> None:
    """Store them; None goes back to the defaults."""
    with change(db):
        store(db, KEY, None if settings is None else json.dumps(asdict(checked(settings))))


def checked(settings: Settings) -> Settings:
    """The settings. UserError names the one that cannot be."""
    if not 0.7 <= settings.retention <= 0.99:
        raise UserError(f"retention is {settings.retention}; FSRS takes 0.7 to 0.99")
    if settings.order not in ORDERS:
        raise UserError(f"order is {settings.order!r}; it is one of {', '.join(ORDERS)}")
    for name in ("new", "reviews", "leech"):
        if not 0 <= getattr(settings, name) <= 100_000:
            raise UserError(f"{name} is {getattr(settings, name)}; it is 0 to 100,000")
    if not all(math.isfinite(value) for value in settings.parameters):
        raise UserError("the fitted parameters are no numbers; `clearhead study settings --reset`")
    return settings
