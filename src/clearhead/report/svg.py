"""Line charts and the reliability diagram as inline SVG.

Colours come from the page's style sheet through the classes s0 to s5, so a figure follows light, dark and print. Every
mark carries its numbers as a <title>, which a browser shows on hover with or without scripts. Not here: heat maps
(`heat`), trees (`tree`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from clearhead.report.data import CalibrationBin
from clearhead.report.markup import Html, join, tag
from clearhead.report.scale import Scale, span, spread
from clearhead.report.wording import count, interval, known, number, percent

SIZE = 12.0  # of the letters
LETTER = 0.56 * SIZE  # the mean width of a letter, to leave room for labels
LINE = 14.0
GAP = 22.0  # between the plot and the labels at its right
COLOURS = 6


@dataclass(frozen=True)
class Series:
    """One line: N points, with an interval [low, high] around each where known, and what hovering over a point says."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    tips: Sequence[str] = ()
    colour: int = 0
    marks: bool = True
    quiet: bool = False  # thin and grey, for lines that only give the others their background


@dataclass(frozen=True)
class Axis:
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


def line_chart(series: Sequence[Series], x: Axis, y: Axis, width: float, height: float, name: str) -> Html | None:
    """Lines with interval bands and a label at the end of each; None when no point is finite."""
    shown = [_finite(s, x.log, y.log) for s in series]
    shown = [s for s in shown if s.x]
    x_range = x.range([v for s in shown for v in s.x])
    y_range = y.range([v for s in shown for v in (*s.y, *s.low, *s.high)])
    if x_range is None or y_range is None:
        return None
    labels = [_wrap(s.label, width) if len(shown) > 1 else [] for s in shown]
    room = max((len(line) for lines in labels for line in lines), default=0) * LETTER
    right = width - (room + GAP + 4 if room else 12)
    x_scale = Scale(*x_range, _left(y, y_range), right, x.log)
    y_scale = Scale(*y_range, height - 38, 24.0, y.log)
    # All bands lie under all lines, so that no band veils another line's marks.
    ordered = sorted(shown, key=lambda s: not s.quiet)
    marks = [draw(s, x_scale, y_scale) for draw in (_band, _marks) for s in ordered]
    ends = _end_labels(shown, labels, x_scale, y_scale, right) if room else []
    return _svg(width, height, name, [_frame(x_scale, y_scale, x, y, width), marks, ends])


def reliability(
    bins: Sequence[CalibrationBin], bounds: Sequence[tuple[float, float]], width: float, name: str
) -> Html | None:
    """Predicted against observed share, on the diagonal when calibrated, above a bar for the cases in each bin."""
    shown = [
        (b, at) for b, at in zip(bins, bounds, strict=True) if known(b.predicted) and known(b.observed) and b.count > 0
    ]
    if not shown:
        return None
    strip, gap = 46.0, 66.0
    axis = Axis("how often it was right", low=0.0, high=1.0, form=lambda v: percent(v, 0))
    left = _left(axis, (0.0, 1.0))
    side = width - left - 12
    x, y = Scale(0.0, 1.0, left, left + side), Scale(0.0, 1.0, 24 + side, 24.0)
    base = 24 + side + gap + strip
    tallest = max(b.count for b, _ in shown)
    narrowest = min((q.predicted - p.predicted for (p, _), (q, _) in pairwise(shown)), default=0.1)
    bar = max(3.0, 0.7 * side * min(0.1, abs(narrowest)))
    parts: list[Html] = [_line(x(0), y(0), x(1), y(1), "diagonal")]
    for b, (low, high) in shown:
        at, tall = x(b.predicted), strip * b.count / tallest
        tip = (
            f"predicted {percent(b.predicted)}, right {percent(b.observed)} of the time "
            f"(95 % interval {interval(low, high)}; {count(b.count)} steps)"
        )
        column = min(max(at - bar / 2, left), left + side - bar)
        parts += [
            tag("rect", x=column, y=base - tall, width=bar, height=tall, cls="s0 fill soft"),
            _line(at, y(low), at, y(high), "s0 stroke whisker") if known(low) else Html(),
            tag("circle", tag("title", tip), cx=at, cy=y(b.observed), r=5.0, cls="s0 fill mark"),
        ]
    below = [
        _line(left, base, left + side, base, "axis"),
        _text(left, 24 + side + gap - 7, f"steps in each group (the tallest: {count(tallest)})", "start", "title"),
    ]
    frame = _frame(x, y, Axis("what the reward model said", form=lambda v: percent(v, 0)), axis, width)
    return _svg(width, base + 4, name, [frame, parts, below])


def _svg(width: float, height: float, name: str, children: Sequence[Html | Sequence[Html]]) -> Html:
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", *children, viewBox=box, width=width, height=height, role="img", aria_label=name, cls="plot")


def _left(y: Axis, y_range: tuple[float, float]) -> float:
    """Room for the tick labels of the y axis."""
    ticks = Scale(*y_range, 0.0, 1.0, y.log).ticks(5)
    return 12 + LETTER * max((len(y.form(tick)) for tick in ticks), default=1)


def _frame(x_scale: Scale, y_scale: Scale, x: Axis, y: Axis, width: float) -> Html:
    """Grid, tick labels and axis titles: the y title above the plot, the x title at its lower right."""
    left, right, bottom = x_scale.start, x_scale.stop, y_scale.start
    parts: list[Html] = []
    for tick in y_scale.ticks(5):
        at = y_scale(tick)
        parts += [_line(left, at, right, at, "grid"), _text(left - 7, at + 4, y.form(tick), "end")]
    taken = 0.0
    for tick in x_scale.ticks(max(2, int((right - left) / 80))):
        at, half = x_scale(tick), len(x.form(tick)) * LETTER / 2
        parts.append(_line(at, bottom, at, bottom + 4, "axis"))
        centre = min(max(at, half + 1), width - half - 1)
        if centre - half >= taken:  # a label that would touch its neighbour is left out, its tick stays
            parts.append(_text(centre, bottom + 17, x.form(tick), "middle"))
            taken = centre + half + 6
    parts.append(_line(left, bottom, right, bottom, "axis"))
    parts.append(_text(1, SIZE, y.title, "start", "title"))
    parts.append(_text(right, bottom + 33, x.title, "end", "title"))
    return join(parts)


def _band(s: Series, x_scale: Scale, y_scale: Scale) -> Html:
    """The interval along a line; of a single point, an upright whisker."""
    if s.quiet or not (s.low and s.high):
        return Html()
    colour = f"s{s.colour % COLOURS}"
    bounds = [
        (x_scale(x), y_scale(low), y_scale(high))
        for x, low, high in zip(s.x, s.low, s.high, strict=True)
        if known(low) and known(high)
    ]
    if len(bounds) < 2:
        return join([_line(x, low, x, high, f"{colour} stroke whisker") for x, low, high in bounds])
    edge = [(x, high) for x, _, high in bounds] + [(x, low) for x, low, _ in reversed(bounds)]
    return tag("path", d=_path(edge) + "Z", cls=f"{colour} band")


def _marks(s: Series, x_scale: Scale, y_scale: Scale) -> Html:
    at = [(x_scale(x), y_scale(y)) for x, y in zip(s.x, s.y, strict=True)]
    parts: list[Html] = []
    if len(at) > 1:
        weight = " quiet" if s.quiet else ""
        parts.append(tag("path", d=_path(at), cls=f"s{s.colour % COLOURS} stroke line{weight}"))
    for i, (x, y) in enumerate(at):
        tip = tag("title", s.tips[i]) if i < len(s.tips) else None
        if s.marks:
            parts.append(_mark(x, y, s.colour, tip, 2.5 if s.quiet else 4.5))
        elif tip is not None:
            parts.append(tag("circle", tip, cx=x, cy=y, r=8.0, cls="touch"))
    return tag("g", *parts)


def _mark(x: float, y: float, colour: int, tip: Html | None, r: float) -> Html:
    """A mark whose shape goes with its colour, so that neither is needed alone."""
    cls = f"s{colour % COLOURS} fill mark"
    shapes = {
        1: [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
        2: [(x, y - 1.3 * r), (x + 1.2 * r, y + r), (x - 1.2 * r, y + r)],
        3: [(x, y - 1.4 * r), (x + 1.4 * r, y), (x, y + 1.4 * r), (x - 1.4 * r, y)],
        4: [(x, y + 1.3 * r), (x - 1.2 * r, y - r), (x + 1.2 * r, y - r)],
    }
    corners = shapes.get(colour % COLOURS)
    if corners is None:
        return tag("circle", tip, cx=x, cy=y, r=r, cls=cls)
    return tag("path", tip, d=_path(corners) + "Z", cls=cls)


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
        colour = f"s{s.colour % COLOURS}"
        parts.append(_line(x_scale(s.x[-1]) + 5, end, right, end, f"{colour} stroke leader"))
        parts.append(_line(right, end, right + GAP - 3, place, f"{colour} stroke leader"))
        top = place + 4 - (len(lines) - 1) * LINE / 2
        cls = f"{colour} label" + (" quiet" if s.quiet else "")
        parts += [_text(right + GAP, top + k * LINE, line, "start", cls) for k, line in enumerate(lines)]
    return parts


def _finite(s: Series, log_x: bool, log_y: bool) -> Series:
    """The series without the points that cannot be drawn, in the order of x."""
    keep = [
        i
        for i, (x, y) in enumerate(zip(s.x, s.y, strict=True))
        if known(x) and known(y) and (x > 0 or not log_x) and (y > 0 or not log_y)
    ]
    keep.sort(key=lambda i: s.x[i])
    x, y, low, high = ([column[i] for i in keep] if column else [] for column in (s.x, s.y, s.low, s.high))
    tips = [s.tips[i] for i in keep] if s.tips else []
    return Series(s.label, x, y, low, high, tips, s.colour, s.marks, s.quiet)


def _wrap(label: str, width: float) -> list[str]:
    """A label in lines that take at most about a third of the drawing."""
    return textwrap.wrap(label, max(8, int(0.3 * width / LETTER)))


def _path(corners: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def _line(x1: float, y1: float, x2: float, y2: float, cls: str) -> Html:
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), cls=cls)


def _text(x: float, y: float, text: str, anchor: str, cls: str = "tick") -> Html:
    return tag("text", text, x=float(x), y=float(y), text_anchor=anchor, cls=cls)
