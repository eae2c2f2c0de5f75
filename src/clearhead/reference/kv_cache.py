"""Decoding with a cache of keys and values: each token is projected once, whatever is appended later.

Under a causal mask a token's key and value depend on what came before it alone, so they never change; only the queries
of new tokens are needed, since old ones have had their answer. New tokens may come one by one or in chunks.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array
from clearhead.reference.attention import causal_mask, sliding_window_mask
from clearhead.reference.blocks import EPS
from clearhead.reference.mlp import swiglu_mlp
from clearhead.reference.multi_head import from_heads, grouped_query_attention, project
from clearhead.reference.normalization import rms_norm
from clearhead.reference.positions import lookup, rotary
from clearhead.reference.transformer import Llama


class Cache(NamedTuple):
    """The keys (already turned by their positions) and values of one layer."""

    k: Float[Array, "*B G S C"]
    v: Float[Array, "*B G S C"]
    dropped: int = 0  # how many older tokens a window has pushed out

    @property
    def length(self) -> int:
        """How many tokens came before: the position of the next one."""
        return self.dropped + self.k.shape[-2]


def empty(batch: tuple[int, ...], G: int, C: int) -> Cache:
    """A cache that holds nothing yet.

    >>> empty((2,), 4, 8).length
    0
    """
    return Cache(np.zeros((*batch, G, 0, C)), np.zeros((*batch, G, 0, C)))


def append(cache: Cache, k: Float[Array, "*B G T C"], v: Float[Array, "*B G T C"]) -> Cache:
    """The cache with the keys and values of T more tokens behind those it has.

    >>> cache = append(empty((), 1, 2), np.ones((1, 3, 2)), np.ones((1, 3, 2)))
    >>> cache.length, append(cache, cache.k, cache.v).length
    (3, 6)

    O(G (S + T) C) here, O(G T C) where room was set aside. Pope et al. 2023, section 2.
    """
    return cache._replace(k=np.concatenate((cache.k, k), -2), v=np.concatenate((cache.v, v), -2))


def keep_last(cache: Cache, window: int) -> Cache:
    """The cache without what a sliding window will not show to any later token: the last window - 1 tokens remain.

    >>> cache = keep_last(append(empty((), 1, 2), np.ones((1, 5, 2)), np.ones((1, 5, 2))), 3)
    >>> cache.length, cache.k.shape
    (5, (1, 2, 2))

    O(G window C): memory stays bounded. Jiang et al. 2023 (Mistral), section 2, "Rolling buffer cache".
    ValueError: a window below 1.
    """
    if window < 1:
        raise ValueError(f"window = {window} must be 1 or more, for a query sees at least itself")
    S = cache.k.shape[-2]
    too_old = max(0, S - (window - 1))
    return Cache(cache.k[..., too_old:, :], cache.v[..., too_old:, :], cache.dropped + too_old)


def extend(
    w: Llama, ids: Int[Array, "*B T"], caches: tuple[Cache, ...], base: float = 10_000.0, window: int | None = None
) -> tuple[Float[Array, "*B T V"], tuple[Cache, ...]]:
    """llama's logits for T more tokens, from them and the caches of all layers alone, and the caches after them.

    With a window each token sees that many tokens, itself among them, and the caches keep no more than they must.

    >>> from clearhead.reference.transformer import llama, random_llama
    >>> w, ids = random_llama(V=5, D=6, H=3, G=1, F=8, L=2, rng=np.random.default_rng(0)), np.array([0, 1, 4])
    >>> _, caches = extend(w, ids[:2], new_caches(w, ()))
    >>> last, caches = extend(w, ids[2:], caches)
    >>> bool(np.allclose(last, llama(w, ids)[2:], atol=1e-12)), caches[0].length
    (True, 3)

    O(L (T D (H C + F) + T S H C) + T D V) with S tokens so far. Pope et al. 2023, section 2.
    ValueError: a cache for each layer is missing, or an id outside the vocabulary.
    """
    if len(caches) != len(w.blocks):
        raise ValueError(f"{len(caches)} caches do not fit {len(w.blocks)} blocks; each block needs its own")
    T = ids.shape[-1]
    x, after = lookup(w.tokens, ids), []
    for block, cache in zip(w.blocks, caches, strict=True):
        heads, u = block.attention, rms_norm(x, block.gain_1, EPS)
        positions = cache.length + np.arange(T)
        q, k, v = project(u, u, heads)
        cache = append(cache, rotary(k, positions, base), v)
        S = cache.k.shape[-2]
        mask = causal_mask(T, S) if window is None else sliding_window_mask(T, S, window)
        o = grouped_query_attention(rotary(q, positions, base), cache.k, cache.v, mask)
        x = x + from_heads(o, heads.w_o) + (0.0 if heads.b_o is None else heads.b_o)
        x = x + swiglu_mlp(rms_norm(x, block.gain_2, EPS), block.mlp)
        after.append(cache if window is None else keep_last(cache, window))
    return rms_norm(x, w.weight, EPS) @ w.head, tuple(after)


def new_caches(w: Llama, batch: tuple[int, ...]) -> tuple[Cache, ...]:
    """An empty cache for each layer of the model.

    >>> from clearhead.reference.transformer import random_llama
    >>> len(new_caches(random_llama(V=5, D=6, H=3, G=1, F=8, L=2, rng=np.random.default_rng(0)), (4,)))
    2
    """
    return tuple(empty(batch, *block.attention.w_k.shape[1:]) for block in w.blocks)


def projections(n: int) -> tuple[int, int]:
    """Keys (or values) projected per layer while n tokens are made: n (n + 1) / 2 without a cache, n with one.

    Attention itself still reads all that is cached: n (n + 1) / 2 scores per head with one, not O(n) in all.

    >>> projections(4)
    (10, 4)

    O(1). ValueError: n below 0.
    """
    if n < 0:
        raise ValueError(f"n = {n} tokens must be 0 or more")
    return n * (n + 1) // 2, n
