"""What the detectors read: numbers by step, and facts that probes measured. A run's own log as such a record."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.errors import UserError
from clearhead.training import jsonl_log


@dataclass(frozen=True)
class Series:
    """Values by step; NaN is a value that was there and is no number."""

    steps: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @property
    def finite(self) -> Series:
        kept = np.isfinite(self.values)
        return Series(self.steps[kept], self.values[kept])


NOTHING = Series(np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class Record:
    """`series` by the names of `NAMES` in log.py, or "grad/layer" and the like; `facts` are plain data of probes.

    `remarks` say what of the log could not be read as it stands.
    """

    name: str = ""
    series: Mapping[str, Series] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    def get(self, name: str) -> Series:
        return self.series.get(name, NOTHING)

    def group(self, prefix: str) -> dict[str, Series]:
        """The series `prefix/...` by what follows."""
        return {name[len(prefix) + 1 :]: s for name, s in self.series.items() if name.startswith(prefix + "/")}

    def fact(self, *path: str, default: Any = None) -> Any:
        value: Any = self.facts
        for name in path:
            if not isinstance(value, Mapping) or name not in value:
                return default
            value = value[name]
        return value


def series(points: Iterable[tuple[float, float]]) -> Series:
    steps, values = zip(*points, strict=True) if (points := list(points)) else ((), ())
    return Series(np.array(steps, float), np.array(values, float))


def as_json(record: Record) -> dict[str, Any]:
    """Plain data that `from_json` reads again; NaN and infinities as JSON of Python has them."""
    tables = {name: [s.steps.tolist(), s.values.tolist()] for name, s in record.series.items()}
    return {"name": record.name, "series": tables, "facts": dict(record.facts), "remarks": list(record.remarks)}


def from_json(data: Mapping[str, Any]) -> Record:
    tables = {name: Series(np.array(s, float), np.array(v, float)) for name, (s, v) in data["series"].items()}
    return Record(data["name"], tables, data["facts"], data["remarks"])


OURS = {  # events of our own logs: kind -> {their key: our series}
    "step": {"loss": "loss", "grad_norm": "grad_norm", "lr_scale": "lr", "seconds": "seconds"},
    "eval": {"held_out_loss": "val_loss", "seen_loss": "seen_loss"},
    "round": {
        "reward": "reward", "truth": "truth", "kl_token": "kl", "entropy": "entropy", "length": "length", "cut": "cut",
        "without_variance": "without_variance", "ratio": "ratio",
    },
}  # fmt: skip


def from_events(name: str, events: Iterable[Mapping[str, Any]]) -> Record:
    """The record of a training log of ours."""
    points: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        kind = str(event.get("kind"))
        for theirs, ours in OURS.get(kind, {}).items():
            value, step = event.get(theirs), event.get("round" if kind == "round" else "step")
            if isinstance(value, int | float) and isinstance(step, int | float):
                points.setdefault(ours, []).append((step, value))
        accuracy = event.get("accuracy") if kind == "eval" else None
        if isinstance(accuracy, Mapping) and accuracy:
            points.setdefault("val_accuracy", []).append((event["step"], min(accuracy.values())))
    kept = [event.get("best_step") for event in events if event.get("kind") == "kept"]
    facts = {"kept": kept[-1]} if kept else {}
    return Record(name, {key: series(found) for key, found in points.items()}, facts)


def of_run(directory: Path) -> list[Record]:
    """A record for every training log that a run directory holds, in the order of their names."""
    found = []
    for path in sorted(directory.glob("*.jsonl")):
        if events := [e for e in jsonl_log.read(path) if e["kind"] in OURS or e["kind"] == "kept"]:
            found.append(from_events(str(path.relative_to(directory)), events))
    if not found:
        raise UserError(f"{directory} holds no training log; name a run's directory, or a log by --log FILE")
    return found


def drop_nan(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def smoothed(values: np.ndarray, parts: int = 20) -> np.ndarray:
    """Medians over at most `parts` equal stretches of what is finite."""
    values = drop_nan(values)
    return np.array([np.median(part) for part in np.array_split(values, min(parts, len(values))) if len(part)])


def ends(values: np.ndarray) -> tuple[float, float, float]:
    """The level at the beginning, the best one on the way and that at the end; NaN where nothing is known."""
    levels = smoothed(values)
    if not len(levels):
        return math.nan, math.nan, math.nan
    return float(levels[0]), float(levels.min()), float(levels[-1])
