"""Split-KV decoding equals attention, and its traffic is what the formula says."""

import numpy as np
import pytest
from against import check_vjp, close

from clearhead.reference.attention import attention, causal_mask, sliding_window_mask
from clearhead.reference.attention_traffic import split_kv_traffic
from clearhead.reference.flash import Memory, flash_2
from clearhead.reference.flash_decoding import merge, merge_vjp, split_kv

RNG = np.random.default_rng(0)
SHAPES = [(5, 7), (1, 9), (4, 2)]  # the last: two queries see nothing under the causal mask


def tensors(T: int, S: int) -> list[np.ndarray]:
    return [RNG.normal(size=(n, 4)) for n in (T, S, S)]


def test_split_keys_and_their_merge() -> None:
    for T, S in SHAPES:
        q, k, v = tensors(T, S)
        for mask in (None, causal_mask(T, S), sliding_window_mask(T, S, 2), np.zeros((T, S), bool)):
            want = attention(q, k, v, mask), flash_2(q, k, v, mask, 2, 3, Memory())[1]
            for splits in (1, 2, 3, 20):  # 20: parts without any key
                for got, wanted in zip(split_kv(q, k, v, mask, splits, Memory()), want, strict=True):
                    close(got, wanted)
    o, lse = RNG.normal(size=(3, 2, 4, 5)), RNG.normal(size=(3, 2, 4))
    check_vjp(
        merge, merge_vjp, o, lse, peer=lambda o, lse: ((lse.softmax(0)[..., None] * o).sum(0), lse.logsumexp(0))
    )  # fmt: skip
    lse[0, 0, 0] = -np.inf
    close(merge(o, lse)[0][0, 0], merge(o[1:], lse[1:])[0][0, 0])
    close(merge(o, lse + 1e4)[0], merge(o, lse)[0], 1e-11)


@pytest.mark.parametrize(("T", "S"), SHAPES)
def test_what_is_counted_is_what_the_formula_says(T: int, S: int) -> None:
    for splits in (1, 3, 20):
        hbm = Memory()
        split_kv(*tensors(T, S), None, splits, hbm)
        assert (hbm.reads, hbm.writes) == split_kv_traffic(T, S, 4, splits)


def test_no_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="splits = 0"):
        split_kv(*tensors(1, 2), None, 0, Memory())
