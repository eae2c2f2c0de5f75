"""`watch(model, optimizer, batches)`: any PyTorch loop looked at by hooks, within a share of its time, and not changed.

    with watch(model, optimizer, batches) as w:
        for x, y in w:
            ...                     # the loop as it was
            w.log(val_loss=...)     # what only the loop knows, where it is known
    print(w)

Losses are seen where `backward` is called. A few steps are looked at closely: the first ones, those of powers of two,
and as many more as `overhead` allows. Deliberately not here: what the numbers mean (checks).
"""

from __future__ import annotations

import itertools
import json
import math
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.doctor import graph, inventory, probes
from clearhead.doctor.batchstats import BatchStats
from clearhead.doctor.finding import Finding
from clearhead.doctor.quiet import same_random_state, tensors_in, twin
from clearhead.doctor.record import Record, as_json, series
from clearhead.doctor.table import findings
from clearhead.doctor.telling import lines, summary
from clearhead.files import write_whole

FIRST = 4  # steps that are always looked at
OVERHEAD = 0.02  # of the time of the loop, for those that are not
MOST_WEIGHTS = 20_000_000  # numbers copied at a step to see how far an update goes
WITHOUT_STEP = 16  # backward passes after which a loop is taken for one that never updates
OLD = 3  # steps after which nothing needs a graph any more
SMALL = 3  # parameters that tell whether gradients were erased
_OPEN: list[Watch] = []
_backward = torch.autograd.backward


def watch(
    model: nn.Module, optimizer: Any = None, batches: Iterable[Any] | None = None, *, every: int = 0,
    overhead: float = OVERHEAD,
) -> Watch:  # fmt: skip
    """Look at a training loop while it runs. Iterate over the result in place of `batches`.

    every: look closely at each so many steps; 0: as many as `overhead`, a share of the loop's time, allows.
    """
    return Watch(model, optimizer, batches, every=every, overhead=overhead)


class Token:
    """Something that lives as long as the graph it is attached to."""


class Watch:
    """Hooks on a model and an optimizer, and what they saw. `findings()` can be asked at any time."""

    def __init__(
        self, model: nn.Module, optimizer: Any, batches: Iterable[Any] | None, *, every: int, overhead: float
    ) -> None:
        self.model, self.optimizer, self.batches = model, optimizer, batches
        self.every, self.overhead = every, overhead
        self.points: dict[str, list[tuple[float, float]]] = {}
        self.facts: dict[str, Any] = {
            "parameters": inventory.parameters(model, optimizer),
            "optimizer": inventory.settings(model, optimizer),
            "structure": inventory.structure(model),
        }
        self.order = dict.fromkeys(
            (
                "forwards",
                "backwards",
                "steps",
                "stale",
                "early",
                "erased",
                "compared",
                "eval_trained",
                "train_evaluated",
                "evaluated",
                "aged",
                "outlived",
            ),
            0,
        )
        self.per_step: list[int] = []
        self.stats = BatchStats()
        self.prints: list[int] = []
        self.reached: dict[str, int] = {}
        self.units: dict[tuple[int, str, int], list[float]] = {}
        self.heads: dict[int, list[list[float]]] = {}
        self.kept: list[tuple[int, weakref.ref[Token]]] = []
        self.step = 0
        self.sampling = False
        self.losses: list[float] = []
        self.scaled = 0
        self.pending = False  # a forward pass that no backward pass has followed yet
        self.call: probes.Call | None = None
        self.views = 0
        self.before: dict[str, Tensor] = {}
        self.raw = math.nan
        self.spent, self.since, self.closed = 0.0, time.perf_counter(), False
        self.last_end = math.nan
        names = dict(model.named_parameters())
        self.named = {name: p for name, p in names.items() if p.requires_grad}
        held = {id(p) for group in inventory.groups(optimizer) for p in group["params"]}
        self.small = sorted((p for p in self.named.values() if id(p) in held), key=lambda p: p.numel())[:SMALL]
        self.handles = [
            model.register_forward_pre_hook(self._forward, with_kwargs=True),
            *([optimizer.register_step_pre_hook(self._before_step), optimizer.register_step_post_hook(self._after_step)]
              if hasattr(optimizer, "register_step_pre_hook") else []),
        ]  # fmt: skip
        _open(self)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        if self.batches is None:
            raise TypeError("nothing to iterate over; give the batches: watch(model, optimizer, batches)")
        waiting = iter(self.batches)
        while True:
            asked = time.perf_counter()
            try:
                batch = next(waiting)
            except StopIteration:
                return
            got = time.perf_counter()
            self._time(asked, got)
            yield batch

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def _time(self, asked: float, got: float) -> None:
        if self.step and not math.isnan(self.last_end):
            self._point("seconds", got - self.last_end)
            self._point("wait", got - asked)
        self.last_end = got

    def close(self) -> None:
        """Take the hooks away; what was seen stays."""
        if not self.closed:
            self.closed = True
            for handle in self.handles:
                handle.remove()
            _close(self)

    def log(self, **numbers: float | Tensor) -> None:
        """What only the loop knows at this step: val_loss, val_accuracy, reward, kl, entropy, length, ..."""
        for name, value in numbers.items():
            self._point(name, float(value.detach() if isinstance(value, Tensor) else value))

    def _point(self, name: str, value: float) -> None:
        self.points.setdefault(name, []).append((self.step, value))

    # --- the hooks, in the order of a step

    def _forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        modal = self.facts["structure"]["modal"]
        if not torch.is_grad_enabled():
            self.order["evaluated"] += 1
            self.order["train_evaluated"] += bool(module.training and modal)
            return
        self.order["forwards"] += 1
        self.pending = True
        self.call = (args, kwargs)
        self.trained_in_eval = bool(not module.training and modal)

    def _see_loss(self, loss: Tensor) -> None:
        """Just before a backward pass."""
        started = time.perf_counter()
        if not self.order["steps"] and self.order["backwards"] >= WITHOUT_STEP and self.losses:
            self._end_step()  # nobody calls step: each backward pass counts as one
        first = not self.losses
        value = float(loss.detach())
        if first:
            self.sampling = self._due()
            self.order["compared"] += 1
            self.order["stale"] += any(p.grad is not None and bool(p.grad.any()) for p in self.small)
            self._fingerprint()
        self.losses.append(value)
        self.order["backwards"] += 1
        self.order["eval_trained"] += getattr(self, "trained_in_eval", False)
        self.pending = False
        broken = not math.isfinite(value)
        if loss.grad_fn is not None and ((self.sampling and first) or (broken and "non_finite" not in self.facts)):
            nodes = graph.walk(loss.grad_fn)
            if broken and "non_finite" not in self.facts:
                self._broken(nodes)
            if self.sampling and first:
                self._look(loss, nodes)
        self.spent += time.perf_counter() - started

    def _after_backward(self) -> None:
        if self.optimizer is None or not hasattr(self.optimizer, "register_step_pre_hook"):
            if self.sampling:
                self._gradients()
            self._end_step()
        elif self.sampling:
            started = time.perf_counter()
            self.raw = self._norm()
            self.spent += time.perf_counter() - started

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.order["steps"] += 1
        self.order["early"] += self.pending
        for name, group in zip(("lr", "lr_1"), optimizer.param_groups, strict=False):
            self._point(name, float(group["lr"]))
        if self.sampling:
            started = time.perf_counter()
            self._gradients()
            room = MOST_WEIGHTS
            for name, p in self.named.items():
                if p.numel() <= room and p.grad is not None:
                    room -= p.numel()
                    self.before[name] = p.detach().clone()
            self.spent += time.perf_counter() - started

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.before:
            started = time.perf_counter()
            self._updates()
            self.spent += time.perf_counter() - started
        self._end_step()

    def _end_step(self) -> None:
        if self.losses:
            self._point("loss", sum(self.losses) / len(self.losses))
            self.per_step.append(len(self.losses))
        self.losses = []
        self.sampling, self.before, self.raw = False, {}, math.nan
        self.step += 1

    # --- what is looked at closely

    def _due(self) -> bool:
        if self.every:
            return self.step < FIRST or self.step % self.every == 0
        always = self.step < FIRST or self.step & (self.step - 1) == 0
        return always or self.spent < self.overhead * (time.perf_counter() - self.since)

    @torch.no_grad()
    def _look(self, loss: Tensor, nodes: list[Any]) -> None:
        view = graph.loss_view(nodes)
        x = probes.main_input(self.call) if self.call else None
        self.stats.add(x, view)
        self._point("nodes", len(nodes))
        self._outlived(nodes[0])
        if view is not None and self.views < 3:
            self.views += 1
            self.facts["loss"] = {
                "kind": view.kind, "last": view.last, "linear_before": view.linear_before, "negated": view.negated,
                "broadcast": view.broadcast, "outputs": self.stats.classes, "scaled": view.scaled,
                "width": view.width, "root": view.root,
            }  # fmt: skip
            self.facts["graph"] = {
                "wrong_axis": graph.wrong_axis(nodes), "linear_only": graph.linear_only(nodes),
                "unbroken": graph.unbroken(nodes), "dropout": max(graph.dropout_rates(nodes), default=0.0),
            }  # fmt: skip
        if view is not None and view.predicted is not None and view.last in graph.REACH and view.target is not None:
            low, high = graph.REACH[view.last]
            target = view.target.detach().float()
            if view.kind == "mse":
                share = float(((target < low - 0.01) | (target > high + 0.01)).float().mean())
                self.facts["loss"]["unreachable"] = max(share, self.facts["loss"].get("unreachable", 0.0))
        for unit in graph.units(nodes):
            dead = (unit.values == 0).all(0) if unit.kind == "relu" else saturated(unit)
            self.units.setdefault((unit.place, unit.kind, unit.values.shape[1]), []).append(float(dead.float().mean()))
        for layer, weights in enumerate(graph.attention_maps(nodes)):
            self.heads.setdefault(layer, []).append(head_numbers(weights))

    def _outlived(self, root: Any) -> None:
        """Do graphs of earlier steps still exist? A token in a node lives as long as the node."""
        earlier = [ref for step, ref in self.kept if step <= self.step - OLD]
        self.order["aged"] += bool(earlier)
        self.order["outlived"] += any(ref() is not None for ref in earlier[-2:])
        root.metadata["doctor"] = token = Token()
        self.kept.append((self.step, weakref.ref(token)))

    def _broken(self, nodes: list[Any]) -> None:
        bad = [name for name, p in self.model.named_parameters() if not bool(torch.isfinite(p.detach()).all())]
        found = {"operation": f"the weight {bad[0]}"} if bad else dict(graph.first_broken(nodes))
        self.facts["non_finite"] = found
        self.facts["broken_at"] = self.step

    def _norm(self) -> float:
        grads = [p.grad for p in self.named.values() if p.grad is not None and not p.grad.is_sparse]
        return float(torch.stack(torch._foreach_norm(grads)).float().norm()) if grads else 0.0

    @torch.no_grad()
    def _gradients(self) -> None:
        found = {name: p.grad for name, p in self.named.items() if p.grad is not None and not p.grad.is_sparse}
        norms = (
            dict(
                zip(
                    found,
                    torch.stack([n.float() for n in torch._foreach_norm(list(found.values()))]).tolist(),
                    strict=True,
                )
            )
            if found
            else {}
        )
        total = math.sqrt(sum(n * n for n in norms.values()))
        self._point("grad_norm", total)
        if not math.isnan(self.raw):
            self._point("raw_norm", self.raw)
            self.order["erased"] += self.raw > 0 and total == 0
        for name in self.named:
            self.reached.setdefault(name, 0)
            norm = norms.get(name)
            if norm is not None:
                self.reached[name] = max(self.reached[name], 1 if norm == 0 else 2)
                self._point(f"grad/{name}", norm / math.sqrt(self.named[name].numel()))

    @torch.no_grad()
    def _updates(self) -> None:
        names = list(self.before)
        old = [self.before[name] for name in names]
        new = [self.named[name].detach() for name in names]
        moved = torch.stack([n.float() for n in torch._foreach_norm(torch._foreach_sub(new, old))]).tolist()
        sizes = torch.stack([n.float() for n in torch._foreach_norm(old)]).tolist()
        for name, step, size in zip(names, moved, sizes, strict=True):
            if size > 0:
                self._point(f"ratio/{name}", step / size)
            self._point(f"weight/{name}", size / math.sqrt(self.named[name].numel()))
            if self.facts["parameters"][name]["half"] and self.named[name].numel() > 63:
                same = (self.named[name] == self.before[name]).float().mean()
                self._point(f"unchanged/{name}", float(same))

    def _fingerprint(self) -> None:
        """A number for the batch that the model was given, from a few of its entries."""
        x = probes.main_input(self.call) if self.call else None
        if x is not None and x.numel():
            flat = x.detach().reshape(-1)
            self.prints.append(hash(tuple(flat[:: max(1, len(flat) // 24)][:24].tolist())))

    # --- what was seen

    def record(self) -> Record:
        """All of it so far as the plain numbers that checks read, with the probes of the model as it is now."""
        facts = self.facts | {
            "order": {**self.order, "per_step": sorted(self.per_step)[len(self.per_step) // 2] if self.per_step else 0},
            "batches": {"length": _length(self.batches), **repetition(self.prints)},
            "gradients": dict(self.reached),
            "units": [
                {"place": place, "kind": kind, "width": width, "shares": shares}
                for (place, kind, width), shares in sorted(self.units.items())
            ],
            "attention": {str(layer): numbers[-1] for layer, numbers in self.heads.items()},
            "looked": self.stats.seen,
            **self.stats.facts(),
            "now": self._now(),
            "probe": self._probe(),
        }
        return Record("watched", {name: series(found) for name, found in self.points.items()}, facts)

    def _now(self) -> Mapping[str, Any]:
        """The optimizer's settings and the parameters as they are at the end."""
        equal = [name for name, p in self.named.items() if p.ndim >= 2 and len(p) > 1 and inventory.alike(p.detach())]
        return {"equal_rows": equal, "optimizer": inventory.settings(self.model, self.optimizer)}

    @torch.no_grad()
    def _probe(self) -> Mapping[str, float]:
        x = probes.main_input(self.call) if self.call else None
        if x is None:
            return {}
        with same_random_state():
            model = twin(self.model)
            if model is None:
                return {}
            call, vocabulary = self.call, self.stats.vocabulary
            found = {"rows": probes.attempt(probes.rows_mix, model, call, vocabulary)}
            if self.stats.shifts:
                found |= {
                    "future": probes.attempt(probes.future_leaks, model, call, vocabulary),
                    "past": probes.attempt(probes.past_is_seen, model, call, vocabulary),
                    "order": probes.attempt(probes.order_matters, model, call),
                }
            pad = self.stats.pad
            if pad is not None:
                found["padding"] = probes.attempt(probes.padding_seen, model, call, *pad)
        found["rows_known"] = float(self._rows_first(x))
        return probes.known(found)

    def _rows_first(self, x: Tensor) -> bool:
        """Is dimension 0 of the input certainly the batch?"""
        if any(share > 0.9 for k in (0, 1, 2) for share in self.stats.shifts.get(k, [])):
            return True
        numbers = x.ndim in (2, 4) and x.is_floating_point()
        return numbers or (bool(self.stats.pairs) and x.shape[0] != x.shape[1])  # a target for each row

    def findings(self) -> list[Finding]:
        """What is wrong so far, causes first."""
        return findings(self.record())

    def save(self, path: Path | str) -> None:
        """The record as JSON, for `clearhead doctor PATH`."""
        write_whole(Path(path), json.dumps(as_json(self.record())))

    def __str__(self) -> str:
        record = self.record()
        found = findings(record)
        told = [summary(found)]
        for finding in found:
            told += [f"    {name}: {line}" if name else line for name, line in lines(finding, record)]
        return "\n".join(told)


def saturated(unit: graph.Unit) -> Tensor:
    """Units that are at an end of their range for 9 of 10 rows."""
    at_end = unit.values.abs() > 0.98 if unit.kind == "tanh" else (unit.values < 0.02) | (unit.values > 0.98)
    return at_end.float().mean(0) > 0.9


def head_numbers(p: Tensor) -> list[float]:
    """Of attention weights "B H T S", by head: entropy as a share of the largest possible one, then the first key's
    share, then the largest weight. Positions that see fewer than four keys are left out.
    """
    support = (p > 0).sum(-1)
    rows = support > 3
    entropy = -(p * p.clamp(min=1e-12).log()).sum(-1) / support.clamp(min=2).log()
    weight = rows.float() / rows.float().sum((0, 2), keepdim=True).clamp(min=1)
    told = [(each * weight).sum((0, 2)) for each in (entropy, p[..., 0], p.max(-1).values)]
    return [round(float(v), 4) for v in torch.cat(told)]


def repetition(prints: list[int]) -> Mapping[str, float]:
    """How many different batches there were, the longest run of one, and whether epochs repeat the first's order."""
    longest = run = 1
    for a, b in itertools.pairwise(prints):
        run = run + 1 if a == b else 1
        longest = max(longest, run)
    different = len(set(prints))
    period = different if 1 < different <= len(prints) // 2 else 0
    fixed = bool(period) and all(prints[i] == prints[i % period] for i in range(len(prints)))
    return {
        "different": different,
        "seen": len(prints),
        "longest_run": longest if prints else 0,
        "fixed_order": float(fixed),
    }


def _length(batches: Any) -> int:
    try:
        return len(batches)
    except TypeError:
        return 0


def _open(watching: Watch) -> None:
    _OPEN.append(watching)
    torch.autograd.backward = _watched_backward


def _close(watching: Watch) -> None:
    _OPEN.remove(watching)
    if not _OPEN:
        torch.autograd.backward = _backward


def _watched_backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
    """torch.autograd.backward, before and after which open watches look."""
    loss = next(tensors_in(tensors))
    looking = list(_OPEN) if loss.numel() == 1 else []
    for watching in looking:
        watching._see_loss(loss)
    _backward(tensors, *args, **kwargs)
    for watching in looking:
        watching._after_backward()
