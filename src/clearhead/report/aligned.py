"""The page of a checkpoint that was aligned: what it gained, how it learned, what it said before and says after.

Its data are what `clearhead align` writes: the result, and the events of its training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html
from clearhead.charts.svg import Axis
from clearhead.charts.wording import count, number
from clearhead.report.alignment import alignment_section
from clearhead.report.data import read
from clearhead.report.health import training_health
from clearhead.report.learning import bucketed
from clearhead.report.page import document
from clearhead.report.parts import Column, facts, figure, fold, notes, section, table
from clearhead.report.tuning import BUCKETS, answers_section, opening, shown_value


def render(result: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    """The page as one HTML text."""
    body = [
        opening(result, headline(result), "rows"), gains_section(result), learning_section(result, events),
        training_health("align", events), answers_section(result), settings_section(result),
    ]  # fmt: skip
    return document(f"{result['model']}, aligned", headline(result), *(part for part in body if part))


def headline(result: Mapping[str, Any]) -> str:
    """The first figure in one sentence, plainly where it is not good."""
    if not result["figures"]:
        return "There was nothing held out to measure it on."
    name, found = next(iter(result["figures"].items()))
    before, after, gain = (found[key] for key in ("before", "after", "gain"))
    told = f"from {number(before['estimate'])} to {number(after['estimate'])} on rows it did not learn from"
    if before == after:
        return f"The {name} is {number(after['estimate'])} on rows it did not learn from, as before."
    if gain["low"] > 0:
        return f"The {name} rose {told}."
    return (
        f"The {name} went {told}, a change that chance explains." if gain["high"] >= 0 else f"The {name} fell {told}."
    )


def gains_section(result: Mapping[str, Any]) -> Html | None:
    columns = [Column("held-out rows", numeric=False), Column("before"), Column("after"), Column("gain, 95% interval")]
    rows = [
        [name, *(_told(found[key]) for key in ("before", "after", "gain"))] for name, found in result["figures"].items()
    ]
    if not rows:
        return None
    return section(
        "gains", "What it gained", notes([("bad", line) for line in result["health"]]), table("gains", columns, rows)
    )


def _told(found: Mapping[str, float]) -> str:
    return f"{number(found['estimate'])} ({number(found['low'])} to {number(found['high'])})"


def learning_section(result: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Html | None:
    rounds = [event for event in events if event["kind"] == "round"]
    if rounds:
        keys = {"number": "round", "even": "without_variance"}
        names = ("number", "reward", "kl", "entropy", "length", "even")
        return alignment_section(
            read(
                {
                    "alignment": {
                        "method": result["method"], "reward": "file", "health": result["health"],
                        "rounds": [{name: event[keys.get(name, name)] for name in names} for event in rounds],
                        "samples": [{"step": event["round"] + 1, "text": event["sample"]} for event in rounds],
                    }
                }
            )
        )  # fmt: skip
    steps = [event for event in events if event["kind"] == "step"]
    held = [(event["step"], event["held_out_loss"]) for event in events if "held_out_loss" in event]
    runs = bucketed([event["step"] for event in steps], [event["loss"] for event in steps], BUCKETS)
    series = [Series("held out", [x for x, _ in held], [y for _, y in held], color=0)]
    if runs:
        x, mean, low, high = ([run[i] for run in runs] for i in range(4))
        series.append(Series("learned from", x, mean, low, high, color=1, marks=False))
    drawn = line_chart(series, Axis("steps", low=0.0), Axis("loss"), 560.0, 300.0, "Loss of the pairs")
    if drawn is None:
        return None
    caption = (
        "How surprised the policy is by which answer was chosen: 0.693 is a coin's toss, where it starts. Lower means "
        "that it has moved towards the chosen answers, away from the rejected ones."
    )
    rows: list[list[Child]] = [[count(step), number(loss, 4)] for step, loss in held]
    numbers = table("held-out loss", [Column("step"), Column("held-out loss")], rows)
    return section("learning", "How it learned", figure(drawn, caption, numbers))


def settings_section(result: Mapping[str, Any]) -> Html:
    rest: list[tuple[str, Child]] = [
        (name.replace("_", " "), shown_value(value)) for name, value in result["settings"].items()
    ]
    return section("settings", "What was trained", fold("All settings", facts(rest)))
