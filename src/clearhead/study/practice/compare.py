"""Compare what came back with what was wanted, and say in words how they differ.

Numbers are compared at a tolerance relative to the largest value wanted, or at one that is given for each part; whole
numbers, text and shapes must be equal.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearhead.reference import Array

SHOWN = 4  # places of a difference that are listed
TINY = 1e-12  # the least difference that counts


def difference(got: Any, want: Any, tolerance: float | Sequence[float], names: Sequence[str] = ()) -> str:
    """How `got` differs from `want`, in one sentence; nothing where it does not.

    `tolerance` is relative, or absolute where there is one for each of the parts that `numbers` lists.

    >>> difference(np.array([2.0, 4.0]), np.array([1.0, 2.0]), 1e-6)
    'off by the factor 2 everywhere'
    >>> difference((1.0, np.zeros(2)), (1.0, np.zeros(3)), 1e-6, ("loss", "dx"))
    'dx: shape (2,), must be (3,)'
    """
    if isinstance(tolerance, float):
        return _difference(got, want, [tolerance * size(x) + TINY for x in numbers(want)], names)
    return _difference(got, want, tolerance, names)


def numbers(value: Any) -> list[Array]:
    """The parts of a wanted value that are numbers, in the order in which they are compared.

    >>> numbers((1.5, [1, 2], {"a": "text", "b": np.zeros(2)}))
    [array(1.5), array([1, 2]), array([0., 0.])]
    """
    if isinstance(value, str | bytes) or value is None:
        return []
    if isinstance(value, dict):
        return [x for part in value.values() for x in numbers(part)]
    if isinstance(value, tuple) or (isinstance(value, list) and not _is_plain(value)):
        return [x for part in value for x in numbers(part)]
    return [np.asarray(value)]


def size(value: Array) -> float:
    """The largest finite absolute value; 0 where there is none."""
    finite = np.abs(value[np.isfinite(value)])
    return float(finite.max()) if finite.size else 0.0


def _named(found: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """The keys of a result in the order of the wanted names, of which one may be called otherwise; [] where more are.

    >>> _named(["dbias", "dx", "dgain"], ("dx", "dweight", "dbias")), _named(["a", "b"], ("x", "y"))
    (['dx', 'dgain', 'dbias'], [])
    """
    other, missing = [key for key in found if key not in names], [name for name in names if name not in found]
    if len(found) != len(names) or len(other) > 1:
        return []
    own = dict(zip(missing, other, strict=True))
    return [own.get(name, name) for name in names]


def _difference(got: Any, want: Any, allowed: Sequence[float], names: Sequence[str] = ()) -> str:
    if isinstance(want, tuple | list) and isinstance(got, np.ndarray) and _is_numeric(want):
        return _arrays(got, np.asarray(want), max(allowed, default=TINY))
    if isinstance(want, tuple | list):
        if isinstance(got, dict) and (order := _named(list(got), names)):
            got = [got[name] for name in order]
        if not isinstance(got, tuple | list):
            return f"returns {_kind(got)}, must return {_kind(want)}"
        if len(got) != len(want):
            return f"has {len(got)} parts, must have {len(want)}"
        if _is_plain(want) and isinstance(want, list) and _is_numeric(got):
            return _arrays(got, np.asarray(want), allowed[0])
        labels = names or [f"part {i}" for i in range(len(want))]
        return _parts(list(zip(labels, got, want, strict=True)), allowed)
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return f"returns {_kind(got)}, must return {_kind(want)}"
        if got.keys() != want.keys():
            return f"has the keys {sorted(map(str, got))}, must have {sorted(map(str, want))}"
        return _parts([(str(key), got[key], x) for key, x in want.items()], allowed)
    if isinstance(want, str | bytes) or want is None:
        return "" if type(got) is type(want) and got == want else f"is {got!r}, must be {want!r}"
    if got is None or isinstance(got, str | bytes | dict):
        return f"returns {_kind(got)}, must return {_kind(want)}"
    return _arrays(got, np.asarray(want), allowed[0])


def _parts(parts: list[tuple[str, Any, Any]], allowed: Sequence[float]) -> str:
    found = []
    for label, got, want in parts:
        count = len(numbers(want))
        said = _difference(got, want, allowed[:count] or [TINY])
        allowed = allowed[count:]
        if said:
            found.append(f"{label}: {said}")
    return "; ".join(found)


def _arrays(value: Any, want: Array, allowed: float) -> str:
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
    wrong = ~_close(got, want, allowed)
    if not wrong.any():
        return ""
    if np.isnan(got).any() and not np.isnan(want).any():
        return f"NaN at {_places(np.isnan(got))}"
    if np.isinf(got[wrong]).any() and np.isfinite(want).all():
        return f"infinite at {_places(np.isinf(got))}"
    return _pattern(got, want, allowed) or _where(got, want, wrong)


def _close(got: Array, want: Array, allowed: float) -> Array:
    with np.errstate(invalid="ignore"):
        near = np.abs(got - want) <= allowed
    return np.asarray(near | (got == want) | (np.isnan(got) & np.isnan(want)))


def _pattern(got: Array, want: Array, allowed: float) -> str:
    """A difference of one kind everywhere: a factor, a term, a transposition, a reversal."""
    if want.size < 2 or not (np.isfinite(got).all() and np.isfinite(want).all()):
        return ""
    if np.abs(got).max() <= allowed:
        return "is 0 everywhere"
    factor = float((got * want).sum() / (want * want).sum()) if want.any() else 0.0
    if factor and _close(got, factor * want, max(allowed, 1e-9 * size(got))).all():
        sign = math.isclose(factor, -1, abs_tol=1e-6)
        told = f"{factor:.4g}" if abs(factor - 1) > 9e-4 else f"1 {'-' if factor < 1 else '+'} {abs(factor - 1):.1e}"
        return "has the wrong sign everywhere" if sign else f"off by the factor {told} everywhere"
    term = float((got - want).mean())
    if _close(got - want, np.full_like(want, term), allowed).all():
        return f"off by the term {term:.4g} everywhere"
    if want.ndim > 1 and got.shape[-1] == got.shape[-2] and _close(got.swapaxes(-1, -2), want, allowed).all():
        return "is transposed: its last two axes are exchanged"
    for axis in range(want.ndim):
        if want.shape[axis] > 1 and _close(np.flip(got, axis), want, allowed).all():
            return f"is reversed along axis {axis}"
    return ""


def _where(got: Array, want: Array, wrong: Array) -> str:
    if want.ndim == 0:
        return _said(got, want)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    first = f"{list(place)} {_said(got[place], want[place])}"
    if want.ndim > 1:
        rows = wrong.any(tuple(range(1, want.ndim)))
        if not rows.all():
            right = "the others are right"
            return f"wrong only at index {_listed(np.flatnonzero(rows))} of axis 0 ({right}); {first}"
    share = f"{wrong.sum()} of {wrong.size} values are wrong" if not wrong.all() else "every value is wrong"
    return f"{share}; {first}"


def _said(got: Any, want: Any) -> str:
    """Both numbers, with as many digits as tell them apart.

    >>> _said(np.float64(1 / 3), np.float64(1 / 3 + 1e-9))
    'is 0.333333333, must be 0.333333334'
    """
    if want.dtype.kind != "f":
        return f"is {got}, must be {want}"
    digits = next((n for n in range(6, 17) if f"{got:.{n}g}" != f"{want:.{n}g}"), 16)
    return f"is {got:.{digits}g}, must be {want:.{digits}g}"


def _places(mask: Array) -> str:
    if mask.ndim == 0:
        return "the only value"
    return _listed([tuple(int(i) for i in place) if mask.ndim > 1 else int(place[0]) for place in np.argwhere(mask)])


def _listed(places: Any) -> str:
    shown = ", ".join(str(place) for place in list(places)[:SHOWN])
    return shown + (f" and {len(places) - SHOWN} more" if len(places) > SHOWN else "")


def _is_plain(value: Any) -> bool:
    """Whether a list holds numbers alone, or lists of them: an array that is written as a list."""
    return all(
        _is_plain(x) if isinstance(x, list) else isinstance(x, bool | int | float | np.number | np.bool_) for x in value
    ) and _is_numeric(value)


def _is_numeric(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except ValueError:
        return False


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
