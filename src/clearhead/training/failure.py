"""Where a loss or a gradient stopped being a number: the step is computed again, watched module by module.

Deliberately not here: why. That is for `doctor`; this names the place and the usual remedies.
"""

from typing import Any

import torch
from torch import Tensor, nn

from clearhead.training.step import LossFn


def first_non_finite(model: nn.Module, loss_fn: LossFn, batch: Any) -> str:
    """The first weight, else activation, else gradient in the order of computation that is not finite."""
    for name, p in model.named_parameters():
        if not torch.isfinite(p).all():
            return f"the weight {name}"
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not found and not torch.isfinite(output).all():
                found.append(f"the output of {name}")

        return hook

    handles = [m.register_forward_hook(watch(name)) for name, m in model.named_modules() if name]
    try:
        loss = loss_fn(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    if found:
        return found[0]
    if not torch.isfinite(loss):
        return "the loss itself, after finite activations"
    model.zero_grad()
    loss.backward()
    # the gradient flows backwards: the last module with a broken one is where it began
    broken = [name for name, p in model.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    model.zero_grad()
    return f"the gradient of {broken[-1]}" if broken else "nothing that repeats outside the compiled step"
