"""The order of a training step: forward, zero_grad, backward, step; modes; who is updated."""

from __future__ import annotations

from collections.abc import Iterator

from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record

NO_ZERO_GRAD = Kind(
    "no_zero_grad", "error", "gradients of earlier steps are still there when new ones are added to them",
    "call optimizer.zero_grad() once in every step, before backward()",
    "after it, the gradients before each backward pass are None or 0",
    "PyTorch documentation, zero_grad: gradients accumulate; Zhang et al. 2018 (TensorFlow and PyTorch defects)",
)  # fmt: skip
EARLY_STEP = Kind(
    "step_before_backward", "error", "optimizer.step() comes before the backward pass of its loss",
    "order the lines as loss.backward(), optimizer.step(), optimizer.zero_grad()",
    "the first step already changes the weights by its own gradient",
    "PyTorch documentation, torch.optim: taking an optimization step",
)  # fmt: skip
ERASED = Kind(
    "gradient_erased", "error", "gradients are set to zero between backward() and step()",
    "move zero_grad() before backward(), or behind step()", "the gradient norm at step() is that after backward()",
    "PyTorch documentation, torch.optim",
)  # fmt: skip
NO_STEP = Kind(
    "no_step", "error", "backward() is called, but optimizer.step() never is",
    "call optimizer.step() after backward()", "the weights change",
    "PyTorch documentation, torch.optim",
)  # fmt: skip
EVAL_MODE = Kind(
    "eval_mode_in_training", "error", "the model is in evaluation mode while it trains: dropout and batch norm rest",
    "call model.train() after every evaluation, before the next training step", "model.training is True at every step",
    "PyTorch documentation, Module.train; TrainCheck (Jiang et al. 2025), mode errors",
)  # fmt: skip
TRAIN_MODE = Kind(
    "train_mode_in_evaluation", "error", "the model is evaluated in training mode: dropout is on, batch norm learns from held-out data",
    "call model.eval() before the evaluation and model.train() after it", "two evaluations of the same weights agree",
    "PyTorch documentation, Module.eval",
)  # fmt: skip
NOT_HELD = Kind(
    "parameters_not_in_optimizer", "error", "trainable parameters get gradients, but no optimizer updates them",
    "make the optimizer from model.parameters() after the last layer was added or replaced",
    "every parameter with a gradient changes at a step",
    "TrainCheck (Jiang et al. 2025); UMLAUT (Schoop et al. 2021)",
)  # fmt: skip
HELD_TWICE = Kind(
    "parameter_held_twice", "error", "a parameter is in the optimizer more than once, and is updated more than once",
    "put every parameter into one group", "each parameter has one owner", "PyTorch documentation, torch.optim",
)  # fmt: skip
NO_GRADIENT = Kind(
    "no_gradient", "error", "no gradient ever reaches some trainable parameters",
    "look for detach(), .data, .item(), numpy(), argmax or no_grad() on the way from them to the loss, and for modules "
    "that the forward pass does not use",
    "every parameter's gradient is not None after the first backward pass",
    "NeuraLint (Nikanjam et al. 2021); DeepLocalize (Wardat et al. 2021)",
)  # fmt: skip
FROZEN = Kind(
    "frozen_random", "warning", "parameters are frozen as they were drawn at random, and were never trained",
    "set requires_grad = True for them, or load the weights that they should have",
    "they are trainable, or no longer look as drawn", "kurtosis of uniform and normal draws; UMLAUT (Schoop et al. 2021)",
)  # fmt: skip
NOTHING_TRAINABLE = Kind(
    "nothing_trainable", "error", "no parameter is trainable",
    "set requires_grad = True for what is to be learned; for LoRA, add the adapters after freezing the rest",
    "the number of trainable parameters is above 0", "Hu et al. 2022 (LoRA), section 4.1",
)  # fmt: skip
UNSCALED = Kind(
    "accumulation_unscaled", "warning", "several backward passes make one step, and their losses are summed, not averaged",
    "divide each loss by the number of passes", "the gradient norm does not change with the number of passes",
    "Hugging Face, Fixing gradient accumulation (2024)",
)  # fmt: skip

MOSTLY = 0.5  # share of the steps at which an order must be wrong to be the loop's
FEW = 5  # steps before an order is judged


def order(record: Record) -> Iterator[Finding]:
    """Counts of events: stale gradients at the first backward pass of a step, steps without their backward pass."""
    o = record.fact("order")
    if not o:
        return
    if o["backwards"] >= FEW and o["steps"] == 0 and record.fact("optimizer", "held"):
        yield NO_STEP.found("the loop", backward_passes=o["backwards"], steps=0)
        return
    if o["compared"] > FEW and o["stale"] > MOSTLY * o["compared"]:
        yield NO_ZERO_GRAD.found("the loop", "grad_norm", steps=o["compared"], with_old_gradients=o["stale"])
    if o["steps"] >= FEW and o["early"] > MOSTLY * o["steps"]:
        yield EARLY_STEP.found("the loop", steps=o["steps"], before_backward=o["early"])
    elif o["erased"] >= 2:
        yield ERASED.found("the loop", steps_looked_at=record.fact("looked", default=0), erased=o["erased"])
    per_step = o["per_step"]
    if (
        per_step > 1
        and o["forwards"] >= per_step * o["steps"] * 0.9
        and not record.fact("loss", "scaled", default=True)
    ):
        raw, used = record.get("raw_norm").values, record.get("grad_norm").values
        if not len(raw) or not len(used) or used[-1] > 0.9 * raw[-1]:
            yield UNSCALED.found("the loss", passes_per_step=per_step)


def modes(record: Record) -> Iterator[Finding]:
    """How many passes ran in the wrong mode, of a model in which the mode matters."""
    o = record.fact("order")
    if not o or not record.fact("structure", "modal"):
        return
    if o["backwards"] >= FEW and o["eval_trained"] > 0.2 * o["backwards"]:
        yield EVAL_MODE.found("model.training", steps=o["backwards"], in_evaluation_mode=o["eval_trained"])
    if o["evaluated"] >= 2 and o["train_evaluated"] > MOSTLY * o["evaluated"]:
        yield TRAIN_MODE.found("the evaluation", evaluations=o["evaluated"], in_training_mode=o["train_evaluated"])


def owners(record: Record) -> Iterator[Finding]:
    """Trainable parameters by who updates them, and by whether a gradient ever reached them: never, zero, some."""
    parameters, reached = record.fact("parameters", default={}), record.fact("gradients", default={})
    if not parameters:
        return
    trainable = {name: p for name, p in parameters.items() if p["trainable"]}
    if not trainable:
        yield NOTHING_TRAINABLE.found("the model", parameters=len(parameters))
        return
    if record.fact("optimizer", "held"):
        alone = [name for name, p in trainable.items() if p["owners"] == 0]
        if alone:
            yield NOT_HELD.found(_some(alone), without_owner=len(alone), trainable=len(trainable))
    twice = [name for name, p in trainable.items() if p["owners"] > 1]
    if twice:
        yield HELD_TWICE.found(_some(twice), parameters=len(twice))
    if record.fact("order", "backwards", default=0) >= 3 and any(reached.values()):
        never = [name for name in trainable if reached.get(name) == 0]
        if never:
            yield NO_GRADIENT.found(_some(never), without_gradient=len(never), trainable=len(trainable))
    frozen = [name for name, p in parameters.items() if not p["trainable"] and p.get("drawn") and p["matrix"]]
    if frozen:
        yield FROZEN.found(_some(frozen), frozen=len(frozen), drawn=parameters[frozen[0]]["drawn"])


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


KINDS = (
    NO_ZERO_GRAD, EARLY_STEP, ERASED, NO_STEP, EVAL_MODE, TRAIN_MODE, NOT_HELD, HELD_TWICE, NO_GRADIENT, FROZEN,
    NOTHING_TRAINABLE, UNSCALED,
)  # fmt: skip
CHECKS = (order, modes, owners)
