"""The reliability diagram: predicted against observed shares."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from clearhead.charts.markup import Html, tag
from clearhead.charts.scale import Scale
from clearhead.charts.svg import Axis, axes, drawing, room_for_ticks, segment, text_at
from clearhead.charts.wording import count, interval, known, percent
from clearhead.report.data import CalibrationBin


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
    left = room_for_ticks(axis, (0.0, 1.0))
    side = width - left - 12
    x, y = Scale(0.0, 1.0, left, left + side), Scale(0.0, 1.0, 24 + side, 24.0)
    base = 24 + side + gap + strip
    tallest = max(b.count for b, _ in shown)
    narrowest = min((q.predicted - p.predicted for (p, _), (q, _) in pairwise(shown)), default=0.1)
    bar = max(3.0, 0.7 * side * min(0.1, abs(narrowest)))
    parts: list[Html] = [segment(x(0), y(0), x(1), y(1), "diagonal")]
    for b, (low, high) in shown:
        at, tall = x(b.predicted), strip * b.count / tallest
        tip = (
            f"predicted {percent(b.predicted)}, right {percent(b.observed)} of the time "
            f"(95 % interval {interval(low, high)}; {count(b.count)} steps)"
        )
        column = min(max(at - bar / 2, left), left + side - bar)
        parts += [
            tag("rect", x=column, y=base - tall, width=bar, height=tall, cls="s0 fill soft"),
            segment(at, y(low), at, y(high), "s0 stroke whisker") if known(low) else Html(),
            tag("circle", tag("title", tip), cx=at, cy=y(b.observed), r=5.0, cls="s0 fill mark"),
        ]
    below = [
        segment(left, base, left + side, base, "axis"),
        text_at(left, 24 + side + gap - 7, f"steps in each group (the tallest: {count(tallest)})", "start", "title"),
    ]
    frame = axes(x, y, Axis("what the reward model said", form=lambda v: percent(v, 0)), axis, width)
    return drawing(width, base + 4, name, [frame, parts, below])
