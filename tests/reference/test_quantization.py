"""Rounding to 8 bits errs by half a step at most, and keeps the largest value of a row."""

import numpy as np

from clearhead.reference.quantization import dequantize, quantize_rows


def test_a_weight_comes_back_within_half_a_step() -> None:
    w = np.random.default_rng(0).normal(size=(5, 40)) * np.array([[1e-3], [1.0], [50.0], [0.0], [1.0]])
    found = quantize_rows(w)
    assert (np.abs(found.code).max(-1) == [127, 127, 127, 0, 127]).all() and found.scale[3, 0] == 1
    assert (np.abs(dequantize(found) - w) <= found.scale / 2 + 1e-12).all()
    np.testing.assert_allclose(np.abs(dequantize(found)).max(-1), np.abs(w).max(-1))
