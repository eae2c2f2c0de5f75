"""A model and its optimizer as plain facts: every parameter as it is before training, who updates it, and how."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

ADAPTIVE = ("adam", "adagrad", "rmsprop", "lion", "adafactor", "rprop", "muon", "adamax", "nadam")
NORMS = ("Norm",)


@torch.no_grad()
def parameters(model: nn.Module, optimizer: Any | None) -> dict[str, dict[str, Any]]:
    """Facts of every parameter by its name; a tied one is told once."""
    owners = Counter(id(p) for group in groups(optimizer) for p in group["params"])
    kinds = {id(p): type(module).__name__ for module in model.modules() for p in module.parameters(recurse=False)}
    return {name: _facts(p, kinds[id(p)], owners[id(p)]) for name, p in model.named_parameters()}


def _facts(p: Tensor, module: str, owners: int) -> dict[str, Any]:
    rows = p.detach().float().reshape(p.shape[0], -1) if p.ndim >= 2 else p.detach().float().reshape(1, -1)
    fan_in = rows.shape[1]
    embedding = "Embedding" in module
    facts: dict[str, Any] = {
        "shape": list(p.shape), "trainable": p.requires_grad, "owners": owners, "module": module,
        "half": p.element_size() < 4,
        "matrix": p.ndim >= 2 and not embedding and p.numel() > fan_in, "norm": any(n in module for n in NORMS),
        "finite": bool(torch.isfinite(rows).all()),
    }  # fmt: skip
    if p.ndim >= 2 and p.numel():
        std = float(rows.std()) if rows.numel() > 1 else 0.0
        facts |= {
            "gain": std * math.sqrt(fan_in), "zero": not bool(rows.any()),
            "equal_rows": len(rows) > 1 and bool((rows == rows[:1]).all()), "drawn": drawn(rows),
        }  # fmt: skip
    return facts


def alike(rows: Tensor) -> bool:
    """Are all rows the same, but for rounding?"""
    return float((rows - rows[:1]).abs().max()) <= 1e-3 * float(rows.abs().max())


def drawn(values: Tensor) -> str:
    """Does it look as drawn from a uniform or a normal distribution, never trained? By the kurtosis: 1.8 and 3."""
    flat = values.flatten()[:65536]
    if len(flat) < 256:
        return ""
    spread = float(flat.std())
    if spread == 0 or abs(float(flat.mean())) > 0.1 * spread:
        return ""
    kurtosis = float(((flat - flat.mean()) / spread).pow(4).mean())
    error = math.sqrt(24 / len(flat))
    if abs(kurtosis - 1.8) < 0.1 and float(flat.abs().max()) < 1.9 * spread:
        return "uniform"
    return "normal" if abs(kurtosis - 3) < max(0.15, 3 * error) else ""


def groups(optimizer: Any | None) -> list[dict[str, Any]]:
    return list(getattr(optimizer, "param_groups", []) or [])


def settings(model: nn.Module, optimizer: Any | None) -> dict[str, Any]:
    """What the optimizer is told, and whose parameters it holds."""
    ours = {id(p) for p in model.parameters()}
    held = [p for group in groups(optimizer) for p in group["params"]]
    name = type(optimizer).__name__ if optimizer is not None else ""
    told = [
        {
            key: (list(value) if isinstance(value, tuple) else value)
            for key, value in group.items()
            if isinstance(value, int | float | bool | tuple) and key != "params"
        }
        | {"flat": sum(p.ndim < 2 for p in group["params"]), "tensors": len(group["params"])}
        for group in groups(optimizer)
    ]
    told = [{k: [float(v) for v in x] if isinstance(x, list) else x for k, x in group.items()} for group in told]
    return {
        "name": name, "adaptive": any(word in name.lower() for word in ADAPTIVE), "groups": told,
        "foreign": sum(id(p) not in ours for p in held), "held": len(held),
        "decoupled": name in ("AdamW", "Lion", "Muon") or any(group.get("decoupled_weight_decay") for group in told),
    }  # fmt: skip


def structure(model: nn.Module) -> Mapping[str, Any]:
    """Modules whose behavior depends on the mode, dropout rates, and what reads the input first."""
    modules = list(model.modules())
    drops = [m.p for m in modules if isinstance(m, nn.modules.dropout._DropoutNd)]
    drops += [m.dropout for m in modules if isinstance(m, nn.RNNBase | nn.MultiheadAttention) and m.dropout]
    leaf = next((m for m in modules if not list(m.children())), None)
    return {
        "modal": sum(p > 0 for p in drops) + sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in modules),
        "dropout": max(drops, default=0.0),
        "batch_norm": sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in modules),
        "first_is_norm": leaf is not None and "Norm" in type(leaf).__name__,
        "recurrent": sum(isinstance(m, nn.RNNBase | nn.RNNCellBase) for m in modules),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
