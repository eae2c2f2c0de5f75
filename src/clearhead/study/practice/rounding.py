"""How far a right solution may be from the reference: by the type that it computes in, and by the case.

No tolerance is set by hand. For every case it is measured how much a rounding error grows on the way to each part of
the result: once by moving the inputs by one unit in their last place, once by running a right solution in float32, in
whose error cancellation inside the formula shows. A part may then be off by

    16 (1 + sqrt n) eps growth,

n being the numbers that go in, since rounding errors add like a random walk (Higham and Mary, "A new approach to
probabilistic rounding error analysis", 2019), and 16 being left to algorithms that are right but not the best. In
float64 eps is taken as 2**-42, ten bits more than it is: enough for a variance in one pass or an inverse, and too
little for an epsilon of 1e-8 that the formula lacks. Cases in which rounding grows beyond `LIMIT` are drawn again.
"""

import ast
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearhead.study.practice.compare import TINY, numbers, size
from clearhead.study.practice.rules import parsed

DOUBLE, SINGLE, HALF, BRAIN = 2.0**-42, 2.0**-23, 2.0**-10, 2.0**-7  # by which a verdict goes, in each type
LIMIT = 64.0  # growth, as a multiple of the result's size, beyond which a case says little
MOST = 0.01  # of a part's size, that rounding may ever excuse
TOLD = 0.5  # of it, that half precision is told to have cost: no verdict goes by that
STEP = 2.0**-20  # relative, of the inputs, when the growth of an error is measured
NAMES = {"float32", "single", "float16", "half", "bfloat16"}  # attributes and text by which lower precision is chosen
CODES = {"f", "f4", "<f4", "=f4", "e", "f2", "<f2", *NAMES}


@functools.lru_cache(512)
def declared(source: str) -> bool:
    """Whether a source names a type of less than double precision.

    >>> declared("x = x.float()"), declared("x = np.zeros(3, dtype='f4')"), declared("x = float(y)")
    (True, True, False)
    """
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Attribute) and node.attr in NAMES | {"float"}:
            return True
        if isinstance(node, ast.Name) and node.id in NAMES:
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CODES:
            return True
    return False


def precision(values: list[Any]) -> float:
    """The eps of the least precise type that holds all of these values.

    >>> precision([np.float32(0.1)]) == SINGLE, precision([0.1]) == DOUBLE
    (True, True)
    """
    found = [np.asarray(x, np.float64) for value in values for x in _floats(value)]
    with np.errstate(all="ignore"):
        for eps, to in ((BRAIN, _as_brain), (HALF, np.float16), (SINGLE, np.float32)):
            if found and all(np.array_equal(np.asarray(to(x), np.float64), x, equal_nan=True) for x in found):
                return eps
    return DOUBLE


def _as_brain(x: np.ndarray) -> np.ndarray:
    bits = np.asarray(x, np.float32)
    return np.where(np.atleast_1d(bits).view(np.uint32) & 0xFFFF, np.nan, bits.astype(np.float64)).reshape(bits.shape)


def _floats(value: Any) -> list[np.ndarray]:
    try:
        return [x for x in numbers(value) if x.dtype.kind == "f"]
    except (ValueError, TypeError, OverflowError):
        return []


@dataclass(frozen=True)
class Growth:
    """How much a rounding error grows until it reaches each part of a result."""

    parts: list[float]  # the largest difference in a part, for an error of one unit
    worst: float  # of the parts' growth as a multiple of their size; infinite where something jumps


def growth(
    oracle: Callable[..., Any], given: Mapping[str, Any], want: Any, run: Callable[[dict[str, Any]], Any],
    rng: np.random.Generator,
) -> Growth:  # fmt: skip
    """What errors in the inputs, and on the way, become; `run` gives a right solution's result, or None, in float32."""
    sizes = _sizes(want)
    if not any(_is_floats(x) for x in given.values()):
        return Growth([LIMIT * one for one in sizes], 0.0)
    own = _apart(run({name: _single(x) for name, x in given.items()}), want, SINGLE)
    shares, jumps = [own], [own]
    for _ in range(2):
        signs = {name: _signs(x, rng) for name, x in given.items()}
        for call, unit in ((lambda moved: oracle(**moved), STEP), (run, SINGLE)):
            up, down = (
                _apart(_tried(call, {name: _moved(x, signs[name], h) for name, x in given.items()}, unit), want, unit)
                for h in (unit, -unit)
            )
            shares.append(np.minimum(up, down))  # a jump that lies on one side only is no growth
            jumps.append(np.maximum(up, down))
    scale = np.maximum(sizes, np.max(sizes, initial=0.0) / 100)
    worst = np.max(jumps, 0) / np.where(sizes > 0, sizes, np.inf)
    worst = np.where(np.isinf(np.max(jumps, 0)), np.inf, worst)
    return Growth(
        (np.where(np.isinf(np.max(shares, 0)), 0.0, np.max(shares, 0)) + scale).tolist(),
        float(np.max(worst, initial=0.0)),
    )


def of_gradient(
    vjp: Callable[..., Any], given: Mapping[str, Any], want: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, float]:
    """The growth of an error in the inputs until it reaches each gradient."""
    found = dict.fromkeys(want, 0.0)
    for _ in range(2):
        signs = {name: _signs(x, rng) for name, x in given.items()}
        moved = vjp(**{name: _moved(x, signs[name], STEP) for name, x in given.items()})
        found = {name: max(found[name], size(np.asarray(moved[name] - x)) / STEP) for name, x in want.items()}
    return found


def allowed(found: Growth, want: Any, given: Mapping[str, Any], eps: float, most: float = MOST) -> list[float]:
    """The absolute error that each part may have at this precision, `most` of its size at most."""
    sizes = _sizes(want)
    scale = np.maximum(sizes, np.max(sizes, initial=0.0) / 100)
    growth = np.minimum(found.parts, LIMIT * scale if eps == DOUBLE else np.inf)
    return (np.minimum(factor(given) * eps * growth, most * scale) + TINY).tolist()


def factor(given: Mapping[str, Any]) -> float:
    """16 (1 + sqrt n), n being how many numbers go in."""
    n = sum(x.size for x in given.values() if isinstance(x, np.ndarray) and x.dtype.kind == "f")
    return float(16 * (1 + n**0.5))


def _sizes(want: Any) -> np.ndarray:
    return np.array([size(part) if part.dtype.kind == "f" else 0.0 for part in numbers(want)])


def _tried(call: Callable[[dict[str, Any]], Any], given: dict[str, Any], unit: float) -> Any:
    """The result, None where the inputs were moved beyond what they may be."""
    try:
        return call({name: _single(x) for name, x in given.items()} if unit == SINGLE else given)
    except (ArithmeticError, ValueError):
        return None


def _apart(got: Any, want: Any, unit: float) -> np.ndarray:
    """The largest difference in each part, in units: infinite where whole ones differ, 0 where there is no result."""
    parts = numbers(want)
    if got is None:
        return np.zeros(len(parts))
    theirs = numbers(got)
    if len(theirs) != len(parts):
        return np.full(len(parts), np.inf)
    found = []
    for a, b in zip(theirs, parts, strict=True):
        if a.shape != b.shape or a.dtype.kind not in "biuf":
            found.append(np.inf)
        elif b.dtype.kind == "f":
            found.append(size(a.astype(float) - b) / unit)
        else:
            found.append(0.0 if np.array_equal(a, b) else np.inf)
    return np.array(found)


def _signs(x: Any, rng: np.random.Generator) -> Any:
    return rng.choice([-1.0, 1.0], x.shape) if _is_floats(x) else 0.0


def _moved(x: Any, signs: Any, h: float) -> Any:
    return x * (1 + h * signs) if _is_floats(x) else x


def _single(x: Any) -> Any:
    return x.astype(np.float32) if _is_floats(x) else x


def _is_floats(x: Any) -> bool:
    """Whether these are measurements: what half precision holds, such as labels and scores in quarters, is exact."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return False
    with np.errstate(all="ignore"):
        return not np.array_equal(x.astype(np.float16), x, equal_nan=True)
