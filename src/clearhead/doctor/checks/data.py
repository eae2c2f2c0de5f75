"""Are the batches what they should be? Their size, order, labels, padding, and what of them the model may see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record, ends

BAD_INPUTS = Kind(
    "bad_inputs", "error", "the inputs hold NaN or infinities, or are all the same",
    "find the rows and leave them out, or mend how they are read", "all inputs are finite, and differ",
    "UMLAUT (Schoop et al. 2021), input checks",
)  # fmt: skip
BAD_LABELS = Kind(
    "bad_labels", "error", "the targets hold NaN or infinities, or none of them is learned",
    "mend the targets; with an ignore index, look at where it is written", "all learned targets are finite, and there are some",
    "UMLAUT (Schoop et al. 2021)",
)  # fmt: skip
NOT_NORMALIZED = Kind(
    "inputs_not_normalized", "warning", "the inputs are far from mean 0 and size 1",
    "subtract the mean and divide by the standard deviation of the training data, feature by feature",
    "the first layer's gradients and the rate fit; the loss falls from the start",
    "LeCun et al. 1998, Efficient backprop, section 4.3; UMLAUT (Schoop et al. 2021)",
)  # fmt: skip
UNSHUFFLED = Kind(
    "unshuffled", "error", "a batch holds hardly more than one kind of label: the data are sorted",
    "shuffle the rows before every epoch (shuffle=True)", "the labels of one batch are as mixed as all of them",
    "Bottou 2012, Stochastic gradient descent tricks, section 4.1; entropy of labels within and over batches",
)  # fmt: skip
REPEATED = Kind(
    "same_batch", "error", "one and the same batch is given again and again",
    "make the iterator once, outside the loop, and look at the seed of the sampler", "batches differ from step to step",
    "fingerprints of the inputs",
)  # fmt: skip
FIXED_ORDER = Kind(
    "fixed_order", "note", "every epoch has its batches in the same order",
    "shuffle the rows before every epoch", "the second epoch begins with another batch", "Bottou 2012, section 4.1",
)  # fmt: skip
UNRELATED = Kind(
    "labels_unrelated", "error", "the labels have nothing to do with the inputs: nothing but their frequencies is learned",
    "look at pairs of input and label as the model gets them: one was shuffled, shifted or sorted without the other",
    "a nearest neighbor has the same label more often than chance", "Cover and Hart 1967; Zhang et al. 2017, random labels",
)  # fmt: skip
NOT_SHIFTED = Kind(
    "labels_not_shifted", "error", "the target of a position is the token that it reads: the model learns to copy",
    "let position t learn token t + 1: logits[:, :-1] against tokens[:, 1:]", "the first loss is not 0 within a few steps",
    "Radford et al. 2019; share of targets that equal the token k places on",
)  # fmt: skip
SHIFTED_TWICE = Kind(
    "labels_shifted_twice", "error", "the target of a position is the token after the next one",
    "shift once: either the data or the loss", "position t learns token t + 1",
    "Hugging Face models shift labels inside; share of targets that equal the token k places on",
)  # fmt: skip
BACKWARD = Kind(
    "labels_backward", "error", "the target of a position is the token before it",
    "let position t learn token t + 1", "position t learns token t + 1", "share of targets that equal the token k places on",
)  # fmt: skip
FUTURE = Kind(
    "future_leak", "error", "a position sees tokens after it, and so what it should predict",
    "add the causal mask (is_causal=True, or -inf above the diagonal) before the softmax",
    "changing later tokens changes no earlier output", "Vaswani et al. 2017, section 3.2.3; by perturbation",
)  # fmt: skip
BLIND = Kind(
    "past_not_seen", "error", "a prediction does not depend on the tokens before its own",
    "look at the mask (its sign, its diagonal) and at what attention adds to the stream", "changing the first tokens changes the last output",
    "by perturbation", follows=("no_learning", "future_leak"),
)  # fmt: skip
NO_POSITIONS = Kind(
    "no_positions", "error", "the order of the earlier tokens makes no difference to the model",
    "add positions: learned, rotary or sinusoidal", "exchanging two earlier tokens changes the last output",
    "Vaswani et al. 2017, section 3.5; by permutation",
)  # fmt: skip
ROWS_MIX = Kind(
    "rows_mixed", "error", "the output for a row depends on the other rows of its batch",
    "look for view() where transpose() is meant, batch_first, and softmax or norms over dimension 0",
    "a row alone gives what it gives in a batch", "Karpathy 2019, use backprop to chart dependencies; by perturbation",
    follows=("dropout_in_evaluation",),
)  # fmt: skip
PAD_LEARNED = Kind(
    "loss_on_padding", "error", "padding is learned: a part of the targets is the padding token",
    "set the targets of padding to the ignore index", "no learned target is the padding token",
    "Hugging Face documentation, labels of -100; share of learned targets",
)  # fmt: skip
PAD_SEEN = Kind(
    "padding_seen", "error", "outputs at real tokens depend on how much padding there is",
    "mask padding in attention, take the last real position, and count positions from the first real token",
    "one column of padding less changes no output", "by cutting off a column of padding", follows=("future_leak", "rows_mixed", "dropout_in_evaluation"),
)  # fmt: skip
PADDING = Kind(
    "much_padding", "note", "most of a batch is padding", "pack documents, or batch rows of like length",
    "the share of padding falls, and tokens a second rise", "share of padding tokens",
)  # fmt: skip
IMBALANCE = Kind(
    "one_label_dominates", "note", "nearly all labels are the same", "weigh the classes, and look at more than accuracy",
    "recall of the rare classes rises", "share of the most frequent label",
)  # fmt: skip

SIZE = 10.0  # rms of the inputs from which on a first layer must first unlearn their scale
TINY = 1e-3
SPREADS = 300.0  # of the features, largest over smallest
SORTED = 0.5  # share of the entropy that a fair batch of this size would have
SHARE = 0.95  # of the targets that equal the token k places on
TOUCHED = 1e-3  # of an output's size: float32 is a thousand times as exact
BLINDNESS = 1e-6
GUESSED = 0.97  # of the entropy of the labels: the loss of a model that knows their frequencies alone
CHANCE = 2.5  # standard errors


def inputs(record: Record) -> Iterator[Finding]:
    """Finite, varied, and of a size near 1."""
    x, labels = record.fact("inputs", default={}), record.fact("labels", default={})
    if x.get("broken") or (x.get("constant") and record.fact("looked", default=0) > 1):
        yield BAD_INPUTS.found("the batches", share_not_finite=x.get("broken", 0.0), constant=x.get("constant", 0.0))
    elif "rms" in x and not record.fact("structure", "first_is_norm"):
        uneven = x["spread_ratio"] > SPREADS and x["largest_spread"] > SIZE
        if x["rms"] > SIZE or 0 < x["rms"] < TINY or uneven:
            yield NOT_NORMALIZED.found("the batches", mean=x["mean"], rms=x["rms"], largest=x["largest"])
    if labels.get("broken") or labels.get("ignored", 0.0) > 0.999:
        yield BAD_LABELS.found("the targets", share_ignored=labels.get("ignored", 0.0))


def order(record: Record) -> Iterator[Finding]:
    """Entropy (or variance) of labels within a batch against that over all batches; batches that come again."""
    labels, batches = record.fact("labels", default={}), record.fact("batches", default={})
    looked = record.fact("looked", default=0)
    if batches.get("longest_run", 0) >= 10 and batches["different"] <= 2 and batches["length"] != 1:
        yield REPEATED.found("the iterator", batches_seen=batches["seen"], different=batches["different"])
        return
    if looked >= 4 and labels.get("batch", 0) >= 4:
        if labels.get("fair", 0) > 0.2 and labels["within"] < SORTED * labels["fair"]:
            yield UNSHUFFLED.found("the batches", entropy_within=labels["within"], entropy_of_all=labels["entropy"])
        if labels.get("variance", 0) > 0 and labels["within_variance"] < 0.3 * labels["variance"]:
            yield UNSHUFFLED.found(
                "the batches", variance_within=labels["within_variance"], variance_of_all=labels["variance"]
            )
    if batches.get("fixed_order") and batches["different"] > 3:
        yield FIXED_ORDER.found("the iterator", batches=batches["different"])


def shifts(record: Record) -> Iterator[Finding]:
    """The share of targets that are the token k places on: k = 1 is right."""
    shift = record.fact("labels", "shift", default={})
    if not shift or shift.get("1", 0) > SHARE:
        return
    best = max(shift, key=lambda k: shift[k])
    kinds = {"0": NOT_SHIFTED, "2": SHIFTED_TWICE, "-1": BACKWARD}
    if shift[best] > SHARE and best in kinds and record.fact("labels", "ignored", default=0.0) < 0.6:
        yield kinds[best].found("the targets", share=shift[best], places_on=float(best))


def probes(record: Record) -> Iterator[Finding]:
    """Perturbations: what must not change, and how far it did as a share of the outputs' size."""
    probe, shift = record.fact("probe", default={}), record.fact("labels", "shift", default={})
    if probe.get("rows", 0) > TOUCHED and probe.get("rows_known"):
        yield ROWS_MIX.found("the forward pass", change=probe["rows"])
    language = max((shift.get(k, 0) for k in ("1", "2")), default=0) > 0.5
    if language and probe.get("future", 0) > TOUCHED:
        yield FUTURE.found("the forward pass", "loss", change=probe["future"])
    elif language and probe.get("past", 1) < BLINDNESS:
        yield BLIND.found("the forward pass", change=probe["past"])
    elif language and probe.get("order", 1) < 1e-5:
        yield NO_POSITIONS.found("the forward pass", change=probe["order"])
    labels = record.fact("labels", default={})
    if probe.get("padding", 0) > 10 * TOUCHED:
        yield PAD_SEEN.found("left padding" if labels.get("pad_left") else "right padding", change=probe["padding"])


def padding(record: Record) -> Iterator[Finding]:
    """Learned targets that are the padding token, and the share of padding."""
    labels = record.fact("labels", default={})
    language = max(labels.get("shift", {}).values(), default=0) > 0.5
    if language and labels.get("pad_learned", 0) > 0.05 and labels.get("pad_share", 0) > 0.05:
        yield PAD_LEARNED.found(
            f"token {labels['pad']}", share_of_targets=labels["pad_learned"], share_of_inputs=labels["pad_share"]
        )
    if labels.get("pad_share", 0) > 0.6:
        yield PADDING.found("the batches", share=labels["pad_share"])


def unrelated(record: Record) -> Iterator[Finding]:
    """Held-out loss (without one: that of the first epoch, and of the end) never below GUESSED of the labels' entropy or variance, and
    neighbors agree no more often than chance has it.
    """
    labels, related = record.fact("labels", default={}), record.fact("labels", "related")
    prior = labels.get("entropy", labels.get("variance", 0.0))
    if related is None or not np.isfinite(related) or related > CHANCE or not prior or prior < 0.1:
        return
    if record.fact("loss", "kind") not in ("cross_entropy", "mse") or (record.fact("loss", "root") == "Sum"):
        return
    held, loss = record.get("val_loss").finite.values, record.get("loss").finite.values
    epoch = int(record.fact("batches", "length", default=0) or record.fact("batches", "different", default=0))
    fresh = loss[: max(epoch, 10)]
    early = float(np.median(fresh[len(fresh) // 2 :])) if len(fresh) else np.inf
    best = float(held.min()) if len(held) > 1 else min(early, ends(loss)[2])
    if best > GUESSED * prior:
        yield UNRELATED.found(
            "the labels", "loss", best_loss=best, of_a_guess=prior, standard_errors_above_chance=related
        )


def imbalance(record: Record) -> Iterator[Finding]:
    top = record.fact("labels", "top", default=0.0)
    if top > 0.95 and record.fact("labels", "classes", default=0) > 1:
        yield IMBALANCE.found("the labels", share=top)


KINDS = (
    BAD_INPUTS, BAD_LABELS, NOT_NORMALIZED, UNSHUFFLED, REPEATED, FIXED_ORDER, UNRELATED, NOT_SHIFTED, SHIFTED_TWICE, BACKWARD,
    FUTURE, BLIND, NO_POSITIONS, ROWS_MIX, PAD_LEARNED, PAD_SEEN, PADDING, IMBALANCE,
)  # fmt: skip
CHECKS = (inputs, order, shifts, probes, padding, unrelated, imbalance)
