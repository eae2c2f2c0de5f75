"""Whole decoder-only language models, forward and backward: GPT-2 and Llama, from token ids to the loss's gradients.

The original encoder-decoder is blocks.py's `post_ln_block` and `post_ln_cross_block`, stacked. Deliberately not here:
dropout (regularizers.py), and decoding (kv_cache.py).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array
from clearhead.reference.attention import causal_mask
from clearhead.reference.blocks import (
    EPS,
    Block,
    LlamaBlock,
    Norm,
    llama_block,
    llama_block_vjp,
    pre_ln_block,
    pre_ln_block_vjp,
)
from clearhead.reference.mlp import MLP, GatedMLP
from clearhead.reference.multi_head import Heads
from clearhead.reference.normalization import layer_norm, layer_norm_vjp, rms_norm, rms_norm_vjp
from clearhead.reference.positions import lookup, lookup_vjp
from clearhead.reference.softmax import cross_entropy, cross_entropy_vjp


class GPT2(NamedTuple):
    """All weights of a GPT-2; the embedding of tokens is also the head. A gradient has the same fields."""

    tokens: Float[Array, "V D"]
    places: Float[Array, "S D"]
    blocks: tuple[Block, ...]
    norm: Norm


class Llama(NamedTuple):
    """All weights of a Llama. A gradient has the same fields."""

    tokens: Float[Array, "V D"]
    blocks: tuple[LlamaBlock, ...]
    weight: Float[Array, " D"]
    head: Float[Array, "D V"]


def gpt2(w: GPT2, ids: Int[Array, "*B T"]) -> Float[Array, "*B T V"]:
    """Logits of the next token at every position: LN(blocks(E[ids] + P[0 .. T-1])) Eᵀ.

    >>> w = random_gpt2(V=5, S=4, D=6, H=2, F=8, L=2, rng=np.random.default_rng(0))
    >>> gpt2(w, np.array([[0, 1, 4]])).shape
    (1, 3, 5)

    O(L (T D (H C + F) + T² H C) + T D V). Radford et al. 2019, section 2.3.
    ValueError: an id outside the vocabulary, or a text longer than the table of positions.
    """
    *_, x = _gpt2_stream(w, ids)
    return layer_norm(x, *w.norm, EPS) @ w.tokens.T


def gpt2_vjp(w: GPT2, ids: Int[Array, "*B T"], dlogits: Float[Array, "*B T V"]) -> GPT2:
    """Every weight's gradient: back through the head, the blocks in reverse, and into both tables.

    The embedding is used twice, so it gets the sum of two gradients.
    """
    *inputs, x = _gpt2_stream(w, ids)
    h = layer_norm(x, *w.norm, EPS)
    dtokens = _outer(dlogits, h)
    dx, *dnorm = layer_norm_vjp(x, *w.norm, EPS, dlogits @ w.tokens)
    mask, blocks = causal_mask(ids.shape[-1], ids.shape[-1]), []
    for block, given in zip(reversed(w.blocks), reversed(inputs), strict=True):
        dx, dblock = pre_ln_block_vjp(given, block, mask, dx)
        blocks.append(dblock)
    places = np.broadcast_to(np.arange(ids.shape[-1]), ids.shape)
    dtokens += lookup_vjp(w.tokens, ids, dx)
    return GPT2(dtokens, lookup_vjp(w.places, places, dx), tuple(reversed(blocks)), Norm(*dnorm))


def llama(w: Llama, ids: Int[Array, "*B T"], base: float = 10_000.0) -> Float[Array, "*B T V"]:
    """Logits of the next token at every position: RMS(blocks(E[ids])) W_head, places being turns of q and k.

    >>> w = random_llama(V=5, D=6, H=3, G=1, F=8, L=2, rng=np.random.default_rng(0))
    >>> llama(w, np.array([[0, 1, 4]])).shape
    (1, 3, 5)

    O(L (T D (H C + F) + T² H C) + T D V). Touvron et al. 2023, section 2.2. ValueError: an id outside the vocabulary.
    """
    *_, x = _llama_stream(w, ids, base)
    return rms_norm(x, w.weight, EPS) @ w.head


def llama_vjp(w: Llama, ids: Int[Array, "*B T"], base: float, dlogits: Float[Array, "*B T V"]) -> Llama:
    """Every weight's gradient: back through the head, the blocks in reverse, and into the embedding."""
    *inputs, x = _llama_stream(w, ids, base)
    dhead = _outer(rms_norm(x, w.weight, EPS), dlogits)
    dx, dweight = rms_norm_vjp(x, w.weight, EPS, dlogits @ w.head.T)
    T, blocks = ids.shape[-1], []
    for block, given in zip(reversed(w.blocks), reversed(inputs), strict=True):
        dx, dblock = llama_block_vjp(given, block, np.arange(T), causal_mask(T, T), base, dx)
        blocks.append(dblock)
    return Llama(lookup_vjp(w.tokens, ids, dx), tuple(reversed(blocks)), dweight, dhead)


def next_token_loss(logits: Float[Array, "*B T V"], ids: Int[Array, "*B T"]) -> Float[Array, ""]:
    """The mean of -log p(ids_t+1 | ids_0 .. ids_t) over all positions that have a next token.

    >>> round(float(next_token_loss(np.zeros((1, 3, 8)), np.array([[0, 1, 2]]))), 4)  # log 8
    2.0794

    O(B T V). Bengio et al. 2003, section 2. ValueError: fewer than two tokens, or an id outside the vocabulary.
    """
    _check_length(ids)
    return cross_entropy(logits[..., :-1, :], ids[..., 1:]).mean()


def next_token_loss_vjp(
    logits: Float[Array, "*B T V"], ids: Int[Array, "*B T"], dloss: float | Float[Array, ""]
) -> Float[Array, "*B T V"]:
    """(p - onehot(next)) / how many there are; 0 at the last position, which predicts nothing that is known."""
    _check_length(ids)
    dlogits, following = np.zeros_like(logits), ids[..., 1:]
    each = np.full(following.shape, dloss / following.size)
    dlogits[..., :-1, :] = cross_entropy_vjp(logits[..., :-1, :], following, each)
    return dlogits


def gpt2_loss(w: GPT2, ids: Int[Array, "*B T"]) -> Float[Array, ""]:
    """next_token_loss(gpt2(w, ids), ids): what training lowers.

    >>> w = random_gpt2(V=5, S=4, D=6, H=2, F=8, L=2, rng=np.random.default_rng(0))
    >>> round(float(gpt2_loss(w, np.array([[0, 1, 4]]))), 1)  # a new model knows nothing: log 5
    1.6

    Cost and errors as gpt2 and next_token_loss.
    """
    return next_token_loss(gpt2(w, ids), ids)


def gpt2_loss_vjp(w: GPT2, ids: Int[Array, "*B T"], dloss: float | Float[Array, ""]) -> GPT2:
    """The gradient of the loss with respect to every weight, times dloss."""
    return gpt2_vjp(w, ids, next_token_loss_vjp(gpt2(w, ids), ids, dloss))


def llama_loss(w: Llama, ids: Int[Array, "*B T"], base: float = 10_000.0) -> Float[Array, ""]:
    """next_token_loss(llama(w, ids), ids): what training lowers.

    >>> w = random_llama(V=5, D=6, H=3, G=1, F=8, L=2, rng=np.random.default_rng(0))
    >>> round(float(llama_loss(w, np.array([[0, 1, 4]]))), 1)
    1.6

    Cost and errors as llama and next_token_loss.
    """
    return next_token_loss(llama(w, ids, base), ids)


def llama_loss_vjp(w: Llama, ids: Int[Array, "*B T"], base: float, dloss: float | Float[Array, ""]) -> Llama:
    """The gradient of the loss with respect to every weight, times dloss."""
    return llama_vjp(w, ids, base, next_token_loss_vjp(llama(w, ids, base), ids, dloss))


def random_gpt2(V: int, S: int, D: int, H: int, F: int, L: int, rng: np.random.Generator) -> GPT2:
    """A new GPT-2: N(0, 0.02²), what writes to the stream smaller by √(2L), biases 0, norm weights 1.

    >>> random_gpt2(V=5, S=4, D=6, H=2, F=8, L=2, rng=np.random.default_rng(0)).blocks[1].attention.w_q.shape
    (6, 2, 3)

    Radford et al. 2019, section 2.3. ValueError: D is no multiple of H.
    """
    if D % H:
        raise ValueError(f"D = {D} cannot be dealt out to H = {H} heads evenly; make it a multiple")
    C, norm, writes = D // H, Norm(np.ones(D), np.zeros(D)), 0.02 / np.sqrt(2 * L)

    def block() -> Block:
        w_q, w_k, w_v = (rng.normal(scale=0.02, size=(D, H, C)) for _ in range(3))
        bias = np.zeros((H, C))
        heads = Heads(w_q, w_k, w_v, rng.normal(scale=writes, size=(H, C, D)), bias, bias, bias, np.zeros(D))
        w_1, w_2 = rng.normal(scale=0.02, size=(D, F)), rng.normal(scale=writes, size=(F, D))
        return Block(heads, norm, MLP(w_1, np.zeros(F), w_2, np.zeros(D)), norm)

    tokens, places = rng.normal(scale=0.02, size=(V, D)), rng.normal(scale=0.02, size=(S, D))
    return GPT2(tokens, places, tuple(block() for _ in range(L)), norm)


def random_llama(V: int, D: int, H: int, G: int, F: int, L: int, rng: np.random.Generator) -> Llama:
    """A new Llama with G key/value heads: N(0, 0.02²), norm weights 1.

    >>> random_llama(V=5, D=6, H=3, G=1, F=8, L=2, rng=np.random.default_rng(0)).blocks[1].attention.w_k.shape
    (6, 1, 2)

    ValueError: D is no multiple of H.
    """
    if D % H:
        raise ValueError(f"D = {D} cannot be dealt out to H = {H} heads evenly; make it a multiple")
    C = D // H

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(scale=0.02, size=shape)

    def block() -> LlamaBlock:
        heads = Heads(normal(D, H, C), normal(D, G, C), normal(D, G, C), normal(H, C, D))
        return LlamaBlock(heads, np.ones(D), GatedMLP(normal(D, F), normal(D, F), normal(F, D)), np.ones(D))

    return Llama(normal(V, D), tuple(block() for _ in range(L)), np.ones(D), normal(D, V))


def _gpt2_stream(w: GPT2, ids: np.ndarray) -> list[np.ndarray]:
    """What goes into each block, and what comes out of the last."""
    T = ids.shape[-1]
    stream = [lookup(w.tokens, ids) + lookup(w.places, np.arange(T))]
    for block in w.blocks:
        stream.append(pre_ln_block(stream[-1], block, causal_mask(T, T)))
    return stream


def _llama_stream(w: Llama, ids: np.ndarray, base: float) -> list[np.ndarray]:
    T = ids.shape[-1]
    stream = [lookup(w.tokens, ids)]
    for block in w.blocks:
        stream.append(llama_block(stream[-1], block, np.arange(T), causal_mask(T, T), base))
    return stream


def _outer(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """xᵀ dy, summed over every token."""
    return x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])


def _check_length(ids: np.ndarray) -> None:
    if ids[..., 1:].size == 0:
        raise ValueError(f"ids of shape {ids.shape} hold no next token; each text needs at least two")
