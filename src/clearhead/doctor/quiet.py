"""Looking at a model without a trace: modes, gradients and random states are as before, and the model is a copy."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LARGEST_COPY = 2_000_000_000  # bytes of parameters that are copied for a probe


@contextmanager
def same_random_state() -> Iterator[None]:
    """What is drawn inside is not missing outside: Python's, NumPy's, torch's generators."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_available() else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def twin(model: nn.Module, training: bool = False) -> nn.Module | None:
    """A copy without hooks, in a mode; None of a model that is too large or cannot be copied."""
    if sum(p.numel() * p.element_size() for p in model.parameters()) > LARGEST_COPY:
        return None
    grads = [(p, p.grad) for p in model.parameters()]
    hooks = [(m, name, getattr(m, name)) for m in model.modules() for name in ("_forward_hooks", "_forward_pre_hooks")]
    try:
        for p, _ in grads:
            p.grad = None
        for module, name, found in hooks:
            setattr(module, name, type(found)())
        made = copy.deepcopy(model)
    except (RuntimeError, TypeError, AttributeError, NotImplementedError):
        return None
    finally:
        for module, name, found in hooks:
            setattr(module, name, found)
        for p, grad in grads:
            p.grad = grad
    return made.train(training)


def logits_of(output: Any) -> Tensor | None:
    """The tensor that a model gives: itself, `.logits`, or the first of several."""
    if isinstance(output, Tensor):
        return output
    for name in ("logits", "last_hidden_state"):
        if isinstance(found := getattr(output, name, None), Tensor):
            return found
    if isinstance(output, dict):
        return next((v for v in output.values() if isinstance(v, Tensor) and v.ndim), None)
    if isinstance(output, tuple | list):
        return next((v for v in output if isinstance(v, Tensor) and v.ndim), None)
    return None


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of a batch, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        yield torch.from_numpy(value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from tensors_in(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from tensors_in(each)


def mapped(value: Any, change: Any) -> Any:
    """The same structure with `change(tensor)` for its tensors."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return (
            type(value)({k: mapped(v, change) for k, v in value.items()})
            if type(value) is dict
            else {k: mapped(v, change) for k, v in value.items()}
        )
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(v, change) for v in value))
    if isinstance(value, tuple | list):
        return type(value)(mapped(v, change) for v in value)
    return value
