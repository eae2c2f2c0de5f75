import itertools
import math
import re
from html.parser import HTMLParser

import pytest

from clearhead.report.data import CalibrationBin
from clearhead.report.learned import wilson
from clearhead.report.svg import LETTER, Axis, Series, line_chart, reliability

NAN = math.nan
FULL = Axis("solved", low=0.0, high=1.0)
COST = Axis("tokens", log=True)


class Drawing(HTMLParser):
    """Every coordinate of an SVG, with the width of each text estimated as the drawing itself does."""

    def __init__(self, svg):
        super().__init__()
        self.x, self.y, self.text, self.pending = [], [], [], None
        self.feed(svg)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag == "svg":
            self.box = [float(v) for v in a["viewbox"].split()]
        elif tag == "text":
            self.pending = (float(a["x"]), a.get("text-anchor", "start"))
        for name, value in attrs:
            if name in ("x", "x1", "x2", "cx"):
                self.x.append(float(value))
            elif name in ("y", "y1", "y2", "cy"):
                self.y.append(float(value))
            elif name == "d":
                for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", value):
                    self.x.append(float(x))
                    self.y.append(float(y))

    def handle_data(self, data):
        if self.pending:
            x, anchor = self.pending
            width = len(data) * LETTER
            self.x += {"start": [x + width], "end": [x - width], "middle": [x - width / 2, x + width / 2]}[anchor]
            self.text.append(data)
            self.pending = None


def inside(svg):
    drawing = Drawing(svg)
    left, top, width, height = drawing.box
    assert all(math.isfinite(v) for v in drawing.x + drawing.y)
    assert left - 0.5 <= min(drawing.x) and max(drawing.x) <= left + width + 0.5, (min(drawing.x), max(drawing.x))
    assert top - 0.5 <= min(drawing.y) and max(drawing.y) <= top + height + 0.5, (min(drawing.y), max(drawing.y))
    return drawing


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


def bins(*triples):
    found = [CalibrationBin(*(float(v) for v in triple)) for triple in triples]
    return found, [wilson(b.observed, b.count) for b in found]


@pytest.mark.parametrize(
    "triples",
    [
        [(0.0, 0.0, 1), (1.0, 1.0, 10_000_000)],
        [(0.5, 0.4, 12)],
        [(0.05, 0.1, 50), (0.06, 0.9, 50), (0.95, 0.2, 3)],
        [(0.5, NAN, 4), (0.7, 0.7, 1)],
    ],
)
def test_reliability_is_inside_its_box(triples):
    inside(reliability(*bins(*triples), 380.0, "x"))


def test_a_calibrated_bin_lies_on_the_diagonal():
    svg = reliability(*bins((0.25, 0.25, 40), (0.75, 0.75, 40)), 380.0, "x")
    number = r'="([\d.]+)" '
    diagonal = re.search(f"x1{number}y1{number}x2{number}y2{number}" + 'class="diagonal"', svg)
    x1, y1, x2, y2 = map(float, diagonal.groups())
    for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg):
        assert (float(x) - x1) / (x2 - x1) == pytest.approx((float(y) - y1) / (y2 - y1), abs=1e-3)


def test_reliability_of_nothing():
    assert reliability([], [], 380.0, "x") is None
    assert reliability(*bins((0.5, 0.5, 0)), 380.0, "x") is None
