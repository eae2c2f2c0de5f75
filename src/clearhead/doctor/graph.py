"""What the autograd graph behind a loss says about it, whatever modules or functions wrote it.

Every operation kept what its gradient needs: results of activations, targets and predictions of losses. They are read
before the backward pass frees them, and never changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MOST_NODES = 20_000
MOST_ROWS = 4096  # of an activation that are looked at

LOSSES = {
    "NllLoss": "nll", "NllLoss2D": "nll", "MseLoss": "mse", "SmoothL1Loss": "mse", "HuberLoss": "mse",
    "BinaryCrossEntropy": "bce", "BinaryCrossEntropyWithLogits": "bce_logits", "Pow": "mse", "Abs": "mse",
}  # fmt: skip
ACTIVATIONS = {
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softmax": "softmax", "LogSoftmax": "log_softmax",
    "Gelu": "gelu", "Silu": "silu", "LeakyRelu": "leaky_relu", "Elu": "elu", "Softplus": "softplus",
}  # fmt: skip
NONLINEAR = {
    *ACTIVATIONS,
    "Hardtanh",
    "Pow",
    "Exp",
    "Clamp",
    "Threshold",
    "Maximum",
    "PreluKernel",
    "MaxPool2DWithIndices",
    "Mish",
    "Hardswish",
    "Abs",
    "Sin",
    "Cos",
}
RNN = ("Rnn", "Cudnn", "Lstm", "Gru", "ThnnFused")
VIEWS = {
    "View", "UnsafeView", "ReshapeAlias", "Transpose", "T", "Permute", "Squeeze", "Unsqueeze", "Slice", "Select",
    "Clone",
    "ToCopy", "Index", "Alias", "Expand", "Split", "AsStrided", "Unbind", "Detach", "IndexSelect", "MaskedSelect",
}  # fmt: skip
LINEAR = {"Addmm", "Mm", "Addbmm", "Mv", "Linear"}
REACH = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "log_softmax": (-math.inf, 0.0),
}


@dataclass(frozen=True)
class Unit:
    """An activation of the forward pass: its place in the graph, what it is, and its values, "N F"."""

    place: int
    kind: str
    values: Tensor


@dataclass(frozen=True)
class LossView:
    """A loss as the graph shows it. `predicted` and `target` are what it compared, "N K" and "N", or of one shape."""

    kind: str
    last: str  # the activation that made the predictions, if any did
    linear_before: bool
    negated: bool
    root: str
    broadcast: str
    predicted: Tensor | None
    target: Tensor | None
    ignored: int
    scaled: bool

    @property
    def width(self) -> int:
        """Outputs of a row; 0 where they are not known."""
        return self.predicted.shape[-1] if self.predicted is not None and self.predicted.ndim > 1 else 0


def plain(node: Any) -> str:
    """
    >>> plain(torch.ones(2, requires_grad=True).relu().grad_fn)
    'Relu'
    """
    return str(node.name()).rpartition(":")[2].partition("Backward")[0]


def walk(root: Any) -> list[Any]:
    """Every node behind a loss, the nearest first."""
    seen, order, at = {root}, [root], 0
    while at < len(order) < MOST_NODES:
        for node, _ in order[at].next_functions:
            if node is not None and node not in seen:
                seen.add(node)
                order.append(node)
        at += 1
    return order


def saved(node: Any, name: str) -> Any:
    """What a node kept; None where it did not, or it is gone."""
    try:
        return getattr(node, f"_saved_{name}", None)
    except RuntimeError:
        return None


def shape(node: Any) -> tuple[int, ...]:
    """Of the forward result of a node."""
    found = getattr(node, "_input_metadata", None)
    return tuple(found[0].shape) if found else ()


def before(node: Any, which: int = 0) -> Any:
    """The node that made an input of this one."""
    following = node.next_functions
    return following[which][0] if len(following) > which else None


def through_views(node: Any) -> Any:
    """The nearest node that computed something, not only arranged it."""
    while node is not None and plain(node) in VIEWS:
        node = before(node)
    return node


def signed(dim: Any) -> int:
    """A dimension, which a node may hold without its sign."""
    return int(dim) - (1 << 64) if int(dim) >> 63 else int(dim)


def loss_view(nodes: Sequence[Any]) -> LossView | None:
    """The first loss on the way back from the root, and what it compared."""
    op = next((node for node in nodes[:200] if plain(node) in LOSSES), None)
    root = plain(nodes[0])
    if op is None:
        return _by_log_probs(nodes)
    kind, name = LOSSES[plain(op)], plain(op)
    source, difference = before(op), None
    if name in ("Pow", "Abs"):
        difference = saved(op, "self")
        if difference is None or source is None or plain(source) not in ("Sub", "Rsub"):
            return None
        source = before(source) or before(source, 1)
    made = through_views(source)
    last = ACTIVATIONS.get(plain(made), "") if made is not None else ""
    predicted, target = saved(op, "self"), saved(op, "target")
    if kind == "nll":
        if last == "log_softmax":
            made = through_views(before(made))
            last = ACTIVATIONS.get(plain(made), "") if made is not None else ""
            kind = "cross_entropy"
        elif last != "softmax" and predicted is not None and _normalized(predicted):
            last = ""
            kind = "cross_entropy"
    scaled = any(plain(node) in ("Div", "Mul") for node in nodes[: nodes.index(op)])
    negated = any(plain(node) == "Neg" for node in nodes[: nodes.index(op)])
    broadcast = _broadcast(op, source, difference)
    ignored = saved(op, "ignore_index")
    return LossView(
        kind, last, made is not None and plain(made) in LINEAR, negated, root, broadcast,
        None if difference is not None else predicted, target, -100 if ignored is None else signed(ignored), scaled,
    )  # fmt: skip


def _by_log_probs(nodes: Sequence[Any]) -> LossView | None:
    """A cross-entropy written by hand: log-probabilities picked by index, and their mean."""
    way = {"Mean", "Sum", "Div", "Gather", "Index", "Neg", *VIEWS}
    for i, node in enumerate(nodes[:12]):
        if plain(node) == "LogSoftmax" and i:
            made = through_views(before(node))
            last = ACTIVATIONS.get(plain(made), "") if made is not None else ""
            negated = any(plain(n) == "Neg" for n in nodes[:i])
            return LossView("log_probs", last, False, negated, plain(nodes[0]), "", None, None, -100, False)
        if plain(node) not in way:
            return None
    return None


def _normalized(log_p: Tensor) -> bool:
    """Do the classes' probabilities sum to one, along dimension 1?"""
    rows = log_p.detach()[:64]
    return bool((rows.float().logsumexp(1 if rows.ndim > 1 else 0).abs() < 1e-2).all())


def _broadcast(op: Any, source: Any, difference: Tensor | None) -> str:
    """The shapes of two tensors that were stretched against each other, where their elements belong together."""
    if source is None:
        return ""
    result = tuple(difference.shape) if difference is not None else tuple(getattr(saved(op, "self"), "shape", ()))
    given = tuple(saved(source, "self_sym_sizes") or ()) if plain(source) == "Expand" else shape(source)
    n, m = math.prod(given), math.prod(result)
    spread = len(result) == 2 and result[0] == result[1] > 1 and n == result[0]
    return f"{given} became {result}" if given and spread and n < m else ""


def units(nodes: Sequence[Any]) -> Iterator[Unit]:
    """The results of all activations, as rows of units; the place counts from the input on."""
    for place, node in enumerate(reversed(nodes)):
        kind = ACTIVATIONS.get(plain(node), "")
        if kind in ("relu", "tanh", "sigmoid"):
            result = saved(node, "result")
            if isinstance(result, Tensor) and result.ndim >= 2:
                rows = result.detach()
                if rows.ndim == 4:  # channels of images are units
                    rows = rows.movedim(1, -1)
                rows = rows.reshape(-1, rows.shape[-1])
                yield Unit(place, kind, rows[:: max(1, len(rows) // MOST_ROWS)])


def wrong_axis(nodes: Sequence[Any]) -> str:
    """A softmax that runs over the batch, or over the queries of an attention."""
    for node in nodes:
        if plain(node) in ("Softmax", "LogSoftmax"):
            result, dim = saved(node, "result"), saved(node, "dim")
            if not isinstance(result, Tensor) or dim is None or result.ndim < 2:
                continue
            axis = signed(dim) % result.ndim
            square = result.ndim >= 3 and result.shape[-1] == result.shape[-2] > 1
            if axis == 0 or (square and axis == result.ndim - 2):
                return f"{plain(node).lower()} over dimension {axis} of {tuple(result.shape)}"
    return ""


def attention_maps(nodes: Sequence[Any]) -> Iterator[Tensor]:
    """Attention weights "B H T S" of at most two rows, from the first layer on."""
    for node in reversed(nodes):
        name = plain(node)
        if name == "Softmax":
            p = saved(node, "result")
            if (
                isinstance(p, Tensor)
                and p.ndim in (3, 4)
                and p.shape[-1] > 3
                and p.shape[-2] > 3
                and _dim(node, p) == p.ndim - 1
            ):
                yield (p.detach() if p.ndim == 4 else p.detach()[:, None])[:2].float()
        elif name.startswith("ScaledDotProduct"):
            q, k, mask = saved(node, "query"), saved(node, "key"), saved(node, "attn_mask")
            if (
                isinstance(q, Tensor)
                and isinstance(k, Tensor)
                and q.ndim == 4
                and q.shape[1] == k.shape[1]
                and q.shape[2] <= 1024
            ):
                yield _weights(
                    q.detach()[:2].float(),
                    k.detach()[:2].float(),
                    mask,
                    bool(saved(node, "is_causal")),
                    saved(node, "scale"),
                )


def _dim(node: Any, result: Tensor) -> int:
    return signed(saved(node, "dim")) % result.ndim


def _weights(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
    scores = q @ k.transpose(-1, -2) * (scale or q.shape[-1] ** -0.5)
    if mask is not None:
        mask = mask.detach()
        mask = mask[:2] if mask.ndim == 4 and mask.shape[0] > 1 else mask
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask.float()
    if causal:
        scores = scores.masked_fill(
            torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1).to(scores.device), -math.inf
        )
    return scores.softmax(-1)


def linear_only(nodes: Sequence[Any]) -> int:
    """How many products with weights follow each other in a model without a single nonlinear function; else 0."""
    names = [plain(node) for node in nodes]
    if any(
        name in NONLINEAR - {"LogSoftmax"}
        or "Norm" in name
        or name.startswith(("ScaledDot", "Compiled"))
        or any(r in name for r in RNN)
        for name in names[_loss_end(names) :]
    ):
        return 0
    count = sum(name in LINEAR or name == "Convolution" for name in names)
    return count if count > 1 else 0


def _loss_end(names: Sequence[str]) -> int:
    return next((i + 1 for i, name in enumerate(names) if name in LOSSES), 0)


def unbroken(nodes: Sequence[Any]) -> list[str]:
    """Pairs of layers without a nonlinearity between them, whose first is no bottleneck: one of them adds nothing."""
    found = []
    for node in nodes:
        if plain(node) != "Addmm":
            continue
        below = before(node, 1)
        while below is not None and (plain(below) in VIEWS or plain(below) == "NativeDropout"):
            below = before(below)
        if below is not None and plain(below) == "Addmm":
            inner, outer = shape(below)[-1:], shape(node)[-1:]
            read = saved(below, "mat1_sym_sizes")
            if inner and outer and read and inner[0] >= min(read[-1], outer[0]):
                found.append(f"{read[-1]} to {inner[0]} to {outer[0]}")
    return found


def dropout_rates(nodes: Sequence[Any]) -> list[float]:
    """The share that each dropout of the graph sets to 0, as its mask shows."""
    rates = []
    for node in nodes:
        if plain(node) == "Mul" and isinstance(mask := saved(node, "other"), Tensor) and mask.numel() > 63:
            values = mask.detach().flatten()[:4096]
            if (
                bool((values == 0).any())
                and bool(((values == 0) | (values == values.max())).all())
                and values.max() > 1
            ):
                rates.append(float((values == 0).float().mean()))
        elif plain(node) == "NativeDropout" and (p := saved(node, "p")) is not None:
            rates.append(float(p))
    return rates


def first_broken(nodes: Sequence[Any]) -> Mapping[str, Any]:
    """The earliest operation with a result or an input that is not finite, and the range of its finite input."""
    for node in reversed(nodes):
        kept = {key: saved(node, key.removeprefix("_saved_")) for key in dir(node) if key.startswith("_saved_")}
        tensors = {key: t for key, t in kept.items() if isinstance(t, Tensor) and t.is_floating_point() and t.numel()}
        broken = [key for key, t in tensors.items() if not bool(torch.isfinite(t.detach()).all())]
        if plain(node) == "MaskedFill" or all(key == "_saved_attn_mask" for key in broken):
            continue
        if broken:
            good = [t.detach()[torch.isfinite(t.detach())] for t in tensors.values()]
            sizes = [float(t.abs().max()) for t in good if t.numel()]
            return {"operation": plain(node), "largest_finite": max(sizes, default=math.nan)}
        for key, t in tensors.items():  # an operation that will not be finite where this is its input
            if (
                plain(node) in ("Log", "Sqrt", "Rsqrt", "Reciprocal", "Log2", "Log10")
                and key == "_saved_self"
                and bool((t.detach() <= 0).any())
            ):
                return {"operation": plain(node), "smallest_input": float(t.detach().min())}
    return {}
