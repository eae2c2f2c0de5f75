"""Tensors of other people's files into a model of ours and out of it, by a table that says where each lies there.

Deliberately not here: the tables (huggingface, gguf), and the files (formats).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.models.decoder import Decoder

Shape = tuple[int, ...]
ReadTensor = Callable[[str], Tensor]


@dataclass(frozen=True)
class MappedTensor:
    """One of our tensors: theirs, one below the other, each with so many rows.

    `transposed`: they write it as columns (GPT's Conv1D). `interleaved`: heads whose rotary pairs lie side by side
    there and in two halves here; 0 where nothing turns.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    transposed: bool = False
    interleaved: tuple[int, ...] = ()

    def heads(self, part: int) -> int:
        return self.interleaved[part] if self.interleaved else 0


def check_shapes(
    model: nn.Module, mapping: Mapping[str, MappedTensor], shapes: Mapping[str, Shape], where: str
) -> None:
    """UserError if a tensor is missing, has another shape, or belongs nowhere. The model may be without memory."""
    targets = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert targets.keys() == mapping.keys(), targets.keys() ^ mapping.keys()
    for ours, source in mapping.items():
        for name, rows in zip(source.names, source.rows, strict=True):
            shape = (rows, *targets[ours][1:])
            expected = shape[::-1] if source.transposed else shape
            if name not in shapes:
                raise UserError(f"{where} lacks the tensor {name}, which its configuration asks for")
            if tuple(shapes[name]) != expected:
                raise UserError(
                    f"{where}: {name} is {_size(shapes[name])}, but its configuration asks for {_size(expected)}"
                )
    extra = sorted(shapes.keys() - {name for source in mapping.values() for name in source.names})
    if extra:
        raise UserError(f"{where} holds {len(extra)} tensors that its configuration does not ask for, {extra[0]} first")


def copy_in(
    model: nn.Module, mapping: Mapping[str, MappedTensor], shapes: Mapping[str, Shape], read: ReadTensor, where: str
) -> None:
    """Fill our model, one tensor at a time, so that no more than one is held twice.

    UserError as `check_shapes`, before anything is copied, and when a tensor holds numbers that are not finite or no
    floats.
    """
    check_shapes(model, mapping, shapes, where)
    targets = dict(model.named_parameters())
    with torch.no_grad():
        for ours, source in mapping.items():
            for i, (name, part) in enumerate(zip(source.names, targets[ours].split(source.rows, 0), strict=True)):
                tensor = read(name)
                if not tensor.is_floating_point():
                    kind = str(tensor.dtype).removeprefix("torch.")
                    raise UserError(
                        f"{where}: {name} holds {kind} numbers, which are no weights here; get it in floats"
                    )
                if tensor.dtype == torch.float64:  # what is too large for float32 must be told, too
                    tensor = tensor.float()
                if not finite(tensor):
                    raise UserError(f"{where}: {name} holds numbers that are not finite; get the file again")
                if heads := source.heads(i):
                    tensor = halves_from_pairs(tensor, heads)
                part.copy_(tensor.T if source.transposed else tensor)


def finite(tensor: Tensor) -> bool:
    """Whether every number is. A sum is quickly had, and finite only if all in it are."""
    return math.isfinite(tensor.sum(dtype=torch.float32)) or bool(tensor.isfinite().all())  # or it was too large


def cut_out(decoder: Decoder, mapping: Mapping[str, MappedTensor], norm_weight: str) -> dict[str, Tensor]:
    """Their tensors, cut from ours. Where our decoder has no norm weight or bias, the value that changes nothing.

    `norm_weight` is how they mean theirs: the weight itself ("plain") or 1 + the weight ("one_plus").
    """
    state = dict(decoder.named_parameters())
    found: dict[str, Tensor] = {}
    for ours, source in mapping.items():
        is_norm = ours.endswith("norm.weight")
        if ours in state:
            whole = state[ours].detach()
            if is_norm and decoder.config.norm_weight != norm_weight:
                whole = whole - 1 if norm_weight == "one_plus" else 1 + whole
        else:
            whole = torch.full((sum(source.rows),), float(is_norm and norm_weight == "plain"), dtype=decoder.dtype)
        found |= cut_rows(whole, source)
    return found


def cut_rows(whole: Tensor, source: MappedTensor) -> dict[str, Tensor]:
    """One of our tensors as theirs."""
    found = {}
    for i, (name, part) in enumerate(zip(source.names, whole.split(source.rows, 0), strict=True)):
        if heads := source.heads(i):
            part = pairs_from_halves(part, heads)
        found[name] = (part.T if source.transposed else part).contiguous()
    return found


def halves_from_pairs(weight: Tensor, heads: int) -> Tensor:
    """Rows of each head: channels 0 1 2 3 4 5, that turn as pairs (0 1) (2 3) (4 5), in the order 0 2 4 1 3 5."""
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def pairs_from_halves(weight: Tensor, heads: int) -> Tensor:
    """The inverse of `halves_from_pairs`."""
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape))
