"""What every drawing is made of: an axis, its frame with ticks and titles, paths, lines and texts, as inline SVG.

Colors come from `charts.css` through the classes s0 to s5, so a figure follows light, dark and print.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearhead.charts.markup import Html, join, tag
from clearhead.charts.scale import Scale, span
from clearhead.charts.wording import number

SIZE = 12.0  # of the letters
LETTER = 0.56 * SIZE  # the mean width of a letter, to leave room for labels
COLORS = 6
STYLE = Path(__file__).with_name("charts.css")  # for the page around


@dataclass(frozen=True)
class Axis:
    """What stands along it. Its range is that of the points, with a little air, where none is given."""

    title: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    form: Callable[[float], str] = number

    def range(self, numbers: Sequence[float]) -> tuple[float, float] | None:
        found = span(numbers, self.log)
        if found is None:
            return None
        low, high = found[0] if self.low is None else self.low, found[1] if self.high is None else self.high
        return (low, high) if high > low else span([low], self.log)


def drawing(width: float, height: float, name: str, children: Sequence[Html | Sequence[Html]]) -> Html:
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", *children, viewBox=box, width=width, height=height, role="img", aria_label=name, cls="plot")


def room_for_ticks(y: Axis, y_range: tuple[float, float]) -> float:
    """Room for the tick labels of the y axis."""
    ticks = Scale(*y_range, 0.0, 1.0, y.log).ticks(5)
    return 12 + LETTER * max((len(y.form(tick)) for tick in ticks), default=1)


def axes(x_scale: Scale, y_scale: Scale, x: Axis, y: Axis, width: float) -> Html:
    """Grid, tick labels and axis titles: the y title above the plot, the x title at its lower right."""
    left, right, bottom = x_scale.start, x_scale.stop, max(y_scale.start, y_scale.stop)
    parts: list[Html] = []
    for tick in y_scale.ticks(5):
        at = y_scale(tick)
        parts += [segment(left, at, right, at, "grid"), text_at(left - 7, at + 4, y.form(tick), "end")]
    taken = 0.0
    for tick in x_scale.ticks(max(2, int((right - left) / 80))):
        at, half = x_scale(tick), len(x.form(tick)) * LETTER / 2
        parts.append(segment(at, bottom, at, bottom + 4, "axis"))
        center = min(max(at, half + 1), width - half - 1)
        if center - half >= taken:  # a label that would touch its neighbor is left out, its tick stays
            parts.append(text_at(center, bottom + 17, x.form(tick), "middle"))
            taken = center + half + 6
    parts.append(segment(left, bottom, right, bottom, "axis"))
    parts.append(text_at(1, SIZE, y.title, "start", "title"))
    parts.append(text_at(right, bottom + 33, x.title, "end", "title"))
    return join(parts)


def path(corners: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def segment(x1: float, y1: float, x2: float, y2: float, cls: str) -> Html:
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), cls=cls)


def text_at(x: float, y: float, words: str, anchor: str, cls: str = "tick") -> Html:
    return tag("text", words, x=float(x), y=float(y), text_anchor=anchor, cls=cls)
