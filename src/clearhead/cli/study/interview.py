"""`clearhead study interview`: a timed mix of questions, problems and an exercise, and what to review after it."""

import json
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import draw_seed_option, json_option, work_folder_option
from clearhead.cli.study.decks import GUIDE, guide, guide_items, known, opened, own
from clearhead.cli.study.passes import of_problem, tried
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json, joined, styled, text_width

if TYPE_CHECKING:
    import sqlite3

    import numpy as np

    from clearhead.study.deck import Card
    from clearhead.study.interview import Part, Result

INTERRUPTED = 130  # exit code


@click.command(
    short_help="A mock interview against the clock.",
    epilog=examples(
        ("clearhead study interview", "45 minutes, weakest sections first"),
        ("clearhead study interview --minutes 15", "a short one, without an exercise"),
        ("clearhead study interview --json", "only say what would be asked"),
    ),
)
@click.option("--minutes", type=int, default=45, show_default=True, help="How long it takes.")
@click.option(
    "--deck", "deck", help="Questions of this deck. Default: of all decks of yours; of the guide if you have none."
)
@work_folder_option
@draw_seed_option
@json_option
def interview(minutes: int, deck: str | None, folder: str, seed: int | None, as_json: bool) -> int | None:
    """Ask for so many minutes: questions that you rate yourself, pen-and-paper problems, and one exercise to code.

    Questions come from the sections that went worst in your reviews first. Answers to questions count as reviews.
    Ctrl-C ends it early; what was answered is kept, and the summary comes all the same. With --json nothing
    is asked: it tells what would be.
    """
    import numpy as np

    from clearhead.study.interview import Result, plan
    from clearhead.study.practice import exercise
    from clearhead.study.practice.problem_set import PROBLEMS
    from clearhead.study.statistics import weakest

    chosen = int(np.random.default_rng().integers(1_000_000)) if seed is None else seed
    rng = np.random.default_rng(chosen)
    with opened() as db:
        guide(db)
        names = own(db) if deck is None else [known(db, deck)]
        cards = _answered(db, names)
        if deck is None and not cards:
            names, cards = [GUIDE], _answered(db, [GUIDE])
        weak = [entry.section for entry in weakest(db, names, time.time())]
        sections = {key: exercise.load(key).section for key in exercise.names()}
        parts = plan(minutes, {key: card.section for key, card in cards.items()}, weak, list(PROBLEMS), sections, rng)
        if as_json:
            rows = [asdict(part) | _said(part, cards) for part in parts]
            echo_json({"minutes": minutes, "seed": chosen, "parts": rows})
            return None
        echo(f"{minutes} minutes, {len(parts)} parts. Enter goes on, s passes over, Ctrl-C ends it. Seed {chosen}.")
        results: list[Result] = []
        interrupted = False
        end = time.monotonic() + 60 * minutes
        try:
            for i, part in enumerate(parts, 1):
                left = max(0, round((end - time.monotonic()) / 60))
                if not left and results:
                    echo("\nTime is up.")
                    break
                head = f"{i} of {len(parts)} · {part.kind} · about {part.minutes:.0f} min · {left} min left"
                echo(styled(f"\n{head}", dim=True))
                results.append(Result(part, _ask(db, part, cards, rng, folder)))
        except (KeyboardInterrupt, click.Abort):
            interrupted = True
            echo()
        _summary(parts, results)
    return INTERRUPTED if interrupted else None


def _answered(db: "sqlite3.Connection", names: "Sequence[str]") -> "dict[str, Card]":
    """The cards that can be asked, by their ids; those without an answer of their own with the guide's."""
    from clearhead.study import deck as decks
    from clearhead.study.answers import filled, is_answered

    found = [
        card
        for name in names
        for card in (decks.cards(db, name) if name == GUIDE else filled(decks.cards(db, name), guide_items()))
    ]
    return {str(card.id): card for card in found if is_answered(card.answer) and not card.suspended}


def _said(part: "Part", cards: dict) -> dict[str, str]:
    return {"question": cards[part.name].question} if part.kind == "question" else {}


def _ask(db: "sqlite3.Connection", part: "Part", cards: dict, rng: "np.random.Generator", folder: str) -> float | None:
    """Pose one part; how it went from 0 to 1, None if it was passed over."""
    if part.kind == "question":
        return _question(db, cards[part.name])
    return _problem(part.name, rng) if part.kind == "problem" else _exercise(part.name, folder)


def _question(db: "sqlite3.Connection", card: "object") -> float | None:
    from clearhead.cli.study.review import shown
    from clearhead.study import deck as decks
    from clearhead.study import schedule

    assert isinstance(card, decks.Card)
    echo(shown(card.question))
    if _line("[say it aloud, then Enter] ") == "s":
        return None
    echo(joined(("\n", shown(card.answer), "\n")))
    rating = ""
    while rating not in ("1", "2", "3", "4"):
        rating = _line("how well did you know it? 1 not, 2 hardly, 3 well, 4 at once: ")
        if rating == "s":
            return None
    now = time.time()
    state, due = schedule.reviewed(None if card.state is None else json.loads(card.state), int(rating), now)
    decks.record_review(db, card.id, now, int(rating), json.dumps(state), due)
    return (int(rating) - 1) / 3


def _problem(name: str, rng: "np.random.Generator") -> float | None:
    from clearhead.study.practice.problem_set import find
    from clearhead.study.practice.problems import check, question, wanted

    problem = find(name)
    numbers = problem.draw(rng)
    echo(f"{name}: {problem.title}\n")
    echo("\n".join(textwrap.fill(line, text_width()) for line in question(problem, numbers).splitlines()))
    echo(f"({wanted(problem)})")
    while True:
        typed = _line("answer: ")
        if typed == "s":
            return None
        try:
            reply = check(problem, numbers, typed)
        except UserError as error:  # a slip of the pen is no answer
            echo(str(error))
            continue
        echo("Right." if reply.right else f"Not yet: {reply.said}.")
        tried(of_problem(name), reply.right)
        return float(reply.right)


def _exercise(name: str, folder: str) -> float | None:
    """Write the stub, wait, grade; again as often as is wanted."""
    from clearhead.study.practice import exercise
    from clearhead.study.practice.grade import grade
    from clearhead.study.practice.runner import run_apart

    found, path = exercise.load(name), exercise.file_of(name, folder)
    echo(f"{name}: {found.title}\n{textwrap.fill(' '.join(found.statement.split()), text_width())}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(exercise.stub(found, name))
    except FileExistsError:
        echo(f"({path} is there already and is kept)")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose a folder with --dir") from None
    while True:
        if _line(f"write it in {path}, then Enter: ") == "s":
            return None
        try:
            verdict = grade(found, path.read_text(encoding="utf-8"), run_apart)
        except (OSError, UnicodeDecodeError) as error:
            echo(f"cannot read {path}: {error}")
            continue
        except UserError as error:  # it cannot be run here
            echo(f"{error}: clearhead practice grade {name} --file {path} --unsafe")
            return None
        tried(name, verdict.passed)
        if verdict.passed:
            echo(f"passed, {verdict.cases} cases")
            return 1.0
        echo("\n".join(textwrap.fill(line, text_width(), initial_indent="- ") for line in verdict.said))


def _line(prompt: str) -> str:
    typed: str = click.prompt(prompt, default="", show_default=False, prompt_suffix="")
    return typed.strip()


def _summary(parts: "Sequence[Part]", results: "Sequence[Result]") -> None:
    from clearhead.study.interview import to_review

    echo(f"\n{len(results)} of {len(parts)} parts asked")
    for kind in ("question", "problem", "exercise"):
        scores = [result.score for result in results if result.part.kind == kind]
        if scores:
            told = [score for score in scores if score is not None]
            mean = f"{sum(told) / len(told):.0%} known" if told else "none answered"
            over = f", {len(scores) - len(told)} passed over" if len(told) < len(scores) else ""
            echo(f"  {len(scores)} {kind}{'s' if len(scores) > 1 else ''}: {mean}{over}")
    weak = to_review(results)
    echo("to review, the weakest first:" if weak else "nothing stands out to review" if results else "")
    for section, score in weak:
        echo(f"  {score:4.0%}  {section}")
