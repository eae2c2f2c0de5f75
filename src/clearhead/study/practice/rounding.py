"""How far a right solution may be from the reference: by the type it computes in, and by what rounding does to the case.

No tolerance is set by hand. For every case it is measured how much a rounding error grows on the way to each part of
the result: once by moving the inputs by one unit in their last place, once by running a right solution in float32, whose
error also shows cancellation inside the formula. A part may then be off by

    16 (1 + sqrt n) eps growth,

n being the numbers that go in, since rounding errors add like a random walk (Higham and Mary, "A new approach to
probabilistic rounding error analysis", 2019), and 16 being left to algorithms that are right but not the best. In
float64 eps is taken as 2**-42, ten bits more than it is: enough for a variance in one pass or an inverse, and too
little for an epsilon of 1e-8 that the formula lacks. Cases in which rounding grows beyond `LIMIT` are drawn again.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from clearhead.study.practice.compare import numbers, size

DOUBLE, SINGLE, HALF, BRAIN = 2.0**-42, 2.0**-23, 2.0**-10, 2.0**-7  # by which a verdict goes, in each type
LIMIT = 64.0  # growth, as a multiple of the result's size, beyond which a case says little
STEP = 2.0**-20  # relative, of the inputs, when the growth of an error is measured
NAMES = {"float32", "single", "float16", "half", "bfloat16"}  # attributes and text by which lower precision is chosen
CODES = {"f", "f4", "<f4", "=f4", "e", "f2", "<f2", *NAMES}


def declared(source: str) -> bool:
    """Whether a source names a type of less than double precision.

    >>> declared("x = x.float()"), declared("x = np.zeros(3, dtype='f4')"), declared("x = float(y)")
    (True, True, False)
    """
    for node in ast.walk(ast.parse(source)):
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


def growth(
    oracle: Callable[..., Any], given: Mapping[str, Any], want: Any, run: Callable[[dict[str, Any]], Any],
    rng: np.random.Generator,
) -> list[float]:  # fmt: skip
    """By how much a rounding error in the inputs, or on the way, grows until it reaches each part of the result.

    `run` gives a right solution's result, or None, for inputs in float32.
    """
    parts = numbers(want)
    if not any(part.dtype.kind == "f" for part in parts):
        return [0.0] * len(parts)
    shares = []
    for _ in range(2):
        signs = {name: _signs(x, rng) for name, x in given.items()}
        up, down = (
            _apart(oracle(**{name: _moved(x, signs[name], h) for name, x in given.items()}), want, STEP)
            for h in (STEP, -STEP)
        )
        shares.append(np.minimum(up, down))  # a jump that lies on one side only is no growth
        up, down = (
            _apart(run({name: _single(_moved(x, signs[name], h)) for name, x in given.items()}), want, SINGLE)
            for h in (SINGLE, -SINGLE)
        )
        shares.append(np.minimum(up, down))
    shares.append(_apart(run({name: _single(x) for name, x in given.items()}), want, SINGLE))
    sizes = np.array([size(part) if part.dtype.kind == "f" else 0.0 for part in parts])
    return (np.max(shares, 0) + np.maximum(sizes, sizes.max() / 100)).tolist()


def largest(found: list[float], want: Any) -> float:
    """The largest growth of a part, as a multiple of its own size."""
    sizes = [size(part) if part.dtype.kind == "f" else 0.0 for part in numbers(want)]
    return max((a / b for a, b in zip(found, sizes, strict=True) if b), default=0.0)


def allowed(found: list[float], want: Any, given: Mapping[str, Any], eps: float) -> list[float]:
    """The absolute error that each part may have at this precision."""
    n = sum(x.size for x in given.values() if isinstance(x, np.ndarray) and x.dtype.kind == "f")
    sizes = [size(part) if part.dtype.kind == "f" else 0.0 for part in numbers(want)]
    most = max(sizes, default=0.0)
    limits = [LIMIT * max(one, most / 100) if eps == DOUBLE else np.inf for one in sizes]
    return [16 * (1 + n**0.5) * eps * min(one, limit) + 1e-12 for one, limit in zip(found, limits, strict=True)]


def _apart(got: Any, want: Any, unit: float) -> np.ndarray:
    """The largest difference in each part, in units; 0 for what cannot be compared."""
    parts = numbers(want)
    theirs = [] if got is None else numbers(got)
    if len(theirs) != len(parts):
        return np.zeros(len(parts))
    found = []
    for a, b in zip(theirs, parts, strict=True):
        comparable = a.shape == b.shape and a.dtype.kind in "biuf" and b.dtype.kind == "f"
        found.append(size(a.astype(float) - b) / unit if comparable else 0.0)
    return np.array(found)


def _signs(x: Any, rng: np.random.Generator) -> Any:
    return rng.choice([-1.0, 1.0], x.shape) if _is_floats(x) else 0.0


def _moved(x: Any, signs: Any, h: float) -> Any:
    return x * (1 + h * signs) if _is_floats(x) else x


def _single(x: Any) -> Any:
    return x.astype(np.float32) if _is_floats(x) else x


def _is_floats(x: Any) -> bool:
    """Whether these are measurements: whole numbers, such as labels and edges of a graph, are exact in every type."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f" and bool((x % 1 != 0).any())
