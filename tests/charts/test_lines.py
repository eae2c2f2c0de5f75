"""Line charts are whole, stay on their page, and put numbers where they belong."""

import itertools
import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from drawn import Drawing, inside

from clearhead.charts.lines import LINE, Series, line_chart
from clearhead.charts.svg import Axis

NAN = math.nan
FULL = Axis("solved", low=0.0, high=1.0)
COST = Axis("tokens", log=True)


def line(label="search", x=(10.0, 100.0, 1000.0), y=(0.1, 0.5, 0.9), **more):
    return Series(label, list(x), list(y), **more)


@pytest.mark.parametrize("width", [350.0, 880.0])
@pytest.mark.parametrize(
    "series",
    [
        [line(), line("best of n by reward", y=(0.2, 0.5, 0.89))],
        [line(y=(0.0, 0.0, 0.0)), line("all", y=(1.0, 1.0, 1.0))],
        [line(x=(33.0,), y=(1.0,), low=[0.98], high=[1.0]), line("b", x=(33.0,), y=(1.0,))],
        [line(x=(5.0, 5.0, 5.0))],
        [line(x=(1.0, 1e12, 1e15))],
        [line(y=(NAN, 0.5, 0.6), low=[NAN, 0.4, 0.5], high=[NAN, 0.6, 0.7])],
        [line(f"a strategy with a very long name {i}", y=(0.5, 0.5, 0.5)) for i in range(9)],
    ],
)
def test_everything_is_inside_the_view_box(series, width):
    drawing = inside(line_chart(series, COST, FULL, width, 300.0, "x"))
    assert "tokens" in drawing.text


def test_every_line_is_named_at_its_end():
    drawing = Drawing(line_chart([line("one"), line("two", y=(0.1, 0.5, 0.9))], COST, FULL, 600.0, 300.0, "x"))
    assert {"one", "two"} <= set(drawing.text)


def test_labels_of_equal_ends_do_not_touch():
    svg = line_chart([line(str(i) * 3) for i in range(5)], COST, FULL, 600.0, 300.0, "x")
    places = sorted(float(y) for y in re.findall(r'y="([\d.]+)" text-anchor="start" class="s\d label"', svg))
    assert len(places) == 5
    assert min(b - a for a, b in itertools.pairwise(places)) >= 13


@pytest.mark.parametrize("series", [[], [line(x=(), y=())], [line(y=(NAN, NAN, NAN))], [line(x=(0.0, -1.0, NAN))]])
def test_nothing_to_draw_is_no_drawing(series):
    assert line_chart(series, COST, FULL, 600.0, 300.0, "x") is None


def test_a_point_that_cannot_be_drawn_is_left_out_with_its_tip():
    svg = line_chart([line(x=(0.0, 10.0, 20.0), tips=["zero", "ten", "twenty"])], COST, FULL, 600.0, 300.0, "x")
    assert "zero" not in svg and "<title>ten</title>" in svg and "<title>twenty</title>" in svg


def test_points_are_drawn_in_the_order_of_x():
    rising = line_chart([line()], COST, FULL, 600.0, 300.0, "x")
    mixed = line_chart([line(x=(1000.0, 10.0, 100.0), y=(0.9, 0.1, 0.5))], COST, FULL, 600.0, 300.0, "x")
    assert rising == mixed


def test_higher_is_further_up_and_the_ends_are_the_axis():
    svg = line_chart([line(y=(0.0, 0.5, 1.0), x=(1.0, 2.0, 3.0))], Axis("x"), FULL, 600.0, 300.0, "x")
    heights = [float(y) for _, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert heights == [262.0, 143.0, 24.0]


def test_labels_are_escaped():
    svg = line_chart([line("<script>"), line("b")], COST, FULL, 600.0, 300.0, '"><script>')
    assert "<script>" not in svg


def corners(svg, css):
    found = re.search(rf'<path d="M([^"]*)" class="{css} stroke line', svg)
    return [tuple(float(v) for v in corner.split(",")) for corner in found[1].split("L")]


def frame(svg):
    """Left, right, top and bottom of the plot, from its grid."""
    grid = [[float(v) for v in found] for found in re.findall(r'x1="(.*?)" y1="(.*?)" x2="(.*?)" y2=.*?"grid"', svg)]
    heights = [y for _, y, _ in grid]
    return grid[0][0], grid[0][2], min(heights), max(heights)


def test_points_stand_where_the_axes_say():
    x, y = Axis("x", low=0.0, high=10.0), Axis("y", low=0.0, high=2.0)
    svg = line_chart([Series("a", [0, 5, 10], [0, 2, 1])], x, y, 640.0, 300.0, "name")
    left, right, top, floor = (pytest.approx(v, abs=0.06) for v in frame(svg))
    middle, half = (v.expected for v in (left, right)), (top.expected + floor.expected) / 2
    assert corners(svg, "s0") == [(left, floor), (pytest.approx(sum(middle) / 2, abs=0.06), top), (right, half)]


def test_a_logarithmic_axis_has_equal_steps():
    svg = line_chart(
        [Series("a", [1, 10, 100], [1, 10, 100])], Axis("x", log=True), Axis("y", log=True), 640.0, 300.0, "name"
    )
    (a, _), (b, _), (c, _) = corners(svg, "s0")
    assert b - a == pytest.approx(c - b, abs=0.2)


def test_what_is_not_finite_or_outside_is_left_out_or_cut():
    """Cut, not drawn along the edge: there it would be read as a number."""
    points = [0, 1, 2], [0, np.inf, 5]
    svg = line_chart([Series("a", *points)], Axis("x"), Axis("y", high=1), 640.0, 300.0, "name")
    (_, floor), (_, end) = corners(svg, "s0")
    assert end < -300 < floor
    assert "clip-path" in svg and "nan" not in svg and "inf" not in svg
    assert "clip-path" not in line_chart([Series("a", *points)], Axis("x"), Axis("y"), 640.0, 300.0, "name")


def test_a_plane_has_one_scale():
    plane = Axis("x", low=-1, high=1)
    lines = [Series("one", [-1, 1], [-1, 1]), Series("two", [0], [0])]
    svg = line_chart(lines, plane, plane, 640.0, 300.0, "n", square=True)
    (a, b), (c, d) = corners(svg, "s0")
    assert c - a == pytest.approx(b - d)
    inside(svg)


def test_a_path_keeps_its_order():
    svg = line_chart([Series("a", [0, 2, 1], [0, 1, 2], along_x=False)], Axis("x"), Axis("y"), 640.0, 300.0, "n")
    (a, _), (b, _), (c, _) = corners(svg, "s0")
    assert a < c < b


def test_labels_keep_apart():
    lines = [Series(f"line {i}", [0, 1], [0, 1 + i / 1000]) for i in range(5)]
    none = Series("", [0, 1], [0, 1], quiet=True)
    svg = line_chart([*lines, none], Axis("x"), Axis("y"), 640.0, 300.0, "name")
    places = sorted(float(y) for y in re.findall(r'y="([^"]*)" text-anchor="start" class="s\d label"', svg))
    assert len(places) == 5
    assert all(b - a >= LINE + 1 - 0.11 for a, b in pairwise(places))
    assert places[0] > 0 and places[-1] < 300


def test_names_are_text():
    lines = [Series("<b>", [0, 1], [0, 9]), Series("<u>", [0, 1], [0, 1])]
    svg = line_chart(lines, Axis("<i>"), Axis("&", high=1), 640.0, 300.0, 'a "b" <c>')
    assert {element.tag for element in ElementTree.fromstring(svg).iter()} <= {
        "svg", "path", "text", "clipPath", "rect", "g", "line", "circle"
    }  # fmt: skip
