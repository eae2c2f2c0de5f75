"""The modules: what a block adds, what attention hands over, how wide a gated MLP is."""

from functools import partial

import pytest
import torch
from torch import Tensor

from clearhead.nn import functional as fn
from clearhead.nn.layers import MLP, Attention, Block

NORM = partial(fn.rms_norm, eps=1e-6)


def test_attention_hands_over_grouped_heads() -> None:
    seen: list[tuple[torch.Size, ...]] = []

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen.append((q.shape, k.shape, v.shape))
        return q

    layer = Attention(width=24, n_heads=6, n_kv_heads=2, qk_norm=NORM)
    assert layer(torch.randn(3, 5, 24), None, attend).shape == (3, 5, 24)
    assert seen == [((3, 5, 6, 4), (3, 5, 2, 4), (3, 5, 2, 4))]


def test_attention_splits_norms_and_turns_in_this_order() -> None:
    layer = Attention(width=4, n_heads=1, n_kv_heads=1, qk_norm=NORM)
    with torch.no_grad():
        layer.qkv.weight.copy_(torch.cat([torch.eye(4), 2 * torch.eye(4), 3 * torch.eye(4)]))
        layer.out.weight.copy_(torch.eye(4))
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    rotation = fn.rotary_table(torch.tensor([7]), 4, 100.0)
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


def test_block_is_the_sum_of_its_parts() -> None:
    attention, mlp = Attention(4, 2, 2, None), MLP(4, 6, fn.relu2, gated=False)
    block = Block(attention, mlp, NORM)
    x = torch.randn(3, 4)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return v

    middle = x + attention(NORM(x), None, attend)
    torch.testing.assert_close(block(x, None, attend), middle + mlp(NORM(middle)))
