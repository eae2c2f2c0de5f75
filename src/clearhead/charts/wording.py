"""How numbers, times and names read on the page: one form for each kind of quantity, "–" for what was not measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

NARROW = "\u202f"  # narrow no-break space between a number and its unit
MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def known(x: float) -> bool:
    return math.isfinite(x)


def count(n: float) -> str:
    """A whole number with thousands separated.

    >>> count(1432.4), count(-7), count(float("nan"))
    ('1,432', '−7', '–')
    """
    return f"{round(n):,}".replace("-", "−") if known(n) else MISSING


def number(x: float, significant: int = 3) -> str:
    """A measured number to a few significant digits, never with an exponent letter.

    >>> number(0.83149), number(1432.4), number(3e-7), number(0)
    ('0.831', '1,432', '3 × 10⁻⁷', '0')
    """
    if not known(x):
        return MISSING
    if x == 0:
        return "0"
    if abs(x) >= 1e15 or abs(x) < 1e-4:
        mantissa, exponent = f"{x:.{significant - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    digits = max(0, significant - 1 - math.floor(math.log10(abs(x))))
    text = f"{x:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def decimal(x: float) -> str:
    """A score in [0, 1], two decimals, so that a column of them lines up."""
    return f"{x:.2f}".replace("-", "−") if known(x) else MISSING


def big(n: float) -> str:
    """A size that a person can hold in mind.

    >>> [big(n).replace("\u00a0", " ") for n in (1_843_200, 52_000, 2.1e15)]
    ['1.8 million', '52,000', '2.1 × 10¹⁵']
    """
    if not known(n):
        return MISSING
    for limit, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if limit <= abs(n) < limit * 1e3:
            return f"{n / limit:,.{0 if abs(n) >= 100 * limit else 1}f}\u00a0{name}".replace("-", "−")
    return count(n) if abs(n) < 1e6 else number(n, 2)


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent; a share that is not quite none or all never reads as none or all.

    >>> [percent(s).replace(NARROW, " ") for s in (0.31, 1, 0.9999, 0.0001)]
    ['31.0 %', '100.0 %', '> 99.9 %', '< 0.1 %']
    """
    if not known(share):
        return MISSING
    smallest = 10.0**-digits
    text = f"{100 * share:.{digits}f}".replace("-", "−")
    if 0 < share < 1 and float(f"{100 * share:.{digits}f}") in (0.0, 100.0):
        text = f"<{NARROW}{smallest:.{digits}f}" if share < 0.5 else f">{NARROW}{100 - smallest:.{digits}f}"
    return f"{text}{NARROW}%"


def interval(low: float, high: float) -> str:
    """A 95 % interval of shares: "24.9 to 37.6 %"."""
    if not (known(low) and known(high)):
        return MISSING
    return f"{100 * low:.1f} to {100 * high:.1f}{NARROW}%".replace("-", "−")


def points(difference: float) -> str:
    """A difference of two shares, in percentage points and without its sign."""
    return f"{100 * abs(difference):.1f} points" if known(difference) else MISSING


def duration(seconds: float) -> str:
    """A time in its natural unit, short.

    >>> [duration(s).replace(NARROW, " ") for s in (0.0384, 2.25, 372, 7500)]
    ['38 ms', '2.2 s', '6 min 12 s', '2 h 5 min']
    """
    if not known(seconds):
        return MISSING
    if seconds < 1:
        return f"{number(1000 * seconds, 2)}{NARROW}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}{NARROW}s" if seconds < 10 else f"{seconds:.0f}{NARROW}s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours:,}{NARROW}h {minutes}{NARROW}min"
    return f"{minutes}{NARROW}min {left}{NARROW}s" if left else f"{minutes}{NARROW}min"


def spoken_duration(seconds: float) -> str:
    """A time for a sentence: "6 minutes", "1 hour 5 minutes", "45 seconds"."""
    if seconds < 59.5:
        return plural(max(1, round(seconds)), "second")
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = ([plural(hours, "hour")] if hours else []) + ([plural(minutes, "minute")] if minutes else [])
    return " ".join(parts)


def plural(n: float, noun: str) -> str:
    """ "1 problem", "200 problems"."""
    return f"{count(n)}\u00a0{noun}" + ("" if n == 1 else "s")


def memory(amount: float) -> str:
    return f"{number(amount / 2**30, 2)}{NARROW}GiB" if known(amount) else MISSING


def moment(started: str) -> str:
    """An ISO 8601 time as people write it; anything else as it is.

    >>> moment("2026-01-05T14:03:00")
    '5 January 2026, 14:03'
    """
    try:
        at = datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{at.day} {at:%B %Y, %H:%M}"


def listing(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def inside(label: str) -> str:
    """A label as it reads inside a sentence: "Tree search" becomes "tree search", "MCTS" stays."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def visible(token: str) -> str:
    """A token that can be seen: line ends and spaces get a sign."""
    return token.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣") or "∅"
