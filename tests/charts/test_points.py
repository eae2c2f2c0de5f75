"""Maps of named points: every point is drawn and told, and no name lies on another or on a point."""

import random
import re

from clearhead.charts.points import Point, point_map

NAME = re.compile(r'<text[^>]*x="([\d.]+)"[^>]*y="([\d.]+)"[^>]*text-anchor="(\w+)"[^>]*>(\w+)<')


def test_names_keep_out_of_each_other_s_way() -> None:
    rng = random.Random(0)
    points = [Point(f"word{i}", rng.random(), rng.random()) for i in range(200)]
    drawn = str(point_map(points, [(0, 1)], 400, 200, "a map"))
    assert drawn.count("<circle") == 200 and drawn.count("<title>") == 200 and drawn.count("<line") == 1
    names = NAME.findall(drawn)
    assert 0 < len(names) < 200
    boxes = []
    for x, y, anchor, name in names:
        left = float(x) - (6.72 * len(name) if anchor == "end" else 0)
        boxes.append((left, float(y) - 8, left + 6.72 * len(name), float(y) + 2))
    for i, a in enumerate(boxes):
        assert a[0] >= 0 and a[2] <= 400
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[:i])


def test_with_room_every_point_has_its_name_and_markup_is_text() -> None:
    drawn = str(point_map([Point("a<b", 0, 0), Point("c", 1, 1, tip="more")], [], 300, 200, "two"))
    assert ">a&lt;b</text>" in drawn and ">c</text>" in drawn and "<title>more</title>" in drawn
    assert point_map([], [], 300, 200, "none") is None
