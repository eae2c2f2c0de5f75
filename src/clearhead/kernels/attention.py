"""Masked attention: the plain product-softmax-product, torch's fused kernel, and the rule that chooses between them.

Deliberately not here: caches (generation passes its own `Attend`) and projections (nn.layers).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q "*B H C", k "*B G C", v "*B G C") -> "*B H C": how a token sees the others; q and k are already rotated."""

PLAIN_UP_TO = 256  # keys; below it torch's fused kernel loses to plain products on a CPU (benchmarks/training.py)


def plain_attention(
    q: Float[Tensor, "B T H C"],
    k: Float[Tensor, "B S G C"],
    v: Float[Tensor, "B S G C"],
    mask: Bool[Tensor, "B T S"],
) -> Float[Tensor, "B T H C"]:
    """softmax(q kᵀ / √C) v over the allowed keys; query head h reads key/value head h // (H/G). O(T S C) for each head.

    Every query needs one allowed key at least. Vaswani et al. 2017, section 3.2.1; grouped heads Ainslie et al. 2023.
    """
    (B, T, H, C), G = q.shape, k.shape[2]
    q = q.permute(0, 2, 1, 3).reshape(B, G, H // G * T, C)  # the heads of a group are more rows against the same keys
    scores = (q @ k.permute(0, 2, 3, 1)).view(B, G, H // G, T, -1) / math.sqrt(C)
    weights = scores.masked_fill(~mask[:, None, None], -math.inf).softmax(-1)
    out = weights.view(B, G, H // G * T, -1) @ v.transpose(1, 2)
    return out.view(B, H, T, C).transpose(1, 2)


def fused_attention(
    q: Float[Tensor, "B T H C"],
    k: Float[Tensor, "B S G C"],
    v: Float[Tensor, "B S G C"],
    mask: Bool[Tensor, "B T S"] | None,
) -> Float[Tensor, "B T H C"]:
    """`plain_attention` without the T x S matrix in memory (torch's kernel); no mask means causal."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    mask = None if mask is None else mask[:, None]
    out = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None, enable_gqa=q.shape[1] != k.shape[1])
    return out.transpose(1, 2)


def causal_mask(segments: Int[Tensor, "B T"]) -> Bool[Tensor, "B T T"]:
    """A token sees itself and the earlier tokens of its own document.

    Segments 1 1 2 2 give  1 0 0 0
                           1 1 0 0
                           0 0 1 0
                           0 0 1 1
    """
    T = segments.shape[-1]
    earlier = torch.ones(T, T, dtype=torch.bool, device=segments.device).tril()
    return (segments[:, :, None] == segments[:, None, :]) & earlier


def prefers_plain(keys: int, device: torch.device) -> bool:
    return device.type == "cpu" and keys <= PLAIN_UP_TO


def causal_attend(segments: Int[Tensor, "B T"] | None = None) -> Attend:
    """Causal attention inside each document of a row, for q, k, v of shape "B T heads C"; None: one document a row."""
    mask = None if segments is None else causal_mask(segments)

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        T = q.shape[1]
        if not prefers_plain(T, q.device):
            return fused_attention(q, k, v, mask)
        allowed = causal_mask(q.new_zeros(1, T, dtype=torch.long)) if mask is None else mask
        return plain_attention(q, k, v, allowed)

    return attend
