"""What every head looks at: the weights that the fast kernels never write down."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clearhead.kernels.attention import FULL, Pattern, capped, causal_bias
from clearhead.models.decoder import Decoder


@torch.no_grad()
def attention_weights(decoder: Decoder, ids: Sequence[int]) -> list[Float[Tensor, "H T T"]]:
    """softmax(q kᵀ / √C) of every layer and head on one text, O(L H T²) memory. Vaswani et al. 2017, equation 1."""
    device, T = decoder.embed.weight.device, len(ids)
    layers: list[Tensor] = []

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = FULL) -> Tensor:
        bias = causal_bias(torch.zeros(1, T, dtype=torch.long, device=device), q.dtype, pattern.window)[0]
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = capped(torch.einsum("thc,shc->hts", q, k) / q.shape[-1] ** 0.5, pattern.softcap)
        weights = (scores + bias).softmax(-1)
        layers.append(weights)
        return torch.einsum("hts,shc->thc", weights, v)

    decoder(torch.tensor(ids, device=device), torch.arange(T, device=device), attend)
    return layers
