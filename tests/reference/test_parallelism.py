"""Devices: sums that agree, memory as published, bubbles by a schedule, and recomputation at its best segment."""

import numpy as np
import pytest
from against import close

from clearhead.reference.activations import gelu
from clearhead.reference.parallelism import (
    checkpointed,
    pipeline_bubble,
    ring_all_reduce,
    tensor_parallel_mlp,
    zero_bytes,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("P", [1, 2, 3, 8])
def test_every_device_has_the_sum_and_sent_almost_twice_its_numbers(P: int) -> None:
    parts = RNG.normal(size=(P, 24))
    total, sent = ring_all_reduce(parts)
    close(total, np.tile(parts.sum(0), (P, 1)))
    assert sent == 2 * (P - 1) * 24 // P


def test_zero_is_the_papers_table() -> None:
    assert [round(zero_bytes(7.5e9, 64, stage) / 1e9, 1) for stage in range(4)] == [120.0, 31.4, 16.6, 1.9]


def test_a_bubble_is_what_a_schedule_leaves_idle() -> None:
    p, m = 4, 7
    ends = np.zeros((p, m), int)
    for stage in range(p):
        for batch in range(m):
            before = max(ends[stage - 1, batch] if stage else 0, ends[stage, batch - 1] if batch else 0)
            ends[stage, batch] = before + 1
    close(pipeline_bubble(p, m), 1 - m / ends.max())


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_tensor_parallel_is_the_whole(devices: int) -> None:
    x, a, b = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 8)), RNG.normal(size=(8, 4))
    close(tensor_parallel_mlp(x, a, b, devices), gelu(x @ a) @ b)


def test_the_root_is_the_best_segment() -> None:
    held = {segment: checkpointed(64, segment)[0] for segment in range(1, 65)}
    assert min(held, key=lambda segment: held[segment]) == 8 and held[8] == 16


WRONG = [
    lambda: zero_bytes(1, 1, 4),
    lambda: pipeline_bubble(0, 1),
    lambda: checkpointed(4, 5),
    lambda: ring_all_reduce(np.ones((2, 3))),
    lambda: tensor_parallel_mlp(np.ones((1, 1)), np.ones((1, 3)), np.ones((3, 1)), 2),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be(wrong) -> None:
    with pytest.raises(ValueError):
        wrong()
