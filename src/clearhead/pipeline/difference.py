"""Where two models part: settings, tensors, and the first layer whose hidden states differ on a text."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import Decoder
from clearhead.pipeline.model import LoadedModel


@dataclass(frozen=True)
class Layer:
    """How far the hidden states after a part are apart: the largest difference, and it as a share of the largest."""

    name: str
    largest: float
    relative: float


@dataclass(frozen=True)
class Difference:
    """`settings`: name -> (a, b). `tensors`: name -> what differs. `layers` is empty where no text can be run."""

    settings: dict[str, tuple[Any, Any]]
    tensors: dict[str, str]
    equal: int
    layers: tuple[Layer, ...]

    @property
    def parted(self) -> Layer | None:
        """The first layer that differs at all."""
        return next((layer for layer in self.layers if layer.largest > 0), None)


def difference(a: LoadedModel, b: LoadedModel, prompt: str) -> Difference:
    mine, other = asdict(a.decoder.config), asdict(b.decoder.config)
    settings = {key: (mine[key], other[key]) for key in mine if mine[key] != other[key]}
    tensors, equal = different_tensors(a.decoder, b.decoder)
    ids = a.tokenizer.encode(prompt)
    if not ids:
        raise UserError("an empty prompt has nothing to compare; give at least one character")
    for loaded in (a, b):
        if len(ids) > loaded.decoder.config.max_positions:
            limit = loaded.decoder.config.max_positions
            raise UserError(f"the prompt has {len(ids)} tokens, but {loaded.name} has a context of {limit}; shorten it")
    same_sizes = mine["d_model"] == other["d_model"] and max(ids) < min(mine["vocab"], other["vocab"])
    return Difference(settings, tensors, equal, compared(a.decoder, b.decoder, ids) if same_sizes else ())


def different_tensors(a: Decoder, b: Decoder) -> tuple[dict[str, str], int]:
    mine, other = dict(a.named_parameters()), dict(b.named_parameters())
    found: dict[str, str] = {}
    for name in [*mine, *(name for name in other if name not in mine)]:
        if name not in mine or name not in other:
            found[name] = f"only in the {'first' if name in mine else 'second'}"
        elif mine[name].shape != other[name].shape:
            found[name] = f"{tuple(mine[name].shape)} and {tuple(other[name].shape)}"
        elif not torch.equal(mine[name].float(), other[name].float()):
            apart = (mine[name].float() - other[name].float()).abs().max()
            found[name] = f"values differ by up to {float(apart):.3g}"
        elif mine[name].dtype != other[name].dtype:
            found[name] = f"equal, stored as {mine[name].dtype} and {other[name].dtype}"
    return found, len(mine.keys() & other.keys()) - len(found.keys() & mine.keys() & other.keys())


@torch.no_grad()
def compared(a: Decoder, b: Decoder, ids: list[int]) -> tuple[Layer, ...]:
    """Embedding, every layer that both have, the last norm, and the logits."""
    mine, other = states(a, ids), states(b, ids)
    both = [name for name, x in mine.items() if name in other and x.shape == other[name].shape]
    return tuple(layer(name, mine[name], other[name]) for name in both)


def states(decoder: Decoder, ids: list[int]) -> dict[str, Tensor]:
    """What each part hands on, in float32."""
    found: dict[str, Tensor] = {}  # in the order of the computation
    tokens = torch.tensor(ids, device=decoder.embed.weight.device)[None]
    positions = torch.arange(len(ids), device=tokens.device)[None]
    handles = [
        block.register_forward_hook(lambda module, given, x, name=f"layer {i + 1}": found.update({name: x.float()}))
        for i, block in enumerate(decoder.blocks)
    ]
    found["embedding"] = decoder.embedded(tokens, positions).float()
    try:
        hidden = decoder(tokens, positions, causal_attend())
    finally:
        for handle in handles:
            handle.remove()
    return found | {"last norm": hidden.float(), "logits": decoder.logits(hidden).float()}


def layer(name: str, x: Tensor, y: Tensor) -> Layer:
    largest, size = float((x - y).abs().max()), float(x.abs().max())
    return Layer(name, largest, largest / size if size else 0.0)
