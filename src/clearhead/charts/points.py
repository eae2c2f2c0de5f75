"""Named points in a plane as inline SVG: a map whose axes mean nothing by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clearhead.charts.markup import Html, tag
from clearhead.charts.scale import Scale, span
from clearhead.charts.svg import COLORS, LETTER, SIZE, drawing, segment, text_at

RADIUS = 3.5
MARGIN = 14.0


class Point(NamedTuple):
    name: str
    x: float
    y: float
    color: int = 0
    tip: str = ""


Box = tuple[float, float, float, float]


def point_map(
    points: Sequence[Point], lines: Sequence[tuple[int, int]], width: float, height: float, name: str
) -> Html | None:
    """Points with their names where there is room for one; `lines` join points by their numbers. None without points.

    A name that has no room is still told on hover, with the point's `tip`.
    """
    x_range, y_range = span([p.x for p in points], False), span([p.y for p in points], False)
    if x_range is None or y_range is None:
        return None
    x_scale = Scale(*x_range, MARGIN, width - MARGIN)
    y_scale = Scale(*y_range, height - MARGIN, MARGIN)
    at = [(x_scale(p.x), y_scale(p.y)) for p in points]
    edges = [segment(*at[i], *at[j], "grid") for i, j in lines]
    dots = [
        tag(
            "circle", tag("title", p.tip or p.name), cx=x, cy=y, r=RADIUS, cls=f"s{p.color % COLORS} fill mark"
        )
        for p, (x, y) in zip(points, at, strict=True)
    ]  # fmt: skip
    taken: list[Box] = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in at]
    names = [_named(p, place, taken, width) for p, place in zip(points, at, strict=True)]
    return drawing(width, height, name, [edges, dots, [each for each in names if each is not None]])


def _named(point: Point, at: tuple[float, float], taken: list[Box], width: float) -> Html | None:
    """The name to the right of its point, else to the left, where nothing is yet; else none."""
    (x, y), long = at, LETTER * len(point.name)
    for left, anchor in ((x + RADIUS + 3, "start"), (x - RADIUS - 3 - long, "end")):
        box = (left, y - SIZE / 2, left + long, y + SIZE / 2)
        if left > 0 and left + long < width and not any(_meet(box, other) for other in taken):
            taken.append(box)
            return text_at(left if anchor == "start" else left + long, y + SIZE / 3, point.name, anchor)
    return None


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
