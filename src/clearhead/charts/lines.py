"""Line charts as inline SVG.

Every mark carries its numbers as a <title>, which a browser shows on hover with or without scripts. Not here: heat maps
(`heat`), and what is drawn.
"""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clearhead.charts.markup import Html, join, tag
from clearhead.charts.scale import Scale, spread
from clearhead.charts.svg import COLORS, LETTER, Axis, axes, drawing, path, room_for_ticks, segment, text_at
from clearhead.charts.wording import known

LINE = 14.0
GAP = 22.0  # between the plot and the labels at its right


@dataclass(frozen=True)
class Series:
    """One line: N points, with an interval [low, high] around each where known, and what hovering over a point says."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    tips: Sequence[str] = ()
    color: int = 0
    marks: bool = True
    quiet: bool = False  # thin and gray, for lines that only give the others their background
    along_x: bool = True  # joined in the order of x; else in their own, as a path through a plane


def line_chart(
    series: Sequence[Series], x: Axis, y: Axis, width: float, height: float, name: str, square: bool = False
) -> Html | None:
    """Lines with interval bands and a label at the end of each; None when no point is finite.

    What lies outside given axes is cut off. `square` makes the plot as wide as high, as a plane is.
    """
    shown = [_finite(s, x.log, y.log) for s in series]
    shown = [s for s in shown if s.x]
    x_range = x.range([v for s in shown for v in s.x])
    y_range = y.range([v for s in shown for v in (*s.y, *s.low, *s.high)])
    if x_range is None or y_range is None:
        return None
    labels = [_wrap(s.label, width) if len(shown) > 1 else [] for s in shown]
    room = max((len(line) for lines in labels for line in lines), default=0) * LETTER
    right = width - (room + GAP + 4 if room else 12)
    left, bottom, top = room_for_ticks(y, y_range), height - 38, 24.0
    if square:
        width += left + bottom - top - right
        right = left + bottom - top
    x_scale, y_scale = Scale(*x_range, left, right, x.log), Scale(*y_range, bottom, top, y.log)
    # All bands lie under all lines, so that no band veils another line's marks.
    ordered = sorted(shown, key=lambda s: not s.quiet)
    marks = [draw(s, x_scale, y_scale) for draw in (_band, _marks) for s in ordered]
    if any(v not in x_scale for s in shown for v in s.x) or any(v not in y_scale for s in shown for v in s.y):
        marks = _cut(marks, x_scale, y_scale, name)
    ends = _end_labels(shown, labels, x_scale, y_scale, right) if room else []
    return drawing(width, height, name, [axes(x_scale, y_scale, x, y, width), marks, ends])


def _band(s: Series, x_scale: Scale, y_scale: Scale) -> Html:
    """The interval along a line; of a single point, an upright whisker."""
    if s.quiet or not (s.low and s.high):
        return Html()
    color = f"s{s.color % COLORS}"
    bounds = [
        (x_scale(x), y_scale(low), y_scale(high))
        for x, low, high in zip(s.x, s.low, s.high, strict=True)
        if known(low) and known(high)
    ]
    if len(bounds) < 2:
        return join([segment(x, low, x, high, f"{color} stroke whisker") for x, low, high in bounds])
    edge = [(x, high) for x, _, high in bounds] + [(x, low) for x, low, _ in reversed(bounds)]
    return tag("path", d=path(edge) + "Z", cls=f"{color} band")


def _marks(s: Series, x_scale: Scale, y_scale: Scale) -> Html:
    at = [(x_scale.beyond(x), y_scale.beyond(y)) for x, y in zip(s.x, s.y, strict=True)]
    parts: list[Html] = []
    if len(at) > 1:
        weight = " quiet" if s.quiet else ""
        parts.append(tag("path", d=path(at), cls=f"s{s.color % COLORS} stroke line{weight}"))
    for i, (x, y) in enumerate(at):
        tip = tag("title", s.tips[i]) if i < len(s.tips) else None
        if s.marks:
            parts.append(_mark(x, y, s.color, tip, 2.5 if s.quiet else 4.5))
        elif tip is not None:
            parts.append(tag("circle", tip, cx=x, cy=y, r=8.0, cls="touch"))
    return tag("g", *parts)


def _cut(marks: Sequence[Html], x_scale: Scale, y_scale: Scale, name: str) -> list[Html]:
    """Marks of which nothing is seen beyond the axes."""
    left, top = x_scale.start, y_scale.stop
    frame = tag("rect", x=left, y=top, width=x_scale.stop - left, height=y_scale.start - top)
    identity = f"c{zlib.crc32(join(name, frame, marks).encode()):x}"  # one that no other drawing of a page has
    return [tag("clipPath", frame, id=identity), tag("g", marks, clip_path=f"url(#{identity})")]


def _mark(x: float, y: float, color: int, tip: Html | None, r: float) -> Html:
    """A mark whose shape goes with its color, so that neither is needed alone."""
    cls = f"s{color % COLORS} fill mark"
    shapes = {
        1: [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
        2: [(x, y - 1.3 * r), (x + 1.2 * r, y + r), (x - 1.2 * r, y + r)],
        3: [(x, y - 1.4 * r), (x + 1.4 * r, y), (x, y + 1.4 * r), (x - 1.4 * r, y)],
        4: [(x, y + 1.3 * r), (x - 1.2 * r, y - r), (x + 1.2 * r, y - r)],
    }
    corners = shapes.get(color % COLORS)
    if corners is None:
        return tag("circle", tip, cx=x, cy=y, r=r, cls=cls)
    return tag("path", tip, d=path(corners) + "Z", cls=cls)


def _end_labels(
    shown: Sequence[Series], labels: Sequence[list[str]], x_scale: Scale, y_scale: Scale, right: float
) -> list[Html]:
    """Each line's name at the right, level with its last point and joined to it by a thin leader."""
    named = [(s, lines) for s, lines in zip(shown, labels, strict=True) if lines]
    tallest = max(len(lines) for _, lines in named)
    ends = [y_scale(s.y[-1]) for s, _ in named]
    inset = (tallest - 1) * LINE / 2
    places = spread(ends, LINE * tallest + 1, y_scale.stop + inset, y_scale.start - inset)
    parts: list[Html] = []
    for (s, lines), end, place in zip(named, ends, places, strict=True):
        color = f"s{s.color % COLORS}"
        parts.append(segment(x_scale(s.x[-1]) + 5, end, right, end, f"{color} stroke leader"))
        parts.append(segment(right, end, right + GAP - 3, place, f"{color} stroke leader"))
        top = place + 4 - (len(lines) - 1) * LINE / 2
        cls = f"{color} label" + (" quiet" if s.quiet else "")
        parts += [text_at(right + GAP, top + k * LINE, line, "start", cls) for k, line in enumerate(lines)]
    return parts


def _finite(s: Series, log_x: bool, log_y: bool) -> Series:
    """The series without the points that cannot be drawn."""
    keep = [
        i
        for i, (x, y) in enumerate(zip(s.x, s.y, strict=True))
        if known(x) and known(y) and (x > 0 or not log_x) and (y > 0 or not log_y)
    ]
    if s.along_x:
        keep.sort(key=lambda i: s.x[i])
    x, y, low, high = ([column[i] for i in keep] if column else [] for column in (s.x, s.y, s.low, s.high))
    tips = [s.tips[i] for i in keep] if s.tips else []
    return replace(s, x=x, y=y, low=low, high=high, tips=tips)


def _wrap(label: str, width: float) -> list[str]:
    """A label in lines that take at most about a third of the drawing."""
    return textwrap.wrap(label, max(8, int(0.3 * width / LETTER)))
