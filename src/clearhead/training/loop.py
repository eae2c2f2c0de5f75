"""The training loop: batches in, events out, checkpoints on the way, and the same bits after any interruption.

It trains any model with any loss. Deliberately not here: what a batch holds, how the model is built, recipes.
"""

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.training import checkpoint as files
from clearhead.training.failure import first_non_finite
from clearhead.training.jsonl_log import Callback, Event, JsonlLog
from clearhead.training.optim import Optimizer
from clearhead.training.schedule import Schedule, lr_multiplier
from clearhead.training.step import (
    Gradients,
    LossFn,
    clip,
    compute_dtype,
    count_targets,
    keep_freed_memory,
    language_model_loss,
    mean_loss,
    should_compile,
    to_tensors,
)

LARGEST_SEED = 1 << 40  # torch takes 64 bits, and a step's own seed is a million times as large
PREFETCH = 4  # batches made before they are asked for


@dataclass(frozen=True)
class TrainConfig:
    """How to train. `lr` is Muon's, for the matrices inside the blocks; everything else learns with `adam_lr`.

    `schedule`, with `warmup` steps and `decay_start`, is how both change with the step (schedule.py).

    A batch is `batch_size` rows of `seq_len` tokens. A recipe of tasks may say 0 for both: as the data need
    (pipeline/sizes.py).

    `keep_best` names a number that the evaluations give, the higher the better unless its name ends in "loss"; ties are
    broken by the held-out loss. The weights that were best are the result. An evaluation that reaches `goal`, or is the
    last of `patience` in a row without a better one, cuts training short: the learning rate falls from there, as in a
    run whose `decay_start` this step is. 0 means never, of both.
    """

    steps: int = 500
    batch_size: int = 32
    seq_len: int = 256
    optimizer: Literal["muon", "adamw"] = "muon"
    lr: float = 0.02
    adam_lr: float = 0.003
    weight_decay: float = 0.02
    warmup: int = 50
    schedule: Schedule = "wsd"
    decay_start: float = 0.4
    clip: float = 1.0
    accumulate: int = 1
    eval_every: int = 0
    save_every: int = 0
    keep_best: str = ""
    patience: int = 0
    goal: float = 0.0
    compile: Literal["auto", "on", "off"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        for name in (
            "batch_size", "seq_len", "lr", "adam_lr", "weight_decay", "clip", "warmup", "eval_every", "save_every",
            "patience", "goal",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} = {getattr(self, name)} must be 0 or a positive number")
        if not 0 <= self.decay_start < 1:
            raise UserError(f"decay_start = {self.decay_start} must be in [0, 1): the share of steps before the fall")
        if abs(self.seed) > LARGEST_SEED:
            raise UserError(f"seed = {self.seed} is too large; -{LARGEST_SEED} to {LARGEST_SEED} are possible")
        if self.warmup >= self.steps:
            raise UserError(f"warmup = {self.warmup} must be below steps = {self.steps}; lower it")
        if self.keep_best and not self.eval_every:
            raise UserError(f"keep_best = {self.keep_best!r} needs evaluations; set eval_every")
        for name in ("patience", "goal"):
            value = getattr(self, name)
            if value and not self.keep_best:
                raise UserError(f"{name} = {value} needs to know what counts as better; set keep_best")
            if value and (self.schedule != "wsd" or not self.decay_start):
                raise UserError(
                    f"{name} = {value} makes the learning rate fall early: set schedule = 'wsd' and decay_start above 0"
                )


def train(
    config: TrainConfig,
    model: nn.Module,
    batches: Callable[[int], Any],
    loss_fn: LossFn = language_model_loss,
    *,
    checkpoint: Path | None = None,
    log: JsonlLog | None = None,
    callbacks: Sequence[Callback] = (),
    held_out: Sequence[Any] = (),
    seen: Sequence[Any] = (),
    weight: Callable[[Any], int] = count_targets,
    on_eval: Callable[[nn.Module, int], Mapping[str, Any]] | None = None,
    meta: Mapping[str, Any] | None = None,
    prefetch: int = PREFETCH,
) -> None:
    """Train the float32 weights of `model` in place, from `checkpoint` if that file exists, and leave it there.

    Weights that require no gradient are frozen, and are not in the checkpoint either.

    batches(i) is the i-th micro-batch, a named tuple of arrays that depends on i alone; `prefetch` of them are made
    ahead by a thread. On-policy data are made with prefetch 0: batches(i) is then called when the update before it is
    done, and may read `model`, and must depend on i and its weights alone. Ctrl-C ends after the current
    step with a checkpoint and raises KeyboardInterrupt. `meta` is kept in the checkpoint for whoever loads it.

    An evaluation gives the loss, without dropout and each batch by its `weight`, on the batches `held_out` and on some
    of the training data, `seen`: a model that is much better on these memorizes them. It adds what `on_eval`
    measures.

    With `keep_best` the model ends with the weights of its best evaluation, and the checkpoint holds both these and the
    last ones, so that a run that was interrupted ends with the same.
    """
    assert config.batch_size and config.seq_len, "how many, and how long, is known by now"
    keep_freed_memory()
    run = _Run(config, model, loss_fn, weight, checkpoint, log, callbacks, dict(meta or {}))
    run.resume()
    first = run.step * config.accumulate
    with (
        _interruptible() as interrupted,
        _made_ahead(batches, first, config.steps * config.accumulate, prefetch) as made,
    ):
        while not run.ended():
            run.advance(made)
            if config.eval_every and (run.step % config.eval_every == 0 or run.ended()):
                run.evaluate({"held_out_loss": held_out, "seen_loss": seen}, on_eval)
                run.cut_short()
            if run.ended() and run.best:
                run.emit("kept", True, best_step=run.best.step, measure=config.keep_best, value=run.best.value)
            if run.ended() or interrupted.is_set() or (config.save_every and run.step % config.save_every == 0):
                run.save()
            if interrupted.is_set():
                raise KeyboardInterrupt
    run.restore_best()


@dataclass(frozen=True)
class Best:
    """The best evaluation so far: when it was, what was measured, and the weights of then by their names."""

    step: int
    value: float
    held_out_loss: float
    weights: Mapping[str, Tensor]

    def beaten_by(self, name: str, value: float, held_out_loss: float) -> bool:
        """Is `value` of the measure `name` better?"""
        sign = _sign(name)
        return (sign * value, -held_out_loss) > (sign * self.value, -self.held_out_loss)

    def reaches(self, name: str, goal: float) -> bool:
        return _sign(name) * self.value >= _sign(name) * goal


def _sign(measure: str) -> int:
    """1 where more of it is better, -1 where less is."""
    return -1 if measure.endswith("loss") else 1


class _Run:
    """The state between two steps, which is what a checkpoint holds: weights, moments and the number of steps done."""

    best: Best | None = None
    waited = 0  # evaluations since the best one

    def __init__(
        self,
        config: TrainConfig,
        model: nn.Module,
        loss_fn: LossFn,
        weight: Callable[[Any], int],
        checkpoint: Path | None,
        log: JsonlLog | None,
        callbacks: Sequence[Callback],
        meta: dict[str, Any],
    ) -> None:
        self.config, self.model, self.checkpoint, self.log, self.meta = config, model, checkpoint, log, meta
        self.callbacks = list(callbacks)
        self.steps = config.steps  # fewer once training is cut short
        self.step = self.saved = 0
        self.loss_fn, self.weight = loss_fn, weight
        self.device = next(model.parameters()).device
        self.parameters = sum(p.numel() for p in model.parameters())
        dtype = compute_dtype(config.dtype, self.device)
        tokens = config.steps * config.accumulate * config.batch_size * config.seq_len
        self.compiled = should_compile(config.compile, self.parameters, tokens, self.device)
        self.gradients = Gradients(model, loss_fn, dtype, self.compiled)
        self.optimizer = Optimizer(model, config.optimizer, config.lr, config.adam_lr, config.weight_decay, dtype)

    def emit(self, kind: str, recorded: bool, **numbers: Any) -> None:
        """An event for all callbacks; the log keeps what an uninterrupted run would have told, too."""
        event: Event = {"kind": kind, "step": self.step, **numbers}
        for callback in ([self.log] if self.log and recorded else []) + self.callbacks:
            callback(event)

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one; else forget what an earlier attempt recorded."""
        if self.checkpoint and self.checkpoint.exists():
            tensors, meta = files.load(self.checkpoint)
            self._accept(meta)
            with torch.no_grad():
                for name, value in self._tensors().items():
                    value.copy_(tensors[name])
            self.step = self.saved = meta["step"]
            self.steps = meta.get("steps", self.config.steps)
            self.waited = meta.get("waited", 0)
            if "best" in meta:
                self.best = Best(**meta["best"], weights=files.weights(tensors, files.BEST))
        if self.log:
            self.log.truncate_after(self.step or -1)
        facts = {"parameters": self.parameters, "compiled": self.compiled, "dtype": _name(self.optimizer.dtype)}
        self.emit("start", self.step == 0, steps=self.steps, **facts)

    def advance(self, made: Iterator[Any]) -> None:
        """One step: gradients, clip, update. Raises before the update when a number is broken."""
        started = time.perf_counter()
        config, step = self.config, self.step + 1
        micro_batches = list(islice(made, config.accumulate))
        torch.manual_seed(config.seed * 1_000_003 + step)  # for losses that draw: a resumed step draws the same
        loss, gradients = self.gradients(micro_batches)
        norm = clip(gradients, config.clip)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._broken(step, f"the loss is {loss:.4g} and the gradient's norm {norm:.4g}", micro_batches)
        rate = lr_multiplier(step, self.steps, config.warmup, config.decay_start, config.schedule)
        self.optimizer.step(gradients, step, rate)
        self.step = step
        seconds = time.perf_counter() - started
        tokens = sum(batch[0].size for batch in micro_batches)
        self.emit("step", True, loss=loss, grad_norm=norm, lr_scale=rate, tokens=tokens, seconds=seconds)

    def evaluate(
        self, sets: Mapping[str, Sequence[Any]], on_eval: Callable[[nn.Module, int], Mapping[str, Any]] | None
    ) -> None:
        """The mean loss over each set of batches, and whatever the callback measures or samples."""
        self.gradients.refresh()
        numbers: dict[str, Any] = {
            name: mean_loss(self.gradients.work, batches, self.loss_fn, self.device, self.weight)
            for name, batches in sets.items()
            if batches
        }
        if on_eval:
            numbers |= on_eval(self.model, self.step)
        if self.config.keep_best:
            numbers["best"] = self.compare(numbers)
        self.emit("eval", True, **numbers)

    def compare(self, numbers: Mapping[str, Any]) -> bool:
        """Keep these weights if nothing was better so far; NaN is never better."""
        name = self.config.keep_best
        value = numbers.get(name)
        if not isinstance(value, int | float):
            known = ", ".join(key for key, found in numbers.items() if isinstance(found, int | float))
            raise UserError(f"keep_best = {name!r} is not a number of the evaluation; it gives {known or 'none'}")
        loss = numbers.get("held_out_loss", 0.0)
        better = not math.isnan(value) and (self.best is None or self.best.beaten_by(name, value, loss))
        self.waited = 0 if better else self.waited + 1
        if better:
            self.best = Best(self.step, value, loss, {key: p.clone() for key, p in self._weights().items()})
        return better

    def cut_short(self) -> None:
        """After an evaluation that leaves little to gain, the schedule is that of a shorter run whose fall begins."""
        config, best = self.config, self.best
        if best is None or not config.warmup < self.step < config.decay_start * self.steps:
            return
        reached = config.goal > 0 and best.reaches(config.keep_best, config.goal)
        if reached or 0 < config.patience <= self.waited:
            self.steps = math.floor(self.step / config.decay_start)
            why = "goal" if reached else "patience"
            self.emit("cut_short", True, steps=self.steps, why=why, measure=config.keep_best, value=best.value)

    def ended(self) -> bool:
        return self.step >= self.steps

    @torch.no_grad()
    def restore_best(self) -> None:
        if self.best:
            for name, value in self._weights().items():
                value.copy_(self.best.weights[name])

    def save(self) -> None:
        if self.checkpoint is None:
            return
        for name, value in self._tensors().items():
            if not torch.isfinite(value).all():
                raise self._broken(self.step, f"{name} is no longer finite after the update", [])
        state = {"step": self.step, "steps": self.steps, "waited": self.waited}
        meta = {**state, "train": asdict(self.config), **self.meta}
        tensors = self._tensors()
        if self.best:
            meta["best"] = {key: getattr(self.best, key) for key in ("step", "value", "held_out_loss")}
            tensors |= {files.BEST + name: value for name, value in self.best.weights.items()}
        files.save(self.checkpoint, tensors, meta)
        self.saved = self.step
        self.emit("checkpoint", False, path=str(self.checkpoint))

    def _weights(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def _tensors(self) -> dict[str, Tensor]:
        weights = {files.WEIGHTS + name: p for name, p in self._weights().items()}
        return weights | {f"optimizer/{name}": value for name, value in self.optimizer.state.items()}

    def _accept(self, meta: Mapping[str, Any]) -> None:
        """A checkpoint continues only the run that wrote it; how it was compiled may differ."""
        for now, then in ((asdict(self.config), meta["train"]), (self.meta, meta)):
            for key, value in now.items():
                if key != "compile" and then.get(key) != value:
                    raise UserError(
                        f"{self.checkpoint} was written with {key} = {then.get(key)!r}, this run has {value!r}; "
                        "restore that setting, or train into a new directory"
                    )

    def _broken(self, step: int, what: str, micro_batches: Sequence[Any]) -> UserError:
        self.gradients.refresh()
        places = (
            first_non_finite(self.gradients.work, self.loss_fn, to_tensors(b, self.device)) for b in micro_batches
        )
        place = next((p for p in places if p), "the update")
        kept = f"the checkpoint of step {self.saved} is kept" if self.saved else "nothing was saved yet"
        return UserError(
            f"training stopped at step {step}: {what}; it began in {place}; {kept}; "
            f"try a lower lr and adam_lr (now {self.config.lr:g} and {self.config.adam_lr:g}), "
            f"clip = 1 (now {self.config.clip:g}) or dtype = 'float32' (now {_name(self.optimizer.dtype)})"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@contextmanager
def _made_ahead(batches: Callable[[int], Any], first: int, end: int, prefetch: int) -> Iterator[Iterator[Any]]:
    """batches(first), ..., batches(end - 1), made in order by one thread, `prefetch` of them before their time."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    waiting: deque[Future[Any]] = deque(pool.submit(batches, i) for i in range(first, min(first + prefetch, end)))

    def in_order() -> Iterator[Any]:
        for i in range(first + prefetch, end + prefetch):
            if i < end:
                waiting.append(pool.submit(batches, i))
            yield waiting.popleft().result()

    try:
        yield in_order()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second interrupts at once. Only the main thread can catch signals."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
