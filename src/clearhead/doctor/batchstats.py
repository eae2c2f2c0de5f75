"""What the batches of a run look like: inputs and targets as a model and its loss get them. Plain numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from clearhead.doctor.graph import LossView
from clearhead.doctor.probes import alignment, padding_of

MOST_CLASSES = 4096
MOST_PAIRS = 512  # rows kept to ask whether labels have to do with inputs
MOST_FEATURES = 4096


class BatchStats:
    """Sums over the batches that were looked at."""

    def __init__(self) -> None:
        self.seen = 0
        self.inputs: dict[str, float] = {}
        self.labels: Counter[int] = Counter()
        self.within: list[tuple[float, int]] = []  # entropy, or variance, of one batch's labels, and how many they are
        self.values: list[Tensor] = []
        self.classes = 0
        self.vocabulary = 0
        self.shifts: dict[int, list[float]] = {}
        self.pad: tuple[int, bool] | None = None
        self.pad_share = self.pad_learned = 0.0
        self.ignored: list[float] = []
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.best_constant = math.nan
        self.predicted: Counter[int] = Counter()
        self.outside = 0.0
        self.broken_targets = False

    def add(self, x: Tensor | None, loss: LossView | None) -> None:
        self.seen += 1
        if x is not None:
            self._inputs(x.detach())
        if loss is not None and loss.target is not None and loss.predicted is not None:
            self._targets(x, loss.target.detach(), loss.predicted.detach(), loss)

    def _inputs(self, x: Tensor) -> None:
        if not x.is_floating_point():
            self.vocabulary = max(self.vocabulary, int(x.max()) + 1) if x.numel() else 0
            self.pad = self.pad or padding_of(x)
            self.inputs["constant"] = float(bool((x == x.flatten()[0]).all())) if x.numel() else 1.0
            if self.pad:
                self.pad_share = float((x == self.pad[0]).float().mean())
            return
        x = x.float()
        finite = torch.isfinite(x)
        self.inputs["broken"] = max(self.inputs.get("broken", 0.0), float((~finite).float().mean()))
        x = torch.where(finite, x, 0.0)
        rows = x.flatten(1) if x.ndim in (2, 4) else x.reshape(-1, x.shape[-1])
        spread = rows.std(0) if len(rows) > 1 else torch.ones(rows.shape[1])
        moving = spread[spread > 1e-12]
        self.inputs |= {
            "mean": float(x.mean()), "rms": float(x.pow(2).mean().sqrt()), "largest": float(x.abs().max()),
            "spread_ratio": float(moving.max() / moving.min()) if len(moving) > 1 else 1.0,
            "largest_spread": float(moving.max()) if len(moving) else 0.0,
            "constant": float(len(moving) == 0),
        }  # fmt: skip

    def _targets(self, x: Tensor | None, target: Tensor, predicted: Tensor, loss: LossView) -> None:
        if target.is_floating_point():
            self._numbers(target, loss)
        else:
            self._classes(x, target, predicted, loss)
        self._pairs(x, target)

    def _numbers(self, target: Tensor, loss: LossView) -> None:
        self.broken_targets |= not bool(torch.isfinite(target).all())
        flat = target.float().flatten()
        self.within.append((float(flat.var()) if len(flat) > 1 else 0.0, len(flat)))
        if sum(map(len, self.values)) < 1 << 16:
            self.values.append(flat[:MOST_PAIRS].cpu())

    def _classes(self, x: Tensor | None, target: Tensor, predicted: Tensor, loss: LossView) -> None:
        flat = target.flatten()
        learned = flat[flat != loss.ignored]
        self.ignored.append(1 - len(learned) / max(1, len(flat)))
        self.classes = predicted.shape[1] if predicted.ndim > 1 else 0
        if len(learned) and self.classes <= MOST_CLASSES:
            counts = torch.bincount(learned.clamp(min=0), minlength=max(1, self.classes))
            self.labels.update({i: int(n) for i, n in enumerate(counts.tolist()) if n})
            self.within.append((entropy(counts.tolist()), len(learned)))
        if predicted.ndim == 2:
            self.predicted = Counter(predicted.argmax(1)[flat != loss.ignored][:4096].tolist())
        if x is not None and x.ndim == 2 and not x.is_floating_point():
            for k, share in alignment(x, target, loss.ignored).items():
                if not math.isnan(share):
                    self.shifts.setdefault(k, []).append(share)
            if self.pad and len(learned):
                self.pad_learned = float((learned == self.pad[0]).float().mean())

    def _pairs(self, x: Tensor | None, target: Tensor) -> None:
        if (
            x is None
            or target.shape[:1] != x.shape[:1]
            or target[0].numel() > 64
            or sum(len(a) for a, _ in self.pairs) >= MOST_PAIRS
        ):
            return
        if not x.is_floating_point():
            if x.ndim != 2 or x.dtype == torch.bool or x.shape[1] * self.vocabulary > MOST_FEATURES or target.ndim > 1:
                return
            x = torch.nn.functional.one_hot(x.long().clamp(min=0), self.vocabulary)
        if x.flatten(1).shape[1] <= MOST_FEATURES:
            self.pairs.append(
                (
                    x.flatten(1).float().cpu().clone(),
                    target.flatten(1).float().cpu().clone()
                    if target.ndim > 1
                    else target.float().cpu()[:, None].clone(),
                )
            )

    def facts(self) -> Mapping[str, Any]:
        told: dict[str, Any] = {"inputs": {**self.inputs, "vocabulary": self.vocabulary}}
        labels: dict[str, Any] = {"broken": self.broken_targets}
        if self.labels:
            counts = list(self.labels.values())
            pooled, n = entropy(counts), sum(counts)
            labels |= {
                "entropy": pooled,
                "n": n,
                "classes": len(counts),
                "outputs": self.classes,
                "top": max(counts) / n,
            }
            if self.predicted:
                labels["top_predicted"] = max(self.predicted.values()) / sum(self.predicted.values())
            sizes = [size for _, size in self.within]
            fair = max(0.0, pooled - (len(counts) - 1) / (2 * max(1.0, sum(sizes) / len(sizes))))
            labels |= {
                "within": sum(h for h, _ in self.within) / len(self.within),
                "fair": fair,
                "batch": sum(sizes) / len(sizes),
            }
        elif self.values:
            flat = torch.cat(self.values)
            labels |= {
                "variance": float(flat.var()) if len(flat) > 1 else 0.0, "low": float(flat.min()),
                "high": float(flat.max()),
                "whole": bool((flat == flat.round()).all()), "distinct": len(flat.unique()), "n": len(flat),
                "within_variance": sum(v for v, _ in self.within) / len(self.within), "batch": self.within[0][1],
            }  # fmt: skip
        if self.ignored:
            labels["ignored"] = sum(self.ignored) / len(self.ignored)
        if self.shifts:
            labels["shift"] = {str(k): sum(v) / len(v) for k, v in self.shifts.items()}
        if self.pad:
            labels |= {
                "pad": self.pad[0],
                "pad_left": self.pad[1],
                "pad_share": self.pad_share,
                "pad_learned": self.pad_learned,
            }
        if self.pairs:
            labels["related"] = relatedness(self.pairs, bool(self.labels))
        told["labels"] = labels
        return told


def entropy(counts: list[int]) -> float:
    """In nats.

    >>> round(entropy([1, 1]), 4)
    0.6931
    """
    n = sum(counts)
    return -sum(c / n * math.log(c / n) for c in counts if c) if n else 0.0


def relatedness(pairs: list[tuple[Tensor, Tensor]], classes: bool) -> float:
    """Do rows that are near each other have the same labels? Standard errors above what chance gives.

    Each row is compared with the nearest other one: of classes the share that agrees, against sum p²; of numbers the
    squared difference, against twice the variance. Cover and Hart 1967. NaN where too few rows are known.
    """
    x, y = (torch.cat(each) for each in zip(*pairs, strict=True))
    if len(x) < 40:
        return math.nan
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    x = torch.nan_to_num(x, posinf=0.0, neginf=0.0)
    far = torch.cdist(x, x)
    same = far < 1e-6
    far[same] = math.inf  # itself, and copies of it
    nearest = far.argmin(1)
    if classes:
        agree = float((y == y[nearest]).all(1).float().mean())
        shares = torch.tensor([float(c) for c in torch.unique(y, dim=0, return_counts=True)[1]]) / len(y)
        chance = float((shares**2).sum())
        return (agree - chance) / math.sqrt(max(chance * (1 - chance), 1e-9) / len(y))
    apart = (y - y[nearest]).pow(2).mean(1)
    usual = 2 * float(y.var(0).mean()) + 1e-12
    return float((usual - apart.mean()) / (apart.std() / math.sqrt(len(y)) + 1e-12))
