"""Heads against torch's own multi-head attention, with every way of sharing keys and values."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close
from trees import check_tree_vjp

from clearhead.reference.attention import causal_mask, padding_mask
from clearhead.reference.multi_head import (
    Heads,
    from_heads,
    from_heads_vjp,
    grouped_query_attention,
    grouped_query_attention_vjp,
    multi_head_attention,
    multi_head_attention_vjp,
    project,
    project_vjp,
    rotary_attention,
    rotary_attention_vjp,
    to_heads,
    to_heads_vjp,
)

RNG = np.random.default_rng(0)
B, T, S, D, H, C = 2, 3, 4, 6, 4, 2
X, Y = RNG.normal(size=(B, T, D)), RNG.normal(size=(B, S, D))
MASKS = (None, causal_mask(T, S), padding_mask(np.array([2, 4]), S))


def heads(G: int, bias: bool) -> Heads:
    def normal(*shape: int) -> np.ndarray:
        return RNG.normal(size=shape)

    w = Heads(normal(D, H, C), normal(D, G, C), normal(D, G, C), normal(H, C, D))
    return w._replace(b_q=normal(H, C), b_k=normal(G, C), b_v=normal(G, C), b_o=normal(D)) if bias else w


def in_torch(x, y, w, mask, turn=lambda z: z):
    """The sublayer by torch's matrix products, torch's attention and its way of sharing heads."""

    def project(z, m, b):
        flat = F.linear(z, m.flatten(1).T, None if b is None else b.flatten())
        return flat.unflatten(-1, m.shape[1:]).transpose(-2, -3)

    q, k, v = project(x, w.w_q, w.b_q), project(y, w.w_k, w.b_k), project(y, w.w_v, w.b_v)
    mask = None if mask is None else mask.unsqueeze(-3)
    o = F.scaled_dot_product_attention(turn(q), turn(k), v, mask, enable_gqa=True)
    return F.linear(o.transpose(-2, -3).flatten(-2), w.w_o.flatten(0, 1).T, w.b_o)


def test_projections() -> None:
    w, o = RNG.normal(size=(D, H, C)), RNG.normal(size=(B, H, T, C))
    check_vjp(
        to_heads, to_heads_vjp, X, w, peer=lambda x, w: (x @ w.flatten(1)).unflatten(-1, (H, C)).transpose(-2, -3)
    )  # fmt: skip
    check_vjp(
        from_heads, from_heads_vjp, o, w.reshape(H, C, D),
        peer=lambda o, w: o.transpose(-2, -3).flatten(-2) @ w.flatten(0, 1),
    )  # fmt: skip
    check_tree_vjp(project, project_vjp, X, Y, heads(2, bias=True))
    assert to_heads_vjp(X[:0], w, o[:0].reshape(0, H, T, C))[1].tolist() == np.zeros_like(w).tolist()


@pytest.mark.parametrize("G", [4, 2, 1])
def test_values_and_gradients(G: int) -> None:
    q, k, v = (RNG.normal(size=(B, n, length, C)) for n, length in ((H, T), (G, S), (G, S)))
    for mask in MASKS:
        check_vjp(
            grouped_query_attention, grouped_query_attention_vjp, q, k, v, mask,
            peer=lambda q, k, v, mask: F.scaled_dot_product_attention(
                q, k, v, None if mask is None else mask.unsqueeze(-3), enable_gqa=True
            ),
        )  # fmt: skip
    for bias, mask in ((False, causal_mask(T, S)), (True, padding_mask(np.array([2, 4]), S))):
        w = heads(G, bias)._replace(b_k=None)
        check_tree_vjp(multi_head_attention, multi_head_attention_vjp, X, Y, w, mask, peer=in_torch)


def test_a_bias_of_keys_changes_nothing() -> None:
    w = heads(2, bias=True)  # it adds q·b_k to every score of a row, and softmax does not see that
    close(multi_head_attention(X, Y, w), multi_head_attention(X, Y, w._replace(b_k=None)))
    *_, dw = multi_head_attention_vjp(X, Y, w, None, RNG.normal(size=X.shape))
    assert dw.b_k.shape == w.b_k.shape and np.abs(dw.b_k).max() < 1e-12
    rotated = rotary_attention(X, w, np.arange(T)) - rotary_attention(X, w._replace(b_k=None), np.arange(T))
    assert np.abs(rotated).max() > 0.01  # but turned by the key's position it differs from key to key


def test_self_attention_is_torchs_multi_head_attention() -> None:
    shapes = {"w_o": (H, C, 8), "b_o": (8,)} | {f"w_{part}": (8, H, C) for part in "qkv"}  # torch wants D = H C
    w = heads(H, bias=True)._replace(**{name: RNG.normal(size=shape) for name, shape in shapes.items()})
    x = RNG.normal(size=(B, T, 8))
    theirs = torch.nn.MultiheadAttention(8, H, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.tensor(np.concatenate([m.reshape(8, 8).T for m in w[:3]])))
        theirs.in_proj_bias.copy_(torch.tensor(np.concatenate([b.ravel() for b in w[4:7]])))
        theirs.out_proj.weight.copy_(torch.tensor(w.w_o.reshape(8, 8).T))
        theirs.out_proj.bias.copy_(torch.tensor(w.b_o))
        hidden = torch.tensor(~causal_mask(T, T))  # True is what may not be seen over there
        z = torch.tensor(x)
        want = theirs(z, z, z, attn_mask=hidden, need_weights=False)[0].numpy()
    close(multi_head_attention(x, x, w, causal_mask(T, T)), want)


@pytest.mark.parametrize("bias", [False, True])
def test_rotary_attention(bias: bool) -> None:
    positions = np.array([3, 4, 9])

    def turn(z):
        theta = torch.tensor(positions)[:, None] * 100.0 ** -torch.tensor([0.0], dtype=torch.float64)
        z = torch.view_as_complex(z.unflatten(-1, (2, 1)).transpose(-1, -2).contiguous())  # the halves, paired
        return torch.view_as_real(z * torch.polar(torch.ones_like(theta), theta)).transpose(-1, -2).flatten(-2)

    def theirs(x, w, positions, mask, base):
        return in_torch(x, x, w, mask, turn)

    for mask in (None, causal_mask(T, T)) if bias else (causal_mask(T, T),):
        check_tree_vjp(
            rotary_attention, rotary_attention_vjp, X, heads(2, bias), positions, mask, 100.0, peer=theirs
        )  # fmt: skip
    w = heads(2, bias)
    close(
        rotary_attention(X, w, np.full(T, 7)), multi_head_attention(X, X, w)
    )  # all in one place: no turn between them


def test_the_order_of_tokens_matters_only_through_positions() -> None:
    w, order = heads(2, bias=True), np.array([2, 0, 1])
    close(multi_head_attention(X[:, order], X[:, order], w), multi_head_attention(X, X, w)[:, order])
    p = np.arange(T)
    close(rotary_attention(X[:, order], w, p[order]), rotary_attention(X, w, p)[:, order])
    close(rotary_attention(X, w, p + 50), rotary_attention(X, w, p), 1e-11)  # and only their distances do
    assert np.abs(rotary_attention(X[:, order], w, p) - rotary_attention(X, w, p)[:, order]).max() > 0.01


def test_shared_heads_are_repeated_heads() -> None:
    few = heads(2, bias=True)
    many = few._replace(**{name: getattr(few, name).repeat(2, -2) for name in ("w_k", "w_v", "b_k", "b_v")})
    close(multi_head_attention(X, Y, few), multi_head_attention(X, Y, many))


@pytest.mark.parametrize(("H", "G"), [(4, 3), (2, 4), (1, 0)])
def test_heads_that_cannot_be_shared_are_named(H: int, G: int) -> None:
    kv = np.zeros((G, 2, 1))
    with pytest.raises(ValueError, match=f"H = {H} query heads cannot share G = {G}"):
        grouped_query_attention(np.zeros((H, 2, 1)), kv, kv)
