"""Formats against torch's own, integers against their bound, and GPTQ against plain rounding."""

import numpy as np
import pytest
import torch
from against import close

from clearhead.reference.quantization import (
    FORMATS,
    bits_per_weight,
    dequantize,
    gptq,
    quantize,
    rounded,
    signal_to_noise,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=2000) * 10.0 ** RNG.uniform(-6, 2, 2000)
TORCH = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float8_e5m2": torch.float8_e5m2,
    "float8_e4m3": torch.float8_e4m3fn,
}


@pytest.mark.parametrize("name", TORCH)
def test_a_format_is_torchs(name: str) -> None:
    exact = X.astype(np.float32)  # torch goes from 32 bits
    close(rounded(exact.astype(float), name), torch.tensor(exact).to(TORCH[name]).double().numpy())
    assert rounded(np.array([1e300, -1e300]), name).tolist() == [FORMATS[name].largest, -FORMATS[name].largest]


def test_four_bits_have_fifteen_values() -> None:
    found = np.unique(rounded(np.linspace(-8, 8, 9999), "float4_e2m1"))
    assert found.tolist() == [-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6]


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_integers_are_within_half_a_scale(bits: int) -> None:
    w = RNG.normal(size=(5, 64))
    q, scale = quantize(w, bits, 16)
    assert np.abs(q).max() == 2 ** (bits - 1) - 1
    error = np.abs(dequantize(q, scale) - w).reshape(5, 4, 16)
    assert (error <= scale[..., None] / 2 + 1e-12).all()
    assert not quantize(np.zeros((1, 16)), bits, 16)[0].any()


def test_small_groups_shut_an_outlier_in() -> None:
    w = RNG.normal(size=(1, 128))
    w[0, 3] = 50.0
    quality = [signal_to_noise(w[:, 64:], dequantize(*quantize(w, 4, group))[:, 64:]) for group in (128, 32)]
    assert quality[0] < 3 < 15 < quality[1]
    assert bits_per_weight(4, 128) < bits_per_weight(4, 32) == 4.5


def test_gptq_is_exact_where_inputs_are_uncorrelated_to_rounding_and_better_where_they_are_not() -> None:
    w = RNG.normal(size=(8, 32))
    white = np.linalg.qr(RNG.normal(size=(64, 32)))[0]
    close(gptq(w, white, 4), dequantize(*quantize(w, 4, 32)))
    x = RNG.normal(size=(128, 32)) @ RNG.normal(size=(32, 32))
    errors = [np.linalg.norm(x @ (v - w).T) for v in (gptq(w, x, 4), dequantize(*quantize(w, 4, 32)))]
    assert errors[0] < 0.85 * errors[1]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: rounded(X, "float7"),
        lambda: quantize(X, 1, 2),
        lambda: quantize(X, 4, 3),
        lambda: gptq(X[:4].reshape(2, 2), X[:4].reshape(2, 2), 1),
    ],
)
def test_what_cannot_be(wrong) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
