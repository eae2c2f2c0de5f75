"""The page of a fine-tuning: what the loss did, and what the model said before and says after.

Its data are what `clearhead tune` writes: the result, and the events of its training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import big, count, duration, memory, number, percent
from clearhead.report.health import training_health
from clearhead.report.learning import bucketed
from clearhead.report.page import document
from clearhead.report.parts import Column, facts, figure, fold, section, table

BUCKETS = 80  # points of a drawn loss curve
SHOWN_CHARS = 4_000  # characters of an answer that are shown


def render(result: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    """The page as one HTML text."""
    title = f"{result['model']}, tuned"
    body = [
        opening(result, headline(result), "examples"),
        answers_section(result),
        learning_section(result, events),
        training_health("tune", events),
        settings_section(result),
    ]
    return document(title, headline(result), *(part for part in body if part))


def headline(result: Mapping[str, Any]) -> str:
    """The result in one sentence, plainly where it is not good."""
    loss = result["held_out_loss"]
    before, after = loss["before"], loss["after"]
    told = f"from {number(before)} to {number(after)} nats a token"
    if after < before:
        return f"On examples it was not tuned on, the loss fell {told}."
    return f"On examples it was not tuned on, the loss did not fall: {told}. It memorized its own, or learned nothing."


def opening(result: Mapping[str, Any], told: str, rows: str) -> Html:
    """What came of it in one sentence, and four figures; `rows` is what it learned from, by its key in the result."""
    sizes = result["parameters"]
    cards = [
        (percent(sizes["trainable"] / sizes["total"]), f"of {big(sizes['total'])} parameters trained"),
        (count(result[rows]), f"{rows} learned from, {count(result[f'held_out_{rows}'])} held out"),
        (duration(result["seconds"]), f"for {count(result['steps'])} steps"),
        (memory(result["peak_memory"]), "of memory at most"),
    ]
    return tag(
        "header",
        tag("p", f"{result['model']} · {result['method']}", cls="origin"),
        tag("h1", told),
        tag("ul", *(tag("li", tag("b", value), tag("span", text)) for value, text in cards), cls="cards"),
    )


def answers_section(result: Mapping[str, Any]) -> Html | None:
    if not result["answers"]:
        return None
    lead = (
        "Questions that were kept out of the training, asked before it and after it. The model always says the"
        " likeliest next token, so what differs is what it learned."
    )
    return section("answers", "Before and after", tag("p", lead, cls="lead"), *map(_answer, result["answers"]))


def _answer(answer: Mapping[str, Any]) -> Html:
    sides = [_said("Before", answer["before"]), _said("After", answer["after"])]
    return tag(
        "article",
        tag("h4", _shown(answer["question"])),
        tag("div", *sides, cls="sides"),
        tag(
            "div",
            fold("The answer in the file", _text(answer["answer"])) if answer["answer"] else None,
            fold("All that the model read", _text(answer["prompt"])),
        ),
        cls="example",
    )


def _said(title: str, text: str) -> Html:
    said = _text(text) if text.strip() else tag("p", "Nothing: it ended at once.", cls="answer")
    return tag("div", tag("h5", title), said, cls="attempt")


def _text(text: str) -> Html:
    return tag("pre", _shown(text), cls="said")


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"


def learning_section(result: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Html | None:
    steps = [event for event in events if event["kind"] == "step"]
    held = [(0, result["held_out_loss"]["before"])]
    held += [(event["step"], event["held_out_loss"]) for event in events if "held_out_loss" in event]
    runs = bucketed([event["step"] for event in steps], [event["loss"] for event in steps], BUCKETS)
    series = [Series("held out", [x for x, _ in held], [y for _, y in held], color=0)]
    if runs:
        x, mean, low, high = ([run[i] for run in runs] for i in range(4))
        series.append(Series("learned from", x, mean, low, high, color=1, marks=False))
    drawn = line_chart(series, Axis("steps", low=0.0), Axis("nats a token"), 560.0, 300.0, "Loss while tuning")
    if drawn is None:
        return None
    caption = (
        "The loss on the answers' tokens alone: how surprised the model is by each, on average. Where the held-out line"
        " turns up while the other falls on, the model has begun to memorize its examples."
    )
    rows: list[list[Child]] = [[count(step), number(loss, 4)] for step, loss in held]
    return section("learning", "How it learned", figure(drawn, caption, table("held-out loss", COLUMNS, rows)))


COLUMNS = (Column("step"), Column("held-out loss"))


def settings_section(result: Mapping[str, Any]) -> Html:
    sizes = result["parameters"]
    pairs: list[tuple[str, Child]] = [
        ("parameters", count(sizes["total"])),
        ("of these trained", count(sizes["trainable"])),
        ("answer tokens in an epoch", count(result["answer_tokens"])),
    ]
    rest = [(name.replace("_", " "), shown_value(value)) for name, value in result["settings"].items()]
    return section("settings", "What was trained", facts(pairs), fold("All settings", facts(rest)))


def shown_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
