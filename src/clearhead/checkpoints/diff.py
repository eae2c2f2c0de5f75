"""Where two models part: settings, tensors, and the first step of the computation whose result differs on a text.

Both are read as float32 and run on this processor, so equal weights give equal bits. Files of tensors that are no
decoder read here are compared as they lie on the disk.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from clearhead.checkpoints.inspect import Inspection, inspect
from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.errors import UserError
from clearhead.formats.gguf import GGUF, is_gguf
from clearhead.formats.safetensors import Safetensors
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import Decoder
from clearhead.models.gguf import as_tensor

ReadTensor = Callable[[str], Tensor]


@dataclass(frozen=True)
class Step:
    """How far apart what a step hands on is: the largest difference, and it as a share of the largest number."""

    name: str
    largest: float
    relative: float


@dataclass(frozen=True)
class Difference:
    """`settings`: name -> (a, b). `tensors`: name -> what differs. `steps` is empty where no text can be run."""

    settings: dict[str, tuple[Any, Any]]
    tensors: dict[str, str]
    equal: int
    steps: tuple[Step, ...] = ()
    next_tokens: tuple[str, str] | None = None
    not_run: str | None = None

    @property
    def parted(self) -> Step | None:
        """The first step that differs at all."""
        return next((step for step in self.steps if step.largest > 0), None)

    @property
    def same(self) -> bool:
        return not (self.settings or self.tensors or self.parted)


def difference(a: str, b: str, prompt: str) -> Difference:
    """Between the models of these names; UserError for what is no model, and for a prompt that does not fit."""
    told = inspect(a), inspect(b)
    stored = {"stored as": (types(told[0]), types(told[1]))} if types(told[0]) != types(told[1]) else {}
    adapters = [found.form == "adapter" for found in told]
    if all(found.config or adapter for found, adapter in zip(told, adapters, strict=True)) and not all(adapters):
        loaded = [load_model(name, torch.device("cpu"), torch.float32) for name in (a, b)]
        found = between_models(loaded[0], loaded[1], prompt)
        return replace(found, settings=stored | found.settings)
    tensors, equal = different(*(as_stored(one) for one in told))
    reason = next((one.refused for one in told if one.refused), "these are tensors and no whole models")
    return Difference(stored, tensors, equal, not_run=reason)


def types(found: Inspection) -> str:
    return ", ".join(f"{count} {dtype}" for dtype, (count, _) in found.dtypes.items())


def as_stored(found: Inspection) -> tuple[dict[str, tuple[int, ...]], ReadTensor]:
    """Shapes, and how to read a tensor."""
    shapes = {tensor.name: tensor.shape for tensor in found.tensors}
    if is_gguf(found.path):
        file = GGUF(found.path)
        return shapes, lambda name: as_tensor(file.read(name))
    return shapes, Safetensors(found.weights or found.path).read


def between_models(a: LoadedModel, b: LoadedModel, prompt: str) -> Difference:
    mine, other = settings(a.decoder), settings(b.decoder)
    changed = {key: (mine[key], other[key]) for key in mine if mine[key] != other[key]}
    tensors, equal = different(weights(a.decoder), weights(b.decoder))
    ids = a.tokenizer.encode(prompt)
    if not ids:
        raise UserError("an empty prompt has nothing to compare; give at least one character")
    for loaded in (a, b):
        limit = loaded.decoder.config.max_positions
        if len(ids) > limit:
            raise UserError(f"the prompt has {len(ids)} tokens, but {loaded.name} has a context of {limit}; shorten it")
    theirs = encoded(b, prompt)
    if ids != theirs:
        changed["tokens of the prompt"] = (len(ids), "others" if theirs is None else len(theirs))
    found = Difference(changed, tensors, equal)
    if mine["d_model"] != other["d_model"]:
        return replace(found, not_run="the widths differ")
    if max(ids) >= min(mine["vocab"], other["vocab"]):
        return replace(found, not_run="the second does not know the tokens of the first")
    steps, written = run_both(a.decoder, b.decoder, ids)
    return replace(found, steps=steps, next_tokens=(a.tokenizer.decode(written[:1]), b.tokenizer.decode(written[1:])))


def encoded(model: LoadedModel, prompt: str) -> list[int] | None:
    """None where its alphabet cannot spell the prompt."""
    try:
        return model.tokenizer.encode(prompt)
    except UserError:
        return None


def settings(decoder: Decoder) -> dict[str, Any]:
    """A norm weight stored as what is added to 1 is the same weight."""
    config = decoder.config
    return asdict(replace(config, norm_weight="plain") if config.norm_weight == "one_plus" else config)


def weights(decoder: Decoder) -> tuple[dict[str, tuple[int, ...]], ReadTensor]:
    """Shapes, and how to get a tensor, norm weights as they act."""
    state = {name: weight.detach() for name, weight in decoder.named_parameters()}
    one_plus = decoder.config.norm_weight == "one_plus"

    def read(name: str) -> Tensor:
        return 1 + state[name] if one_plus and name.endswith("norm.weight") else state[name]

    return {name: tuple(weight.shape) for name, weight in state.items()}, read


def different(
    a: tuple[Mapping[str, tuple[int, ...]], ReadTensor], b: tuple[Mapping[str, tuple[int, ...]], ReadTensor]
) -> tuple[dict[str, str], int]:
    """Of each tensor that differs, how; and how many are equal to the bit."""
    (mine, read_mine), (other, read_other) = a, b
    found: dict[str, str] = {}
    for name in [*mine, *(name for name in other if name not in mine)]:
        if name not in mine or name not in other:
            found[name] = f"only in the {'first' if name in mine else 'second'}"
        elif mine[name] != other[name]:
            found[name] = f"{size(mine[name])} and {size(other[name])}"
        elif told := apart(read_mine(name), read_other(name)):
            found[name] = told
    return found, len({*mine, *other}) - len(found)


def apart(x: Tensor, y: Tensor) -> str | None:
    """How two tensors of one shape differ, None if no bit does."""
    if x.dtype != y.dtype:
        told = apart(x.float(), y.float())
        return f"stored as {x.dtype} and {y.dtype}".replace("torch.", "") + (f", {told}" if told else ", equal")
    if torch.equal(x.reshape(-1).view(torch.uint8), y.reshape(-1).view(torch.uint8)):
        return None
    if not x.is_floating_point():
        return f"{int((x != y).sum()):,} of {x.numel():,} numbers differ"
    largest = (x.double() - y.double()).abs().max()
    return f"values differ by up to {float(largest):.3g}"


def size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"


@torch.no_grad()
def run_both(a: Decoder, b: Decoder, ids: list[int]) -> tuple[tuple[Step, ...], list[int]]:
    """Every step that both have, in the order of the computation, and the token that each finds likeliest next."""
    mine, other = results(a, ids), results(b, ids)
    both = [name for name, x in mine.items() if name in other and x.shape == other[name].shape]
    likeliest = [int(found["logits"][0, -1].argmax()) for found in (mine, other)]
    return tuple(step(name, mine[name], other[name]) for name in both), likeliest


def results(decoder: Decoder, ids: list[int]) -> dict[str, Tensor]:
    """What each step hands on."""
    found: dict[str, Tensor] = {}
    tokens = torch.tensor(ids, device=decoder.embed.weight.device)[None]
    positions = torch.arange(len(ids), device=tokens.device)[None]
    parts = [
        (name, module)
        for i, block in enumerate(decoder.blocks, start=1)
        for name, module in (
            (f"layer {i}, attention", block.get_submodule("attention")),
            (f"layer {i}, MLP", block.get_submodule("mlp")),
            (f"layer {i}", block),
        )
    ]
    handles = [
        module.register_forward_hook(lambda module, given, x, name=name: found.update({name: x}))
        for name, module in parts
    ]
    found["embedding"] = decoder.embedded(tokens, positions)
    try:
        hidden = decoder(tokens, positions, causal_attend())
    finally:
        for handle in handles:
            handle.remove()
    return found | {"last norm": hidden, "logits": decoder.logits(hidden)}


def step(name: str, x: Tensor, y: Tensor) -> Step:
    largest, most = float((x - y).abs().max()), float(x.abs().max())
    return Step(name, largest, largest / most if most else 0.0)
