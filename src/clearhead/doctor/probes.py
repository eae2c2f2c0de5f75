"""Probes of a model in evaluation, on copies: does a row depend on its batch, a position on a later one, anything on
padding? Each returns a plain number: the largest change of what must not change, as a share of the outputs' size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.doctor.quiet import logits_of, mapped, tensors_in

Call = tuple[tuple[Any, ...], Mapping[str, Any]]
"""The arguments of a model's forward, as it was called."""


def main_input(call: Call) -> Tensor | None:
    """The first tensor with rows among the arguments."""
    return next((t for t in tensors_in((call[0], dict(call[1]))) if t.ndim >= 2), None)


@torch.no_grad()
def output(model: nn.Module, call: Call) -> Tensor | None:
    found = logits_of(model(*call[0], **call[1]))
    return None if found is None else found.float()


def with_input(call: Call, old: Tensor, new: Tensor) -> Call:
    args, kwargs = mapped((call[0], dict(call[1])), lambda t: new if t is old else t)
    return args, kwargs


def changed(x: Tensor, vocabulary: int) -> Tensor:
    """Every entry another one: tokens, or numbers of the same size."""
    if x.is_floating_point():
        return -x + x.std() * 0.5 + 0.1
    return (x + 1) % max(2, vocabulary) if x.dtype != torch.bool else ~x


def relative(a: Tensor, b: Tensor) -> float:
    scale = float(a.std()) if a.numel() > 1 else 0.0
    scale = scale or float(a.abs().max()) or 1.0
    return float((a - b).abs().max()) / scale if a.numel() else math.nan


def rows_mix(model: nn.Module, call: Call, vocabulary: int) -> float:
    """How far row 1 and those after it change when row 0 is another one."""
    x = main_input(call)
    if x is None or x.shape[0] < 2:
        return math.nan
    other = x.clone()
    other[0] = changed(x[0], vocabulary)
    a, b = output(model, call), output(model, with_input(call, x, other))
    if a is None or b is None or a.shape[:1] != x.shape[:1]:
        return math.nan
    return relative(a[1:], b[1:])


def future_leaks(model: nn.Module, call: Call, vocabulary: int) -> float:
    """How far the outputs of the first half of the positions change when the tokens after it are others."""
    x = main_input(call)
    if x is None or x.ndim < 2 or x.shape[1] < 4:
        return math.nan
    half = x.shape[1] // 2
    other = x.clone()
    other[:, half:] = changed(x[:, half:], vocabulary)
    a, b = output(model, call), output(model, with_input(call, x, other))
    if a is None or b is None or a.ndim < 3 or a.shape[:2] != x.shape[:2]:
        return math.nan
    return relative(a[:, :half], b[:, :half])


def past_is_seen(model: nn.Module, call: Call, vocabulary: int) -> float:
    """How far the last position's output changes when all tokens but the last few are others: 0 is a blind model."""
    x = main_input(call)
    if x is None or x.ndim < 2 or x.shape[1] < 4:
        return math.nan
    other = x.clone()
    other[:, :-1] = changed(x[:, :-1], vocabulary)
    a, b = output(model, call), output(model, with_input(call, x, other))
    return math.nan if a is None or b is None or a.ndim < 3 else relative(a[:, -1], b[:, -1])


def order_matters(model: nn.Module, call: Call) -> float:
    """How far later outputs change when the first two tokens, where they differ, change places: 0 is no positions."""
    x = main_input(call)
    if x is None or x.ndim != 2 or x.shape[1] < 4 or not bool((x[:, 0] != x[:, 1]).any()):
        return math.nan
    other = x.clone()
    other[:, 0], other[:, 1] = x[:, 1], x[:, 0]
    a, b = output(model, call), output(model, with_input(call, x, other))
    return math.nan if a is None or b is None or a.ndim < 3 else relative(a[:, 2:], b[:, 2:])


def padding_seen(model: nn.Module, call: Call, pad: int, left: bool) -> float:
    """How far real positions change when one column of padding is cut off, in rows that have some to spare."""
    x = main_input(call)
    if x is None or x.ndim != 2:
        return math.nan
    edge = x[:, 0] if left else x[:, -1]
    rows = edge == pad
    if not bool(rows.any()):
        return math.nan
    batch, length = x.shape
    cut = slice(1, None) if left else slice(None, -1)

    def chosen(t: Tensor) -> Tensor:
        return t[rows] if t.ndim and t.shape[0] == batch else t

    def shorter(t: Tensor) -> Tensor:
        t = chosen(t)
        for dim in range(1, t.ndim):
            if t.shape[dim] == length:
                t = t.narrow(dim, 1 if left else 0, length - 1)
        return t

    args = (call[0], dict(call[1]))
    whole, less = mapped(args, chosen), mapped(args, shorter)
    a, b = output(model, whole), output(model, less)
    if a is None or b is None:
        return math.nan
    if a.ndim == 3 and a.shape[1] == length and b.shape[1] == length - 1:
        real = (x[rows] != pad)[:, cut]
        return relative(a[:, cut][real], b[real])
    return relative(a, b) if a.shape == b.shape else math.nan


def padding_of(x: Tensor) -> tuple[int, bool] | None:
    """(token, at the left?) where rows of tokens end, or begin, with runs of one token of different lengths."""
    if x.ndim != 2 or x.is_floating_point() or x.shape[1] < 3 or x.shape[0] < 2:
        return None
    for left in (False, True):
        rows = x.flip(1) if not left else x
        edge = rows[:, 0]
        runs = (rows == edge[:, None]).long().cumprod(1).sum(1)
        long = runs >= 2
        pads = edge[long].unique()
        if long.sum() < max(2, 0.25 * len(x)) or len(pads) > 1:
            continue
        padded = torch.where(edge == pads[0], runs, 0)
        only_there = bool(((x == pads[0]).sum(1) == padded).all())  # a token of the text also stands elsewhere
        if only_there and len(padded.unique()) > 1:
            return int(pads[0]), left
    return None


def attempt(probe: Callable[..., float], *args: Any) -> float:
    """NaN where a model does not take what a probe gives it."""
    try:
        return probe(*args)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, KeyError, AttributeError):
        return math.nan


def alignment(x: Tensor, target: Tensor, ignored: int) -> Mapping[int, float]:
    """For k = -1 ... 2, the share of targets that are the token k places further on than their position."""
    flat = target.flatten()
    batch, length = x.shape
    shares: dict[int, float] = {}
    for width in (length, length - 1, length - 2):
        if width > 1 and flat.numel() == batch * width:
            table = flat.view(batch, width)
            learned = table != ignored
            for k in (-1, 0, 1, 2):
                low, high = max(0, -k), min(width, length - k)
                same, counted = (table[:, low:high] == x[:, low + k : high + k]), learned[:, low:high]
                shares[k] = float(same[counted].float().mean()) if bool(counted.any()) else math.nan
            return shares
    return shares


def known(numbers: Mapping[str, float] | Sequence[float]) -> Any:
    """Without what could not be measured."""
    return {k: v for k, v in numbers.items() if not math.isnan(v)} if isinstance(numbers, Mapping) else numbers
