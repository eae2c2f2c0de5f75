"""Masked attention: the plain product-softmax-product, torch's fused kernel, and the rule that chooses among the ways.

A compiled step on a CPU has a kernel of its own (document_attention.py). Deliberately not here: caches (generation
passes its own `Attend`) and projections (nn.layers).
"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from clearhead.kernels.document_attention import document_attention, has_kernel


class Pattern(NamedTuple):
    """What a layer asks of attention beyond softmax(q kᵀ / √C) v. Whoever attends honors it or refuses.

    `window`: keys that a query sees at most, itself included; 0 means all (Beltagy et al. 2020, section 3.1).
    `softcap`: scores s become softcap · tanh(s / softcap); 0 leaves them (Gemma 2 report 2024, section 2).
    """

    window: int = 0
    softcap: float = 0.0


FULL = Pattern()


class Attend(Protocol):
    """How a token sees the others: q "*B H C", k and v "*B G C" -> "*B H C"; q and k are already rotated."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = FULL) -> Tensor: ...


PLAIN_UP_TO = 2048  # keys; on a CPU plain products win up to there, and then their T x S weights fill the memory


def plain_attention(
    q: Float[Tensor, "B T H C"],
    k: Float[Tensor, "B S G C"],
    v: Float[Tensor, "B S G D"],
    bias: Float[Tensor, "#B T S"] | Float[Tensor, "#B #H #T S"],
    softcap: float = 0.0,
) -> Float[Tensor, "B T H D"]:
    """softmax(cap(q kᵀ / √C) + bias) v; query head h reads key/value head h // (H/G). O(T S C) for each head.

    A bias of -∞ hides a key; every query needs one that it sees. Vaswani et al. 2017, section 3.2.1; grouped heads
    Ainslie et al. 2023.
    """
    return weighted_sum(attention_weights(q, k, bias, softcap), v)


def attention_weights(
    q: Float[Tensor, "B T H C"],
    k: Float[Tensor, "B S G C"],
    bias: Float[Tensor, "#B T S"] | Float[Tensor, "#B #H #T S"],
    softcap: float = 0.0,
) -> Float[Tensor, "B H T S"]:
    """The softmax of `plain_attention`: how much each query takes of each key, 1 in all."""
    (B, T, H, C), (S, G) = q.shape, k.shape[1:3]
    q = (q * C**-0.5).transpose(1, 2).reshape(B * G, H // G * T, C)  # the heads of a group: more rows, the same keys
    scores = capped(q @ k.transpose(1, 2).reshape(B * G, S, C).mT, softcap).view(B, H, T, S)
    return (scores + (bias if bias.ndim == 4 else bias[:, None])).softmax(-1)


def weighted_sum(weights: Float[Tensor, "B H T S"], v: Float[Tensor, "B S G D"]) -> Float[Tensor, "B T H D"]:
    """Σ_s weights_ts v_s, of each head; query head h reads value head h // (H/G)."""
    (B, H, T, S), (G, D) = weights.shape, v.shape[2:]
    values = v.transpose(1, 2).reshape(B * G, S, D)
    return (weights.view(B * G, H // G * T, S) @ values).view(B, H, T, D).transpose(1, 2)


def capped(scores: Float[Tensor, "*B"], softcap: float) -> Float[Tensor, "*B"]:
    """softcap · tanh(scores / softcap): within ±softcap, hardly changed near 0; softcap = 0 changes nothing."""
    return softcap * (scores / softcap).tanh() if softcap else scores


def fused_attention(
    q: Float[Tensor, "B T H C"],
    k: Float[Tensor, "B S G C"],
    v: Float[Tensor, "B S G D"],
    bias: Float[Tensor, "#B T S"] | None,
) -> Float[Tensor, "B T H D"]:
    """`plain_attention` without the T x S weights in memory (torch's kernel); no bias means causal."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    bias = None if bias is None else bias[:, None]
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, bias, is_causal=bias is None, enable_gqa=grouped).transpose(1, 2)


# An operation of its own, because the compiler would otherwise compute the bias again in every layer.
torch.library.define("clearhead::causal_bias", "(Tensor segments, ScalarType dtype, int window) -> Tensor")


@torch.library.impl("clearhead::causal_bias", "CompositeExplicitAutograd")
def _causal_bias(segments: Tensor, dtype: torch.dtype, window: int) -> Tensor:
    earlier = torch.ones(segments.shape[1], segments.shape[1], dtype=torch.bool, device=segments.device).tril()
    if window:
        earlier = earlier.triu(1 - window)
    seen = (segments[:, :, None] == segments[:, None, :]) & earlier
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -math.inf)


@torch.library.register_fake("clearhead::causal_bias")
def _causal_bias_shape(segments: Tensor, dtype: torch.dtype, window: int) -> Tensor:
    return segments.new_empty((*segments.shape, segments.shape[1]), dtype=dtype)


def causal_bias(segments: Int[Tensor, "B T"], dtype: torch.dtype, window: int = 0) -> Float[Tensor, "B T T"]:
    """0 where a token sees: itself and the earlier tokens of its document, the last `window` of them; -∞ elsewhere.

    Segments 1 1 2 2 give  0 -∞ -∞ -∞
                           0  0 -∞ -∞
                          -∞ -∞  0 -∞
                          -∞ -∞  0  0
    """
    return torch.ops.clearhead.causal_bias(segments, dtype, window)


def prefers_plain(keys: int, device: torch.device) -> bool:
    return device.type == "cpu" and keys <= PLAIN_UP_TO


def causal_attend(segments: Int[Tensor, "B T"] | None = None) -> Attend:
    """Causal attention inside each document of a row, for q, k, v of shape "B T heads C"; None: one document a row."""
    biases: dict[tuple[torch.dtype, int], Tensor] = {}  # made at the first layer of a kind, which knows the type

    def documents(q: Tensor) -> Tensor:
        return q.new_zeros(q.shape[:2], dtype=torch.long) if segments is None else segments

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = FULL) -> Tensor:
        window = pattern.window if pattern.window < q.shape[1] else 0
        if torch.compiler.is_compiling() and has_kernel(q) and not pattern.softcap:
            return document_attention(q, k, v, documents(q), window)
        plain = prefers_plain(q.shape[1], q.device)
        if segments is None and not (plain or window or pattern.softcap):
            return fused_attention(q, k, v, None)
        kind = (q.dtype, window)
        if kind not in biases:
            biases[kind] = causal_bias(documents(q[:1]), q.dtype, window)  # one row's stands for all equal ones
        if plain or pattern.softcap:  # the fused kernel has no place for a cap
            return plain_attention(q, k, v, biases[kind], pattern.softcap)
        return fused_attention(q, k, v, biases[kind])

    return attend


def bidirectional_attend(segments: Int[Tensor, "B T"] | None = None) -> Attend:
    """Attention in both directions inside each text of a row, for q, k, v "B T H C"; None: one text a row.

    Padding is a segment of its own, so that every query has a key.
    """
    seen = None if segments is None else segments[:, :, None] == segments[:, None, :]  # B T T

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = FULL) -> Tensor:
        _refuse_pattern(pattern)
        bias = None if seen is None else q.new_zeros(seen.shape).masked_fill_(~seen, -math.inf)
        return _unmasked(q, k, v) if bias is None else fused_attention(q, k, v, bias)

    return attend


def texts_attend(lengths: Sequence[int]) -> Attend:
    """Attention in both directions inside texts that lie one behind the other, for q, k, v "N H C", N = Σ lengths.

    Neighbors of equal length are one product; nothing is padded, and nothing computed that is not used.
    """
    runs = [(length, len(list(run))) for length, run in groupby(lengths)]

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = FULL) -> Tensor:
        _refuse_pattern(pattern)
        sizes = [length * count for length, count in runs]
        parts = zip(runs, q.split(sizes), k.split(sizes), v.split(sizes), strict=True)
        return torch.cat(
            [
                _unmasked(*(x.unflatten(0, (count, length)) for x in part)).flatten(0, 1)
                for (length, count), *part in parts
            ]
        )

    return attend


def _unmasked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """ "B T H C" -> "B T H C", every query seeing every key."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def _refuse_pattern(pattern: Pattern) -> None:
    if pattern != FULL:
        raise ValueError(f"{pattern} is for decoders; an encoder's tokens see all of their text")
