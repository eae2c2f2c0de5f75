"""Charts and heat maps as inline SVG, small enough to read. Colours come from the page, through the classes s0 to s4.

Deliberately not here: what is drawn (`figures.py`).
"""

import base64
import html
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

WIDTH, HEIGHT = 640.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 120.0, 14.0, 44.0  # margins; labels of the lines stand at the right
LETTERS = 15.0  # between the lines of two labels
COLOURS = 5
LOW, MIDDLE, HIGH = (11, 96, 191), (247, 246, 242), (168, 60, 0)  # of a heat map


@dataclass(frozen=True)
class Line:
    """Points in order, and what they are called; a quiet one is a thin grey line without a label."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    marks: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Axis:
    """What stands along it. Its range is that of the points where none is given."""

    title: str
    log: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class _Scale:
    """From numbers to places on the page."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        a, b, v = (math.log10(n) for n in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return self.start + (v - a) / (b - a) * (self.end - self.start)


def chart(lines: Sequence[Line], x: Axis, y: Axis, name: str, square: bool = False) -> str:
    """Lines over common axes; `square` gives both the same scale, as a plane has. What lies outside is cut off."""
    width = HEIGHT - TOP - BOTTOM if square else WIDTH - LEFT - RIGHT
    xs = [float(v) for line in lines for v in line.x]
    ys = [float(v) for line in lines for v in line.y]
    across = _scale(x, xs, LEFT, LEFT + width)
    up = _scale(y, ys, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(across, up, x.title, y.title)]
    frame = f'x="{LEFT:g}" y="{TOP:g}" width="{width:g}" height="{HEIGHT - TOP - BOTTOM:g}"'
    identity = f"c{zlib.crc32(name.encode()):x}"
    parts.append(f'<clipPath id="{identity}"><rect {frame}/></clipPath><g clip-path="url(#{identity})">')
    colour = 0
    labels: list[tuple[float, str, int]] = []
    for line in lines:
        points = [(across(a), up(b)) for a, b in zip(line.x, line.y, strict=True) if math.isfinite(b)]
        css = "quiet" if line.quiet else f"s{colour % COLOURS}"
        parts.append(f'<path class="{css}" d="M{" L".join(f"{a:.1f} {b:.1f}" for a, b in points)}"/>')
        if line.marks:
            parts += [f'<circle class="{css}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in points]
        if not line.quiet:
            labels.append((min(max(points[-1][1], TOP), HEIGHT - BOTTOM), line.label, colour % COLOURS))
            colour += 1
    parts.append("</g>")
    at = LEFT + width + 8
    for v, label, n in _apart(labels):
        parts.append(f'<text class="t{n}" x="{at:g}" y="{v + 4:.1f}">{html.escape(label)}</text>')
    return _svg(parts, LEFT + width + RIGHT, HEIGHT, name)


def heat(values: Float[np.ndarray, "N M"], x: Axis, y: Axis, name: str) -> str:
    """A table of numbers from -1 to 1 as colours: blue below 0, red above; rows go down."""
    rows, columns = values.shape
    width = WIDTH - LEFT - RIGHT
    across = _Scale(0, columns, LEFT, LEFT + width, False)
    down = _Scale(0, rows, TOP, HEIGHT - BOTTOM, False)
    share = np.abs(np.clip(values, -1, 1))[..., None]
    ends = np.where((values < 0)[..., None], np.array(LOW), np.array(HIGH))
    pixels = np.rint((1 - share) * np.array(MIDDLE) + share * ends).astype(np.uint8)
    picture = base64.b64encode(_png(pixels)).decode()
    parts = [
        *_ticks(across, x.title, down(rows)),
        *_side(down, y.title),
        f'<image x="{LEFT:g}" y="{TOP:g}" width="{width:g}" height="{HEIGHT - TOP - BOTTOM:g}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;base64,{picture}"/>',
    ]
    return _svg(parts, WIDTH, HEIGHT, name)


def ticks(low: float, high: float, log: bool = False) -> list[float]:
    """About five round numbers within a range; powers of ten where it is logarithmic.

    >>> ticks(0, 1), ticks(1, 1000, log=True)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [1.0, 10.0, 100.0, 1000.0])
    """
    if log:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        every = max(1, math.ceil((last - first) / 6))
        return [10.0**n for n in range(first, last + 1, every)]
    size = 10 ** math.floor(math.log10((high - low) / 4))
    step = next(factor * size for factor in (1, 2, 5, 10) if (high - low) / (factor * size) <= 6)
    return [round(n * step, 10) for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _scale(axis: Axis, values: Sequence[float], start: float, end: float) -> _Scale:
    known = [v for v in values if math.isfinite(v) and (v > 0 or not axis.log)]
    low = min(known) if axis.low is None else axis.low
    high = max(known) if axis.high is None else axis.high
    assert low < high, f"{axis.title}: nothing between {low} and {high}"
    return _Scale(low, high, start, end, axis.log)


def _grid(across: _Scale, up: _Scale, x: str, y: str) -> list[str]:
    parts = _ticks(across, x, up.start)
    for tick in ticks(up.low, up.high, up.log):
        parts.append(f'<path class="grid" d="M{across.start:g} {up(tick):.1f} H{across.end:g}"/>')
    return [*parts, *_side(up, y)]


def _ticks(across: _Scale, title: str, floor: float) -> list[str]:
    parts = [
        f'<text text-anchor="middle" x="{across(tick):.1f}" y="{floor + 17:g}">{_number(tick)}</text>'
        for tick in ticks(across.low, across.high, across.log)
    ]
    middle = (across.start + across.end) / 2
    return [*parts, f'<text text-anchor="middle" x="{middle:g}" y="{floor + 36:g}">{html.escape(title)}</text>']


def _side(up: _Scale, title: str) -> list[str]:
    parts = [
        f'<text text-anchor="end" x="{LEFT - 7:g}" y="{up(tick) + 4:.1f}">{_number(tick)}</text>'
        for tick in ticks(up.low, up.high, up.log)
    ]
    middle = (up.start + up.end) / 2
    turned = f'transform="rotate(-90 14 {middle:g})" text-anchor="middle" x="14" y="{middle:g}"'
    return [*parts, f"<text {turned}>{html.escape(title)}</text>"]


def _apart(labels: Sequence[tuple[float, str, int]]) -> list[tuple[float, str, int]]:
    """Labels from the top down, none on top of another, and none below the page."""
    placed: list[tuple[float, str, int]] = []
    for at, label, colour in sorted(labels):
        placed.append((max(at, placed[-1][0] + LETTERS) if placed else at, label, colour))
    over = placed[-1][0] - (HEIGHT - BOTTOM) if placed else 0.0
    if over > 0:
        for i in range(len(placed) - 1, -1, -1):
            limit = HEIGHT - BOTTOM if i == len(placed) - 1 else placed[i + 1][0] - LETTERS
            placed[i] = (min(placed[i][0], limit), *placed[i][1:])
    return placed


def _number(value: float) -> str:
    if value and (abs(value) >= 10_000 or abs(value) < 0.001):
        power = math.floor(math.log10(abs(value)) + 1e-9)
        head = value / 10.0**power
        base = f"10<tspan dy='-5' font-size='9'>{power}</tspan>"
        return base if abs(head - 1) < 1e-9 else f"{head:g}·{base}"
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _svg(parts: Sequence[str], width: float, height: float, name: str) -> str:
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{html.escape(name)}">'
    return f"{opening}{''.join(parts)}</svg>"


def _png(pixels: np.ndarray) -> bytes:
    """An image of N rows of M red, green and blue bytes. PNG specification (W3C 2003), sections 5 and 11."""
    rows, columns, _ = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    scanlines = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(scanlines)) + chunk(b"IEND", b"")
