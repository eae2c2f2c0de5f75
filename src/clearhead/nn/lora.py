"""LoRA: a frozen matrix and, beside it, an update of low rank that is trained in its place.

A fused matrix holds several of the parts that people name (q, k and v; gate and up), and each part has an update of its
own. Deliberately not here: files (models.adapter).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.nn.layers import MLP, Attention

TARGETS = ("q", "k", "v", "o", "gate", "up", "down")


@dataclass(frozen=True)
class LoraConfig:
    """The update is (alpha / rank) B A; its input is dropped out with probability `dropout` while training.

    `targets`: parts of our blocks, or in a model that has none of them the last names of its linear layers.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = TARGETS

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UserError(f"rank = {self.rank} must be at least 1; a full fine-tuning needs no rank")
        if not 0 < self.alpha < math.inf:
            raise UserError(f"alpha = {self.alpha} must be a positive number; twice the rank is usual")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout = {self.dropout} must be at least 0 and below 1")
        if not self.targets:
            raise UserError(f"there is no target; choose among {', '.join(TARGETS)}")

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


def low_rank(
    x: Float[Tensor, "*B D"], a: Float[Tensor, "R D"], b: Float[Tensor, "M R"], scale: float
) -> Float[Tensor, "*B M"]:
    """scale · x Aᵀ Bᵀ, O(R (D + M)) a row. Hu et al. 2021, equation 3, where scale = α / r."""
    return F.linear(scale * F.linear(x, a), b)  # R numbers a row are scaled, and not M


def merged(
    weight: Float[Tensor, "M D"], a: Float[Tensor, "R D"], b: Float[Tensor, "M R"], scale: float
) -> Float[Tensor, "M D"]:
    """W + scale · B A, computed in float32 and rounded once."""
    return (weight.float() + scale * (b.float() @ a.float())).to(weight.dtype)


class LoraLinear(nn.Module):
    """h = W x + bias + (α / r) B A x, for those rows of W that have an update. `a` and `b` hold one matrix a part.

    A is uniform ±1/√D and B zero, so that training starts at the frozen layer.
    """

    def __init__(
        self, linear: nn.Linear, rows: Mapping[str, slice], config: LoraConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.weight, self.bias, self.config = linear.weight, linear.bias, config
        self.rows = dict(rows)  # all parts of the matrix, in order, those without an update too
        width, device = linear.in_features, linear.weight.device
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        for name, part in self.rows.items():
            if name in config.targets:
                a = torch.empty(config.rank, width).uniform_(-(width**-0.5), width**-0.5, generator=generator)
                self.a[name] = nn.Parameter(a.to(device))
                self.b[name] = nn.Parameter(torch.zeros(part.stop - part.start, config.rank, device=device))

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B M"]:
        updates = [self.update(name, x) for name in self.rows]
        return F.linear(x, self.weight, self.bias) + torch.cat(updates, -1)

    def update(self, name: str, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B N"]:
        """What one part adds to its rows; nothing where it has no update."""
        if name not in self.a:
            part = self.rows[name]
            return x.new_zeros(*x.shape[:-1], part.stop - part.start)
        dropped = F.dropout(x, self.config.dropout, self.training)
        return low_rank(dropped, self.a[name].to(x.dtype), self.b[name].to(x.dtype), self.config.scale)

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """The plain layer that computes the same; its weight is a new tensor."""
        M, D = self.weight.shape
        plain = nn.Linear(D, M, bias=self.bias is not None, device="meta")
        weight = self.weight.detach().clone()
        for name in self.a:
            part = self.rows[name]
            weight[part] = merged(weight[part], self.a[name], self.b[name], self.config.scale)
        plain.weight = nn.Parameter(weight, requires_grad=False)
        plain.bias = self.bias
        return plain


class TargetModule(NamedTuple):
    """A matrix of a block: the module that holds it, its name there and in the whole model, and its parts' rows."""

    module: nn.Module
    attribute: str
    name: str
    rows: dict[str, slice]


def target_modules(model: nn.Module) -> list[TargetModule]:
    """Every matrix that may have an update, in the model's order: those of our blocks, or else all linear layers."""
    return list(_in_blocks(model)) or list(_linear_layers(model))


def _linear_layers(model: nn.Module) -> Iterator[TargetModule]:
    for name, module in model.named_modules():
        for attribute, layer in module.named_children():
            if isinstance(layer, nn.Linear | LoraLinear):
                yield TargetModule(
                    module, attribute, f"{name}.{attribute}", {attribute: slice(0, layer.weight.shape[0])}
                )


def _in_blocks(model: nn.Module) -> Iterator[TargetModule]:
    for name, module in model.named_modules():
        if isinstance(module, Attention):
            (H, G), C = module.heads, module.head_dim
            yield TargetModule(module, "qkv", f"{name}.qkv", _stacked({"q": H * C, "k": G * C, "v": G * C}))
            yield TargetModule(module, "out", f"{name}.out", _stacked({"o": module.out.weight.shape[0]}))
        elif isinstance(module, MLP):
            (wide, _), (width, hidden) = module.up.weight.shape, module.down.weight.shape
            up = {"up": hidden} if wide == hidden else {"gate": hidden, "up": hidden}
            yield TargetModule(module, "up", f"{name}.up", _stacked(up))
            yield TargetModule(module, "down", f"{name}.down", _stacked({"down": width}))


def _stacked(sizes: Mapping[str, int]) -> dict[str, slice]:
    """
    >>> _stacked({"q": 4, "k": 2})
    {'q': slice(0, 4, None), 'k': slice(4, 6, None)}
    """
    ends: dict[str, slice] = {}
    start = 0
    for name, size in sizes.items():
        ends[name] = slice(start, start + size)
        start += size
    return ends


def resolved(model: nn.Module, config: LoraConfig) -> LoraConfig:
    """With the targets that a model has; UserError where it lacks one that was asked for."""
    known = sorted({part for target in target_modules(model) for part in target.rows})
    if config.targets == TARGETS:  # all parts, whichever a model has
        config = replace(config, targets=tuple(known) or TARGETS)
    if missing := [target for target in config.targets if target not in known]:
        choice = f"choose among {', '.join(known)}" if known else "it has no linear layer"
        raise UserError(f"{missing[0]!r} is no part of this model that can be updated; {choice}")
    return config


def add_lora(model: nn.Module, config: LoraConfig, seed: int = 0) -> None:
    """Freeze the model, in place, and give its targets an update that can be trained. UserError where it has none such.

    Any module with linear layers may be given; the default targets are then all of these.
    """
    config = resolved(model, config)
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for target in target_modules(model):
        if not set(target.rows).isdisjoint(config.targets):
            linear = getattr(target.module, target.attribute)
            assert isinstance(linear, nn.Linear), target.name
            setattr(target.module, target.attribute, LoraLinear(linear, target.rows, config, generator))


def merge(model: nn.Module) -> None:
    """Put every update into its matrix, in place: the same function without a cost beside the model's own."""
    for target in target_modules(model):
        layer = getattr(target.module, target.attribute)
        if isinstance(layer, LoraLinear):
            setattr(target.module, target.attribute, layer.merge())
