"""Transformer blocks: attention and MLP, each inside a residual, with the norm before it or after it.

An encoder block and the block of a decoder-only model are one thing, under different masks; the decoder block of an
encoder-decoder has cross-attention between the two sublayers. A vjp computes the forward pass again, so that from block
to block only the input needs to be kept.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int

from clearhead.reference import Array
from clearhead.reference.mlp import MLP, GatedMLP, gelu_mlp, gelu_mlp_vjp, swiglu_mlp, swiglu_mlp_vjp
from clearhead.reference.multi_head import (
    Heads,
    multi_head_attention,
    multi_head_attention_vjp,
    rotary_attention,
    rotary_attention_vjp,
)
from clearhead.reference.normalization import layer_norm, layer_norm_vjp, rms_norm, rms_norm_vjp

EPS = 1e-5  # added to every variance and mean square


class Norm(NamedTuple):
    """The weights of a layer norm."""

    weight: Float[Array, " D"]
    bias: Float[Array, " D"]


class Block(NamedTuple):
    """The weights of an encoder block, or of a block of a decoder-only model; a gradient has the same fields."""

    attention: Heads
    norm_1: Norm
    mlp: MLP
    norm_2: Norm


class CrossBlock(NamedTuple):
    """The weights of a decoder block that also reads an encoder; a gradient has the same fields."""

    attention: Heads
    norm_1: Norm
    cross: Heads
    norm_2: Norm
    mlp: MLP
    norm_3: Norm


class LlamaBlock(NamedTuple):
    """The weights of a Llama block; a gradient has the same fields."""

    attention: Heads
    gain_1: Float[Array, " D"]
    mlp: GatedMLP
    gain_2: Float[Array, " D"]


def post_ln_block(
    x: Float[Array, "*B T D"], w: Block, mask: Bool[Array, "*#B #T T"] | None = None
) -> Float[Array, "*B T D"]:
    """x ← LN(x + MHA(x)); x ← LN(x + MLP(x)): the original order, whose residual path runs through every norm.

    >>> import numpy as np
    >>> from clearhead.reference.transformer import random_gpt2
    >>> w = random_gpt2(V=1, S=1, D=4, H=2, F=8, L=1, rng=np.random.default_rng(0)).blocks[0]
    >>> post_ln_block(np.array([[1.0, 1.0, 3.0, 3.0]]), w).round(1).tolist()  # a new block: the norms alone
    [[-1.0, -1.0, 1.0, 1.0]]

    O(T D (H C + F) + T² H C). Vaswani et al. 2017, section 3.1.
    """
    x = layer_norm(x + multi_head_attention(x, x, w.attention, mask), *w.norm_1, EPS)
    return layer_norm(x + gelu_mlp(x, w.mlp), *w.norm_2, EPS)


def post_ln_block_vjp(
    x: Float[Array, "*B T D"], w: Block, mask: Bool[Array, "*#B #T T"] | None, dy: Float[Array, "*B T D"]
) -> tuple[Float[Array, "*B T D"], Block]:
    """The chain rule through both sublayers; a residual adds its sublayer's gradient to the one it passes on."""
    s = x + multi_head_attention(x, x, w.attention, mask)
    u = layer_norm(s, *w.norm_1, EPS)
    r = u + gelu_mlp(u, w.mlp)
    dr, *dnorm_2 = layer_norm_vjp(r, *w.norm_2, EPS, dy)
    du, dmlp = gelu_mlp_vjp(u, w.mlp, dr)
    ds, *dnorm_1 = layer_norm_vjp(s, *w.norm_1, EPS, dr + du)
    dq, dkv, dattention = multi_head_attention_vjp(x, x, w.attention, mask, ds)
    return ds + dq + dkv, Block(dattention, Norm(*dnorm_1), dmlp, Norm(*dnorm_2))


def pre_ln_block(
    x: Float[Array, "*B T D"], w: Block, mask: Bool[Array, "*#B #T T"] | None = None
) -> Float[Array, "*B T D"]:
    """x ← x + MHA(LN(x)); x ← x + MLP(LN(x)): nothing stands in the way of the residual path, nor of its gradient.

    >>> import numpy as np
    >>> from clearhead.reference.transformer import random_gpt2
    >>> w = random_gpt2(V=1, S=1, D=4, H=2, F=8, L=1, rng=np.random.default_rng(0)).blocks[0]
    >>> pre_ln_block(np.array([[1.0, 1.0, 3.0, 3.0]]), w).round(1).tolist()  # a new block: the identity
    [[1.0, 1.0, 3.0, 3.0]]

    O(T D (H C + F) + T² H C). Radford et al. 2019, section 2.3; Xiong et al. 2020, section 3.
    """
    u = layer_norm(x, *w.norm_1, EPS)
    x = x + multi_head_attention(u, u, w.attention, mask)
    return x + gelu_mlp(layer_norm(x, *w.norm_2, EPS), w.mlp)


def pre_ln_block_vjp(
    x: Float[Array, "*B T D"], w: Block, mask: Bool[Array, "*#B #T T"] | None, dy: Float[Array, "*B T D"]
) -> tuple[Float[Array, "*B T D"], Block]:
    """dx = dy + what comes back through the norms and sublayers."""
    u = layer_norm(x, *w.norm_1, EPS)
    s = x + multi_head_attention(u, u, w.attention, mask)
    dr, dmlp = gelu_mlp_vjp(layer_norm(s, *w.norm_2, EPS), w.mlp, dy)
    ds, *dnorm_2 = layer_norm_vjp(s, *w.norm_2, EPS, dr)
    ds = dy + ds
    dq, dkv, dattention = multi_head_attention_vjp(u, u, w.attention, mask, ds)
    dx, *dnorm_1 = layer_norm_vjp(x, *w.norm_1, EPS, dq + dkv)
    return ds + dx, Block(dattention, Norm(*dnorm_1), dmlp, Norm(*dnorm_2))


def post_ln_cross_block(
    x: Float[Array, "*B T D"],
    y: Float[Array, "*B S D"],
    w: CrossBlock,
    mask: Bool[Array, "*#B #T T"] | None = None,
    mask_y: Bool[Array, "*#B #T S"] | None = None,
) -> Float[Array, "*B T D"]:
    """post_ln_block with x ← LN(x + MHA(x, y)) in the middle: queries from the decoder, keys from the encoder.

    >>> import numpy as np
    >>> from clearhead.reference.transformer import random_gpt2
    >>> w = random_gpt2(V=1, S=1, D=4, H=2, F=8, L=1, rng=np.random.default_rng(0)).blocks[0]
    >>> both = CrossBlock(w.attention, w.norm_1, w.attention, w.norm_1, w.mlp, w.norm_2)
    >>> post_ln_cross_block(np.array([[1.0, 1.0, 3.0, 3.0]]), np.ones((2, 4)), both).round(1).tolist()
    [[-1.0, -1.0, 1.0, 1.0]]

    O(T D (H C + F) + S D H C + T (T + S) H C). Vaswani et al. 2017, section 3.1, "Decoder".
    """
    x = layer_norm(x + multi_head_attention(x, x, w.attention, mask), *w.norm_1, EPS)
    x = layer_norm(x + multi_head_attention(x, y, w.cross, mask_y), *w.norm_2, EPS)
    return layer_norm(x + gelu_mlp(x, w.mlp), *w.norm_3, EPS)


def post_ln_cross_block_vjp(
    x: Float[Array, "*B T D"],
    y: Float[Array, "*B S D"],
    w: CrossBlock,
    mask: Bool[Array, "*#B #T T"] | None,
    mask_y: Bool[Array, "*#B #T S"] | None,
    dz: Float[Array, "*B T D"],
) -> tuple[Float[Array, "*B T D"], Float[Array, "*B S D"], CrossBlock]:
    """post_ln_block's, and dy = the gradient of the keys and values of cross-attention."""
    s = x + multi_head_attention(x, x, w.attention, mask)
    u = layer_norm(s, *w.norm_1, EPS)
    c = u + multi_head_attention(u, y, w.cross, mask_y)
    v = layer_norm(c, *w.norm_2, EPS)
    dr, *dnorm_3 = layer_norm_vjp(v + gelu_mlp(v, w.mlp), *w.norm_3, EPS, dz)
    dv, dmlp = gelu_mlp_vjp(v, w.mlp, dr)
    dc, *dnorm_2 = layer_norm_vjp(c, *w.norm_2, EPS, dr + dv)
    du, dy, dcross = multi_head_attention_vjp(u, y, w.cross, mask_y, dc)
    ds, *dnorm_1 = layer_norm_vjp(s, *w.norm_1, EPS, dc + du)
    dq, dkv, dattention = multi_head_attention_vjp(x, x, w.attention, mask, ds)
    dw = CrossBlock(dattention, Norm(*dnorm_1), dcross, Norm(*dnorm_2), dmlp, Norm(*dnorm_3))
    return ds + dq + dkv, dy, dw


def pre_ln_cross_block(
    x: Float[Array, "*B T D"],
    y: Float[Array, "*B S D"],
    w: CrossBlock,
    mask: Bool[Array, "*#B #T T"] | None = None,
    mask_y: Bool[Array, "*#B #T S"] | None = None,
) -> Float[Array, "*B T D"]:
    """pre_ln_block with x ← x + MHA(LN(x), y) in the middle; y has been through the encoder's last norm.

    >>> import numpy as np
    >>> from clearhead.reference.transformer import random_gpt2
    >>> w = random_gpt2(V=1, S=1, D=4, H=2, F=8, L=1, rng=np.random.default_rng(0)).blocks[0]
    >>> both = CrossBlock(w.attention, w.norm_1, w.attention, w.norm_1, w.mlp, w.norm_2)
    >>> pre_ln_cross_block(np.array([[1.0, 1.0, 3.0, 3.0]]), np.ones((2, 4)), both).round(1).tolist()
    [[1.0, 1.0, 3.0, 3.0]]

    O(T D (H C + F) + S D H C + T (T + S) H C). Xiong et al. 2020, section 3; Raffel et al. 2020, section 2.1.
    """
    u = layer_norm(x, *w.norm_1, EPS)
    x = x + multi_head_attention(u, u, w.attention, mask)
    x = x + multi_head_attention(layer_norm(x, *w.norm_2, EPS), y, w.cross, mask_y)
    return x + gelu_mlp(layer_norm(x, *w.norm_3, EPS), w.mlp)


def pre_ln_cross_block_vjp(
    x: Float[Array, "*B T D"],
    y: Float[Array, "*B S D"],
    w: CrossBlock,
    mask: Bool[Array, "*#B #T T"] | None,
    mask_y: Bool[Array, "*#B #T S"] | None,
    dz: Float[Array, "*B T D"],
) -> tuple[Float[Array, "*B T D"], Float[Array, "*B S D"], CrossBlock]:
    """pre_ln_block's, and dy = the gradient of the keys and values of cross-attention."""
    u = layer_norm(x, *w.norm_1, EPS)
    s = x + multi_head_attention(u, u, w.attention, mask)
    v = layer_norm(s, *w.norm_2, EPS)
    c = s + multi_head_attention(v, y, w.cross, mask_y)
    dr, dmlp = gelu_mlp_vjp(layer_norm(c, *w.norm_3, EPS), w.mlp, dz)
    dc, *dnorm_3 = layer_norm_vjp(c, *w.norm_3, EPS, dr)
    dc = dz + dc
    dv, dy, dcross = multi_head_attention_vjp(v, y, w.cross, mask_y, dc)
    ds, *dnorm_2 = layer_norm_vjp(s, *w.norm_2, EPS, dv)
    ds = dc + ds
    dq, dkv, dattention = multi_head_attention_vjp(u, u, w.attention, mask, ds)
    dx, *dnorm_1 = layer_norm_vjp(x, *w.norm_1, EPS, dq + dkv)
    dw = CrossBlock(dattention, Norm(*dnorm_1), dcross, Norm(*dnorm_2), dmlp, Norm(*dnorm_3))
    return ds + dx, dy, dw


def llama_block(
    x: Float[Array, "*B T D"],
    w: LlamaBlock,
    positions: Int[Array, " T"],
    mask: Bool[Array, "*#B #T T"] | None = None,
    base: float = 10_000.0,
) -> Float[Array, "*B T D"]:
    """x ← x + RotaryAttention(RMS(x)); x ← x + SwiGLU(RMS(x)): the pre-norm block without biases.

    >>> import numpy as np
    >>> from clearhead.reference.transformer import random_llama
    >>> w = random_llama(V=1, D=4, H=2, G=1, F=8, L=1, rng=np.random.default_rng(0)).blocks[0]
    >>> llama_block(np.array([[1.0, 1.0, 3.0, 3.0]]), w, np.array([0])).round(1).tolist()
    [[1.0, 1.0, 3.0, 3.0]]

    O(T D (H C + F) + T² H C). Touvron et al. 2023, section 2.2.
    """
    x = x + rotary_attention(rms_norm(x, w.gain_1, EPS), w.attention, positions, mask, base)
    return x + swiglu_mlp(rms_norm(x, w.gain_2, EPS), w.mlp)


def llama_block_vjp(
    x: Float[Array, "*B T D"],
    w: LlamaBlock,
    positions: Int[Array, " T"],
    mask: Bool[Array, "*#B #T T"] | None,
    base: float,
    dy: Float[Array, "*B T D"],
) -> tuple[Float[Array, "*B T D"], LlamaBlock]:
    """dx = dy + what comes back through the norms and sublayers."""
    u = rms_norm(x, w.gain_1, EPS)
    s = x + rotary_attention(u, w.attention, positions, mask, base)
    dr, dmlp = swiglu_mlp_vjp(rms_norm(s, w.gain_2, EPS), w.mlp, dy)
    ds, dgain_2 = rms_norm_vjp(s, w.gain_2, EPS, dr)
    ds = dy + ds
    du, dattention = rotary_attention_vjp(u, w.attention, positions, mask, base, ds)
    dx, dgain_1 = rms_norm_vjp(x, w.gain_1, EPS, du)
    return ds + dx, LlamaBlock(dattention, dgain_1, dmlp, dgain_2)
