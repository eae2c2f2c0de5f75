"""Steps of skip-gram, CBOW and GloVe over text and counts, as fast as a core walks along rows of a table.

The kernel is word_vectors.cpp, compiled at its first use. It changes the tables in place, a word at a time, as these
methods are defined; their formulas with gradients are in reference/embeddings.py. One thread: the same bits each time.
"""

import ctypes
import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clearhead.errors import UserError

TYPES = {np.dtype(np.float32): "float32", np.dtype(np.float64): "float64"}
BREAK = -1  # in an array of ids: no window reaches across it


class _Sizes(ctypes.Structure):
    """`Sizes` of the C++ file."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "V", "D", "window", "negatives", "is_cbow")),
        ("lr", ctypes.c_double),
    ]


@functools.cache
def _library() -> Any:
    cache = importlib.import_module("torch._inductor.codecache").CppCodeCache  # a second that others need not wait
    try:
        return cache.load(Path(__file__).with_suffix(".cpp").read_text(encoding="utf-8"))
    except Exception as error:  # whatever torch makes of a compiler that is missing, or fails
        told = " ".join(str(error).split())[:200]
        raise UserError(f"word vectors need a C++ compiler (c++, g++ or clang++): {told}; install one") from None


def _call(name: str, sizes: _Sizes, dtype: np.dtype, *arrays: np.ndarray) -> None:
    assert all(array.flags.c_contiguous for array in arrays)
    pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in arrays)
    getattr(_library(), f"{name}_{TYPES[dtype]}")(ctypes.byref(sizes), *pointers)


def alias_table(p: Float[np.ndarray, "V"]) -> tuple[Float[np.ndarray, "V"], Int[np.ndarray, "V"]]:
    """(threshold, alias): a uniform place i is kept with probability threshold_i, else alias_i is taken. O(V).

    Vose 1991.

    >>> threshold, alias = alias_table(np.array([0.75, 0.25]))
    >>> threshold.tolist(), alias.tolist()
    ([1.0, 0.5], [0, 0])
    """
    scaled = p * len(p) / p.sum()
    threshold, alias = np.ones(len(p), np.float32), np.arange(len(p), dtype=np.int32)
    small, large = list(np.flatnonzero(scaled < 1)), list(np.flatnonzero(scaled >= 1))
    while small and large:
        i, j = small.pop(), large[-1]
        threshold[i], alias[i] = scaled[i], j
        scaled[j] -= 1 - scaled[i]
        if scaled[j] < 1:
            small.append(large.pop())
    return threshold, alias


def negative_sampling_steps(
    ids: Int[np.ndarray, "N"],
    center: Float[np.ndarray, "V D"],
    context: Float[np.ndarray, "V D"],
    *,
    cbow: bool,
    window: int,
    negatives: int,
    keep: Float[np.ndarray, "V"],
    noise: tuple[Float[np.ndarray, "V"], Int[np.ndarray, "V"]],
    lr: float,
    state: np.ndarray,
) -> tuple[float, int]:
    """One pass over `ids`, both tables stepped in place; (Σ loss, number) of the steps that were measured.

    Each word is kept with probability `keep`; its window reaches 1 to `window` places, drawn anew, and each word of it
    predicts the one in the middle. K negatives are drawn for that one, not for each pair; one that is the true word is
    left out, as in word2vec.c. state: one uint64, the generator's. O(N window K D).
    Mikolov et al. 2013b, equation 4; CBOW, Mikolov et al. 2013a, section 3.1, with the mean of the window.
    """
    (V, D), told = center.shape, np.zeros(2)
    assert context.shape == (V, D) and center.dtype == context.dtype and (ids.max(initial=-1) < V)
    sizes = _Sizes(len(ids), V, D, window, negatives, cbow, lr)
    _call("train", sizes, center.dtype, ids, keep, *noise, center, context, state, told)
    return float(told[0]), int(told[1])


def glove_steps(
    order: Int[np.ndarray, "N"],
    rows: Int[np.ndarray, "E"],
    columns: Int[np.ndarray, "E"],
    logs: Float[np.ndarray, "E"],
    weights: Float[np.ndarray, "E"],
    parameters: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    squares: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    lr: float,
) -> float:
    """AdaGrad on f(X_ij) (w_i · u_j + b_i + c_j - log X_ij)², cell by cell in `order`; the losses before, summed.

    parameters: w, u "V D", b, c "V"; squares: sums of their squared gradients so far, from 1 on as in GloVe's code.
    O(N D). Pennington, Socher and Manning 2014, equation 8 and section 4.2.
    """
    (V, D), told = parameters[0].shape, np.zeros(1)
    assert rows.max(initial=-1) < V and columns.max(initial=-1) < V
    sizes = _Sizes(len(order), V, D, 0, 0, 0, lr)
    _call("glove", sizes, logs.dtype, order, rows, columns, logs, weights, *parameters, *squares, told)
    return float(told[0])
