"""What stands where in an SVG of ours."""

import math
import re
from html.parser import HTMLParser

from clearhead.charts.svg import LETTER


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
