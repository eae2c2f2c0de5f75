"""Compare what came back with what was wanted, and say in words how they differ.

Numbers are compared at a tolerance relative to the largest value wanted; whole numbers, text and shapes must be equal.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearhead.reference import Array

SHOWN = 4  # places of a difference that are listed


def difference(got: Any, want: Any, tolerance: float, names: Sequence[str] = ()) -> str:
    """How `got` differs from `want`, in one sentence; nothing where it does not.

    >>> difference(np.array([2.0, 4.0]), np.array([1.0, 2.0]), 1e-6)
    'off by the factor 2 everywhere'
    >>> difference((1.0, np.zeros(2)), (1.0, np.zeros(3)), 1e-6, ("loss", "dx"))
    'dx: shape (2,), must be (3,)'
    """
    if isinstance(want, tuple | list):
        if isinstance(got, np.ndarray) and _is_numeric(want):
            return difference(got, np.asarray(want), tolerance)
        if not isinstance(got, tuple | list):
            return f"returns {_kind(got)}, must return {_kind(want)}"
        if len(got) != len(want):
            return f"has {len(got)} parts, must have {len(want)}"
        labels = names or [f"part {i}" for i in range(len(want))]
        parts = [(label, difference(g, w, tolerance)) for label, g, w in zip(labels, got, want, strict=True)]
        return "; ".join(f"{label}: {said}" for label, said in parts if said)
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return f"returns {_kind(got)}, must return {_kind(want)}"
        if got.keys() != want.keys():
            return f"has the keys {sorted(map(str, got))}, must have {sorted(map(str, want))}"
        parts = [(str(key), difference(got[key], x, tolerance)) for key, x in want.items()]
        return "; ".join(f"{label}: {said}" for label, said in parts if said)
    if isinstance(want, str | bytes) or want is None:
        return "" if type(got) is type(want) and got == want else f"is {got!r}, must be {want!r}"
    if got is None or isinstance(got, str | bytes | dict):
        return f"returns {_kind(got)}, must return {_kind(want)}"
    return _arrays(got, np.asarray(want), tolerance)


def _arrays(value: Any, want: Array, tolerance: float) -> str:
    try:
        got = np.asarray(value)
    except ValueError:
        return "is a ragged list, must be an array"
    if got.dtype.kind not in "biuf":
        return f"holds {got.dtype}, must hold numbers"
    if got.shape != want.shape:
        turned = got.ndim == want.ndim > 1 and got.shape == want.shape[:-2] + want.shape[:-3:-1]
        return f"shape {got.shape}, must be {want.shape}" + (" (transposed?)" if turned else "")
    if want.size == 0:
        return ""
    if want.dtype.kind in "biu":
        wrong = np.asarray(got != want)
        return "" if not wrong.any() else _where(got, want, wrong)
    got, want = got.astype(float), want.astype(float)
    wrong = ~_close(got, want, tolerance)
    if not wrong.any():
        return ""
    if np.isnan(got).any() and not np.isnan(want).any():
        return f"NaN at {_places(np.isnan(got))}"
    if np.isinf(got[wrong]).any() and np.isfinite(want).all():
        return f"infinite at {_places(np.isinf(got))}"
    return _pattern(got, want, wrong, tolerance) or _where(got, want, wrong)


def _close(got: Array, want: Array, tolerance: float) -> Array:
    finite = np.abs(want[np.isfinite(want)])
    scale = finite.max() if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        near = np.abs(got - want) <= tolerance * scale + 1e-12
    return np.asarray(near | (got == want) | (np.isnan(got) & np.isnan(want)))


def _pattern(got: Array, want: Array, wrong: Array, tolerance: float) -> str:
    """A difference of one kind everywhere: a factor, a term, a transposition, a reversal."""
    if want.size < 2 or not (np.isfinite(got).all() and np.isfinite(want).all()):
        return ""
    if np.abs(got).max() <= tolerance * np.abs(want).max():
        return "is 0 everywhere"
    factor = float((got * want).sum() / (want * want).sum()) if want.any() else 0.0
    if factor and _close(got, factor * want, tolerance).all():
        sign = math.isclose(factor, -1, abs_tol=tolerance)
        return "has the wrong sign everywhere" if sign else f"off by the factor {factor:.4g} everywhere"
    term = float((got - want).mean())
    if _close(got - want, np.full_like(want, term), tolerance).all():
        return f"off by the term {term:.4g} everywhere"
    if want.ndim > 1 and got.shape[-1] == got.shape[-2] and _close(got.swapaxes(-1, -2), want, tolerance).all():
        return "is transposed: its last two axes are exchanged"
    for axis in range(want.ndim):
        if want.shape[axis] > 1 and _close(np.flip(got, axis), want, tolerance).all():
            return f"is reversed along axis {axis}"
    return ""


def _where(got: Array, want: Array, wrong: Array) -> str:
    if want.ndim == 0:
        return f"is {got:.6g}, must be {want:.6g}" if want.dtype.kind == "f" else f"is {got}, must be {want}"
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    first = f"{list(place)} is {got[place]:.6g}, must be {want[place]:.6g}"
    if want.ndim > 1:
        rows = wrong.any(tuple(range(1, want.ndim)))
        if not rows.all():
            right = "the others are right"
            return f"wrong only at index {_listed(np.flatnonzero(rows))} of axis 0 ({right}); {first}"
    share = f"{wrong.sum()} of {wrong.size} values are wrong" if not wrong.all() else "every value is wrong"
    return f"{share}; {first}"


def _places(mask: Array) -> str:
    if mask.ndim == 0:
        return "the only value"
    return _listed([tuple(int(i) for i in place) if mask.ndim > 1 else int(place[0]) for place in np.argwhere(mask)])


def _listed(places: Any) -> str:
    shown = ", ".join(str(place) for place in list(places)[:SHOWN])
    return shown + (f" and {len(places) - SHOWN} more" if len(places) > SHOWN else "")


def _is_numeric(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except ValueError:
        return False


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
