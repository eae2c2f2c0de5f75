"""Study for the page: cards of the user's decks, and exercises that are graded in the sandbox."""

import time
from dataclasses import asdict
from typing import Any

from pydantic import Field

from clearhead.errors import UserError
from clearhead.server.bodies import Body
from clearhead.server.errors import ApiError
from clearhead.study import deck as decks
from clearhead.study import schedule
from clearhead.study.importing import import_guide
from clearhead.study.practice import exercise, progress
from clearhead.study.practice.grade import grade
from clearhead.study.practice.runner import run_apart
from clearhead.study.session import Wanted, first, rate, state_of
from clearhead.study.settings import load

MOST_SOLUTION = 200_000  # characters


class RatingBody(Body):
    card: int
    rating: int = Field(ge=1, le=4)


class SolutionBody(Body):
    source: str = Field(max_length=MOST_SOLUTION)


def listed() -> dict[str, Any]:
    with decks.opened(decks.own_decks()) as db:
        import_guide(db)
        return {"decks": [asdict(one) for one in decks.counts(db, time.time())]}


def following(deck: str) -> dict[str, Any]:
    """The card that comes next, None where nothing waits, and how many wait."""
    now = time.time()
    with decks.opened(decks.own_decks()) as db:
        if deck not in decks.decks(db):
            raise ApiError(404, f"there is no deck {deck[:80]!r}", code="not_found")
        settings = load(db)
        card, waiting = first(db, Wanted([deck], new=settings.new, settings=settings), now)
        if card is None:
            return {"card": None, "waiting": 0}
        told = [schedule.spoken(seconds) for seconds in schedule.intervals(state_of(card), now, settings.plan)]
        shown = {key: getattr(card, key) for key in ("id", "deck", "section", "question", "answer")}
        return {"card": {**shown, "intervals": told}, "waiting": waiting}


def rated(body: RatingBody) -> dict[str, Any]:
    """Write an answer down."""
    with decks.opened(decks.own_decks()) as db:
        try:
            card = decks.card(db, body.card)
        except IndexError:
            raise ApiError(404, f"there is no card {body.card}", code="not_found") from None
        _, forgotten = rate(db, card, body.rating, load(db), time.time())
        return {"suspended": bool(forgotten)}


def exercises() -> dict[str, Any]:
    done = progress.read(progress.record())
    return {
        "exercises": [
            {"name": name, "title": one.title, "section": one.section, "passed": name in done and done[name].passed}
            for name in exercise.names()
            for one in [exercise.load(name)]
        ]
    }


def described(name: str) -> dict[str, Any]:
    found = _exercise(name)
    return {"name": name, "title": found.title, "statement": found.statement.strip(), "hints": list(found.hints),
            "stub": exercise.stub(found, name)}  # fmt: skip


def graded(name: str, body: SolutionBody) -> dict[str, Any]:
    """The verdict on a solution, which runs where it reaches nothing."""
    found = _exercise(name)
    verdict = grade(found, body.source, run_apart)
    progress.tried(name, verdict.passed)
    return asdict(verdict)


def _exercise(name: str) -> exercise.Exercise:
    try:
        return exercise.load(name)
    except UserError as error:
        raise ApiError(404, str(error), code="not_found") from None
