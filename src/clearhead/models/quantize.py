"""A decoder whose matrices are in whole numbers: of what it holds in floats, or of the blocks of a GGUF file.

Deliberately not here: the numbers themselves and their products (kernels.quantized).
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from clearhead.formats.gguf import Blocks
from clearhead.kernels.quantized import QUANTIZED, QuantizedLinear, QuantizedWeight
from clearhead.models.decoder import Decoder
from clearhead.models.gguf import as_tensor
from clearhead.models.weight_map import MappedTensor, halves_from_pairs

MakeWeight = Callable[[str, Tensor], QuantizedWeight | None]
"""(our name of a matrix, the matrix) -> the same in whole numbers, or None to leave it."""
BITS = {"int8": 8, "int4": 4}


def quantize_linears(decoder: Decoder, make: MakeWeight) -> None:
    """Put a `QuantizedLinear` in the place of linear layers. A head that is the embedding becomes one beside it."""
    for name, layer in list(decoder.named_modules()):
        if type(layer) is nn.Linear and (weight := make(f"{name}.weight", layer.weight.detach())) is not None:
            parent, _, last = name.rpartition(".")
            setattr(decoder.get_submodule(parent), last, QuantizedLinear(weight, layer.bias))
    if decoder.head is None and (weight := make("embed.weight", decoder.embed.weight.detach())) is not None:
        decoder.head = QuantizedLinear(weight)


def from_floats(kind: str) -> MakeWeight:
    """`kind`: int8 or int4."""
    return lambda name, weight: QUANTIZED[kind](weight)


def from_blocks(
    kind: str,
    mapping: Mapping[str, MappedTensor],
    blocks: Callable[[str], Blocks | None],
    stored: Callable[[str], bool],
) -> MakeWeight:
    """The blocks of a file as they are where they have the bits that `kind` asks for, or 8 where it asks for 4.

    Everything else is quantized from floats. `kind` auto asks for what the file has: of its blocks those that no
    kernel reads become int8, and what is `stored` in floats is left.
    """

    def make(name: str, weight: Tensor) -> QuantizedWeight | None:
        source = mapping[name]
        found = joined([blocks(part) for part in source.names], source)
        if found is not None and (kind == "auto" or found.bits >= BITS[kind]):
            return found
        if kind == "auto" and all(map(stored, source.names)):
            return None
        return QUANTIZED["int8" if kind == "auto" else kind](weight)

    return make


def joined(parts: list[Blocks | None], source: MappedTensor) -> QuantizedWeight | None:
    """Blocks of theirs as one matrix of ours; None where a part has none, or others than the rest."""
    forms = {part and (part.bits, part.least is None) for part in parts}
    if None in forms or len(forms) > 1 or source.transposed:
        return None

    def rows(arrays: list[np.ndarray]) -> Tensor:
        tensors = [as_tensor(array) for array in arrays]
        turned = (source.heads(i) for i in range(len(tensors)))
        return torch.cat([halves_from_pairs(x, n) if n else x for x, n in zip(tensors, turned, strict=True)])

    known = [part for part in parts if part is not None]
    least = [part.least for part in known if part.least is not None]
    q, scale = rows([part.q for part in known]), rows([part.scale for part in known])
    return QuantizedWeight(known[0].bits, q, scale, rows(least) if least else None)


def is_quantized(decoder: Decoder) -> bool:
    return any(isinstance(module, QuantizedLinear) for module in decoder.modules())
