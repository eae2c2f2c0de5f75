"""What losses alone show: no number, spikes, divergence, no learning, over- and underfitting."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record, Series, ends, smoothed

NON_FINITE = Kind(
    "non_finite", "error", "the loss or the gradient stopped being a number",
    "look at the operation that is named: a log, root or division near 0, or an overflow; if none is, lower the rate and "
    "clip gradients at 1",
    "the same step with the same batch stays finite",
    "IEEE 754; Wardat et al. 2021 (DeepLocalize), numerical error",
    follows=("*",),
)  # fmt: skip
DIVERGES = Kind(
    "diverges", "error", "the loss rises again far above what it had reached",
    "lower the learning rate by 3 to 10, lengthen the warmup, clip gradients at 1",
    "with a third of the rate the loss keeps falling",
    "Cohen et al. 2021: gradient descent is unstable where the sharpness is above 2 / rate",
    follows=("*", "non_finite"),
)  # fmt: skip
SPIKES = Kind(
    "loss_spikes", "warning", "the loss jumps up and comes back",
    "look at the batches of these steps; clip gradients at 1, lower beta2 to 0.95 or the rate, lengthen the warmup",
    "the same steps without these batches, or with clipping, have no jumps",
    "Chowdhery et al. 2022 (PaLM), section 5.1; robust z-score over a moving window",
    follows=("*", "diverges", "non_finite"),
)  # fmt: skip
OUTLIER = Kind(
    "outlier_batch", "note", "a single batch has a much larger loss than its neighbors",
    "look at the rows of this batch: wrong labels, garbage, or rare ones", "without them the loss has no jump",
    "robust z-score over a moving window",
)  # fmt: skip
NO_LEARNING = Kind(
    "no_learning", "error", "the loss does not fall",
    "overfit two batches first: if that fails, look for a missing update, labels or a loss that do not fit, a rate that is "
    "far off; if it works, look at the data",
    "two batches reach a loss near 0",
    "Karpathy 2019, A recipe for training neural networks; Wardat et al. 2021, loss does not decrease",
    follows=("*", "diverges", "non_finite", "vanishing_gradient", "dead_units", "saturated_units"),
)  # fmt: skip
OVERFITS = Kind(
    "overfits", "warning", "the held-out loss rises while the training loss falls",
    "keep the weights of the best evaluation; more data, dropout or weight decay, a smaller model, fewer epochs",
    "the gap shrinks with twice the data",
    "Prechelt 1998, Early stopping - but when? (generalization loss)",
    follows=("*", "labels_unrelated", "validation_in_training"),
)  # fmt: skip
UNDERFITS = Kind(
    "underfits", "note", "training was stopped while both losses still fell",
    "train longer, or raise the rate",
    "half as many steps more lower the held-out loss",
    "Goodfellow et al. 2016, section 5.2",
)  # fmt: skip

WINDOW = 21  # losses that a loss is compared with
SPIKE_Z = 8.0  # robust standard deviations above their median ...
SPIKE_RISE = 0.5  # ... and by this share of it
RISEN = 1.5  # of the best level, at the end: divergence
FALLEN = 0.03  # share by which a loss must have fallen to have learned
ENOUGH = 30  # steps before anything is said of not learning
GAP = 0.1  # share above its lowest at which a held-out loss counts as risen


def non_finite(record: Record) -> Iterator[Finding]:
    """The first value of loss or gradient norm that is not finite. A scaler of half precision skips single steps."""
    for name in ("loss", "grad_norm", "val_loss"):
        values = record.get(name)
        bad = ~np.isfinite(values.values)
        if bad.any() and (name != "grad_norm" or bad[-1]):
            first = int(bad.argmax())
            evidence: dict[str, float | str] = {"step": values.steps[first], "broken": int(bad.sum())}
            if first:
                evidence["before"] = values.values[first - 1]
            evidence |= record.fact("non_finite", default={})
            yield NON_FINITE.found(f"{name} at step {values.steps[first]:g}", name, **evidence)
            return


def diverges(record: Record) -> Iterator[Finding]:
    """level(end) > RISEN · level(best), both medians of twentieths, and above the level at the beginning or twice it."""
    loss = record.get("loss").finite
    if len(loss) < ENOUGH or len(record.get("reward")):  # a policy's loss says nothing of what it has learned
        return
    start, best, end = ends(loss.values)
    scale = max(abs(best), 0.02 * abs(start), 1e-9)
    if end - best > (RISEN - 1) * scale and (
        end > 0.9 * start or end - best > 0.5 * (start - best) > 0.25 * abs(start)
    ):
        yield DIVERGES.found("loss", "loss", start=start, best=best, end=end)


def spikes(record: Record) -> Iterator[Finding]:
    """(loss - median) / (1.4826 · MAD) over the WINDOW losses before; a lone one is the batch's, not the training's."""
    loss = record.get("loss").finite
    if len(loss) < 2 * WINDOW or len(record.get("reward")):
        return
    before = np.lib.stride_tricks.sliding_window_view(loss.values, WINDOW)[:-1]
    now, at = loss.values[WINDOW:], loss.steps[WINDOW:]
    center = np.median(before, axis=1)
    spread = 1.4826 * np.median(np.abs(before - center[:, None]), axis=1)
    rise = now - center
    high = (rise > SPIKE_Z * spread) & (rise > SPIKE_RISE * np.abs(center)) & (rise > 0.15 * abs(ends(loss.values)[0]))
    if not high.any():
        return
    worst = int(np.where(high, rise, -math.inf).argmax())
    after = rise[worst + 1 : worst + 4]
    lasts = len(after) > 0 and float(np.median(after)) > 0.5 * SPIKE_Z * spread[worst]
    numbers = {"spikes": int(high.sum()), "loss": now[worst], "usual": center[worst]}
    yield (SPIKES if lasts else OUTLIER).found(f"step {at[worst]:g}", "loss", **numbers)


def no_learning(record: Record) -> Iterator[Finding]:
    """level(start) - level(end) < FALLEN · |level(start)|, where start is not already near nothing."""
    loss = record.get("loss").finite
    if len(loss) < ENOUGH or len(record.get("reward")):
        return
    start, _best, end = ends(loss.values)
    first = float(np.median(loss.values[:5]))
    noise = _noise(loss)
    if max(start, first) - end < max(FALLEN * abs(start), 2 * noise) and start > 0.01 and not _accurate(record):
        yield NO_LEARNING.found("loss", "loss", start=start, end=end, steps=len(loss))


def _noise(loss: Series) -> float:
    """The standard error of a level: of the differences of neighbors, over a twentieth of the losses."""
    if len(loss) < 3:
        return 0.0
    return float(np.std(np.diff(loss.values)) / math.sqrt(2) / math.sqrt(max(1, len(loss) / 20)))


def _accurate(record: Record) -> bool:
    """A fine-tuned model may have little left to learn."""
    accuracy = record.get("accuracy").finite
    return len(accuracy) > 0 and float(accuracy.values[-1]) > 0.9


def overfits(record: Record) -> Iterator[Finding]:
    """100 · (val(end) / val(best) - 1) > 100 · GAP while the training loss fell after the best evaluation."""
    held, loss = record.get("val_loss").finite, record.get("loss").finite
    if len(held) < 4 or len(loss) < 4 or record.fact("kept") is not None:
        return
    best = int(held.values.argmin())
    lowest, end = held.values[best], float(np.median(held.values[-2:]))
    then = loss.values[loss.steps <= held.steps[best]]
    falls = len(then) == 0 or smoothed(loss.values)[-1] < 0.95 * float(np.median(then[-max(3, len(then) // 10) :]))
    gap = end - smoothed(loss.values)[-1]
    clear = best < len(held) - 2 and end - lowest > 0.03 * held.values[0]
    if clear and end > (1 + GAP) * lowest and falls and gap > GAP * lowest:
        yield OVERFITS.found(
            f"evaluations after step {held.steps[best]:g}", "val_loss", lowest=lowest, end=end, gap=gap,
            training=smoothed(loss.values)[-1],
        )  # fmt: skip


def underfits(record: Record) -> Iterator[Finding]:
    """Both losses fell by more than 2 % over the last quarter of the evaluations, and the gap is small."""
    held = record.get("val_loss").finite.values
    if len(held) < 8:
        return
    before, end = float(np.median(held[len(held) * 5 // 8 : len(held) * 6 // 8])), float(np.median(held[-2:]))
    if end < 0.95 * before and held.argmin() >= len(held) - 2:
        yield UNDERFITS.found("val_loss", "val_loss", before=before, end=end)


KINDS = (NON_FINITE, DIVERGES, SPIKES, OUTLIER, NO_LEARNING, OVERFITS, UNDERFITS)
CHECKS = (non_finite, diverges, spikes, no_learning, overfits, underfits)
