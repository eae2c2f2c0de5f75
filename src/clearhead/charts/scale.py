"""From numbers to places on a drawing: nice ticks, scales, ranges, and labels that keep out of each other's way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NICE = (1.0, 2.0, 5.0, 10.0)


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten inside [low, high], about `count` of them.

    >>> linear_ticks(0, 0.93)
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    assert high > low, (low, high)
    wanted = (high - low) / count
    power = 10.0 ** math.floor(math.log10(wanted))
    # The step nearest to the wanted one as a ratio, so that the number of ticks stays near `count`.
    step = power * min(NICE, key=lambda nice: abs(math.log(nice * power / wanted)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten, with their 2 and 5 where there is room, linear ones within a narrow
    range.

    >>> log_ticks(80, 3000)
    [100.0, 200.0, 500.0, 1000.0, 2000.0]
    """
    assert 0 < low < high, (low, high)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)

    def inside(parts: Iterable[float]) -> list[float]:
        ticks = [float(f"{part}e{decade}") for decade in decades for part in parts]
        return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]

    fine, coarse = inside((1, 2, 5)), inside((1,))
    if len(fine) < 3:
        return linear_ticks(low, high, 4)
    if len(fine) <= count:
        return fine
    every = math.ceil(len(coarse) / count)
    return coarse[::every] if len(coarse) > 2 else inside((1, 3))


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] onto [start, stop], linearly or by logarithm; numbers outside go to the nearer end."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, number: float) -> float:
        return self.beyond(min(max(number, self.low), self.high))

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    def beyond(self, number: float) -> float:
        """The place of a number that may lie outside, where the scale goes on."""
        low, high = self.low, self.high
        if self.log:
            number, low, high = math.log(number), math.log(low), math.log(high)
        return self.start + (self.stop - self.start) * (number - low) / (high - low)

    def ticks(self, count: int) -> list[float]:
        return log_ticks(self.low, self.high, count) if self.log else linear_ticks(self.low, self.high, count)


def span(numbers: Iterable[float], log: bool = False, pad: float = 0.04) -> tuple[float, float] | None:
    """The range that shows all finite numbers with a little air; None when there is nothing to show."""
    finite = [x for x in numbers if math.isfinite(x) and (x > 0 or not log)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    if log:
        air = (high / low) ** pad if high > low * 1.001 else 2.0
        return low / air, high * air
    air = (high - low) * pad if high - low > 1e-9 * max(abs(low), abs(high)) else 0.5 * abs(high) or 0.5
    return low - air, high + air


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, in their order, at least `gap` apart within [low, high]; closer if they must be.

    >>> spread([10, 12, 50], 14, 0, 60)
    [4.0, 18.0, 50.0]
    """
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    # Neighbors that collide form a group centered on its members' mean; groups merge until none collide.
    groups: list[list[float]] = []  # [center, size]
    for i in order:
        groups.append([min(max(wanted[i], low), high), 1])
        while True:
            center, size = groups[-1]
            half = gap * (size - 1) / 2
            groups[-1][0] = min(max(center, low + half), high - half)
            if len(groups) < 2 or _clear(groups[-2], groups[-1], gap):
                break
            center, size = groups.pop()
            before, members = groups[-1]
            groups[-1] = [(before * members + center * size) / (members + size), members + size]
    placed = [center + gap * (k - (size - 1) / 2) for center, size in groups for k in range(int(size))]
    places = [0.0] * len(wanted)
    for i, place in zip(order, placed, strict=True):
        places[i] = place
    return places


def _clear(above: Sequence[float], below: Sequence[float], gap: float) -> bool:
    end, begin = above[0] + gap * (above[1] - 1) / 2, below[0] - gap * (below[1] - 1) / 2
    return begin - end >= gap - 1e-9
