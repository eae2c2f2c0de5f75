"""The sections about the rows: what they are, and what more of them would bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html, join, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import MISSING, count, duration, interval, known, number, percent
from clearhead.report.data import Preflight, Report, RowsCurve
from clearhead.report.parts import Column, facts, figure, fold, notes, section, table
from clearhead.report.summary import task_info


def data_section(report: Report) -> Html | None:
    """The data before training, and the accuracy against the number of rows."""
    parts = [*_preflight(report, report.preflight or Preflight()), _rows_curve(report.rows_curve)]
    return section("data", "The data", *parts) if any(parts) else None


def _preflight(report: Report, found: Preflight) -> list[Html | None]:
    """Warnings, one row a fact and one column a task, what holds for the run, and how the files were read."""
    tasks = {name: measured for name, task in found.tasks.items() if (measured := _known(task))}
    pairs: list[tuple[str, Child]] = [(name, _told(value)) for name, value in _known(found.run).items()]
    pairs += [("estimated time", duration(found.seconds))] if known(found.seconds) else []
    return [
        notes([("plain", warning) for warning in found.warnings]),
        _facts_table(report, tasks) if tasks else None,
        facts(pairs) if pairs else None,
        fold("How the rows were read", tag("ul", *(tag("li", line) for line in found.intake)))
        if found.intake
        else None,
    ]


def _known(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}


def _facts_table(report: Report, tasks: Mapping[str, Mapping[str, Any]]) -> Html:
    names = list(dict.fromkeys(name for found in tasks.values() for name in found))
    columns = [Column("found", numeric=False), *(Column(task_info(report, task).title) for task in tasks)]
    rows = [[name.replace("_", " "), *(_told(found.get(name)) for found in tasks.values())] for name in names]
    caption = "What was found before anything was trained. Lengths are in tokens."
    return tag("figure", table("the data of each task", columns, rows), tag("figcaption", caption), cls="snug")


def _told(value: Any) -> str:
    """A number as the page writes it, anything else as it is."""
    if value is None:
        return MISSING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {True: "yes", False: "no"}.get(value, "") if isinstance(value, bool) else str(value)
    return count(value) if known(value) and value == round(value) else number(value)


def _rows_curve(curve: RowsCurve | None) -> Html | None:
    points = [p for p in curve.points if known(p.rows) and known(p.accuracy)] if curve else []
    if curve is None or not points:
        return None
    tips = [f"{count(p.rows)} rows: {percent(p.accuracy)} ({interval(p.low, p.high)})" for p in points]
    line = Series(
        "first try",
        [p.rows for p in points],
        [p.accuracy for p in points],
        [p.low for p in points],
        [p.high for p in points],
        tips,
    )
    y = Axis("solved at first try", low=0.0, high=1.0, form=lambda share: percent(share, 0))
    svg = line_chart([line], Axis("training rows", low=0.0, form=count), y, 380.0, 260.0, "Accuracy against rows")
    if svg is None:
        return None
    columns = [Column("rows"), Column("solved at first try"), Column("95 % interval")]
    rows = [[count(p.rows), percent(p.accuracy), interval(p.low, p.high)] for p in points]
    caption = "The same training with fewer rows, tried on the same held-out problems. The band is the 95 % interval."
    advice = tag("p", curve.advice) if curve.advice else None
    return join(tag("h3", "Accuracy against rows"), advice, figure(svg, caption, table("rows", columns, rows)))
