"""Costs of serving, against cases counted by hand and a simulation step by step."""

import numpy as np
import pytest
from against import close

from clearhead.reference.serving import (
    continuous_steps,
    critical_batch,
    decode_seconds,
    matmul_intensity,
    pages,
    ridge_point,
    shared_prefix_tokens,
    static_steps,
    wasted,
)


def test_decoding_turns_compute_bound_at_the_critical_batch() -> None:
    flops, bandwidth = 1e15, 3e12
    batch = critical_batch(flops, bandwidth)
    close(batch, ridge_point(flops, bandwidth))
    weights = 1e10
    memory = weights / bandwidth
    assert decode_seconds(weights, 0.0, int(batch * 0.9), bandwidth, flops) == memory
    assert decode_seconds(weights, 0.0, int(batch * 1.5), bandwidth, flops) > 1.4 * memory
    close(critical_batch(flops, bandwidth, 1.0), batch / 2)  # 8-bit weights are read in half the time


def test_intensity_of_a_product_goes_with_its_rows_while_these_are_few() -> None:
    found = [matmul_intensity(n, 8192, 8192) for n in (1, 2, 64)]
    assert np.allclose(found, [1, 2, 64], rtol=0.02)


def stepped(lengths: list[int], batch: int) -> int:
    waiting, running, steps = list(lengths), [], 0
    while waiting or running:
        while waiting and len(running) < batch:
            running.append(waiting.pop(0))
        running = [left - 1 for left in running if left > 1]
        steps += 1
    return steps


def test_continuous_batching_is_what_a_simulation_finds_and_never_slower() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = rng.integers(1, 30, size=rng.integers(1, 20)).tolist()
        batch = int(rng.integers(1, 6))
        assert continuous_steps(lengths, batch) == stepped(lengths, batch) <= static_steps(lengths, batch)


def test_pages_and_prefixes() -> None:
    lengths = [1, 15, 16, 17, 100]
    assert pages(lengths, 16) == 1 + 1 + 1 + 2 + 7
    assert 0 <= wasted(lengths, 16) < wasted(lengths, 128) and wasted([], 16) == 0
    assert shared_prefix_tokens([[1, 2, 3], [1, 2], [1, 2, 3, 4], [9]]) == 0 + 2 + 3 + 0
    with pytest.raises(ValueError, match="page = 0 must be"):
        pages([1], 0)
