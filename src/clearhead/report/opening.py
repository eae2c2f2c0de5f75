"""The top of the page: the result in one sentence, a few numbers, and each task from first try to search."""

from __future__ import annotations

import re

from clearhead.charts.markup import Child, Html, tag
from clearhead.charts.wording import NARROW, big, count, duration, inside, known, moment, number, percent
from clearhead.report.advice import advice
from clearhead.report.data import Report
from clearhead.report.parts import FIRST, SEARCH, section, share_bar
from clearhead.report.summary import first_try, headline, task_info, training_seconds, with_search


def headline_section(report: Report) -> Html:
    """The result in one sentence, four numbers, and a line for each task from first try to search."""
    run = report.run
    origin = [run.name, moment(run.started), f"{duration(run.seconds)} in all" if known(run.seconds) else ""]
    return tag(
        "header",
        tag("p", " · ".join(part for part in origin if part) or "Clearhead run", cls="origin"),
        tag("h1", _with_shares_marked(headline(report))),
        _cards(report),
        _task_lines(report),
    )


def next_section(report: Report) -> Html | None:
    """What would help this run most; nothing where nothing calls for it."""
    items = advice(report)
    if not items:
        return None
    return section("next", "What to do next", tag("ul", *(tag("li", item) for item in items), cls="advice"))


def _with_shares_marked(sentence: str) -> list[Child]:
    pieces = re.split(rf"([\d.,]+{NARROW}%)", sentence)
    return [tag("strong", piece) if piece.endswith("%") else piece for piece in pieces]


def _cards(report: Report) -> Html | None:
    cards: list[tuple[str, str]] = []
    if report.model:
        model, time = report.model, training_seconds(report.model)
        if known(model.parameters):
            cards.append((big(model.parameters), "parameters"))
        if known(time):
            read = f" on {big(model.training_tokens)} tokens" if known(model.training_tokens) else ""
            cards.append((duration(time), f"of training{read}"))
    for measured in report.text.models[:1] if report.text else ():
        cards.append((number(measured.bits_per_byte), "bits a byte of held-out text, of the 8 that are written"))
        cards.append((number(measured.perplexity), "perplexity: in doubt among so many tokens at each"))
    for name, evaluation in list(report.evaluation.items())[:1]:
        title = task_info(report, name).title
        first, search = first_try(evaluation), with_search(evaluation)
        if first and search:
            solved = f"{percent(first[1].accuracy)} → {percent(search[1].accuracy)}"
            cards.append((solved, f"of {title} solved, from first try to {inside(search[0].title)}"))
            spent = f"{count(first[1].tokens)} → {count(search[1].tokens)}"
            cards.append((spent, "tokens spent on one problem for it"))
    if not cards:
        return None
    return tag("ul", *(tag("li", tag("b", value), tag("span", text)) for value, text in cards), cls="cards")


def _task_lines(report: Report) -> Html | None:
    rows = []
    for name, evaluation in report.evaluation.items():
        lines = [
            tag(
                "div",
                tag("span", strategy.title, cls="who"),
                share_bar(point.accuracy, point.low, point.high, color),
                tag("b", percent(point.accuracy)),
                cls="share",
            )
            for pair, color in ((first_try(evaluation), FIRST), (with_search(evaluation), SEARCH))
            if pair
            for strategy, point in [pair]
        ]
        if lines:
            rows.append(tag("div", tag("h3", task_info(report, name).title), *lines, cls="task-line"))
    if not rows:
        return None
    caption = (
        "The share of unseen problems solved, from none at the left to all at the right. The upright mark is what was"
        " measured, the bar around it the 95 % interval: where the truth probably lies, given how few problems were"
        " tried."
    )
    return tag("figure", *rows, tag("figcaption", caption), cls="task-lines")
