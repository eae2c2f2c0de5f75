"""Attention by tiles: equal to attention, with every tile and mask, and its traffic as the papers count it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close

from clearhead.reference.attention import attention, attention_vjp, causal_mask, sliding_window_mask
from clearhead.reference.attention_traffic import (
    flash_1_backward_traffic,
    flash_1_traffic,
    flash_2_backward_traffic,
    flash_2_traffic,
    plain_backward_traffic,
    plain_traffic,
)
from clearhead.reference.flash import (
    Memory,
    flash_1,
    flash_1_backward,
    flash_2,
    flash_2_backward,
    online_softmax,
    online_softmax_vjp,
    plain_attention,
    plain_attention_backward,
)

RNG = np.random.default_rng(0)
TILES = [(1, 1), (2, 3), (3, 2), (5, 7), (50, 50)]
SHAPES = [(5, 7), (6, 6), (1, 9), (4, 2)]  # the last: two queries see nothing under the causal mask


def tensors(T: int, S: int, C: int = 4) -> list[np.ndarray]:
    return [RNG.normal(size=(n, C)) for n in (T, S, S, T)]


def masks(T: int, S: int) -> list[np.ndarray | None]:
    return [None, causal_mask(T, S), sliding_window_mask(T, S, 2), np.zeros((T, S), bool)]


@pytest.mark.parametrize(("T", "S"), SHAPES)
def test_forward_and_backward_are_attentions(T: int, S: int) -> None:
    q, k, v, do = tensors(T, S)
    for mask in masks(T, S):
        o, gradients = attention(q, k, v, mask), attention_vjp(q, k, v, mask, do)
        plain_o, p = plain_attention(q, k, v, mask, Memory())
        close(plain_o, o)
        for got, want in zip(plain_attention_backward(q, k, v, p, do, Memory()), gradients, strict=True):
            close(got, want)
        for tiles in TILES:
            o_1, ell, m = flash_1(q, k, v, mask, *tiles, Memory())
            o_2, lse = flash_2(q, k, v, mask, *tiles, Memory())
            close(o_1, o)
            close(o_2, o)
            with np.errstate(divide="ignore"):
                close(m + np.log(ell), lse)
            back_1 = flash_1_backward(q, k, v, o_1, ell, m, do, mask, *tiles, Memory())
            back_2 = flash_2_backward(q, k, v, o_2, lse, do, mask, *tiles, Memory())
            for got_1, got_2, want in zip(back_1, back_2, gradients, strict=True):
                close(got_1, want)
                close(got_2, want)


def test_against_torch_and_differences() -> None:
    q, k, v, _ = tensors(5, 6)
    mask = causal_mask(5, 6)

    def backward_1(q, k, v, do):
        o, ell, m = flash_1(q, k, v, mask, 2, 3, Memory())
        return flash_1_backward(q, k, v, o, ell, m, do, mask, 2, 3, Memory())

    def backward_2(q, k, v, do):
        o, lse = flash_2(q, k, v, mask, 2, 3, Memory())
        return flash_2_backward(q, k, v, o, lse, do, mask, 2, 3, Memory())

    def theirs(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, torch.tensor(mask))

    check_vjp(lambda q, k, v: flash_1(q, k, v, mask, 2, 3, Memory())[0], backward_1, q, k, v, peer=theirs)
    check_vjp(lambda q, k, v: flash_2(q, k, v, mask, 2, 3, Memory())[0], backward_2, q, k, v, peer=theirs)
    lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*(torch.tensor(x)[None, None] for x in (q, k, v)))[
        1
    ]
    close(flash_2(q, k, v, None, 2, 3, Memory())[1], lse[0, 0].numpy())


def test_far_out_nothing_overflows() -> None:
    q, k, v, do = tensors(4, 6)
    q, k = 100 * q, 100 * k  # scores of ±1e5
    o, ell, m = flash_1(q, k, v, None, 2, 2, Memory())
    close(o, attention(q, k, v))
    o, lse = flash_2(q, k, v, None, 2, 2, Memory())
    close(o, attention(q, k, v))
    for got in (*flash_1_backward(q, k, v, o, ell, m, do, None, 2, 2, Memory()),
                *flash_2_backward(q, k, v, o, lse, do, None, 2, 2, Memory())):  # fmt: skip
        assert np.isfinite(got).all()


def test_online_softmax() -> None:
    z = RNG.normal(size=(3, 7)) * 5
    for block in (1, 2, 7, 9):
        check_vjp(online_softmax, online_softmax_vjp, z, block, peer=lambda z, block: z.softmax(-1))
    assert online_softmax(np.array([-1e4, 1e4, -np.inf, 1e4]), 1).tolist() == [0, 0.5, 0, 0.5]
    assert online_softmax(np.array([-np.inf, -np.inf]), 1).tolist() == [0, 0]


@pytest.mark.parametrize(("T", "S"), [(6, 6), (5, 7), (1, 9), (16, 8)])
def test_what_is_counted_is_what_the_formulas_say(T: int, S: int) -> None:
    C = 4
    q, k, v, do = tensors(T, S, C)

    def counted(call) -> tuple[tuple[int, int], object]:
        hbm = Memory()
        result = call(hbm)
        return (hbm.reads, hbm.writes), result

    count, (_, p) = counted(lambda hbm: plain_attention(q, k, v, None, hbm))
    assert count == plain_traffic(T, S, C)
    count, _ = counted(lambda hbm: plain_attention_backward(q, k, v, p, do, hbm))
    assert count == plain_backward_traffic(T, S, C)
    for Br, Bc in TILES:
        count, (o, ell, m) = counted(lambda hbm: flash_1(q, k, v, None, Br, Bc, hbm))  # noqa: B023 - called at once
        assert count == flash_1_traffic(T, S, C, Br, Bc)
        count, _ = counted(lambda hbm: flash_1_backward(q, k, v, o, ell, m, do, None, Br, Bc, hbm))  # noqa: B023
        assert count == flash_1_backward_traffic(T, S, C, Br, Bc)
        count, (o, lse) = counted(lambda hbm: flash_2(q, k, v, None, Br, Bc, hbm))  # noqa: B023
        assert count == flash_2_traffic(T, S, C, Br, Bc)
        count, _ = counted(lambda hbm: flash_2_backward(q, k, v, o, lse, do, None, Br, Bc, hbm))  # noqa: B023
        assert count == flash_2_backward_traffic(T, S, C, Br, Bc)


def test_a_causal_mask_saves_the_tiles_above_the_diagonal() -> None:
    N, B = 32, 4
    q, k, v, do = tensors(N, N)
    tiles = N // B
    for forward, backward in ((flash_1, flash_1_backward), (flash_2, flash_2_backward)):
        whole, half = Memory(), Memory()
        for hbm, mask in ((whole, None), (half, causal_mask(N, N))):
            saved = forward(q, k, v, mask, B, B, hbm)
            backward(q, k, v, *saved, do, mask, B, B, hbm)
        assert 0.5 < half.reads / whole.reads < (tiles + 1) / (2 * tiles) + 0.05
    hbm = Memory()
    flash_2(q, k, v, causal_mask(N, N), B, B, hbm)
    assert hbm.reads == N * 4 + tiles * (tiles + 1) // 2 * 2 * B * 4


@pytest.mark.parametrize(
    "call",
    [
        lambda x: flash_1(x, x, x, None, 0, 1, Memory()),
        lambda x: flash_2(x, x, x, None, 1, 0, Memory()),
        lambda x: online_softmax(x, 0),
    ],
)
def test_an_empty_tile_is_refused(call) -> None:
    with pytest.raises(ValueError, match=r"1 or more"):
        call(np.ones((2, 2)))
