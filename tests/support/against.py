"""How a formula of the reference is held against its derivative and against peers.

`CLEARHEAD_ERRORS=FILE pytest tests/reference` writes a line for every comparison: the test and the largest relative
error that it saw.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

EXACT = 1e-12  # two ways through the same formula in float64 differ by rounding alone
DIFFERENCES = 1e-6  # central differences of a well-scaled function: truncation h² and rounding ε/h meet near 1e-9


def relative_error(got: Any, want: Any) -> float:
    """The largest |got - want| as a share of the largest |want|, at least 1e-3; infinite entries must be equal."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    finite = np.isfinite(want)
    assert np.array_equal(got[~finite], want[~finite], equal_nan=True), f"got {got}, expected {want}"
    if not finite.any():
        return 0.0
    assert np.isfinite(got[finite]).all(), f"got {got}, expected {want}"
    return float(np.abs(got[finite] - want[finite]).max() / max(np.abs(want[finite]).max(), 1e-3))


def close(got: Any, want: Any, within: float = EXACT) -> None:
    """`got` equals what a peer says, up to a relative error that has a reason."""
    error = relative_error(got, want)
    if path := os.environ.get("CLEARHEAD_ERRORS"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{os.environ['PYTEST_CURRENT_TEST'].split(' ')[0]}\t{error:.1e}\n")
    assert error <= within, f"relative error {error:.2e} exceeds {within:.0e}\n{got}\nexpected\n{want}"


def check_vjp(f: Callable[..., Any], f_vjp: Callable[..., Any], *args: Any, peer: Callable[..., Any] | None = None):
    """`f_vjp` is the gradient of `f` by central differences, and `peer`, the same formula in torch, agrees with both.

    float64 arrays among `args` are what is differentiated, all else is handed through. A result may be an array or a
    tuple of arrays. `peer` is called with tensors for arrays; where it is left out only differences are taken.
    """
    places = [i for i, a in enumerate(args) if isinstance(a, np.ndarray) and a.dtype == np.float64]
    results = _several(f(*args))
    rng = np.random.default_rng(271828)  # a seed no test draws its inputs from: they must not resemble the cotangents
    cotangents = [rng.normal(size=np.shape(y)) for y in results]

    def weighted(*changed: Any) -> float:
        return sum(float((dy * y).sum()) for dy, y in zip(cotangents, _several(f(*changed)), strict=True))

    got = _several(f_vjp(*args, *cotangents))
    assert len(got) == len(places), f"{f_vjp.__name__} gives {len(got)} gradients for {len(places)} arrays"
    for place, gradient in zip(places, got, strict=True):
        close(gradient, _differences(weighted, args, place), DIFFERENCES)
    if peer is not None:
        values, gradients = _torch(peer, args, places, cotangents)
        for mine, theirs in [*zip(results, values, strict=True), *zip(got, gradients, strict=True)]:
            close(mine, theirs)


def _differences(f: Callable[..., float], args: Sequence[Any], place: int) -> np.ndarray:
    """∂f / ∂args[place] by central differences."""
    x = args[place]
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        h = np.cbrt(np.finfo(float).eps) * max(1.0, abs(x[index]))
        ends = []
        for step in (h, -h):
            moved = x.copy()
            moved[index] += step
            ends.append(f(*args[:place], moved, *args[place + 1 :]))
        gradient[index] = (ends[0] - ends[1]) / (2 * h)
    return gradient


def _torch(peer: Callable[..., Any], args: Sequence[Any], places: Sequence[int], cotangents: Sequence[np.ndarray]):
    tensors = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    leaves = [tensors[i].requires_grad_() for i in places]
    values = _several(peer(*tensors))
    found = torch.autograd.grad(values, leaves, [torch.tensor(dy) for dy in cotangents], allow_unused=True)
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]
    return [y.detach().numpy() for y in values], [g.numpy() for g in gradients]


def _several(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]
