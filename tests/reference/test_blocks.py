"""Blocks against torch's encoder and decoder layers, with both orders of the norm."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import close
from trees import arrays, check_tree_vjp, leaves

from clearhead.reference.attention import causal_mask, padding_mask
from clearhead.reference.blocks import (
    Block,
    CrossBlock,
    LlamaBlock,
    Norm,
    llama_block,
    llama_block_vjp,
    post_ln_block,
    post_ln_block_vjp,
    post_ln_cross_block,
    post_ln_cross_block_vjp,
    pre_ln_block,
    pre_ln_block_vjp,
    pre_ln_cross_block,
    pre_ln_cross_block_vjp,
)
from clearhead.reference.mlp import MLP, GatedMLP
from clearhead.reference.multi_head import Heads

RNG = np.random.default_rng(0)
B, T, S, D, H, C, F_ = 2, 3, 4, 4, 2, 2, 5  # D = H C, as torch's layers need it
X, Y = RNG.normal(size=(B, T, D)), RNG.normal(size=(B, S, D))
CAUSAL, PADDED = causal_mask(T, T), padding_mask(np.array([2, 4]), S)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) / 4


def heads() -> Heads:
    kv = (normal(D, H, C), normal(D, H, C))
    return Heads(normal(D, H, C), *kv, normal(H, C, D), normal(H, C), normal(H, C), normal(H, C), normal(D))


def norm() -> Norm:
    return Norm(1 + normal(D), normal(D))


def mlp() -> MLP:
    return MLP(normal(D, F_), normal(F_), normal(F_, D), normal(D))


BLOCK = Block(heads(), norm(), mlp(), norm())
CROSS = CrossBlock(heads(), norm(), heads(), norm(), mlp(), norm())


def torchs(w, layer: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Our weights by torch's names, still attached to ours, so that gradients flow back to them."""

    def attention(name: str, h: Heads) -> dict[str, torch.Tensor]:
        return {
            f"{name}.in_proj_weight": torch.cat([m.flatten(1).T for m in h[:3]]),
            f"{name}.in_proj_bias": torch.cat([b.flatten() for b in h[4:7]]),
            f"{name}.out_proj.weight": h.w_o.flatten(0, 1).T,
            f"{name}.out_proj.bias": h.b_o,
        }

    norms = [n for n in w if isinstance(n, Norm)]
    named = attention("self_attn", w.attention) | {
        "linear1.weight": w.mlp.w_1.T, "linear1.bias": w.mlp.b_1,
        "linear2.weight": w.mlp.w_2.T, "linear2.bias": w.mlp.b_2,
    }  # fmt: skip
    for i, n in enumerate(norms, 1):
        named |= {f"norm{i}.weight": n.weight, f"norm{i}.bias": n.bias}
    if hasattr(w, "cross"):
        named |= attention("multihead_attn", w.cross)
    assert set(named) == {name for name, _ in layer.named_parameters()}
    return named


def layer(kind: type, first: bool) -> torch.nn.Module:
    def gelu(a):
        return F.gelu(a, approximate="tanh")

    return kind(D, H, F_, 0.0, gelu, norm_first=first, batch_first=True, dtype=torch.float64)


@pytest.mark.parametrize(
    ("block", "block_vjp", "first"),
    [(pre_ln_block, pre_ln_block_vjp, True), (post_ln_block, post_ln_block_vjp, False)],
)
def test_a_block_is_torchs_encoder_layer(block, block_vjp, first: bool) -> None:
    theirs = layer(torch.nn.TransformerEncoderLayer, first)
    for mask in (None, CAUSAL):

        def peer(x, w, mask):
            hidden = None if mask is None else ~mask
            return torch.func.functional_call(theirs, torchs(w, theirs), (x,), {"src_mask": hidden})

        check_tree_vjp(block, block_vjp, X, BLOCK, mask, peer=peer)


@pytest.mark.parametrize(
    ("block", "block_vjp", "first"),
    [(pre_ln_cross_block, pre_ln_cross_block_vjp, True), (post_ln_cross_block, post_ln_cross_block_vjp, False)],
)
def test_a_block_with_cross_attention_is_torchs_decoder_layer(block, block_vjp, first: bool) -> None:
    theirs = layer(torch.nn.TransformerDecoderLayer, first)

    def peer(x, y, w, mask, mask_y):
        masks = {"tgt_mask": ~mask, "memory_key_padding_mask": ~mask_y[:, 0]}
        return torch.func.functional_call(theirs, torchs(w, theirs), (x, y), masks)

    check_tree_vjp(block, block_vjp, X, Y, CROSS, CAUSAL, PADDED, peer=peer)


def test_llama_block_by_differences() -> None:  # against transformers: test_transformer.py
    attention = Heads(normal(D, H, C), normal(D, 1, C), normal(D, 1, C), normal(H, C, D))
    w = LlamaBlock(attention, normal(D), GatedMLP(normal(D, F_), normal(D, F_), normal(F_, D)), normal(D))
    check_tree_vjp(llama_block, llama_block_vjp, X, w, np.array([0, 2, 5]), CAUSAL, 100.0)


def test_sublayers_that_write_nothing_leave_the_stream_alone() -> None:
    silent = Block(
        BLOCK.attention._replace(w_o=np.zeros((H, C, D)), b_o=np.zeros(D)), BLOCK.norm_1,
        BLOCK.mlp._replace(w_2=np.zeros((F_, D)), b_2=np.zeros(D)), BLOCK.norm_2,
    )  # fmt: skip
    assert pre_ln_block(X, silent).tolist() == X.tolist()
    dx, _ = pre_ln_block_vjp(X, silent, None, X)
    assert dx.tolist() == X.tolist()
    assert np.abs(post_ln_block(X, silent) - X).max() > 0.1  # post-LN normalizes the stream itself


def test_the_stream_grows_under_pre_ln_and_not_under_post_ln() -> None:
    plain = Norm(np.ones(D), np.zeros(D))
    w = BLOCK._replace(norm_1=plain, norm_2=plain)
    pre = post = X
    sizes = []
    for _ in range(16):
        pre, post = pre_ln_block(pre, w), post_ln_block(post, w)
        sizes.append(np.abs(pre).mean())
        assert np.abs((post**2).mean(-1) - 1).max() < 0.01
    assert sizes[15] > 2 * sizes[3] > 2 * sizes[0]


def test_gradients_have_the_form_of_the_weights() -> None:
    _, dw = pre_ln_block_vjp(X, BLOCK, None, X)
    assert [g.shape for g in arrays(dw)] == [a.shape for a in leaves(BLOCK)]
    close(dw.mlp.b_2, X.sum((0, 1)))
