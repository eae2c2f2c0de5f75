"""Initialization, and what the optimizer is told."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from clearhead.doctor.checks.gradients import _fall, drop
from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record

INIT_LARGE = Kind(
    "init_too_large", "error", "weights begin so large that the first outputs, or gradients, are far too large",
    "draw weights with a standard deviation of about 1/sqrt(inputs), sqrt(2/inputs) before ReLU", "the first loss is that of a guess",
    "Glorot and Bengio 2010; He et al. 2015; gain = std · sqrt(inputs)",
)  # fmt: skip
INIT_SMALL = Kind(
    "init_too_small", "error", "weights begin so small that signals and gradients die out from layer to layer",
    "draw weights with a standard deviation of about 1/sqrt(inputs)", "gradients of the first layers are as large as the last's",
    "Glorot and Bengio 2010; gain = std · sqrt(inputs)",
)  # fmt: skip
EQUAL = Kind(
    "equal_units", "error", "the units of a layer begin alike (all zero, or one constant), and stay alike",
    "draw the weights at random; only biases, and last layers, may begin at 0", "the rows of every matrix differ",
    "Goodfellow et al. 2016, section 8.4: break symmetry",
)  # fmt: skip
DECAY = Kind(
    "weight_decay_too_large", "error", "weight decay pulls harder than the gradient: the weights shrink toward 0",
    "lower weight_decay to 0.01 to 0.1 (AdamW), 1e-4 (SGD)", "the weight norm no longer falls, and the loss does",
    "Loshchilov and Hutter 2019; decay part of the update over the whole of it",
)  # fmt: skip
DECAYED_NORMS = Kind(
    "decay_on_norms", "note", "weight decay also pulls at norms and biases",
    "put parameters of one dimension into a group with weight_decay = 0", "a group without decay holds them",
    "He et al. 2019, Bag of tricks, section 3.1; nanoGPT",
)  # fmt: skip
SETTINGS = Kind(
    "optimizer_settings", "error", "a setting of the optimizer is outside what it works with",
    "start from the defaults: betas (0.9, 0.999), eps 1e-8, momentum 0.9", "with the defaults the loss falls",
    "Kingma and Ba 2015; Sutskever et al. 2013",
)  # fmt: skip
EPSILON = Kind(
    "eps_in_half", "error", "the optimizer's epsilon is 0 in the half precision of its weights",
    "keep float32 weights, or set eps to 1e-4 or more for float16", "the first updates are finite",
    "Micikevicius et al. 2018; float16's smallest number is 6e-8",
)  # fmt: skip
CLIP = Kind(
    "clip_too_small", "error", "clipping cuts nearly all of every gradient away",
    "raise the limit to about the usual norm, or to 1", "less than a third of the steps are clipped",
    "Pascanu et al. 2013: the threshold is half to ten times the average norm",
)  # fmt: skip
DROPOUT = Kind(
    "dropout_too_high", "error", "dropout sets nearly everything to 0",
    "lower it to 0.1 to 0.5; PyTorch's p is the share that is dropped, not kept", "the training loss falls further",
    "Srivastava et al. 2014, section 7.3",
)  # fmt: skip
FOREIGN = Kind(
    "foreign_parameters", "error", "the optimizer holds parameters that are not this model's: a copy, or an earlier one",
    "make the optimizer after the model has its final form and device", "every parameter held is the model's",
    "TrainCheck (Jiang et al. 2025); PyTorch documentation, torch.optim", follows=("parameters_not_in_optimizer",),
)  # fmt: skip

GAIN, SMALL_GAIN = 3.0, 0.03
SURE = 2.0  # times a guess's loss at the first step
PULL = 0.5  # of the update, that is decay
CUT = 0.02  # of the gradient, that clipping leaves
DROPPED = 0.8


def initialization(record: Record) -> Iterator[Finding]:
    """gain = std · sqrt(inputs) of every matrix, and rows that are equal."""
    parameters = record.fact("parameters", default={})
    matrices = {name: p for name, p in parameters.items() if p["matrix"] and p["trainable"] and "gain" in p}
    if not matrices:
        return
    equal = [name for name, p in matrices.items() if p["equal_rows"] and not p["zero"]]
    zero = [name for name, p in matrices.items() if p["zero"]]
    still = set(record.fact("now", "equal_rows", default=[]))
    stuck = [name for name in zero + equal if name in still]
    most = len(zero) >= max(2, 0.6 * len(matrices))
    if most or any(name in still for name in equal) or (stuck and not _learns(record)):
        alike = stuck or zero
        yield EQUAL.found(", ".join(alike[:3]), matrices=len(alike), of=len(matrices))
        return
    gains = {name: p["gain"] for name, p in matrices.items() if not p["zero"] and len(p["shape"]) == 2}
    if not gains:
        return
    large = [name for name, gain in gains.items() if gain > GAIN]
    if large and len(large) >= len(gains) / 3 and _sure(record):
        yield INIT_LARGE.found(", ".join(large[:3]), "loss", gain=max(gains.values()), usual=1.0)
    small = [name for name, gain in gains.items() if gain < SMALL_GAIN]
    if len(small) > len(gains) / 2 and len(small) > 1 and not _learns(record):
        yield INIT_SMALL.found(", ".join(small[:3]), "loss", gain=min(gains.values()), usual=1.0)


def _learns(record: Record) -> bool:
    fall = _fall(record)
    return math.isfinite(fall) and fall > 0.3


def _sure(record: Record) -> bool:
    """Is the first loss far above that of a guess, or the gradients enormous?"""
    loss, labels = record.get("loss").values, record.fact("labels", default={})
    outputs = record.fact("loss", "outputs", default=0)
    guess = math.log(outputs) if outputs > 1 else 2 * labels.get("variance", 0.0)
    first = float(loss[0]) if len(loss) else math.nan
    saturated = any(
        u["shares"][0] > 0.3 for u in record.fact("units", default=[]) if u["kind"] != "relu" and u["width"] > 3
    )
    return not math.isfinite(first) or (guess > 0 and first > SURE * guess) or saturated


def decay(record: Record) -> Iterator[Finding]:
    """lr · weight_decay (decoupled), or weight_decay · |w| against |g|, while the weights shrink and the loss does not."""
    told = record.fact("now", "optimizer", default={})
    groups, first = told.get("groups", []), record.fact("optimizer", "groups", default=[])
    worst = max((g.get("weight_decay", 0.0) for g in first), default=0.0)
    if worst > 0 and any(g.get("weight_decay", 0) > 0.02 and g["flat"] for g in first):
        yield DECAYED_NORMS.found("the optimizer", weight_decay=worst)
    parameters = record.fact("parameters", default={})
    pulls, shrunk = [], []
    lr = max((g.get("lr", 0.0) for g in groups), default=0.0)
    for name, weights in record.group("weight").items():
        steps, grads = record.get(f"ratio/{name}").values, record.get(f"grad/{name}").values
        if not parameters.get(name, {}).get("matrix") or len(weights) < 4 or weights.values[0] <= 0:
            continue
        n = min(len(steps), len(grads), len(weights))
        if n < 4:
            continue
        if told.get("decoupled"):
            part = lr * worst / np.maximum(steps[-n:], 1e-12)
        else:
            force = worst * weights.values[-n:]
            part = force / (force + grads[-n:] + 1e-20)
        pulls.append(float(np.median(part[1:])))
        shrunk.append(float(weights.values[-1] / weights.values[0]))
    if pulls and float(np.median(pulls)) > PULL and float(np.median(shrunk)) < 0.8 and not _fitted(record):
        yield DECAY.found(
            "the optimizer",
            "loss",
            weight_decay=worst,
            share_of_update=float(np.median(pulls)),
            norm_left=float(np.median(shrunk)),
        )


def _fitted(record: Record) -> bool:
    fall = _fall(record)
    return math.isfinite(fall) and fall > 0.7


def told(record: Record) -> Iterator[Finding]:
    """betas, momentum, eps, and whose parameters are held."""
    optimizer = record.fact("optimizer", default={})
    for group in optimizer.get("groups", []):
        betas, eps, momentum = group.get("betas"), group.get("eps"), group.get("momentum", 0.0)
        wrong = {}
        if isinstance(betas, list) and (betas[0] > 0.98 or betas[1] < 0.7 or betas[0] > betas[1]):
            wrong = {"beta1": betas[0], "beta2": betas[1]}
        if isinstance(eps, float) and eps > 1e-2:
            wrong["eps"] = eps
        if isinstance(momentum, float) and momentum > 0.98:
            wrong["momentum"] = momentum
        if wrong:
            yield SETTINGS.found("the optimizer", "loss", **wrong)
            break
        half = any(p["half"] and p["trainable"] for p in record.fact("parameters", default={}).values())
        if (
            half
            and isinstance(eps, float)
            and eps < 1e-7
            and optimizer["adaptive"]
            and record.fact("non_finite") is not None
        ):
            yield EPSILON.found("the optimizer", eps=eps)
            break
    if optimizer.get("foreign"):
        yield FOREIGN.found("the optimizer", foreign=optimizer["foreign"], held=optimizer["held"])


def clipping(record: Record) -> Iterator[Finding]:
    """The gradient norm at step() over that after backward()."""
    raw, used = drop(record.get("raw_norm").values), drop(record.get("grad_norm").values)
    n = min(len(raw), len(used))
    if n < 4 or record.fact("order", "erased", default=0) or record.fact("order", "early", default=0):
        return
    left = used[-n:] / np.maximum(raw[-n:], 1e-20)
    if float(np.median(left)) < CUT and float(np.median(raw)) > 1e-12 and not _learns(record):
        yield CLIP.found(
            "gradient clipping", "grad_norm", share_left=float(np.median(left)), norm_before=float(np.median(raw))
        )


def dropout(record: Record) -> Iterator[Finding]:
    """The largest share that is dropped, by module or by the masks in the graph."""
    rate = max(record.fact("structure", "dropout", default=0.0), record.fact("graph", "dropout", default=0.0))
    if rate > DROPPED:
        yield DROPOUT.found("the model", rate=rate)


KINDS = (INIT_LARGE, INIT_SMALL, EQUAL, DECAY, DECAYED_NORMS, SETTINGS, EPSILON, CLIP, DROPOUT, FOREIGN)
CHECKS = (initialization, decay, told, clipping, dropout)
