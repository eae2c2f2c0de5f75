"""Attention and its masks against torch, at the edges, and the variance argument as measured."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close
from torch.nn.attention.bias import causal_lower_right

from clearhead.reference.attention import (
    attention,
    attention_vjp,
    attention_weights,
    biased_attention,
    biased_attention_vjp,
    causal_mask,
    measure_scaling,
    padding_mask,
    sharpest_cosine_weight,
    sliding_window_mask,
)

RNG = np.random.default_rng(0)
Q, K, V = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5, 4))


def biased(q, k, v, bias, mask):
    bias = bias.expand(2, 3, 5)
    return F.scaled_dot_product_attention(q, k, v, bias if mask is None else bias.masked_fill(~mask, -torch.inf))


def test_values_and_gradients() -> None:
    for mask in (None, causal_mask(3, 5), sliding_window_mask(3, 5, 2), padding_mask(np.array([2, 5]), 5)):
        check_vjp(attention, attention_vjp, Q, K, V, mask, peer=F.scaled_dot_product_attention)
        for shape in ((3, 5), (2, 3, 5), (1, 3, 5)):
            check_vjp(biased_attention, biased_attention_vjp, Q, K, V, RNG.normal(size=shape), mask, peer=biased)
    close(attention_weights(Q, K) @ V, attention(Q, K, V))


def test_masks_are_aligned_at_the_last_query() -> None:
    for T, S in ((3, 5), (4, 4), (1, 6)):
        assert causal_mask(T, S).tolist() == causal_lower_right(T, S)._materialize("cpu").tolist()
    assert sliding_window_mask(4, 4, 9).tolist() == causal_mask(4, 4).tolist()
    assert sliding_window_mask(3, 5, 1).tolist() == np.eye(5, dtype=bool)[2:].tolist()


def test_padding_is_what_follows_the_length() -> None:
    assert padding_mask(np.array([[0, 2], [3, 1]]), 3).astype(int).tolist() == [
        [[[0, 0, 0]], [[1, 1, 0]]],
        [[[1, 1, 1]], [[1, 0, 0]]],
    ]
    short = attention(Q, K, V, padding_mask(np.array([2, 5]), 5))
    close(short[0], attention(Q[0], K[0, :2], V[0, :2]))


def test_each_mask_hides_what_it_should() -> None:
    far = K.copy()
    far[:, 4] = 1e3  # what nobody but the last query may see
    mask = causal_mask(3, 5)
    close(attention(Q, far, V, mask)[:, :2], attention(Q, K, V, mask)[:, :2])
    assert np.abs(attention(Q, far, V, mask)[:, 2] - attention(Q, K, V, mask)[:, 2]).max() > 0.1


def test_a_query_that_sees_nothing_gets_nothing() -> None:
    mask = causal_mask(5, 3)  # two queries stand before the first key
    q, do = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4))
    k, v = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
    assert attention(q, k, v, mask)[:2].tolist() == np.zeros((2, 4)).tolist()
    dq, dk, dv = attention_vjp(q, k, v, mask, do)
    assert dq[:2].tolist() == np.zeros((2, 4)).tolist()
    for mine, theirs in zip((dk, dv), attention_vjp(q[2:], k, v, mask[2:], do[2:])[1:], strict=True):
        close(mine, theirs)
    nothing = np.zeros((0, 4))
    assert attention(q, nothing, nothing).tolist() == np.zeros((5, 4)).tolist()
    assert [g.shape for g in attention_vjp(q, nothing, nothing, None, do)] == [(5, 4), (0, 4), (0, 4)]
    assert attention(nothing, k, v).shape == (0, 4)


def test_far_out_the_best_key_takes_all() -> None:
    q, k = np.array([[100.0]]), np.array([[100.0], [-100.0], [99.0]])
    assert attention(q, k, np.array([[1.0], [2.0], [3.0]])).tolist() == [[1.0]]
    for gradient in attention_vjp(q, k, k, None, np.ones((1, 1))):
        assert np.isfinite(gradient).all()


def test_the_variance_argument() -> None:
    for C in (16, 256):
        found = measure_scaling(C, 32, 2000, np.random.default_rng(1))
        assert abs(found.variance / C - 1) < 0.05  # 4 standard errors of 64,000 products that share 2,000 queries
        assert abs(found.variance_scaled - 1) < 0.05
    wide, narrow = (measure_scaling(C, 32, 500, np.random.default_rng(2)) for C in (1024, 4))
    assert abs(wide.entropy_scaled - narrow.entropy_scaled) < 0.15  # scaled: the same sharpness at every width
    assert abs(wide.slope_scaled - narrow.slope_scaled) < 0.02
    assert 2.9 < wide.entropy_scaled < 3.1 < np.log(32)
    assert wide.entropy < 0.15 and narrow.entropy > 1.8  # unscaled: the wider, the harder
    assert wide.slope < 0.1 < 0.7 < narrow.slope
    two = measure_scaling(64, 2, 20_000, np.random.default_rng(3))
    p = 1 / (1 + np.exp(-np.random.default_rng(4).normal(size=100_000) * np.sqrt(2)))  # a logistic of z₁ - z₂
    assert abs(two.slope_scaled - 2 * (p * (1 - p)).mean()) < 0.01


def test_cosine_scores_cannot_single_out_a_key() -> None:
    for S, scale in ((2, 1.0), (50, 3.0)):
        z = np.where(np.arange(S) == 0, scale, -scale)  # the best case: one key parallel, all others opposite
        close(sharpest_cosine_weight(S, scale), torch.tensor(z).softmax(0)[0].item())
    assert sharpest_cosine_weight(1) == 1


def test_one_channel_and_one_key_are_enough_to_measure() -> None:
    one = measure_scaling(1, 1, 1, RNG)
    assert one.entropy == one.entropy_scaled == one.slope == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sliding_window_mask(2, 2, 0), "window = 0"),
        (lambda: padding_mask(np.array([0, 4]), 3), "0 to 4; a row holds 0 to 3"),
        (lambda: padding_mask(np.array([-1]), 3), "a row holds"),
        (lambda: attention(np.zeros((1, 0)), np.zeros((1, 0)), np.zeros((1, 0))), "no channels"),
        (lambda: attention(Q * np.nan, K, V), "NaN"),
        (lambda: measure_scaling(0, 1, 1, RNG), "C = 0"),
        (lambda: sharpest_cosine_weight(0), "S = 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
