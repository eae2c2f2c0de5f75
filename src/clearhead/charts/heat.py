"""Heat maps as small PNG images inside SVG.

Of attention in one color, whose opacity is the weight, which works on light and dark alike; of signed numbers in two.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence

from clearhead.charts.markup import Html, tag
from clearhead.charts.scale import Scale
from clearhead.charts.svg import Axis, axes, drawing, room_for_ticks
from clearhead.charts.wording import visible

RGB = bytes((31, 119, 180))
LOW, MIDDLE, HIGH = (11, 96, 191), (247, 246, 242), (168, 60, 0)  # of signed numbers
CELL = 15.0
Weights = Sequence[Sequence[float]]  # [T][S], rows sum to one


def png(weights: Weights) -> bytes:
    """A T x S picture with 8-bit opacity sqrt(weight): the root keeps faint weights visible. NaN counts as nothing."""
    return picture([b"".join(RGB + bytes((_opacity(w),)) for w in row) for row in weights], len(weights[0]))


def picture(rows: Sequence[bytes], width: int) -> bytes:
    """A PNG of rows of RGB or RGBA bytes. PNG specification (W3C 2003), sections 5 and 11."""
    kind = {3: 2, 4: 6}[len(rows[0]) // width]  # what the format calls RGB and RGBA
    header = struct.pack(">IIBBBBB", width, len(rows), 8, kind, 0, 0, 0)
    scanlines = b"".join(b"\0" + row for row in rows)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(scanlines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _opacity(weight: float) -> int:
    return round(255 * math.sqrt(min(max(weight, 0.0), 1.0))) if math.isfinite(weight) else 0


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def packed(weights: Weights) -> str:
    """The weights in 1/255 as base64, row after row, for the script that tells them on hover."""
    flat = bytes(round(255 * min(max(w, 0.0), 1.0)) if math.isfinite(w) else 0 for row in weights for w in row)
    return base64.b64encode(flat).decode()


def small_map(weights: Weights, name: str) -> Html:
    """One head, without labels."""
    height, width = len(weights), len(weights[0])
    image = tag("image", href=data_uri(png(weights)), width=width, height=height, preserveAspectRatio="none")
    return tag("svg", image, viewBox=f"0 0 {width} {height}", role="img", aria_label=name, cls="heat")


def large_map(weights: Weights, tokens: Sequence[str], name: str, looking: Sequence[str] = ()) -> Html:
    """One head with its tokens: a row is the token that looks, a column the token that it looks at. `looking` are the
    rows' tokens, where they are others than the columns'.
    """
    height, width = len(weights), len(weights[0])
    looking = looking or tokens
    edge, top = (8.0 + 7.2 * max(len(visible(token)) for token in side) for side in (looking, tokens))
    box = edge + CELL * width, top + CELL * height
    image = tag(
        "image",
        href=data_uri(png(weights)),
        x=edge,
        y=top,
        width=CELL * width,
        height=CELL * height,
        preserveAspectRatio="none",
    )
    middle = [edge + CELL * (j + 0.5) for j in range(width)]
    rows = [
        tag("text", visible(looking[i]), x=edge - 5, y=top + CELL * (i + 0.5) + 4, text_anchor="end")
        for i in range(height)
    ]
    columns = [
        (
            tag("text", visible(tokens[j]), x=middle[j], y=top - 5, text_anchor="middle")
            if len(visible(tokens[j])) == 1
            else tag("text", visible(tokens[j]), transform=f"translate({middle[j] + 4:.1f} {top - 5:.1f}) rotate(-90)")
        )
        for j in range(width)
    ]
    frame = tag("rect", x=edge, y=top, width=CELL * width, height=CELL * height, cls="axis")
    cursor = tag("rect", width=CELL, height=CELL, cls="cursor", visibility="hidden")
    parts = [tag("g", rows, cls="rows"), tag("g", columns, cls="columns"), image, frame, cursor]
    box_text = f"0 0 {box[0]:g} {box[1]:g}"
    return tag(
        "svg",
        *parts,
        viewBox=box_text,
        width=box[0],
        height=box[1],
        role="img",
        aria_label=name,
        cls="heat large",
        data_edge=edge,
        data_cell=CELL,
    )


def signed_map(values: Sequence[Sequence[float]], x: Axis, y: Axis, width: float, height: float, name: str) -> Html:
    """A table of numbers from -1 to 1 as colors: blue below 0, red above; rows go down."""
    rows, columns = len(values), len(values[0])
    left, top, right, bottom = room_for_ticks(y, (0.0, rows)), 24.0, width - 12, height - 38
    pixels = [b"".join(_color(value) for value in row) for row in values]
    image = tag(
        "image",
        href=data_uri(picture(pixels, columns)),
        x=left,
        y=top,
        width=right - left,
        height=bottom - top,
        preserveAspectRatio="none",
        style="image-rendering:pixelated",
    )
    frame = axes(Scale(0.0, columns, left, right), Scale(0.0, rows, top, bottom), x, y, width)
    return drawing(width, height, name, [frame, image])


def _color(value: float) -> bytes:
    share, end = min(abs(value), 1.0), LOW if value < 0 else HIGH
    return bytes(round((1 - share) * m + share * e) for m, e in zip(MIDDLE, end, strict=True))
