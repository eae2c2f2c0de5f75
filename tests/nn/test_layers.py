"""The modules: what a block adds, what attention hands over, how wide a gated MLP is."""

from functools import partial

import pytest
import torch
from torch import Tensor

from clearhead.nn import functional as fn
from clearhead.nn.layers import MLP, Attention, Norm, PostNormBlock, PreNormBlock, SandwichBlock

NORM = partial(fn.rms_norm, eps=1e-6)


def test_attention_hands_over_grouped_heads() -> None:
    seen: list[tuple[torch.Size, ...]] = []

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen.append((q.shape, k.shape, v.shape))
        return q

    layer = Attention(width=24, n_heads=6, n_kv_heads=2, head_dim=4, qk_norm=(NORM, NORM))
    assert layer(torch.randn(3, 5, 24), None, attend).shape == (3, 5, 24)
    assert seen == [((3, 5, 6, 4), (3, 5, 2, 4), (3, 5, 2, 4))]


def test_attention_splits_norms_and_turns_in_this_order() -> None:
    layer = Attention(width=4, n_heads=1, n_kv_heads=1, head_dim=4, qk_norm=(NORM, NORM))
    with torch.no_grad():
        layer.qkv.weight.copy_(torch.cat([torch.eye(4), 2 * torch.eye(4), 3 * torch.eye(4)]))
        layer.out.weight.copy_(torch.eye(4))
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    rotation = fn.rotary_table(torch.tensor([7]), fn.frequencies(4, 100.0))
    expected = fn.rotary(NORM(x[:, None]), *rotation)  # the norm forgets the factors 1 and 2
    torch.testing.assert_close(layer(x, rotation, lambda q, k, v: q)[:, None], expected)
    torch.testing.assert_close(layer(x, rotation, lambda q, k, v: k)[:, None], expected)
    torch.testing.assert_close(layer(x, rotation, lambda q, k, v: v), 3 * x)


@pytest.mark.parametrize(("activation", "gated", "rows"), [(fn.relu2, False, 6), (fn.swiglu, True, 12)])
def test_mlp_widths(activation, gated: bool, rows: int) -> None:
    layer = MLP(4, 6, activation, gated)
    assert layer.up.weight.shape == (rows, 4)
    x = torch.randn(2, 4)
    torch.testing.assert_close(layer(x), activation(x @ layer.up.weight.T) @ layer.down.weight.T)


def test_dropout_is_of_what_is_written_and_in_training_alone() -> None:
    x, nothing = torch.ones(50, 4), Attention(4, 2, 2, 2)
    for kept, dropped in (
        (MLP(4, 6, fn.relu2, False), MLP(4, 6, fn.relu2, False, dropout=0.5)),
        (nothing, Attention(4, 2, 2, 2, dropout=0.5)),
    ):
        dropped.load_state_dict(kept.state_dict())
        args = () if isinstance(kept, MLP) else (None, lambda q, k, v: v)
        whole, thinned = kept(x, *args), dropped(x, *args)
        gone = thinned == 0
        assert 0.3 < gone.float().mean() < 0.7
        torch.testing.assert_close(thinned[~gone], 2 * whole[~gone])
        assert torch.equal(dropped.eval()(x, *args), whole)


def test_blocks_are_the_sums_of_their_parts() -> None:
    attention, mlp = Attention(4, 2, 2, 2), MLP(4, 6, fn.relu2, gated=False)
    one, two, three, four = (partial(torch.mul, torch.tensor(factor)) for factor in (2.0, 3.0, 5.0, 7.0))
    x = torch.randn(3, 4)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return v

    def seen(x: Tensor) -> Tensor:
        return attention(x, None, attend)

    middle = x + seen(2 * x)
    torch.testing.assert_close(PreNormBlock(attention, mlp, (one, two))(x, None, attend), middle + mlp(3 * middle))
    middle = 2 * (x + seen(x))
    torch.testing.assert_close(PostNormBlock(attention, mlp, (one, two))(x, None, attend), 3 * (middle + mlp(middle)))
    middle = x + 5 * seen(2 * x)
    torch.testing.assert_close(
        SandwichBlock(attention, mlp, (one, two, three, four))(x, None, attend), middle + 7 * mlp(3 * middle)
    )


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_norms_against_torch(kind) -> None:
    x, weight, bias = torch.randn(5, 6), torch.randn(6), torch.randn(6)
    norm = Norm(kind, 6, 1e-5, "plain", bias=kind == "layer")
    peer = torch.nn.RMSNorm(6, 1e-5) if kind == "rms" else torch.nn.LayerNorm(6, 1e-5)
    with torch.no_grad():
        for module in (norm, peer):
            module.weight.copy_(weight)
            if kind == "layer":
                module.bias.copy_(bias)
    torch.testing.assert_close(norm(x), peer(x), rtol=0, atol=0)
    plus = Norm(kind, 6, 1e-5, "one_plus", bias=False)
    torch.testing.assert_close(plus(x), Norm(kind, 6, 1e-5, "none", bias=False)(x))
    with torch.no_grad():
        plus.weight.fill_(2.0)
    torch.testing.assert_close(plus(x), 3 * Norm(kind, 6, 1e-5, "none", bias=False)(x))


def test_gains_of_q_and_k_differ_and_the_scale_is_of_q() -> None:
    q_norm, k_norm = (Norm("rms", 2, 1e-6, "plain", bias=False) for _ in range(2))
    with torch.no_grad():
        q_norm.weight.fill_(2.0)
        k_norm.weight.fill_(3.0)
    layer = Attention(4, 2, 1, 2, bias=(True, False), qk_norm=(q_norm, k_norm), q_scale=5.0)
    with torch.no_grad():
        layer.qkv.bias.fill_(1.0)
        layer.qkv.weight.zero_()
    seen: list[Tensor] = []

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen.extend((q, k, v))
        return q

    layer(torch.randn(1, 4), None, attend)
    for got, factor in zip(seen, (10.0, 3.0, 1.0), strict=True):
        torch.testing.assert_close(got, torch.full_like(got, factor))
    assert layer.out.bias is None
