"""Does the loss fit what it compares? What the graph behind it shows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record, ends

TWICE = Kind(
    "activation_before_loss", "error", "the predictions went through an activation that the loss applies itself",
    "give the loss the raw outputs of the last layer (logits)", "without it the loss falls below what it levels off at",
    "PyTorch documentation, CrossEntropyLoss: input has to be unnormalized logits; NeuraLint rule on the last activation",
)  # fmt: skip
WITHOUT = Kind(
    "loss_without_activation", "error", "the loss expects log-probabilities, and its input is none",
    "use cross_entropy on the logits, or log_softmax over the classes before nll_loss",
    "the exponentials of each row sum to 1, and the loss is never negative",
    "PyTorch documentation, NLLLoss",
)  # fmt: skip
UNREACHABLE = Kind(
    "output_out_of_reach", "error", "the last activation cannot reach the targets",
    "leave the last layer linear, or scale the targets into its range", "predictions cover the range of the targets",
    "NeuraLint (Nikanjam et al. 2021), last activation; Goodfellow et al. 2016, section 6.2.2",
)  # fmt: skip
BROADCAST = Kind(
    "broadcast_loss", "error", "predictions and targets of different shapes were stretched against each other",
    "give both the same shape: predictions.squeeze(-1), or targets.unsqueeze(-1)", "the loss compares as many pairs as rows",
    "PyTorch documentation, broadcasting semantics; the warning of mse_loss",
)  # fmt: skip
AXIS = Kind(
    "softmax_axis", "error", "a softmax runs over the wrong dimension",
    "use dim=-1, or the dimension of the classes", "each row's probabilities sum to 1",
    "Vaswani et al. 2017, equation 1; PyTorch documentation, softmax",
)  # fmt: skip
SIGN = Kind(
    "loss_sign", "error", "the loss is maximized, not minimized",
    "take the sign away, or set maximize=False in the optimizer", "the loss falls and stays above 0",
    "cross-entropy and squared errors are never below 0",
)  # fmt: skip
ONE_CLASS = Kind(
    "one_class", "error", "a softmax over a single output is always 1, and its gradient 0",
    "use one output a class, or a sigmoid with binary_cross_entropy_with_logits", "the loss is not 0 at the start",
    "NeuraLint (Nikanjam et al. 2021); exp(x) / exp(x) = 1",
)  # fmt: skip
CLASSES_AS_NUMBERS = Kind(
    "regression_on_classes", "warning", "a squared error is used where the targets are classes",
    "use cross_entropy with one output a class", "accuracy rises faster with cross-entropy",
    "UMLAUT (Schoop et al. 2021); Goodfellow et al. 2016, section 6.2.2.2",
)  # fmt: skip
START = Kind(
    "loss_at_start", "warning", "the first loss is far above that of a guess: the model is sure, and wrong, from the start",
    "scale the last layer down at initialization, and look at the size of the inputs",
    "the first loss is about ln(classes)", "Karpathy 2019, verify loss at init",
    follows=("*",),
)  # fmt: skip
UNSTABLE = Kind(
    "unstable_operation", "error", "an operation gets inputs at which it, or its gradient, is not finite",
    "add a small number before the log, root or division, or use the fused loss that works on logits",
    "its smallest input stays above 0", "IEEE 754; Zhang et al. 2020 (DEBAR), numerical bugs",
)  # fmt: skip
LINEAR = Kind(
    "no_nonlinearity", "error", "layers follow each other without a nonlinear function: together they are one layer",
    "put an activation between them", "with it, the loss goes below that of a linear model",
    "NeuraLint (Nikanjam et al. 2021); Goodfellow et al. 2016, section 6.1",
)  # fmt: skip

BELOW = 0.5  # share of the losses that must be below 0
SURE = 2.0  # times a guess's loss, at the first step
GUESS = {"cross_entropy": True, "nll": True}


def activations(record: Record) -> Iterator[Finding]:
    """softmax, sigmoid or relu before a loss of logits; log-probabilities that are none; ranges; shapes."""
    loss, graph = record.fact("loss"), record.fact("graph", default={})
    if graph.get("wrong_axis"):
        yield AXIS.found(graph["wrong_axis"])
    if not loss:
        return
    kind, last = loss["kind"], loss["last"]
    single = loss["outputs"] == 1 and kind in ("cross_entropy", "nll")
    if single or (last == "softmax" and loss.get("width") == 1):
        yield ONE_CLASS.found("the last layer", outputs=1)
    elif kind in ("cross_entropy", "bce_logits", "log_probs") and last in ("softmax", "sigmoid", "relu", "tanh"):
        yield TWICE.found(f"{last} before the loss", "loss", activation=last, loss=kind)
    elif kind == "nll":
        yield WITHOUT.found(f"{last or 'the last layer'} before nll_loss", "loss", activation=last or "none")
    if loss["broadcast"]:
        yield BROADCAST.found(loss["broadcast"], "loss")
    if loss.get("unreachable", 0.0) > 0.02:
        yield UNREACHABLE.found(f"{last} before the loss", activation=last, share_of_targets=loss["unreachable"])


def linear(record: Record) -> Iterator[Finding]:
    """Products with weights that follow each other in the graph."""
    graph = record.fact("graph", default={})
    if graph.get("linear_only", 0) > 1:
        yield LINEAR.found("the model", layers=graph["linear_only"])
    elif graph.get("unbroken"):
        yield LINEAR.found(f"layers from {graph['unbroken'][0]}", pairs=len(graph["unbroken"]))


def sign(record: Record) -> Iterator[Finding]:
    """A loss that cannot be negative is; or the optimizer says maximize."""
    loss, curve = record.fact("loss"), record.get("loss").finite
    if not loss or len(curve) < 4:
        return
    below = float((curve.values < 0).mean())
    falls = curve.values[-1] < curve.values[0]
    maximize = any(group.get("maximize") for group in record.fact("optimizer", "groups", default=[]))
    wrong = loss["kind"] in ("cross_entropy", "mse", "bce", "bce_logits", "log_probs") and below > BELOW and falls
    if wrong or (maximize and loss["kind"] != "log_probs"):
        yield SIGN.found("the loss" if wrong else "the optimizer's maximize", "loss", share_below_0=below)


def for_classes(record: Record) -> Iterator[Finding]:
    """A squared error whose targets are few whole numbers from 0 on, or rows of one 1."""
    loss, labels = record.fact("loss"), record.fact("labels", default={})
    if not loss or loss["kind"] != "mse" or "distinct" not in labels:
        return
    few = labels["whole"] and 2 <= labels["distinct"] <= 20 and labels["n"] >= 10 * labels["distinct"]
    if few and labels["low"] == 0 and labels["high"] == labels["distinct"] - 1:
        yield CLASSES_AS_NUMBERS.found("the loss", "loss", different_targets=labels["distinct"])


def at_start(record: Record) -> Iterator[Finding]:
    """loss(0) > SURE · ln K of a cross-entropy: a guess pays ln K. Karpathy 2019."""
    loss, curve = record.fact("loss"), record.get("loss")
    if not loss or loss["kind"] not in GUESS or loss["outputs"] < 2 or not len(curve) or loss.get("root") == "Sum":
        return
    guess, first = math.log(loss["outputs"]), float(curve.values[0])
    if np.isfinite(first) and first > SURE * guess + 0.5:
        yield START.found("step 0", "loss", first=first, guess=guess)


def unstable(record: Record) -> Iterator[Finding]:
    """The operation that the first broken loss was traced to, where the weights before it were sound."""
    found = record.fact("non_finite", default={})
    operation = str(found.get("operation", ""))
    curve = record.get("loss").finite.values
    calm = len(curve) < 3 or curve[-1] < 3 * ends(curve)[0]
    if operation in ("Log", "Sqrt", "Rsqrt", "Div", "Reciprocal", "Pow", "Exp", "Log2", "Log10") and calm:
        yield UNSTABLE.found(f"{operation} at step {record.fact('broken_at', default=0)}", "loss", **found)


KINDS = (TWICE, WITHOUT, UNREACHABLE, BROADCAST, AXIS, SIGN, ONE_CLASS, CLASSES_AS_NUMBERS, START, UNSTABLE, LINEAR)
CHECKS = (activations, linear, sign, for_classes, at_start, unstable)
