"""The guide's diagrams: boxes, arrows and labels, placed by code, in the colors and letters of the charts."""

from collections.abc import Sequence
from itertools import pairwise
from math import atan2, cos, hypot, sin

from clearhead.charts.markup import Html, tag
from clearhead.charts.svg import drawing, text_at

WIDTH = 460.0  # so that labels stay legible on a telephone
Point = tuple[float, float]


def box(x: float, y: float, width: float, height: float, words: str, color: int = 0, filled: bool = True) -> list[Html]:
    """A rectangle with lines of text in its middle."""
    lines = words.split("\n")
    top = y + height / 2 - 7.5 * (len(lines) - 1) + 4
    cls = f"s{color} " + ("boxed" if filled else "framed")
    return [
        tag("rect", x=x, y=y, width=width, height=height, rx=4.0, cls=cls),
        *(text_at(x + width / 2, top + 15 * i, line, "middle", "title") for i, line in enumerate(lines)),
    ]


def label(x: float, y: float, words: str, anchor: str = "middle", cls: str = "tick") -> Html:
    return text_at(x, y, words, anchor, cls)


def dot(x: float, y: float, sign: str = "", radius: float = 10.0, color: int = 5) -> list[Html]:
    """A circle around a sign: a sum, a product."""
    round_one = tag("circle", cx=x, cy=y, r=radius, cls=f"s{color} framed")
    return [round_one, text_at(x, y + 4, sign, "middle", "title")] if sign else [round_one]


def arrow(*points: Point, color: int = 5, head: bool = True) -> list[Html]:
    """A path through points with a head at its end."""
    parts = [tag("line", x1=a[0], y1=a[1], x2=b[0], y2=b[1], cls=f"s{color} stroke line") for a, b in pairwise(points)]
    if head:
        (x0, y0), (x, y) = points[-2:]
        turn = atan2(y - y0, x - x0)
        corners = [(x, y), *((x - 8 * cos(turn + side), y - 8 * sin(turn + side)) for side in (0.45, -0.45))]
        where = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
        parts.append(tag("polygon", points=where, cls=f"s{color} fill"))
    return parts


def finished(name: str, height: float, *groups: Sequence[Html]) -> str:
    return str(drawing(WIDTH, height, name, [part for group in groups for part in group]))


def projection(name: str) -> str:
    o, a, b = (50.0, 190.0), (250.0, 50.0), (410.0, 190.0)
    foot = (a[0], o[1])
    return finished(
        name,
        230,
        arrow(o, b, color=5),
        arrow(o, a, color=0),
        arrow(o, foot, color=1),
        [tag("line", x1=a[0], y1=a[1], x2=foot[0], y2=foot[1], cls="diagonal")],
        [tag("polyline", points=f"{foot[0] - 10},{foot[1]} {foot[0] - 10},{foot[1] - 10} {foot[0]},{foot[1] - 10}",
             cls="axis")],
        [label(a[0] - 8, a[1] - 6, "a", "end", "s0 label"), label(b[0] + 4, b[1] + 18, "b", "end", "title"),
         label(foot[0], foot[1] + 20, "projection of a onto b, of length ‖a‖ cos θ", "middle", "s1 label"),
         label(a[0] + 8, 125, "rejection", "start"), label(92, 182, "θ", "middle", "title")],
    )  # fmt: skip


def block(name: str) -> str:
    """One pre-norm block, from below upwards."""
    x, parts = 230.0, []
    parts.append(label(x, 412, "T x D, from the block below"))
    parts += arrow((x, 400), (x, 40))
    for top, words, inner in (
        (232, "attention", "T x T scores,\nover H heads"),
        (60, "MLP", "T x F, each\nposition alone"),
    ):
        plus, branch = top, top + 130
        parts += arrow((x, branch), (x + 110, branch), (x + 110, branch - 8))
        parts += box(x + 60, branch - 34, 100, 26, "norm", 5)
        parts += arrow((x + 110, branch - 34), (x + 110, branch - 44))
        parts += box(x + 50, branch - 86, 120, 42, words, 0 if words == "attention" else 2)
        parts += arrow((x + 110, branch - 86), (x + 110, plus), (x + 10, plus))
        parts += dot(x, plus, "+")
        for i, line in enumerate(inner.split("\n")):
            parts.append(label(x - 20, branch - 68 + 15 * i, line, "end"))
    parts.append(label(x, 30, "T x D, to the block above"))
    parts.append(label(x - 20, 205, "residual stream", "end", "title"))
    return finished(name, 420, parts)


def attention(name: str) -> str:
    parts = []
    for i, (words, color) in enumerate((("q", 0), ("k", 1), ("v", 2))):
        x = 60 + 130 * i
        parts += box(x, 250, 80, 30, f"W {words.upper()}", color)
        parts += arrow((230, 310), (x + 40, 280))
        parts.append(label(x + (48 if i < 2 else -8), 242, words, "start" if i < 2 else "end", "title"))
    parts += box(170, 310, 120, 26, "x: T x D", 5, filled=False)
    parts += arrow((100, 250), (100, 210), (130, 210))
    parts += arrow((230, 250), (230, 228))
    parts += box(130, 192, 150, 36, "scores q kᵀ / √C", 5)
    parts += arrow((205, 192), (205, 176))
    parts += box(130, 140, 150, 36, "mask, softmax", 5)
    parts += arrow((205, 140), (205, 112))
    parts += arrow((360, 250), (360, 95), (290, 95))
    parts += box(120, 78, 170, 34, "weighted sum p v", 3)
    parts += arrow((205, 78), (205, 60))
    parts += box(130, 26, 150, 34, "join heads, W O", 5)
    parts += [label(288, 213, "T x T a head", "start"), label(215, 16, "T x D", "start")]
    parts += arrow((205, 26), (205, 6))
    return finished(name, 345, parts)


def lstm_cell(name: str) -> str:
    parts = [*arrow((20, 50), (440, 50), color=1)]
    parts += [label(20, 36, "cell c(t-1)", "start", "s1 label"), label(440, 36, "c(t)", "end", "s1 label")]
    parts += [*dot(110, 50, "×"), *dot(230, 50, "+"), *dot(230, 110, "×")]
    for x, words, color in (
        (70, "forget\nσ", 0),
        (160, "input\nσ", 0),
        (245, "candid.\ntanh", 2),
        (335, "output\nσ", 0),
    ):
        parts += box(x, 170, 75, 42, words, color)
        parts += arrow((x + 37, 240), (x + 37, 212))
    parts += arrow((107, 170), (110, 60))
    parts += arrow((197, 170), (197, 110), (220, 110))
    parts += arrow((282, 170), (282, 110), (240, 110))
    parts += arrow((230, 100), (230, 60))
    parts += arrow((400, 50), (400, 76))
    parts += box(375, 76, 50, 26, "tanh", 5)
    parts += arrow((400, 102), (400, 126))
    parts += dot(400, 136, "×")
    parts += arrow((372, 170), (372, 136), (390, 136))
    parts += arrow((410, 136), (440, 136), color=3)
    parts.append(label(445, 124, "h(t)", "end", "s3 label"))
    parts += arrow((20, 240), (372, 240), head=False)
    parts.append(label(20, 258, "input x(t) and h(t-1)", "start", "title"))
    return finished(name, 270, parts)


def encoder_decoder(name: str) -> str:
    parts = []
    for x, title, rows in (
        (20, "encoder, N blocks", (("MLP", 2), ("self-attention", 0))),
        (270, "decoder, N blocks", (("MLP", 2), ("cross-attention", 1), ("causal self-attention", 0))),
    ):
        top = 70.0 if x > 100 else 124.0
        parts.append(tag("rect", x=float(x), y=58.0, width=170.0, height=180.0, rx=6.0, cls="s5 framed"))
        for i, (words, color) in enumerate(rows):
            parts += box(x + 10, top + 54 * i, 150, 36, words, color)
            parts += arrow((x + 85, top + 54 * i + (54 if i < len(rows) - 1 else 62)), (x + 85, top + 54 * i + 36))
        parts.append(label(x + 85, 256, title, "middle", "title"))
    parts += arrow((105, 124), (105, 84), (230, 84), (230, 142), (280, 142), color=1)
    parts.append(label(230, 48, "K, V: computed once"))
    parts += box(30, 275, 150, 30, "input, S tokens", 5, filled=False)
    parts += box(280, 275, 150, 30, "output so far, T tokens", 5, filled=False)
    parts += [*arrow((105, 275), (105, 262)), *arrow((355, 275), (355, 262)), *arrow((355, 70), (355, 40))]
    parts.append(label(355, 30, "softmax: next token"))
    return finished(name, 315, parts)


def tiling(name: str) -> str:
    parts, left, top, side, n = [], 150.0, 60.0, 38.0, 5
    for row in range(n):
        for column in range(n):
            color, filled = (1, True) if (row, column) == (2, 2) else (5, row == 2 and column < 2)
            cls = f"s{color} " + ("boxed" if filled else "framed")
            parts.append(tag("rect", x=left + side * column, y=top + side * row, width=side, height=side, cls=cls))
        parts.append(tag("rect", x=left - 50, y=top + side * row, width=30.0, height=side - 4, rx=3.0,
                         cls="s0 " + ("boxed" if row == 2 else "framed")))  # fmt: skip
        parts.append(tag("rect", x=left + n * side + 25, y=top + side * row, width=30.0, height=side - 4, rx=3.0,
                         cls="s3 " + ("boxed" if row == 2 else "framed")))  # fmt: skip
    for column in range(n):
        parts.append(tag("rect", x=left + side * column, y=top - 36, width=side - 4, height=26.0, rx=3.0,
                         cls="s2 " + ("boxed" if column == 2 else "framed")))  # fmt: skip
    parts += [label(left - 60, top + 2.5 * side, "Q tile stays", "end", "s0 label"),
              label(left + n * side / 2, 14, "K and V tiles pass by", "middle", "s2 label"),
              label(left + n * side + 62, top + 2.5 * side, "O, m, ℓ", "start", "s3 label"),
              label(left + n * side / 2, top + n * side + 22, "scores: one tile at a time, on the chip")]  # fmt: skip
    parts += arrow((left - 18, top + 2.5 * side), (left - 3, top + 2.5 * side), color=0)
    parts += arrow((left + n * side + 4, top + 2.5 * side), (left + n * side + 22, top + 2.5 * side), color=3)
    return finished(name, 285, parts)


def kv_groups(name: str) -> str:
    """Eight query heads on eight, two and one KV heads."""
    parts = []
    for row, (title, groups) in enumerate((("multi-head", 8), ("grouped-query", 2), ("multi-query", 1))):
        y = 30.0 + 105 * row
        parts.append(label(10, y + 38, title, "start", "title"))
        for head in range(8):
            x = 125 + 40 * head
            group = head * groups // 8
            center = 125 + 40 * (group + 0.5) * 8 / groups - 5
            parts.append(tag("rect", x=float(x), y=y, width=30.0, height=22.0, rx=3.0, cls="s0 boxed"))
            parts += arrow((x + 15, y + 22), (center, y + 50), head=False)
            if head * groups % 8 == 0:
                parts.append(tag("rect", x=center - 15, y=y + 50, width=30.0, height=22.0, rx=3.0, cls="s1 boxed"))
    parts += [label(280, 18, "query heads: not cached", "middle", "s0 label"),
              label(280, 330, "KV heads: what the cache holds of each token", "middle", "s1 label")]  # fmt: skip
    return finished(name, 345, parts)


def beam(name: str) -> str:
    """Beam search with two prefixes kept."""
    columns = [
        [("<s>", 0.0, True)],
        [("the", -0.4, True), ("a", -1.2, True), ("one", -2.5, False)],
        [("the cat", -1.0, True), ("the dog", -1.3, True), ("a cat", -1.9, False), ("a dog", -2.2, False)],
        [("the cat sat", -1.4, True), ("the dog ran", -1.6, True), ("the dog sat", -2.8, False)],
    ]
    joined = [(0, 0), (0, 1), (0, 2)], [(0, 0), (0, 1), (1, 2), (1, 3)], [(0, 0), (1, 1), (1, 2)]
    parts = []
    for c, column in enumerate(columns):
        for r, (words, score, kept) in enumerate(column):
            parts += box(
                8 + 114 * c, 40 + 54 * r, 88, 34, f"{words}\n{score:.1f}" if c else words, 0 if kept else 5, kept
            )
    for c, links in enumerate(joined):
        for a, b in links:
            kept = columns[c + 1][b][2]
            parts += arrow((96 + 114 * c, 57 + 54 * a), (122 + 114 * c, 57 + 54 * b), color=0 if kept else 5)
    parts.append(label(230, 22, "the two best prefixes are kept (filled); the others never return"))
    return finished(name, 270, parts)


def search_tree(name: str) -> str:
    """A tree after some simulations: visits, and one path of selection, expansion and backup."""
    nodes = {"root": (230.0, 40.0, 7), "A": (130.0, 120.0, 4), "B": (330.0, 120.0, 2), "A1": (70.0, 200.0, 2),
             "A2": (190.0, 200.0, 1), "B1": (330.0, 200.0, 1), "new": (70.0, 280.0, 0)}  # fmt: skip
    parts: list[Html] = []
    for a, b in (("root", "A"), ("root", "B"), ("A", "A1"), ("A", "A2"), ("B", "B1"), ("A1", "new")):
        (x0, y0, _), (x1, y1, _) = nodes[a], nodes[b]
        on_path = b in ("A", "A1", "new")
        far = hypot(x1 - x0, y1 - y0)
        dx, dy = (x1 - x0) / far, (y1 - y0) / far
        parts += arrow((x0 + 18 * dx, y0 + 18 * dy), (x1 - 19 * dx, y1 - 19 * dy), color=1 if on_path else 5)
    for key, (x, y, visits) in nodes.items():
        parts += dot(x, y, str(visits) if visits else "?", 18.0, 1 if key in ("root", "A", "A1", "new") else 5)
    parts += [label(150, 70, "1 select", "end", "s1 label"),
              label(98, 284, "2 expand, 3 evaluate", "start", "s1 label"),
              label(30, 120, "4 back up", "start", "s2 label"),
              label(440, 60, "visits in the nodes", "end")]  # fmt: skip
    parts += arrow((36, 270), (22, 200), (40, 130), color=2)
    return finished(name, 310, parts)
