"""Heat maps of attention as small PNG images inside SVG.

One colour, whose opacity is the weight, works on light and dark alike. Not here: the section around them
(`attention`).
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence

from clearhead.report.markup import Html, tag
from clearhead.report.wording import visible

RGB = bytes((31, 119, 180))
CELL = 15.0
Weights = Sequence[Sequence[float]]  # [T][S], rows sum to one


def png(weights: Weights) -> bytes:
    """A T x S picture with 8-bit opacity sqrt(weight): the root keeps faint weights visible. NaN counts as nothing."""
    rows = [b"\0" + b"".join(RGB + bytes((_opacity(w),)) for w in row) for row in weights]
    height, width = len(weights), len(weights[0])
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits, RGBA
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _opacity(weight: float) -> int:
    return round(255 * math.sqrt(min(max(weight, 0.0), 1.0))) if math.isfinite(weight) else 0


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def data_uri(weights: Weights) -> str:
    return "data:image/png;base64," + base64.b64encode(png(weights)).decode()


def packed(weights: Weights) -> str:
    """The weights in 1/255 as base64, row after row, for the script that tells them on hover."""
    flat = bytes(round(255 * min(max(w, 0.0), 1.0)) if math.isfinite(w) else 0 for row in weights for w in row)
    return base64.b64encode(flat).decode()


def small_map(weights: Weights, name: str) -> Html:
    """One head, without labels."""
    height, width = len(weights), len(weights[0])
    image = tag("image", href=data_uri(weights), width=width, height=height, preserveAspectRatio="none")
    return tag("svg", image, viewBox=f"0 0 {width} {height}", role="img", aria_label=name, cls="heat")


def large_map(weights: Weights, tokens: Sequence[str], name: str) -> Html:
    """One head with its tokens: a row is the token that looks, a column the token that it looks at."""
    height, width = len(weights), len(weights[0])
    edge = 8.0 + 7.2 * max(len(visible(token)) for token in tokens)
    box = edge + CELL * width, edge + CELL * height
    image = tag(
        "image",
        href=data_uri(weights),
        x=edge,
        y=edge,
        width=CELL * width,
        height=CELL * height,
        preserveAspectRatio="none",
    )
    middle = [edge + CELL * (i + 0.5) for i in range(max(height, width))]
    rows = [tag("text", visible(tokens[i]), x=edge - 5, y=middle[i] + 4, text_anchor="end") for i in range(height)]
    columns = [
        (
            tag("text", visible(tokens[j]), x=middle[j], y=edge - 5, text_anchor="middle")
            if len(visible(tokens[j])) == 1
            else tag("text", visible(tokens[j]), transform=f"translate({middle[j] + 4:.1f} {edge - 5:.1f}) rotate(-90)")
        )
        for j in range(width)
    ]
    frame = tag("rect", x=edge, y=edge, width=CELL * width, height=CELL * height, cls="axis")
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
