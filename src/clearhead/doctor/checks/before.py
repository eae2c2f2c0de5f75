"""What probes find before a training begins."""

from __future__ import annotations

import math
from collections.abc import Iterator

from clearhead.doctor.checks.losses import GUESS
from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record

NO_OVERFIT = Kind(
    "cannot_overfit", "error", "two batches cannot be learned by heart",
    "look for labels that do not fit their inputs, parameters without gradient, a loss of the wrong kind, a rate that is far off",
    "the loss on two batches goes toward 0", "Karpathy 2019, overfit one batch", follows=("*",),
)  # fmt: skip
START = Kind(
    "loss_at_start_wrong", "warning", "the first loss is far from ln(classes), which a guess pays",
    "scale the last layer down at initialization; a loss far below means that the answer is seen",
    "the first loss is about ln(classes)", "Karpathy 2019, verify loss at init", follows=("*",),
)  # fmt: skip
DROPOUT_ON = Kind(
    "dropout_in_evaluation", "error", "two evaluations of one batch differ: something is drawn in evaluation mode",
    "use nn.Dropout, or give F.dropout its training=self.training", "two evaluations are the same",
    "PyTorch documentation, functional.dropout: training is True by default",
)  # fmt: skip
WRONG_GRADIENT = Kind(
    "wrong_gradient", "error", "the gradient is not that of the loss",
    "look at functions with a backward pass of your own, and at detach() inside the forward pass",
    "central differences agree in float64", "Griewank and Walther 2008; torch.autograd.gradcheck",
    follows=("no_gradient",),
)  # fmt: skip
DUPLICATES = Kind(
    "validation_in_training", "error", "rows of the validation are in the training data too",
    "split by content before anything is drawn", "no row of one is in the other", "Lee et al. 2022, Deduplicating training data",
)  # fmt: skip
ROUND_TRIP = Kind(
    "tokenizer_round_trip", "error", "texts do not come back from the tokenizer as they went in",
    "look at its normalizer, its unknown token, and whether encoder and decoder are of one model", "decode(encode(text)) is text",
    "Sennrich et al. 2016; Kudo and Richardson 2018, lossless tokenization",
)  # fmt: skip
VOCABULARY = Kind(
    "vocabulary_too_small", "error", "the tokenizer has more ids than the model has rows",
    "make the model with vocab = tokenizer's size, or resize its embedding", "the largest id is below the number of rows", "index of an embedding",
)  # fmt: skip
CACHE = Kind(
    "cache_mismatch", "error", "token by token with the cache, the model gives other logits than all at once",
    "look at the positions of new tokens (the length of the cache, not 0 and not one more) and at the mask",
    "both agree to rounding", "Pope et al. 2022; the same function computed twice",
)  # fmt: skip
NO_END = Kind(
    "end_not_learned", "error", "the token that ends a text is never a target: the model cannot learn to stop",
    "put it at the end of every example, and do not ignore it (it may also be the padding token)", "it is among the targets", "count of targets",
)  # fmt: skip
NO_EFFECT = Kind(
    "adapter_without_effect", "error", "the LoRA matrices change nothing",
    "look at alpha / r (0?), at whether the adapter is active, and whether it was merged and left",
    "another matrix B changes the output", "Hu et al. 2022, equation 3",
)  # fmt: skip
BREAKS = Kind(
    "rate_breaks", "error", "the learning rate is above the one at which the loss breaks",
    "take a tenth of the rate that breaks", "a run of a hundred steps falls smoothly", "Smith 2017, section 3.3, rate range test",
)  # fmt: skip

ENOUGH = 100  # steps on two batches before their loss must have fallen
LEARNED = 0.3  # share by which two batches' loss must fall
FAR = 1.5  # times ln K, or above it by so much
EXACT = 0.02  # relative error of a gradient: a loss may round to float32, and a wrong gradient is far off
CLOSE = 1e-2  # of the logits' size
COPIED = 0.01


def before(record: Record) -> Iterator[Finding]:
    """Each number of the preflight against its threshold."""
    m = record.fact("preflight", default={})
    start, end = m.get("loss_at_start", math.nan), m.get("loss_on_two_batches", math.nan)
    if math.isfinite(start) and start > 0.02 and m["steps_on_them"] >= ENOUGH and not end < (1 - LEARNED) * start:
        yield NO_OVERFIT.found("two batches", "loss", start=start, end=end, steps=m["steps_on_them"])
    outputs = record.fact("loss", "outputs", default=0)
    if (
        record.fact("loss", "kind") in GUESS
        and outputs > 1
        and math.isfinite(start)
        and start > FAR * math.log(outputs) + 0.2
    ):
        yield START.found("step 0", first=start, guess=math.log(outputs))
    if m.get("dropout_in_evaluation", 0) > 1e-6:
        yield DROPOUT_ON.found("the forward pass", difference=m["dropout_in_evaluation"])
    elif m.get("gradient_error", 0) > EXACT:
        yield WRONG_GRADIENT.found("the backward pass", relative_error=m["gradient_error"])
    if m.get("duplicates", 0) > COPIED:
        yield DUPLICATES.found("the validation", share=m["duplicates"])
    if m.get("round_trip", 1) < 1:
        yield ROUND_TRIP.found("the tokenizer", share_that_come_back=m["round_trip"])
    if m.get("vocabulary_left", 0) < 0:
        yield VOCABULARY.found("the embedding", rows_missing=-m["vocabulary_left"])
    if m.get("cache_error", 0) > CLOSE:
        yield CACHE.found("decoding", error=m["cache_error"])
    if m.get("end_learned") == 0:
        yield NO_END.found("the targets")
    if m.get("adapter_effect") == 0:
        yield NO_EFFECT.found("the adapter")
    rates = [group["lr"] for group in record.fact("optimizer", "groups", default=[]) if "lr" in group]
    if rates and record.fact("optimizer", "adaptive") and max(rates) >= m.get("rate_that_breaks", math.inf):
        yield BREAKS.found("the optimizer", lr=max(rates), breaks_at=m["rate_that_breaks"])


KINDS = (
    NO_OVERFIT,
    START,
    DROPOUT_ON,
    WRONG_GRADIENT,
    DUPLICATES,
    ROUND_TRIP,
    VOCABULARY,
    CACHE,
    NO_END,
    NO_EFFECT,
    BREAKS,
)
CHECKS = (before,)
