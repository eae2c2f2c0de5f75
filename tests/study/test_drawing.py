"""Figures are well-formed, stay on their page, and put numbers where they belong."""

import base64
import re
import struct
import zlib
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from clearhead.study.drawing import BOTTOM, HEIGHT, LEFT, LETTERS, RIGHT, TOP, WIDTH, Axis, Line, chart, heat, ticks

NUMBER = r"-?[\d.]+"


def points(svg: str, css: str) -> list[tuple[float, float]]:
    found = re.search(rf'<path class="{css}" d="M([^"]*)"', svg)
    assert found
    return [(float(a), float(b)) for a, b in re.findall(rf"({NUMBER}) ({NUMBER})", found[1])]


def test_points_stand_where_the_axes_say() -> None:
    svg = chart([Line("a", [0, 5, 10], [0, 2, 1])], Axis("x"), Axis("y"), "name")
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    assert points(svg, "s0") == [(LEFT, floor), ((LEFT + right) / 2, TOP), (right, (floor + TOP) / 2)]


def test_a_logarithmic_axis_has_equal_steps() -> None:
    svg = chart([Line("a", [1, 10, 100], [1, 10, 100])], Axis("x", log=True), Axis("y", log=True), "name")
    (a, _), (b, _), (c, _) = points(svg, "s0")
    assert b - a == pytest.approx(c - b, abs=0.2)


def test_what_is_not_finite_or_outside_is_left_out_or_cut() -> None:
    svg = chart([Line("a", [0, 1, 2], [0, np.inf, 5])], Axis("x"), Axis("y", high=1), "name")
    assert len(points(svg, "s0")) == 2
    assert "clip-path" in svg and "nan" not in svg and "inf" not in svg


def test_a_plane_has_one_scale() -> None:
    plane = Axis("x", low=-1, high=1)
    (a, b), (c, d) = points(chart([Line("", [-1, 1], [-1, 1])], plane, plane, "n", square=True), "s0")
    assert c - a == b - d


def test_labels_keep_apart() -> None:
    lines = [Line(f"line {i}", [0, 1], [0, 1 + i / 1000]) for i in range(5)]
    svg = chart([*lines, Line("none", [0, 1], [0, 1], quiet=True)], Axis("x"), Axis("y"), "name")
    places = sorted(float(y) for y in re.findall(r'class="t\d" x="[^"]*" y="([^"]*)"', svg))
    assert len(places) == 5 and "none" not in svg
    assert all(b - a >= LETTERS - 0.11 for a, b in pairwise(places))
    assert places[0] > 0 and places[-1] < HEIGHT


def test_names_are_text() -> None:
    svg = chart([Line("<b>", [0, 1], [0, 1])], Axis("<i>"), Axis("&"), 'a "b" <c>')
    assert {element.tag for element in ElementTree.fromstring(svg).iter()} <= {
        "svg", "path", "text", "clipPath", "rect", "g", "tspan"
    }  # fmt: skip


def test_a_heat_map_holds_its_numbers_as_colours() -> None:
    svg = heat(np.array([[-1.0, 0.0, 1.0], [0.5, 0.0, 9.0]]), Axis("x"), Axis("y"), "name")
    ElementTree.fromstring(svg)
    data = base64.b64decode(re.search(r'base64,([^"]*)"', svg)[1])
    assert data.startswith(b"\x89PNG") and struct.unpack(">II", data[16:24]) == (3, 2)
    at = data.index(b"IDAT")
    pixels = zlib.decompress(data[at + 4 : at + 4 + struct.unpack(">I", data[at - 4 : at])[0]])
    rows = [pixels[1:10], pixels[11:20]]
    blue, white, red = rows[0][:3], rows[0][3:6], rows[0][6:]
    assert blue[2] > blue[0] and red[0] > red[2] and min(white) > 200
    assert rows[1][6:] == red  # more than 1 is 1
    assert white != rows[1][:3] != red


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 3), (0, 60), (-1.25, 1.25), (0.001, 0.0042), (12, 13)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 7 and low <= found[0] and found[-1] <= high
    assert all(len(f"{tick:g}".lstrip("-0.").replace(".", "")) <= 3 for tick in found)
