"""`preflight(model, batches, loss_fn)`: seconds before hours. Probes of a copy, on a few rows of two batches.

The model, its gradients, its mode and all random states are as before. Deliberately not here: what a number means
(checks/before.py).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clearhead.doctor import inventory, probes
from clearhead.doctor.finding import Finding
from clearhead.doctor.quiet import logits_of, same_random_state, tensors_in, twin
from clearhead.doctor.record import Record
from clearhead.doctor.table import before_training
from clearhead.doctor.telling import lines, summary
from clearhead.doctor.watching import Watch

LossFn = Callable[[Any, Any], Tensor]
ROWS = 8  # of a batch that are learned by heart
STEPS = 150  # on two batches
SECONDS = 10.0  # of processor for them, and half as long for the range test
COMPARED = 64  # batches whose rows are compared with the validation's
RANGE = (1e-6, 1.0, 30)  # rates from, to, and how many
LARGEST_CHECKED = 5_000_000  # parameters of a model whose gradient is checked in float64
FAST = 3e-3  # Adam's rate for two batches


@dataclass(frozen=True)
class Preflight:
    """What was found, what was measured, and by name what could not be."""

    findings: list[Finding]
    measured: Mapping[str, Any]
    skipped: tuple[str, ...]
    record: Record

    def __str__(self) -> str:
        told = [summary(self.findings)]
        for finding in self.findings:
            told += [f"    {name}: {line}" if name else line for name, line in lines(finding, self.record)]
        told += [
            f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}"
            for name, value in self.measured.items()
        ]
        return "\n".join(told + [f"  not judged: {name}" for name in self.skipped])


def preflight(
    model: nn.Module, batches: Iterable[Any], loss_fn: LossFn, *, optimizer: Any = None, validation: Iterable[Any] = (),
    tokenizer: Any = None, texts: Sequence[str] = (), end: int | None = None,
    decode: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> Preflight:  # fmt: skip
    """Look at everything that can be looked at before a training begins.

    loss_fn(model, batch): a scalar. tokenizer: has `encode` and `decode`; `texts` go through it and back. end: the id
    of the token that ends a text. decode(model, ids "T"): the logits "T V" token by token, with a cache.
    """
    with same_random_state():
        given = [_as_tensors(batch) for batch in itertools.islice(batches, COMPARED)]
    few = [_rows(batch, ROWS) for batch in given[:2]]
    measured: dict[str, Any] = {}
    with same_random_state():
        torch.manual_seed(0)
        watched = _overfit(model, loss_fn, few, measured)
        record = watched.record() if watched is not None else Record("preflight")
        for name, probe in (
            ("dropout_in_evaluation", lambda: _two_evaluations(model, loss_fn, few[0])),
            ("gradient_error", lambda: _gradient_error(model, loss_fn, few[0])),
            ("rate_that_breaks", lambda: _range_test(model, loss_fn, few, measured)),
            ("cache_error", lambda: _cache_error(model, watched, decode)),
            ("adapter_effect", lambda: _adapter_effect(model, loss_fn, few[0])),
            (
                "duplicates",
                lambda: _duplicates(given, [_as_tensors(b) for b in itertools.islice(validation, COMPARED)]),
            ),
            ("round_trip", lambda: _round_trip(tokenizer, texts)),
            ("end_learned", lambda: _end_learned(given, end)),
            ("vocabulary_left", lambda: _vocabulary_left(model, given, tokenizer)),
            ("tied_twice", lambda: float(len(_twice(model)))),
        ):
            measured[name] = probes.attempt(probe)
    facts = {
        **record.facts, "parameters": inventory.parameters(model, optimizer),
        "optimizer": inventory.settings(model, optimizer), "structure": inventory.structure(model),
        "preflight": {k: v for k, v in measured.items() if not (isinstance(v, float) and math.isnan(v))},
    }  # fmt: skip
    record = Record("preflight", record.series, facts)
    skipped = tuple(k for k, v in measured.items() if isinstance(v, float) and math.isnan(v))
    told = {k: v for k, v in {**measured, **facts.get("probe", {})}.items() if k not in skipped and k != "rows_known"}
    return Preflight(before_training(record), told, skipped, record)


def _as_tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_as_tensors, value))
    if isinstance(value, tuple | list):
        return type(value)(map(_as_tensors, value))
    if hasattr(value, "items"):
        return {k: _as_tensors(v) for k, v in value.items()}
    return value


def _rows(batch: Any, n: int) -> Any:
    """The first n rows, of every tensor that has as many as the first one."""
    size = next((len(t) for t in tensors_in(batch) if t.ndim), 0)
    return _mapped(batch, lambda t: t[:n] if t.ndim and len(t) == size else t)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(v, change) for v in value))
    if isinstance(value, tuple | list):
        return type(value)(_mapped(v, change) for v in value)
    if isinstance(value, dict):
        return {k: _mapped(v, change) for k, v in value.items()}
    return value


def _overfit(model: nn.Module, loss_fn: LossFn, few: Sequence[Any], measured: dict[str, Any]) -> Watch | None:
    """Adam on two batches, watched; the losses at its start and end, without dropout."""
    copy = twin(model, training=True)
    if copy is None or not few:
        return None
    trainable = [p for p in copy.parameters() if p.requires_grad]
    if not trainable:
        with Watch(copy, None, None, every=1, overhead=0.0) as idle:
            return idle
    optimizer = torch.optim.Adam(trainable, lr=FAST)
    started, losses = time.process_time(), []
    with Watch(copy, optimizer, None, every=4, overhead=0.0) as watched:
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = loss_fn(copy, few[step % len(few)])
            loss.backward()
            nn.utils.clip_grad_norm_(trainable, 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
            if time.process_time() - started > SECONDS and step >= 10:
                break
    n = len(few)
    measured |= {
        "loss_at_start": sum(losses[:n]) / n,
        "loss_on_two_batches": sum(losses[-n:]) / n,
        "steps_on_them": len(losses),
    }
    return watched


@torch.no_grad()
def _two_evaluations(model: nn.Module, loss_fn: LossFn, batch: Any) -> float:
    copy = twin(model)
    return abs(float(loss_fn(copy, batch)) - float(loss_fn(copy, batch))) if copy is not None else math.nan


def _gradient_error(model: nn.Module, loss_fn: LossFn, batch: Any) -> float:
    """|central difference along a random direction - gradient · direction| over their size, in float64."""
    copy = twin(model)
    if copy is None or sum(p.numel() for p in copy.parameters()) > LARGEST_CHECKED:
        return math.nan
    copy = copy.double()
    batch = _mapped(_rows(batch, 2), lambda t: t.double() if t.is_floating_point() else t)
    weights = [p for p in copy.parameters() if p.requires_grad]
    loss_fn(copy, batch).backward()
    direction = [torch.randn_like(p) * max(1e-3, float(p.detach().abs().mean())) for p in weights]
    slope = sum(float((p.grad * d).sum()) for p, d in zip(weights, direction, strict=True) if p.grad is not None)
    with torch.no_grad():
        found = [_slope(loss_fn, copy, batch, weights, direction, step) for step in (1e-2, 1e-3, 1e-5)]
    return min(abs(measured - slope) / max(abs(measured), abs(slope), 1e-8) for measured in found)


def _slope(loss_fn: LossFn, model: nn.Module, batch: Any, weights: Any, direction: Any, step: float) -> float:
    """(f(w + step d) - f(w - step d)) / 2 step: large for a loss that rounds to float32, small for a curved one."""
    ends = []
    for sign in (1, -2, 1):
        for p, d in zip(weights, direction, strict=True):
            p.add_(d, alpha=sign * step)
        ends.append(float(loss_fn(model, batch)))
    return (ends[0] - ends[1]) / (2 * step)


def _range_test(model: nn.Module, loss_fn: LossFn, few: Sequence[Any], measured: dict[str, Any]) -> float:
    """Smith 2017: the rate rises step by step; the first at which the loss is twice its best, or no number."""
    copy = twin(model, training=True)
    if copy is None:
        return math.nan
    low, high, n = RANGE
    weights = [p for p in copy.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=low)
    best, started, steepest = math.inf, time.process_time(), (0.0, math.nan)
    before = math.nan
    for i in range(n):
        rate = low * (high / low) ** (i / (n - 1))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = loss_fn(copy, few[0])
        value = float(loss.detach())
        if not math.isfinite(value) or (i > 3 and value > 2 * best + 0.1):
            measured["rate_to_try"] = rate / 10
            return rate
        if before - value > steepest[0]:
            steepest = (before - value, rate)
        best, before = min(best, value), value
        loss.backward()
        optimizer.step()
        if time.process_time() - started > SECONDS / 2:
            return math.nan
    measured["rate_to_try"] = steepest[1]
    return math.inf


def _cache_error(model: nn.Module, watched: Watch | None, decode: Any) -> float:
    """The largest difference of logits, token by token with a cache against all at once, over their size."""
    x = probes.main_input(watched.call) if watched is not None and watched.call else None
    copy = twin(model)
    if x is None or copy is None or x.is_floating_point() or x.ndim != 2:
        return math.nan
    ids = x[:1, : min(24, x.shape[1])]
    with torch.no_grad():
        if decode is not None:
            whole = logits_of(copy(ids))
            parts = decode(copy, ids[0])[None]
        else:
            whole = copy(input_ids=ids, use_cache=True).logits
            half = ids.shape[1] // 2
            first = copy(input_ids=ids[:, :half], use_cache=True)
            parts = [first.logits]
            past = first.past_key_values
            for i in range(half, ids.shape[1]):
                step = copy(input_ids=ids[:, i : i + 1], past_key_values=past, use_cache=True)
                past = step.past_key_values
                parts.append(step.logits)
            parts = torch.cat(parts, 1)
    return math.nan if whole is None else probes.relative(whole.float(), parts.float())


def _adapter_effect(model: nn.Module, loss_fn: LossFn, batch: Any) -> float:
    """How far the loss moves when every LoRA matrix is another one; NaN without any."""
    copy = twin(model)
    if copy is None:
        return math.nan
    named = [p for name, p in copy.named_parameters() if "lora" in name.lower()]
    layers = [module for module in copy.modules() if "lora" in type(module).__name__.lower()]
    adapters = named or [p for layer in layers for p in layer.parameters() if p.requires_grad]
    if not adapters:
        return math.nan
    with torch.no_grad():
        before = float(loss_fn(copy, batch))
        for p in adapters:
            p.add_(torch.randn_like(p))
        return abs(float(loss_fn(copy, batch)) - before) / max(abs(before), 1e-9)


def _prints(batch: Any) -> set[bytes]:
    """One of each row of the first tensor with rows."""
    x = next((t for t in tensors_in(batch) if t.ndim >= 2), None)
    return {row.numpy().tobytes() for row in x.detach().cpu()} if x is not None else set()


def _duplicates(training: Sequence[Any], validation: Sequence[Any]) -> float:
    """The share of validation rows that training has, too."""
    theirs = [p for batch in validation for p in _prints(batch)]
    ours = set().union(*(_prints(batch) for batch in training)) if training else set()
    return sum(p in ours for p in theirs) / len(theirs) if theirs else math.nan


def _round_trip(tokenizer: Any, texts: Sequence[str]) -> float:
    """The share of texts that come back as they went in."""
    if tokenizer is None or not texts:
        return math.nan
    return sum(_decoded(tokenizer, text) == text for text in texts) / len(texts)


def _decoded(tokenizer: Any, text: str) -> str:
    try:
        ids = tokenizer.encode(text, add_special_tokens=False)
    except TypeError:
        ids = tokenizer.encode(text)
    return str(tokenizer.decode(getattr(ids, "ids", ids)))


def _end_learned(batches: Sequence[Any], end: int | None) -> float:
    """How often the end of a text is a target, by the last tensor of whole numbers in a batch; 0 is never."""
    if end is None:
        return math.nan
    tables = [[t for t in tensors_in(batch) if t.dtype == torch.long] for batch in batches]
    return float(sum(int((found[-1] == end).sum()) for found in tables if found))


def _vocabulary_left(model: nn.Module, batches: Sequence[Any], tokenizer: Any) -> float:
    """Rows of the first embedding beyond the largest id of a batch, or of the tokenizer; below 0 it does not fit."""
    embedding = next((m for m in model.modules() if isinstance(m, nn.Embedding)), None)
    tokens = [next((t for t in tensors_in(batch) if t.dtype == torch.long and t.ndim == 2), None) for batch in batches]
    largest = max((int(t.max()) for t in tokens if t is not None and t.numel()), default=-1)
    size = getattr(tokenizer, "vocab_size", None)
    if isinstance(size, int):
        largest = max(largest, size - 1)
    return float(embedding.num_embeddings - 1 - largest) if embedding is not None and largest >= 0 else math.nan


def _twice(model: nn.Module) -> list[str]:
    """Parameters whose storage another one shares without being the same parameter: two optimizer states for one."""
    seen: dict[int, str] = {}
    found = []
    for name, p in model.named_parameters():
        at = p.data_ptr()
        if at and at in seen and p.numel() > 1:
            found.append(name)
        seen[at] = name
    return found
