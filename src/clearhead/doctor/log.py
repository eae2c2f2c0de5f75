"""Anybody's log of losses, gradient norms and rates as a record: JSON lines, CSV, TensorBoard's event files.

Read line by line, so that it may be larger than memory. Names are mapped by what the field calls them. Deliberately not
here: what the numbers mean.
"""

from __future__ import annotations

import csv
import json
import math
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.doctor import tfevents
from clearhead.doctor.record import NOTHING, Record, Series
from clearhead.errors import UserError

NAMES = {  # our series -> what others call it, without case, and with "/", ".", " " and "-" as "_"
    "step": ("step", "global_step", "steps", "iter", "iteration", "it", "update", "n_iter", "trainer_global_step",
        "batch"),
    "epoch": ("epoch", "epochs"),
    "loss": ("loss", "train_loss", "training_loss", "loss_train", "train_loss_step", "lm_loss", "total_loss",
        "losses_train"),
    "val_loss": (
        "val_loss", "valid_loss", "validation_loss", "eval_loss", "test_loss", "held_out_loss", "loss_val", "loss_eval",
        "dev_loss", "loss_validation", "loss_test",
    ),
    "accuracy": ("acc", "accuracy", "train_acc", "train_accuracy", "training_accuracy"),
    "val_accuracy": ("val_acc", "val_accuracy", "eval_accuracy", "valid_acc", "test_acc", "test_accuracy",
        "accuracy_val"),
    "grad_norm": ("grad_norm", "gradnorm", "gradient_norm", "gnorm", "norm", "total_norm", "global_grad_norm", "grad"),
    "lr": ("lr", "learning_rate", "learningrate", "lr_scale", "lr_adam", "lr_sgd", "lr_adamw", "lr_0", "rate"),
    "update_ratio": ("update_ratio", "update_to_weight", "update_weight_ratio", "upd_ratio"),
    "seconds": ("seconds", "step_time", "time_per_step", "iter_time", "dt", "step_seconds", "batch_time"),
    "wait": ("data_time", "data_wait", "loader_time", "wait", "data_seconds", "dataload_time"),
    "memory": ("memory", "mem", "gpu_mem", "memory_mb", "rss", "memory_bytes", "gpu_memory"),
    "reward": ("reward", "rewards", "mean_reward", "reward_mean", "objective_scores", "episode_reward",
        "env_reward_mean"),
    "truth": ("truth", "true_reward", "gold_reward", "checker", "gold_score", "pass_rate"),
    "kl": ("kl", "kl_token", "approx_kl", "objective_kl", "kl_div", "mean_kl", "ppo_mean_kl", "policy_kl"),
    "entropy": ("entropy", "policy_entropy", "objective_entropy", "mean_entropy", "ppo_entropy"),
    "length": ("length", "response_length", "completion_length", "mean_length", "completions_mean_length"),
    "ratio": ("ratio", "ppo_ratio", "val_ratio", "policy_ratio", "mean_ratio"),
    "without_variance": ("without_variance", "frac_reward_zero_std", "zero_std", "zero_variance"),
    "cut": ("cut", "clipped_ratio", "completions_clipped_ratio", "truncated"),
    "best": ("best", "is_best"),
}  # fmt: skip
PREFIXES = ("metrics_", "train_", "training_", "charts_", "scalars_", "losses_", "data_", "policy_", "env_")
OF = {name: ours for ours, names in NAMES.items() for name in names}
WORDS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}
HELD_OUT = ("val", "eval", "valid", "validation", "test", "dev")  # what a column calls rows of an evaluation
KEPT = 1 << 18  # points of a series; of a longer one, two neighbors become their mean
TYPES = "JSON lines (.jsonl, .json), CSV (.csv, .tsv) and TensorBoard's files (*tfevents*)"


def read_log(path: Path) -> Record:
    """The record of a log file. UserError says what is no log."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    reading = Reading()
    if "tfevents" in path.name:
        for step, tag, value in tfevents.scalars(path):
            reading.take({"step": step, tag: value}, 0)
    else:
        for number, row in rows(path):
            reading.take(row, number)
    return reading.record(str(path))


def rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line, names with values); a line that is nothing is told as an empty row."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline()
        file.seek(0)
        if path.suffix in (".csv", ".tsv"):
            lines = (line.replace("\0", "") for line in file)
            dialect = "\t" if "\t" in first else ";" if first.count(";") > first.count(",") else ","
            table = csv.DictReader(lines, delimiter=dialect)
            yield from ((number, row) for number, row in enumerate(table, 2))
        elif path.suffix in (".jsonl", ".json", ".ndjson", ".log", ".txt"):
            yield from _json_rows(file, first)
        else:
            raise UserError(f"{path} is no log that can be read; {TYPES} can")


def _json_rows(file: Any, first: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if first.lstrip()[:1] == "[" or first.strip() == "{":  # one value for the whole file, as trainer_state.json
        whole = _parsed(file.read())
        table = whole.get("log_history", []) if isinstance(whole, dict) else whole or []
        yield from ((number, row if isinstance(row, dict) else {}) for number, row in enumerate(table, 1))
        return
    for number, line in enumerate(file, 1):
        if line.strip():
            row = _parsed(line)
            yield number, row if isinstance(row, dict) else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def our_name(theirs: str) -> str | None:
    """Which of our series a column is.

    >>> our_name("Train/Loss"), our_name("eval.loss"), our_name("colour")
    ('loss', 'val_loss', None)
    """
    plain = re.sub(r"[^a-z0-9]+", "_", theirs.strip().lower()).strip("_")
    if plain in OF:
        return OF[plain]
    for prefix in PREFIXES:
        if plain.startswith(prefix) and plain.removeprefix(prefix) in OF:
            return OF[plain.removeprefix(prefix)]
    return None


def number_of(value: Any) -> float | None:
    """A number, also as text; None for what is none.

    >>> number_of("1e-3"), number_of(" NaN "), number_of("fast"), number_of(True)
    (0.001, nan, None, 1.0)
    """
    if isinstance(value, bool | int | float):
        return float(value) if abs(value) < 1e300 or value != value else math.copysign(math.inf, value)
    if not isinstance(value, str):
        return None
    word = value.strip().lower().lstrip("+")
    if word in WORDS:
        return WORDS[word]
    try:
        return float(word.replace("_", ""))
    except ValueError:
        return None


@dataclass
class Points:
    """A series that grows: from KEPT points on, each is the mean of `stride` lines."""

    steps: array = field(default_factory=lambda: array("d"))
    values: array = field(default_factory=lambda: array("d"))
    stride: int = 1
    waiting: list[tuple[float, float]] = field(default_factory=list)

    def add(self, step: float, value: float) -> None:
        self.waiting.append((step, value))
        if len(self.waiting) == self.stride:
            self.flush()
        if len(self.values) >= 2 * KEPT:
            s, v = (np.array(each).reshape(-1, 2) for each in (self.steps, self.values))
            self.steps, self.values, self.stride = array("d", s[:, 0]), array("d", v.mean(1)), 2 * self.stride

    def flush(self) -> None:
        if self.waiting:
            self.steps.append(self.waiting[0][0])
            self.values.append(sum(value for _, value in self.waiting) / len(self.waiting))
            self.waiting = []

    @property
    def last(self) -> float:
        return self.waiting[-1][0] if self.waiting else self.steps[-1] if self.steps else -math.inf

    def forget(self, step: float) -> None:
        """All from this step on."""
        self.flush()
        kept = bisect_left(self.steps, step)
        del self.steps[kept:], self.values[kept:]


class Reading:
    """Points by series, while rows come in."""

    def __init__(self) -> None:
        self.points: dict[str, Points] = {}
        self.names: dict[str, str | None] = {}
        self.skipped: list[int] = []
        self.backward: list[tuple[int, float, float]] = []
        self.row = 0
        self.last = self.epoch = -math.inf
        self.offset = 0.0

    def take(self, row: Mapping[Any, Any], line: int) -> None:
        self.row += 1
        found: dict[str, float] = {}
        prefix = dict.fromkeys(HELD_OUT, "val_").get(str(_split(row)), "")
        for key, value in row.items():
            if not isinstance(key, str):
                continue
            if key not in self.names:
                self.names[key] = our_name(key)
            name, number = self.names[key], number_of(value)
            if name is not None and number is not None:
                found.setdefault(prefix + name if name in ("loss", "accuracy") else name, number)
        step, epoch = found.pop("step", None), found.pop("epoch", None)
        if not found:
            if not any(self.names.get(key) for key in row):
                self.skipped.append(line)
            return
        if step is None:
            step = self.row if epoch is None else epoch
        elif epoch is not None and epoch > self.epoch and step < self.last:  # steps are counted anew in every epoch
            self.offset += self.last + 1
        self.last, self.epoch = step, self.epoch if epoch is None else epoch
        if math.isfinite(step):
            for name, number in found.items():
                self._add(name, step + self.offset, number, line)

    def _add(self, name: str, step: float, value: float, line: int) -> None:
        """A run that was resumed writes its last steps again: the newer ones count."""
        points = self.points.setdefault(name, Points())
        if step < points.last:
            self.backward.append((line, points.last, step))
            points.forget(step)
        points.add(step, value)

    def record(self, name: str) -> Record:
        for points in self.points.values():
            points.flush()
        found = {key: Series(np.array(p.steps), np.array(p.values)) for key, p in self.points.items() if p.values}
        if not found:
            seen = ", ".join(list(self.names)[:8]) or "nothing"
            raise UserError(
                f"{name} has none of the columns that a doctor reads: loss, val_loss, grad_norm, lr, ...; it has {seen}"
            )
        return Record(name, found, {}, tuple(self._remarks(found)))

    def _remarks(self, found: Mapping[str, Series]) -> Iterator[str]:
        if self.skipped:
            yield f"{len(self.skipped)} lines hold no numbers by a known name, the first at line {self.skipped[0]}"
        if self.backward:
            line, before, after = self.backward[0]
            yield (
                f"steps go back {len(self.backward)} times, first at line {line} from {before:g} to {after:g}: read as "
                "a run that was resumed, whose newer lines count"
            )
        steps = found.get("loss", NOTHING).steps
        if len(steps) > 3:
            apart = np.diff(steps)
            usual = float(np.median(apart))
            if usual > 0 and apart.max() > 10 * usual:
                where = int(apart.argmax())
                yield f"the log has a gap from step {steps[where]:g} to {steps[where + 1]:g}; nothing is known of it"
        if (merged := max((p.stride for p in self.points.values()), default=1)) and merged > 1:
            yield f"the log is long: means of {merged} lines were looked at, so that a single spike may be missed"


def _split(row: Mapping[str, Any]) -> Any:
    """Some logs name the part of the data in a column of its own."""
    return next((row[key] for key in ("split", "phase", "kind", "mode") if key in row), "")
