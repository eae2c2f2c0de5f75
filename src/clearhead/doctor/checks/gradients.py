"""Gradients, updates and activations by layer: vanishing, exploding, dead, saturated, and attention."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record, ends

STEP_CAUSES = (
    "activation_before_loss", "step_before_backward", "no_zero_grad", "loss_sign", "init_too_large", "init_too_small", "equal_units", "labels_unrelated",
    "inputs_not_normalized", "lr_too_large", "broadcast_loss", "output_out_of_reach", "weight_decay_too_large",
    "bad_inputs", "bad_labels", "optimizer_settings", "unstable_operation", "one_class", "softmax_axis", "no_gradient", "future_leak",
    "loss_without_activation", "labels_not_shifted", "frozen_random", "parameters_not_in_optimizer", "lr_zero", "dropout_too_high", "unshuffled",
)  # fmt: skip

VANISHING = Kind(
    "vanishing_gradient", "error", "gradients shrink on the way to the first layers until nothing is left to learn from",
    "use ReLU or GELU in place of sigmoid or tanh, residual connections, a norm in every layer, He or Xavier initialization",
    "the gradients of first and last layers are within a factor of 100", "Glorot and Bengio 2010; Pascanu et al. 2013",
    follows=STEP_CAUSES,
)  # fmt: skip
EXPLODING = Kind(
    "exploding_gradient", "error", "gradients grow beyond what a step can use",
    "clip gradients at a norm of 1; look at the initialization, and in recurrent layers at the length of the sequence",
    "the clipped run's loss falls", "Pascanu et al. 2013, section 3.2",
    follows=(*STEP_CAUSES, "unstable_operation"),
)  # fmt: skip
DEAD = Kind(
    "dead_units", "error", "units of ReLU are 0 for every row, and get no gradient any more",
    "lower the rate, look at large negative biases, use He initialization, LeakyReLU or GELU", "few units are 0 for a whole batch",
    "Lu et al. 2019, Dying ReLU and initialization", follows=STEP_CAUSES,
)  # fmt: skip
SATURATED = Kind(
    "saturated_units", "error", "units of tanh or sigmoid are at the ends of their range, where the slope is 0",
    "scale the weights or the inputs down, or use ReLU or GELU with a norm", "activations spread over the range",
    "Glorot and Bengio 2010, section 3", follows=STEP_CAUSES,
)  # fmt: skip
LARGE_LR = Kind(
    "lr_too_large", "error", "the learning rate is too large: a step changes the weights by a large part of themselves",
    "lower the rate by 10, and lengthen the warmup", "updates are about a thousandth of the weights, and the loss falls smoothly",
    "Karpathy 2019 (update to weight ratio about 1e-3); Smith 2017, rate range test",
    follows=("no_zero_grad", "loss_sign", "init_too_small", "inputs_not_normalized", "no_step", "accumulation_unscaled", "weight_decay_too_large", "optimizer_settings", "labels_unrelated", "future_leak"),
)  # fmt: skip
SMALL_LR = Kind(
    "lr_too_small", "error", "the learning rate is too small: a step hardly changes the weights, and the loss hardly falls",
    "raise the rate by 10, until the loss falls faster", "updates are about a thousandth of the weights",
    "Karpathy 2019 (update to weight ratio about 1e-3); Smith 2017, rate range test",
    follows=("init_too_large", "vanishing_gradient", "clip_too_small", "saturated_units", "dead_units", "step_before_backward", "gradient_erased", "no_gradient", "parameters_not_in_optimizer", "frozen_random", "one_class", "activation_before_loss", "labels_not_shifted", "equal_units", "softmax_axis", "optimizer_settings", "init_too_small", "lr_zero", "update_rounded_away", "labels_unrelated", "inputs_not_normalized"),
)  # fmt: skip
ZERO_LR = Kind(
    "lr_zero", "error", "the learning rate is 0 for most of the run",
    "look at the schedule: its number of steps, whether it steps once a batch or once an epoch, its warmup",
    "the rate is above 0 until the end", "the log of the rate",
)  # fmt: skip
ROUNDED = Kind(
    "update_rounded_away", "error", "updates are smaller than the precision of the weights, and are lost",
    "keep float32 weights for the optimizer (mixed precision), or use stochastic rounding", "most weights change at a step",
    "Micikevicius et al. 2018, section 3.1",
)  # fmt: skip
UNIFORM = Kind(
    "attention_uniform", "note", "attention looks at all tokens alike",
    "train longer, or look at the scale of queries and keys", "entropy by head falls below its largest value",
    "Zhai et al. 2023, attention entropy", follows=("*",),
)  # fmt: skip
COLLAPSED = Kind(
    "attention_collapsed", "warning", "attention looks at a single token everywhere: its softmax is saturated",
    "divide by the root of the head size, use a norm on queries and keys, lower the rate", "entropy by head rises above 0",
    "Zhai et al. 2023, attention entropy collapse; Vaswani et al. 2017, section 3.2.1", follows=("*", "no_learning", "diverges"),
)  # fmt: skip
SINK = Kind(
    "attention_sink", "note", "heads rest on the first token", "nothing, if the loss is good: heads rest where there is nothing to find",
    "the loss without these heads is the same", "Xiao et al. 2024, attention sinks",
)  # fmt: skip
GROWTH = Kind(
    "norm_growth", "warning", "the weights grow without an end", "use weight decay or a norm, and lower the rate",
    "the norms level off", "Merrill et al. 2021, norm growth", follows=("*", "lr_too_large", "diverges", "non_finite"),
)  # fmt: skip

VANISHED = 1e-3  # rms gradient of the first third of the matrices over that of the last
LARGEST = 1e3  # a gradient norm above which nothing healthy lies
GREW = 100.0  # times its median
DEAD_SHARE, SATURATED_SHARE = 0.5, 0.5  # of a layer's units
BIG_STEP, SMALL_STEP = 0.1, 3e-5  # update over weight, median of the matrices
BARELY = 0.1  # share by which a loss fell, at most, to call the rate too small
SAME = 0.9  # of half-precision weights, unchanged by a step
GROWN = 10.0  # times the weight norm at the start


def flow(record: Record) -> Iterator[Finding]:
    """Root mean squares of gradients of matrices in their order: first third over last."""
    parameters = record.fact("parameters", default={})
    curves = {name: s for name, s in record.group("grad").items() if parameters.get(name, {}).get("matrix")}
    names = [name for name in parameters if name in curves]
    if len(names) >= 3:
        table = np.array(
            [[np.median(drop(curves[n].values)[-4:]) if len(drop(curves[n].values)) else 0.0] for n in names]
        )[:, 0]
        early = np.array([drop(curves[n].values)[:4].mean() if len(drop(curves[n].values)) else 0.0 for n in names])
        third = max(1, len(names) // 3)
        ratios = [float(np.median(t[:third]) / t[-1]) if t[-1] > 0 else math.nan for t in (early, table)]
        if all(math.isfinite(r) and r < VANISHED for r in ratios) and table[-1] > 1e-7 and _stuck(record):
            yield VANISHING.found(f"{names[0]} against {names[-1]}", first_over_last=ratios[0], at_end=ratios[1])
    norms = record.get("raw_norm") if len(record.get("raw_norm")) else record.get("grad_norm")
    values = drop(norms.values)
    if len(values) >= 3:
        late = values[1:]
        loss = record.get("loss").finite.values
        wild = len(loss) > 3 and ends(loss)[2] > 0.7 * ends(loss)[0]
        middle = float(np.median(values))
        if (middle > LARGEST and wild) or (late.max() > GREW * middle and late.max() > 10 and wild):
            yield EXPLODING.found("gradient norm", norms_name(record), median=middle, largest=float(values.max()))


def norms_name(record: Record) -> str:
    return "raw_norm" if len(record.get("raw_norm")) else "grad_norm"


def drop(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _fall(record: Record) -> float:
    """The share by which the loss fell; NaN where that is not known."""
    loss = record.get("loss").finite.values
    if len(loss) < 8:
        return math.nan
    start, _, end = ends(loss)
    return (start - end) / abs(start) if start else math.nan


def _stuck(record: Record) -> bool:
    fall = _fall(record)
    return math.isfinite(fall) and fall < 0.5


def units(record: Record) -> Iterator[Finding]:
    """The worst layer's share of dead or saturated units, at the last steps that were looked at."""
    for kind, found, limit in (("relu", DEAD, DEAD_SHARE), ("tanh sigmoid", SATURATED, SATURATED_SHARE)):
        layers = [
            u
            for u in record.fact("units", default=[])
            if u["kind"] in kind and u["width"] >= 4 and len(u["shares"]) >= 2
        ]
        worst = max(layers, key=lambda u: min(u["shares"][-2:]), default=None)
        if worst and min(worst["shares"][-2:]) >= limit and _stuck(record):  # one that learns can spare some
            place = f"{worst['kind']} number {layers.index(worst) + 1}, of {worst['width']} units"
            yield found.found(place, share=worst["shares"][-1])


def rates(record: Record) -> Iterator[Finding]:
    """Median over matrices and steps of |update| / |weight|; the logged rate where no updates are known."""
    parameters = record.fact("parameters", default={})
    curves = [
        s.values
        for name, s in record.group("ratio").items()
        if parameters.get(name, {}).get("matrix", True) and not parameters.get(name, {}).get("zero")
    ]
    logged = record.get("update_ratio").finite.values
    steady = [drop(v[1:] if len(v) > 1 else v) for v in curves]
    ratio = (
        float(np.median(np.concatenate(steady)))
        if steady and sum(map(len, steady))
        else float(np.median(logged))
        if len(logged)
        else math.nan
    )
    early = [drop(v[:4]) for v in curves]
    begin = float(np.median(np.concatenate(early))) if early and sum(map(len, early)) else ratio
    lr = record.get("lr")
    known = lr.finite.values
    if len(known) >= 20 and float((known == 0).mean()) > 0.5:
        yield ZERO_LR.found("the learning rate", "lr", share_of_steps=float((known == 0).mean()))
        return
    loss = record.get("loss")
    fall, bad = _fall(record), _unsound(record)
    if max(ratio, begin) > BIG_STEP and bad:
        yield LARGE_LR.found("the optimizer", "loss", update_over_weight=max(ratio, begin), lr=_last(known))
    elif (
        math.isfinite(ratio)
        and ratio < SMALL_STEP
        and begin < 3 * SMALL_STEP
        and fall < BARELY
        and len(loss) >= 20
        and not _rose(record)
    ):
        yield SMALL_LR.found("the optimizer", "loss", update_over_weight=ratio, loss_fell_by=fall, lr=_last(known))


def _rose(record: Record) -> bool:
    loss = record.get("loss").values
    start, _, end = ends(loss)
    return bool(not np.isfinite(loss).all() or end > 1.2 * start)


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if len(values) else math.nan


def _unsound(record: Record) -> bool:
    """A loss that is not finite, ends near or above its start, or jumps about."""
    loss = record.get("loss").values
    if len(loss) < 4:
        return False
    if not np.isfinite(loss).all():
        return True
    start, best, end = ends(loss)
    tail = loss[-max(4, len(loss) // 4) :]
    shaky = float(np.std(np.diff(tail))) > 0.5 * abs(float(np.median(tail))) and float(np.median(tail)) > 0.02 * abs(
        start
    )
    early = loss[: max(4, len(loss) // 4)]
    jumped = early.max() > 3 * abs(loss[0]) and loss[0] > 0 and end > 0.1 * loss[0]
    return bool(end > 0.85 * start or end > 1.5 * best + 0.05 * abs(start) or shaky or jumped)


def rounding(record: Record) -> Iterator[Finding]:
    """The share of half-precision weights that a step leaves as they are, to the bit."""
    shares = [float(np.median(s.values)) for s in record.group("unchanged").values()]
    if shares and float(np.median(shares)) > SAME and record.get("grad_norm").values[-1:].sum() > 0:
        yield ROUNDED.found("half-precision weights", share_unchanged=float(np.median(shares)))


def attention(record: Record) -> Iterator[Finding]:
    """Normalized entropy -Σ p ln p / ln S, the share of the first key, and the largest weight, by head."""
    layers = record.fact("attention", default={})
    heads = [
        triple for numbers in layers.values() for triple in zip(*np.array_split(np.array(numbers), 3), strict=True)
    ]
    if not heads or record.fact("looked", default=0) < 4:
        return
    entropy, first, largest = (np.array(column) for column in zip(*heads, strict=True))
    if (entropy > 0.999).all():
        yield UNIFORM.found("all heads", heads=len(heads), entropy=float(entropy.min()))
    if (largest > 0.99).mean() > 0.7 and (entropy < 0.02).mean() > 0.7:
        yield COLLAPSED.found("most heads", heads=len(heads), entropy=float(np.median(entropy)))
    if (first > 0.9).mean() > 0.5:
        yield SINK.found("most heads", heads=len(heads), share_of_first_token=float(np.median(first)))


def growth(record: Record) -> Iterator[Finding]:
    """Weight norm at the end over that at the start, of matrices that were not 0."""
    parameters = record.fact("parameters", default={})
    grown = []
    for name, s in record.group("weight").items():
        if parameters.get(name, {}).get("matrix") and len(s) >= 4 and s.values[0] > 0 and np.isfinite(s.values[-1]):
            grown.append(s.values[-1] / s.values[0])
    if grown and float(np.median(grown)) > GROWN:
        yield GROWTH.found("the matrices", times=float(np.median(grown)))


KINDS = (VANISHING, EXPLODING, DEAD, SATURATED, LARGE_LR, SMALL_LR, ZERO_LR, ROUNDED, UNIFORM, COLLAPSED, SINK, GROWTH)
CHECKS = (flow, units, rates, rounding, attention, growth)
